"""The reports of a trial that was trained again, compared with the recorded ones to the last bit."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Row = Mapping[str, Any]

NOT_COMPARED: Final = ("sweep", "trial", "epoch", "sequence", "reported_at", "images_per_second")
"""Columns that say which report it is, or that a clock gives."""


@dataclass(frozen=True)
class Difference:
    """The largest difference in one column."""

    column: str
    epoch: int
    recorded: float
    again: float

    @property
    def size(self) -> float:
        """The absolute difference; infinite if one of the two is not finite."""
        size = abs(self.again - self.recorded)
        return size if math.isfinite(size) else math.inf


@dataclass(frozen=True)
class Comparison:
    """What the reports of two runs of one trial have in common."""

    epochs: int
    """Epochs that both have."""
    values: int
    """Values that both have, besides times."""
    differences: tuple[Difference, ...]
    """One for each column that differs anywhere."""
    missing: tuple[int, ...]
    """The epochs of which no report is recorded."""

    @property
    def equal(self) -> bool:
        """Whether every report was recorded, and every value is the same to the last bit."""
        return not self.differences and not self.missing


def compare(recorded: Iterable[Row], again: Sequence[Row]) -> Comparison:
    """Compare the reports of two runs by epoch; a value that either lacks is not compared.

    >>> found = compare([{"epoch": 1, "loss": 0.5, "lidar": 3.0}], [{"epoch": 1, "loss": 0.5, "lidar": 3.5}])
    >>> found.values, found.equal, [(one.column, one.size) for one in found.differences]
    (2, False, [('lidar', 0.5)])
    """
    known = {row["epoch"]: row for row in recorded}
    values, largest = 0, dict[str, Difference]()
    for row in again:
        then = known.get(row["epoch"], {})
        for column in compared(row, then):
            values += 1
            found = Difference(column, row["epoch"], float(then[column]), float(row[column]))
            if bits(found.recorded) != bits(found.again) and found.size >= getattr(largest.get(column), "size", 0.0):
                largest[column] = found
    missing = tuple(row["epoch"] for row in again if row["epoch"] not in known)
    return Comparison(len(again) - len(missing), values, tuple(largest.values()), missing)


def compared(row: Row, other: Row) -> list[str]:
    """The columns in which both have a number that is no time."""
    names = [name for name in row if name not in NOT_COMPARED and not name.endswith("_seconds")]
    return [name for name in names if all(isinstance(one.get(name), int | float) for one in (row, other))]


def bits(value: float) -> bytes:
    """A number as its bits; all NaN are one.

    >>> bits(0.0) == bits(-0.0), bits(math.nan) == bits(-math.nan)
    (False, True)
    """
    return struct.pack("<d", math.nan if math.isnan(value) else value)
