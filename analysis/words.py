"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

LABELS = {"lidar": "LiDAR", "rankme": "RankMe", "loss": "loss"}


def label_of(criterion: str) -> str:
    """A criterion as people write it.

    >>> label_of("lidar"), label_of("lidar.embedding"), label_of("nesum")
    ('LiDAR', 'LiDAR, embedding', 'nesum')
    """
    plain, _, layer = criterion.partition(".")
    return LABELS.get(plain, plain) + (f", {layer}" if layer else "")


def accuracy(value: object) -> str:
    """An oracle, or a difference of two: fractions as percent, anything else as it is.

    >>> accuracy(0.9134), accuracy(69.1), accuracy(float("nan")), accuracy(-0.02)
    ('91.3%', '69.1', '–', '−2.0%')
    """
    number = as_float(value)
    if not math.isfinite(number):
        return "–"
    return (f"{100 * number:.1f}%" if abs(number) <= 1 else f"{number:g}").replace("-", "−")


def number(value: object, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none.

    >>> number(-0.1234), number(float("nan")), number(12)
    ('−0.12', '–', '12')
    """
    known = as_float(value)
    if not math.isfinite(known):
        return "–"
    return (f"{known:.0f}" if isinstance(value, int) else f"{known:.{digits}f}").replace("-", "−")


def probability(value: object) -> str:
    """A p-value, never rounded to nothing.

    >>> probability(0.00004), probability(0.0312)
    ('<0.001', '0.031')
    """
    return "<0.001" if as_float(value) < 0.001 else number(as_float(value), 3)


def seconds(value: object) -> str:
    """A length of time.

    >>> seconds(0.0123), seconds(12.3), seconds(4000.0)
    ('12 ms', '12.3 s', '1.1 h')
    """
    known = as_float(value)
    if not math.isfinite(known):
        return "–"
    for limit, scale, unit in ((1, 1e-3, "ms"), (120, 1, "s"), (7200 / 2, 60, "min")):
        if known < limit:
            return f"{known / scale:.0f} {unit}" if unit == "ms" else f"{known / scale:.1f} {unit}"
    return f"{known / 3600:.1f} h"


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def as_float(value: object) -> float:
    """A number, or NaN."""
    if value is None or value is pd.NA or isinstance(value, str):
        return math.nan
    return float(value)  # type: ignore[arg-type]
