"""Normalised deviation: the mean standard deviation per dimension of the embeddings' directions.

Chen and He (SimSiam), CVPR 2021, arXiv 2011.10566. It is 1/√d for even directions.

Collapse onto a point: 0, the lowest. Collapse onto a line: it is blind to it, because the value may stay at its
highest. Cost: one pass over n rows of d.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import centred, scaled, unit


def normalized_std(embeddings: Tensor) -> float:
    """Mean over the dimensions of the standard deviation, over n - 1, of the rows as unit vectors.

    Args:
        embeddings: (n, d), of any floating-point dtype.

    Returns:
        0 to about 1/√d; NaN if an embedding is not finite or zero.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    directions = None if rows is None else unit(rows)
    if directions is None:
        return math.nan
    return float((centred(directions).square().sum(dim=0) / (len(directions) - 1)).sqrt().mean())


def _measure(features: Features) -> float:
    return normalized_std(features.clean)


NORMALIZED_STD: Final = Criterion(
    name="normalized_std",
    label="Normalised deviation",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
