"""Whether an encoder is better than another one by their accuracies, within the standard error of the difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

ERRORS: Final = 2
"""Standard errors within which a difference is not clear."""

Verdict = Literal["better", "not clearly better", "worse", "not known"]


@dataclass(frozen=True)
class Against:
    """The accuracy of the chosen trial minus another one, and what its standard error says of it."""

    other: str
    """untrained · raw_pixels · average"""
    accuracy: float
    """Of the other."""
    difference: float
    standard_error: float | None
    """Of the difference; None if the number of test images is not known."""
    verdict: Verdict


def against(other: str, mine: float, n: int | None, theirs: float, m: int | None) -> Against:
    """Two accuracies over n and m test images, compared.

    The standard errors are those of independent images (Agresti & Caffo 2000, The American Statistician 54: one right
    and one wrong answer are added to each). The images are the same, and the tables do not say which were right, so
    the true error of the difference is usually less. The average trial counts as one encoder of that accuracy.

    >>> [against("untrained", mine, 1000, 0.5, 1000).verdict for mine in (0.6, 0.52, 0.48, 0.4)]
    ['better', 'not clearly better', 'not clearly better', 'worse']
    """
    difference = mine - theirs
    errors = [squared_error(mine, n), squared_error(theirs, m)]
    if any(error is None for error in errors):
        return Against(other, theirs, difference, None, "not known")
    error = math.sqrt(sum(one for one in errors if one is not None))
    if abs(difference) <= ERRORS * error:
        return Against(other, theirs, difference, error, "not clearly better")
    return Against(other, theirs, difference, error, "better" if difference > 0 else "worse")


def squared_error(accuracy: float, n: int | None) -> float | None:
    """The squared standard error of an accuracy over n images; None if it is no share, or n is not known.

    >>> squared_error(0.5, 98), squared_error(0.5, None), squared_error(69.1, 100)
    (0.0025, None, None)
    """
    if n is None or n <= 0 or not 0 <= accuracy <= 1:
        return None
    share = (accuracy * n + 1) / (n + 2)
    return share * (1 - share) / (n + 2)
