"""The statistic of Epps and Pulley: how far the embeddings are from an isotropic Gaussian, along random directions.

Epps and Pulley, Biometrika 70, 1983; as SIGReg in LeJEPA, arXiv 2511.08544. Less is better. Each dimension is
standardised first, so that the scale does not matter; dimensions that do not vary stay 0. The grid of the integral is
recorded, because public codes differ in it. For n rows of a true Gaussian the value is of order 1/n.

Collapse onto a point: it is blind to it, as long as the rows differ. Collapse onto a line: high, because the variance
differs between directions. Cost: the projection of n rows of d, and cosines of n times directions times knots.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import centred, scaled

DIRECTIONS: Final = 256
"""Random directions, the same for all embeddings of one width."""
KNOTS: Final = 17
"""Knots of the trapezoidal rule from t = 0 to REACH; the integrand is even, so that the integral is doubled."""
REACH: Final = 3.0
"""The largest t. Another public code uses 5."""


def epps_pulley(embeddings: Tensor, *, directions: int = DIRECTIONS, knots: int = KNOTS, reach: float = REACH) -> float:
    """Mean over directions of ∫|φ(t) - exp(-t²/2)|² exp(-t²/2) dt over [-reach, reach], of standardised embeddings.

    φ is the empirical characteristic function of the embeddings along a direction.

    Args:
        embeddings: (n, d), of any floating-point dtype.

    Returns:
        At least 0; NaN if an embedding is not finite or all are the same.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    if rows is None:
        return math.nan
    rows = centred(rows)
    deviation = (rows.square().sum(dim=0) / (len(rows) - 1)).sqrt()
    if not bool((deviation > 0).any()):
        return math.nan
    standard = rows / deviation.where(deviation > 0, 1)
    along = standard @ random_directions(rows.shape[1], directions).to(rows.device)
    values = []
    for t in torch.linspace(0, reach, knots, dtype=torch.float64).tolist():
        gaussian = math.exp(-(t**2) / 2)
        real, imaginary = (t * along).cos().mean(dim=0), (t * along).sin().mean(dim=0)
        values.append(((real - gaussian).square() + imaginary.square()) * gaussian)
    return 2 * float(torch.trapezoid(torch.stack(values), dx=reach / (knots - 1), dim=0).mean())


def random_directions(d: int, count: int) -> Tensor:
    """Unit vectors (d, count), float64, always the same."""
    drawn = torch.randn(d, count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norms: Tensor = drawn.norm(dim=0)
    return drawn / norms


def _measure(features: Features) -> float:
    return epps_pulley(features.clean)


EPPS_PULLEY: Final = Criterion(
    name="epps_pulley",
    label="Epps–Pulley",
    function=_measure,
    reads_views=False,
    settings={"directions": DIRECTIONS, "knots": KNOTS, "reach": REACH},
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=False,
)
