"""Hyperparameter sweeps for self-supervised pretraining, steered by label-free criteria.

In Python, `sweeper.run("dino", "epochs=5")` runs a sweep and `sweeper.open("latest")` opens one; both give a `Sweep`,
with its tables as DataFrames and its encoders as torch modules. They are imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sweeper.notebook.start import open_sweep as open
    from sweeper.notebook.start import run as run
    from sweeper.notebook.sweep import Sweep as Sweep

    start_sweep = run

__version__ = "0.1.0"
__all__ = ["Sweep", "__version__", "open", "run"]


def __getattr__(name: str) -> Any:
    """A name of `__all__`, imported when it is asked for; `run` is the package of that name, which can be called."""
    import importlib

    if name == "run":
        return importlib.import_module("sweeper.run")
    if name in _PLACES:
        module, function = _PLACES[name]
        return getattr(importlib.import_module(module), function)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_PLACES: Final = {
    "Sweep": ("sweeper.notebook.sweep", "Sweep"),
    "open": ("sweeper.notebook.start", "open_sweep"),
    "start_sweep": ("sweeper.notebook.start", "run"),
}
"""Name -> the module that has it, and its name there."""


def __dir__() -> list[str]:
    """What a notebook completes."""
    return sorted({*globals(), *__all__})
