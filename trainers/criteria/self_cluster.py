"""Self-clustering: how much closer the embeddings point than uniform directions would.

Tsitsulin et al., Unsupervised embedding quality evaluation, 2023. 0 for uniform directions, 1 for a single direction;
less is better.

Collapse onto a point or a line: 1, the worst. Cost: the product of n rows of d with themselves.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, gram
from trainers.criteria.points import scaled, unit


def self_cluster(embeddings: Tensor) -> float:
    """(Q - E)/(n² - E) with Q = ‖WᵀW‖_F² over unit rows W, and E = n + n(n - 1)/d for uniform directions.

    Args:
        embeddings: (n, d), of any floating-point dtype.

    Returns:
        About 0 to 1; below 0 if directions are more even than random; NaN if an embedding is not finite or zero, or if
        d is 1.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    directions = None if rows is None else unit(rows)
    if directions is None or directions.shape[1] < 2:
        return math.nan
    n, d = directions.shape
    expected = n + n * (n - 1) / d
    product = gram(directions if n >= d else directions.T)
    return (float((product * product).sum()) - expected) / (n**2 - expected)


def _measure(features: Features) -> float:
    return self_cluster(features.clean)


SELF_CLUSTER: Final = Criterion(
    name="self_cluster",
    label="Self-clustering",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=False,
)
