"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.data.criteria import label


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
    """Text at the start of a sentence.

    >>> capitalised("the loss and LiDAR"), capitalised("LiDAR")
    ('The loss and LiDAR', 'LiDAR')
    """
    return text[:1].upper() + text[1:]


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


def counted(count: int, noun: str) -> str:
    """How many there are of something.

    >>> counted(1, "trial"), counted(16, "completed trial")
    ('1 trial', '16 completed trials')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def accuracy(value: object) -> str:
    """An oracle: fractions as percent, anything else as it is.

    >>> accuracy(0.9134), accuracy(69.1), accuracy(float("nan"))
    ('91.3%', '69.1', '–')
    """
    return percent(value) if abs(as_float(value)) <= 1 else plain(value)


def points(value: object, best: object) -> str:
    """A difference of two oracles, of which the `best` says whether they are fractions: percentage points then.

    >>> points(0.025, 0.9), points(0.4, 69.1)
    ('2.5 pp', '0.4')
    """
    if not math.isfinite(as_float(value)):
        return "–"
    return f"{100 * as_float(value):.1f} pp".replace("-", "−") if as_float(best) <= 1 else plain(value)


def percent(value: object) -> str:
    """A share of something.

    >>> percent(2.381), percent(0.05)
    ('238%', '5.0%')
    """
    known = as_float(value)
    return f"{100 * known:.{1 if abs(known) <= 1 else 0}f}%".replace("-", "−") if math.isfinite(known) else "–"


def plain(value: object) -> str:
    """Four figures of a number."""
    known = as_float(value)
    return f"{known:.4g}".replace("-", "−") if math.isfinite(known) else "–"


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
