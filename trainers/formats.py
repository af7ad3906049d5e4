"""Numbers, durations and lines of text as people read them, for the conductor and the judge. Standard library only."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Final, SupportsFloat

BREAKS: Final = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
HIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys and XML forbids (C0, C1, surrogates), and what turns the direction of reading."""


def one_line(text: str) -> str:
    r"""The text as one line that no terminal obeys: line breaks are blanks, other control characters are marked.

    >>> one_line("a\nb\x1b[31m")
    'a b�[31m'
    """
    return HIDDEN.sub("\N{REPLACEMENT CHARACTER}", BREAKS.sub(" ", text))


def accuracy(value: object) -> str:
    """An oracle: fractions as percent, anything else as it is.

    >>> accuracy(0.9134), accuracy(69.1), accuracy(float("nan"))
    ('91.3%', '69.1', '–')
    """
    return percent(value) if abs(as_float(value)) <= 1 else plain(value)


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


def counted(count: int, noun: str) -> str:
    """How many there are of something.

    >>> counted(1, "trial"), counted(16, "completed trial")
    ('1 trial', '16 completed trials')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Words in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def as_float(value: object) -> float:
    """A number, or NaN for what is none: None, a text, or the NA of pandas.

    >>> as_float(3), as_float("3"), as_float(None)
    (3.0, nan, nan)
    """
    return float(value) if isinstance(value, SupportsFloat) else math.nan
