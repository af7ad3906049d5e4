"""The hyperparameters that change the loss of a method by its formula, as the method's source file says.

The files of `trainers/methods` are parsed and never imported, because importing them would import torch.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

MOVES_LOSS: Final = "moves_loss"
"""The attribute of a method's class with the names of these hyperparameters."""


@cache
def moves_loss(method: str) -> tuple[str, ...]:
    """The hyperparameters that change the loss of a method by its formula; none of a method without a file.

    >>> moves_loss("simclr"), moves_loss("unknown")
    (('temperature',), ())
    """
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
