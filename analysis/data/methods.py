"""The hyperparameters that change the loss of a method by its formula, as sweep.yaml or the method's file says.

A sweep.yaml of an earlier version does not say it, and a table of runs has none. The files of `trainers/methods` are
then parsed; they are never imported, because importing them would import torch.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

MOVES_LOSS: Final = "moves_loss"
"""The attribute of a method's class with the names of these hyperparameters."""


def moves_loss(method: str, settings: Mapping[str, Any] = MappingProxyType({})) -> tuple[str, ...]:
    """The hyperparameters that change the loss of a method by its formula; `settings` is the sweep's sweep.yaml.

    >>> moves_loss("simclr"), moves_loss("unknown"), moves_loss("mine", {"provenance": {"moves_loss": ["scale"]}})
    (('temperature',), (), ('scale',))
    """
    origin = settings.get("provenance")
    recorded = origin.get(MOVES_LOSS) if isinstance(origin, Mapping) else None
    return tuple(map(str, recorded)) if isinstance(recorded, list) else of_source(method)


@cache
def of_source(method: str) -> tuple[str, ...]:
    """The same from the method's file in `trainers/methods`; none if it has no file there."""
    spec = importlib.util.find_spec("trainers")
    folders = spec.submodule_search_locations if spec else None
    known = {file.stem: file for file in (Path(next(iter(folders or ()))) / "methods").glob("*.py")}
    return declared(known[method].read_text(encoding="utf-8")) if method in known else ()


def declared(text: str) -> tuple[str, ...]:
    """The names in the literal `moves_loss` of the classes in a source file.

    >>> declared("class A(Method):\\n    moves_loss: ClassVar[tuple[str, ...]] = ('temperature',)")
    ('temperature',)
    """
    return tuple(
        str(name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == MOVES_LOSS
        for name in ast.literal_eval(node.value)
    )
