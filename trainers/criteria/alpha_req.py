"""α-ReQ: how fast the eigenvalues of the covariance fall.

Agrawal et al., NeurIPS 2022: λ_j falls as j^(-α), and good representations are said to have α near 1. The fit is that
of the authors' code: ln λ on ln j over ranks 4 to 100, weighted by 1/j. Another range can change the sign of a
correlation, so the range is recorded.

Collapse onto a point: it is blind to it, as long as the rows differ. Collapse onto a line or few dimensions: NaN,
because fewer than three ranks have an eigenvalue. Cost: the product of n rows of d with themselves, and O(d³).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import spectrum, spectrum_of_clean

FIRST: Final = 4
"""The first rank of the fit, counted from 1."""
LAST: Final = 100
"""The last rank of the fit. One port of the authors' code uses 11 to 100."""
FLOOR: Final = 1e-11
"""Eigenvalues below this share of the largest are rounding, and are left out."""


def decay(embeddings: Tensor, *, first: int = FIRST, last: int = LAST) -> float:
    """α of (n, d) embeddings: minus the slope of ln λ on ln j, by weighted least squares.

    Returns:
        NaN if an embedding is not finite or fewer than three of the ranks have an eigenvalue.

    Raises:
        ValueError: wrong shape or dtype.
    """
    return _decay(spectrum(embeddings), first, last)


def alpha_req(embeddings: Tensor, *, first: int = FIRST, last: int = LAST) -> float:
    """-|α - 1| of (n, d) embeddings (see `decay`): at most 0; NaN as for `decay`.

    Raises:
        ValueError: wrong shape or dtype.
    """
    return -abs(decay(embeddings, first=first, last=last) - 1)


def _decay(values: Tensor | None, first: int = FIRST, last: int = LAST) -> float:
    if values is None:
        return math.nan
    values = values[values > FLOOR * values[0]][first - 1 : last]
    if len(values) < 3:
        return math.nan
    rank = torch.arange(first, first + len(values), dtype=torch.float64, device=values.device)
    weight = (1 / rank) / (1 / rank).sum()
    x, y = rank.log(), values.log()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    return -float((weight * x * y).sum() / (weight * x * x).sum())


def _measure(features: Features) -> float:
    return -abs(_alpha(features) - 1)


def _alpha(features: Features) -> float:
    return _decay(features.shared(spectrum_of_clean))


ALPHA_REQ: Final = Criterion(
    name="alpha_req",
    label="α-ReQ",
    function=_measure,
    reads_views=False,
    settings={"first": FIRST, "last": LAST},
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
    beside={"alpha": _alpha},
)
