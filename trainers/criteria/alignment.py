"""Alignment: the mean squared distance between the directions of two views of one image.

Wang and Isola, ICML 2020, arXiv 2005.10242, with exponent 2. Less is better, if uniformity is kept.

Collapse onto a point: 0, the best, so it never stands alone. Collapse onto a line: between 0 and 4, by the share of
views of an image on opposite sides. Cost: one pass over n·q rows of d.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, check_embeddings
from trainers.criteria.points import scaled, unit

CHUNK: Final = 512
"""Rows at a time: few enough to stay in a processor's cache."""


def alignment(embeddings: Tensor) -> float:
    """Mean ‖x - y‖² over all pairs x, y of views of one image, as unit vectors.

    Args:
        embeddings: (n, q, d), of any floating-point dtype.

    Returns:
        0 to 4; NaN if an embedding is not finite or zero.

    Raises:
        ValueError: wrong shape or dtype.

    >>> import torch
    >>> alignment(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    2.0
    """
    n, q, _ = check_embeddings(embeddings, n=1, q=2, d=1).shape
    total = 0.0
    for chunk in embeddings.split(max(1, CHUNK // q)):
        rows = scaled(chunk, n=1, q=2, d=1)
        directions = None if rows is None else unit(rows)
        if directions is None:
            return math.nan
        # The mean over the pairs of an image is twice the variance of its views.
        total += float((directions - directions.mean(dim=1, keepdim=True)).square().sum())
    return 2 * total / (n * (q - 1))


def _measure(features: Features) -> float:
    return alignment(features.views)


ALIGNMENT: Final = Criterion(
    name="alignment",
    label="Alignment",
    function=_measure,
    reads_views=True,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=False,
)
