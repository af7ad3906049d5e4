"""Instance kNN: the share of views whose nearest other view is of the same image.

The retrieval test of instance discrimination (Wu et al., CVPR 2018, arXiv 1805.01978), with one neighbour by cosine and
without a memory bank. The value depends on the number of images: compare at one n.

Collapse onto a point: 0, because ties do not count; a small cloud around a point is like any other cloud. Collapse onto
a line: near 0, because a line has two directions. Cost: the products of all pairs of views; at most 5,000 views are
read, those of the first images.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import PAIR_ROWS, scaled, squared_distances, unit

TIE: Final = 1e-12
"""Squared distances that differ by at most this share of the largest are equal: it is above the rounding errors."""


def instance_knn(embeddings: Tensor) -> float:
    """Share of views that are nearer to another view of their image than to all views of other images, by cosine.

    Args:
        embeddings: (n, q, d), of any floating-point dtype.

    Returns:
        0 to 1; NaN if an embedding is not finite or zero.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, q=2, d=1)
    directions = None if rows is None else unit(rows.flatten(0, 1))
    if directions is None:
        return math.nan
    largest, margins = 0.0, []
    for index, squared in squared_distances(directions):
        largest = max(largest, float(squared.max()))
        squared[range(len(index)), index] = math.inf  # a view is not its own neighbour
        nearest = squared.unflatten(1, embeddings.shape[:2]).amin(dim=2)  # of each image, (b, n)
        own = (range(len(index)), index // embeddings.shape[1])
        of_own = nearest[own]
        nearest[own] = math.inf
        margins.append(nearest.amin(dim=1) - of_own)
    return float((torch.cat(margins) > TIE * largest).double().mean())


def _measure(features: Features) -> float:
    return instance_knn(features.views)


INSTANCE_KNN: Final = Criterion(
    name="instance_knn",
    label="Instance kNN",
    function=_measure,
    reads_views=True,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
    max_rows=PAIR_ROWS,
)
