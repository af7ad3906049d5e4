"""The laboratory: self-supervised pretraining, label-free criteria and probes, in torch and without Ray."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.export import load_encoder as load_encoder


def __getattr__(name: str) -> Any:
    """`trainers.load_encoder`, imported when it is asked for: the judge imports this package without torch."""
    if name == "load_encoder":
        from trainers.export import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
