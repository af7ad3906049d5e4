"""The description of each criterion: its label, direction, layer, and the conditions that its value depends on.

For the criteria that a sweep measured, it comes from `provenance.criteria` of its sweep.yaml. For tables and sweeps
without that entry, it comes from the source files of `trainers/criteria`. These files are parsed and never imported,
because importing them would import torch.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

LOSS: Final = "loss"
"""The pretraining loss: not a criterion, but the baseline to which criteria are compared."""
DESCRIPTION: Final = ("label", "higher_is_better")
"""The keys that have the same name in a criterion's source and in a sweep.yaml."""


@dataclass(frozen=True)
class CriterionInfo:
    """The description of one criterion."""

    label: str
    """Its name in reports and figures."""
    higher_is_better: bool = True
    conditions: tuple[str, ...] = ()
    """The conditions that its value depends on, each in a column `<criterion>_<condition>`; empty if unknown."""


Known = Mapping[str, CriterionInfo]
"""Criterion -> its description; the loss comes last."""


@cache
def shelf() -> Known:
    """The criteria of the catalogue `trainers.criteria.CRITERIA`, in its order, then the loss."""
    spec = importlib.util.find_spec("trainers")
    folders = spec.submodule_search_locations if spec else None
    folder = Path(next(iter(folders or ()))) / "criteria"
    found: dict[str, CriterionInfo] = {}
    for file in folder.glob("*.py"):
        found |= read_source(file.read_text(encoding="utf-8"))
    catalogue = string_keys(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    loss = CriterionInfo("loss", higher_is_better=False)
    return MappingProxyType({**{name: found[name] for name in catalogue}, LOSS: loss})


def read_source(text: str) -> dict[str, CriterionInfo]:
    """The criteria defined at the top level of a source file, from the literal arguments of `Criterion(...)`.

    >>> read_source("X = Criterion(name='x', label='X', function=f, reads_views=False, higher_is_better=False)")
    {'x': CriterionInfo(label='X', higher_is_better=False, conditions=('n',))}
    """
    found = {}
    for statement in ast.parse(text).body:
        call = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Criterion":
            given = {argument.arg: argument.value for argument in call.keywords}
            described = {name: ast.literal_eval(given[name]) for name in DESCRIPTION if name in given}
            conditions = ("n", "q") if ast.literal_eval(given["reads_views"]) else ("n",)
            settings = string_keys(given["settings"]) if "settings" in given else ()
            found[ast.literal_eval(given["name"])] = CriterionInfo(**described, conditions=(*conditions, *settings))
    return found


def string_keys(source: ast.AST) -> list[str]:
    """The string keys of the dictionary literals in a piece of source code.

    >>> string_keys(ast.parse("CRITERIA: dict = {'lidar': LIDAR}"))
    ['lidar']
    """
    keys = [key for node in ast.walk(source) if isinstance(node, ast.Dict) for key in node.keys]
    return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def known_criteria(settings: Mapping[str, Any]) -> Known:
    """The catalogue's criteria, updated with `provenance.criteria` of a sweep.yaml.

    Raises:
        ValueError: a direction is neither true nor false.
    """
    origin = settings.get("provenance")
    entries = origin.get("criteria") if isinstance(origin, Mapping) else None
    entries = entries if isinstance(entries, Mapping) else {}
    described = {str(name): read_description(str(name), entry) for name, entry in entries.items()}
    return {**shelf(), **described, LOSS: shelf()[LOSS]}


def read_description(name: str, entry: Any) -> CriterionInfo:
    """One entry of `provenance.criteria`; missing keys come from the catalogue, or are the default."""
    known = shelf().get(name, CriterionInfo(name))
    entry = entry if isinstance(entry, Mapping) else {}
    direction = entry.get("higher_is_better", known.higher_is_better)
    if not isinstance(direction, bool):
        raise ValueError(f"`provenance.criteria.{name}.higher_is_better` must be true or false, but got {direction!r}")
    return CriterionInfo(str(entry.get("label", known.label)), direction, known.conditions)


def merge_criteria(parts: Sequence[Known]) -> Known:
    """The criteria of several sweeps in one mapping; the label comes from the first sweep that has the criterion.

    Raises:
        ValueError: two sweeps disagree on the direction of a criterion.
    """
    merged: dict[str, CriterionInfo] = {}
    for name, info in (pair for part in parts for pair in part.items()):
        if merged.setdefault(name, info).higher_is_better != info.higher_is_better:
            raise ValueError(f"`{name}` must have one direction, but `higher_is_better` differs between these sweeps")
    return merged


_labelled: Final[ContextVar[Known | None]] = ContextVar("labelled", default=None)


@contextmanager
def labels_of(known: Known) -> Iterator[None]:
    """Use these labels for the criteria within the block, while one report is written."""
    token = _labelled.set(known)
    try:
        yield
    finally:
        _labelled.reset(token)


def label(criterion: str) -> str:
    """The label of a criterion: from the report being written, else from the catalogue, else its name.

    >>> label("lidar"), label("mine")
    ('LiDAR', 'mine')
    >>> with labels_of({"mine": CriterionInfo("Mine")}):
    ...     label("mine")
    'Mine'
    """
    info = (_labelled.get() or shelf()).get(criterion)
    return info.label if info else criterion
