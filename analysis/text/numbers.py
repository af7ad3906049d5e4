"""The numbers and names of a report as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from analysis.data.criteria import label
from trainers.formats import as_float, counted, plain


def label_of(criterion: str) -> str:
    """A criterion as people write it.

    >>> label_of("lidar"), label_of("lidar.embedding"), label_of("mine")
    ('LiDAR', 'LiDAR, embedding', 'mine')
    """
    plain, _, layer = criterion.partition(".")
    return label(plain) + (f", {layer}" if layer else "")


def subject(criterion: str) -> str:
    """A criterion in the middle of a sentence.

    >>> subject("loss"), subject("lidar")
    ('the loss', 'LiDAR')
    """
    return "the loss" if criterion == "loss" else label_of(criterion)


def capitalised(text: str) -> str:
    """Text at the start of a sentence; the Greek letter of a name stays as it is.

    >>> capitalised("the loss and LiDAR"), capitalised("LiDAR"), capitalised("α-ReQ")
    ('The loss and LiDAR', 'LiDAR', 'α-ReQ')
    """
    return text[:1].upper() + text[1:] if text[:1].isascii() else text


def interval(row: Mapping[Any, Any], name: str = "tau", show: Callable[[object], str] | None = None) -> str:
    """The 95% confidence interval of a column, from `<name>_low` to `<name>_high`.

    >>> interval({"tau_low": -0.67, "tau_high": 0.06})
    '95% CI −0.67 to 0.06'
    """
    low, high = ((show or number)(row[f"{name}_{end}"]) for end in ("low", "high"))
    return f"95% CI {low} to {high}"


def tau_with_trials(row: Mapping[Any, Any]) -> str:
    """The τ of a row of ranking.csv, how sure it is, and how many trials it rests on.

    >>> tau_with_trials({"tau": -0.36, "tau_low": -0.67, "tau_high": 0.06, "n": 16})
    'τ −0.36, 95% CI −0.67 to 0.06, 16 trials'
    """
    return f"τ {number(row['tau'])}, {interval(row)}, {counted(row['n'], 'trial')}"


def points(value: object, best: object) -> str:
    """A difference of two oracles, of which the `best` says whether they are fractions: percentage points then.

    >>> points(0.025, 0.9), points(0.4, 69.1)
    ('2.5 pp', '0.4')
    """
    if not math.isfinite(as_float(value)):
        return "–"
    return f"{100 * as_float(value):.1f} pp".replace("-", "−") if as_float(best) <= 1 else plain(value)


def number(value: object, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none.

    >>> number(-0.1234), number(float("nan")), number(12)
    ('−0.12', '–', '12')
    """
    known = as_float(value)
    if not math.isfinite(known):
        return "–"
    return f"{known:.{0 if isinstance(value, int) else digits}f}".replace("-", "−")


def trial_of(row: Mapping[Any, Any], column: str = "trial") -> str:
    """A trial of a row of selection.csv: the name of its run, or its number.

    >>> trial_of({"trial": 3}), trial_of({"trial": 3, "trial_name": "run-a"})
    ('3', 'run-a')
    """
    name = row.get(f"{column}_name")
    return name if isinstance(name, str) else number(row.get(column), 0)


def probability(value: object) -> str:
    """A p-value, never rounded to nothing.

    >>> probability(0.00004), probability(0.0312)
    ('<0.001', '0.031')
    """
    return "<0.001" if as_float(value) < 0.001 else number(as_float(value), 3)
