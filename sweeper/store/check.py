"""Rows that were read from a results folder are checked against the columns that wrote them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sweeper.errors import ResultsError
from trainers.fields import LARGEST, shortened
from trainers.records import STATUSES, Column, Kind

TYPES: Final[Mapping[Kind, tuple[type, ...]]] = {
    "text": (str,),
    "whole": (int,),
    "number": (int, float),
    "flag": (bool,),
    "moment": (datetime, str),
    "value": (bool, int, float, str),
}
"""Kind of a column -> the types of its cells, as parquet or JSON gives them."""
NEEDED: Final = (
    *("trial", "epoch", "status", "baseline", "sequence", "step", "train_seconds", "criteria_seconds"),
    *("images_per_second", "spread", "reported_at"),
)
"""Columns whose cells are never empty, of those that a table has."""


def check_rows(rows: Iterable[Mapping[str, Any]], columns: Iterable[Column], where: object) -> None:
    """Check that every row has what it needs, and that every cell is of its column's kind.

    Raises:
        ResultsError: in one line, the file, the column, what it must be, and the row, counted from 1.
    """
    columns = list(columns)
    for number, row in enumerate(rows, start=1):
        for column in columns:
            problem = problem_of(column, row.get(column.name))
            if problem:
                raise ResultsError(f"`{column.name}` in {where} {problem} in row {number}")


def as_kind(kind: Kind, value: Any) -> Any:
    """The same value in the type of its column; what is of no such kind stays as it is, and fails the check.

    pandas makes floats of a column of whole numbers with empty cells, and a CSV has no types.

    >>> as_kind("whole", 3.0), as_kind("whole", 3.5), as_kind("text", 2024), as_kind("whole", math.nan)
    (3, 3.5, '2024', None)
    >>> as_kind("moment", "2026-01-02 03:04:05+00:00")
    datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, float) and math.isnan(value) and kind != "number":
        return None
    if kind == "whole" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "text" and type(value) is int:
        return str(value)
    return datetime.fromisoformat(value) if kind == "moment" and isinstance(value, str) and _is_moment(value) else value


def problem_of(column: Column, value: Any) -> str:
    """What is wrong with a cell, or "".

    >>> problem_of(Column("trial", "whole", ""), "first"), problem_of(Column("epochs", "whole", ""), None)
    ("must be a whole number, but got 'first'", '')
    """
    if value is None:
        return "is missing" if column.name in NEEDED else ""
    fits = any(isinstance(value, kind) for kind in TYPES[column.kind])
    if not fits or (isinstance(value, bool) and column.kind in ("whole", "number")):
        what = {"text": "text", "whole": "a whole number", "number": "a number", "flag": "true or false"}
        return f"must be {what.get(column.kind, 'a ' + column.kind)}, but got {_shown(value)}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"must be below 2^63 in size, but got {_shown(value)}"
    if column.kind == "moment" and isinstance(value, str) and not _is_moment(value):
        return f"must be a moment as ISO 8601 writes it, but got {_shown(value)}"
    if column.name in ("trial", "epoch") and value < 0:
        return f"must be at least 0, but got {value}"
    if column.name == "status" and value not in STATUSES:
        return f"must be one of {', '.join(STATUSES)}, but got {_shown(value)}"
    return ""


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    """The beginning of a value, on one line."""
    return repr(" ".join(shortened(str(value), 40).split()))
