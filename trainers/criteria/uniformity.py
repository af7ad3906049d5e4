"""Uniformity: how evenly the directions of the images cover the sphere.

Wang and Isola, ICML 2020, arXiv 2005.10242, with t = 2. Less is better.

Collapse onto a point: 0, the worst. Collapse onto a line: near -0.69, because half of the pairs are opposite. Cost: the
products of all pairs of n rows of d; at most 5,000 rows are read.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import PAIR_ROWS, scaled, squared_distances, unit

TEMPERATURE: Final = 2.0
"""t of the Gaussian potential; the authors' default."""


def uniformity(embeddings: Tensor, *, temperature: float = TEMPERATURE) -> float:
    """ln mean exp(-t‖x - y‖²) over all pairs x, y of unlike rows, as unit vectors, with t = temperature.

    Args:
        embeddings: (n, d), of any floating-point dtype.

    Returns:
        At most 0; NaN if an embedding is not finite or zero.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    directions = None if rows is None else unit(rows)
    if directions is None:
        return math.nan
    n = len(directions)
    total = 0.0
    for index, squared in squared_distances(directions):
        squared[range(len(index)), index] = math.inf  # a row and itself are no pair
        total += float((-temperature * squared).exp().sum())
    return math.log(total / (n * (n - 1)))


def _measure(features: Features) -> float:
    return uniformity(features.clean)


UNIFORMITY: Final = Criterion(
    name="uniformity",
    label="Uniformity",
    function=_measure,
    reads_views=False,
    settings={"temperature": TEMPERATURE},
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=False,
    max_rows=PAIR_ROWS,
)
