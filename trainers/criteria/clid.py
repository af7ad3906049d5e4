"""CLID: cluster learnability plus intrinsic dimension.

Lu et al., Using representation expressiveness and learnability to evaluate self-supervised learning methods, TMLR 2023,
arXiv 2206.01251. Learnability is the accuracy of a nearest-neighbour classifier on labels that k-means gives; the
dimension is that of TwoNN (Facco et al., Scientific Reports 7, 2017) by maximum likelihood. The paper combines values
that are normalised over all models; one network alone cannot be, so here the dimension is divided by a constant, which
is ours. Both parts are recorded.

Collapse onto a point: NaN if the rows are the same; a small cloud around a point is like any other cloud. Collapse onto
a line: the dimension is 1 and the learnability near 1. Cost: the products of all pairs of n rows of d, and k-means; at
most 5,000 rows are read.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import PAIR_ROWS, centred, scaled, squared_distances

CLUSTERS: Final = 32
"""Clusters of k-means, but at most half of the rows: about √n for the default n of 1,000."""
ROUNDS: Final = 50
"""The most rounds of k-means."""
SCALE: Final = 20.0
"""The intrinsic dimension that counts as much as full learnability; a choice of ours."""
DUPLICATE: Final = 1e-13
"""Squared distances below this share of the largest are those of equal rows: it is above the rounding errors."""


def clid(embeddings: Tensor, *, clusters: int = CLUSTERS, scale: float = SCALE) -> float:
    """Cluster learnability + intrinsic dimension / scale of (n, d) embeddings, of any floating-point dtype.

    Returns:
        More is better; NaN if an embedding is not finite, there are fewer than four rows, or fewer than two of them
        have unlike distances to their neighbours.

    Raises:
        ValueError: wrong shape or dtype.
    """
    learnability, dimension = parts(embeddings, clusters=clusters)
    return learnability + dimension / scale


def parts(embeddings: Tensor, *, clusters: int = CLUSTERS) -> tuple[float, float]:
    """Cluster learnability in [0, 1] and intrinsic dimension of (n, d) embeddings; see `clid`."""
    rows = scaled(embeddings, n=2, d=1)
    if rows is None or len(rows) < 4:
        return math.nan, math.nan
    distances, neighbours = _two_nearest(rows)
    labels = k_means(rows, min(clusters, len(rows) // 2))
    learnability = float((labels == labels[neighbours]).double().mean())
    apart = distances[distances[:, 0] > 0]
    total = float((apart[:, 1] / apart[:, 0]).log().sum())
    return learnability, (len(apart) - 1) / total if total > 0 and len(apart) > 1 else math.nan


def k_means(rows: Tensor, clusters: int) -> Tensor:
    """Labels (n,) by Lloyd's rounds from the first rows as centres, whose order is random; an empty cluster stays."""
    rows = centred(rows)
    centres = rows[:clusters].clone()
    labels = torch.full((len(rows),), -1, device=rows.device)
    for _ in range(ROUNDS):
        nearest = (centres.square().sum(dim=1) - 2 * rows @ centres.T).argmin(dim=1)
        if torch.equal(nearest, labels):
            break
        labels = nearest
        members = torch.nn.functional.one_hot(labels, clusters).to(rows.dtype)
        sizes = members.sum(dim=0)
        centres = torch.where(sizes[:, None] > 0, members.T @ rows / sizes.clamp(min=1)[:, None], centres)
    return labels


def _two_nearest(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distances to the two nearest other rows (n, 2), and the index of the nearest (n,)."""
    distances, neighbours, largest = [], [], 0.0
    for index, squared in squared_distances(rows):
        largest = max(largest, float(squared.max()))
        squared[range(len(index)), index] = math.inf
        two = squared.topk(2, dim=1, largest=False)
        distances.append(two.values)
        neighbours.append(two.indices[:, 0])
    nearest = torch.cat(distances)
    return nearest.masked_fill(nearest <= DUPLICATE * largest, 0).sqrt(), torch.cat(neighbours)


def _of_clean(features: Features) -> tuple[float, float]:
    return parts(features.clean)


def _learnability(features: Features) -> float:
    return features.shared(_of_clean)[0]


def _dimension(features: Features) -> float:
    return features.shared(_of_clean)[1]


def _measure(features: Features) -> float:
    return _learnability(features) + _dimension(features) / SCALE


CLID: Final = Criterion(
    name="clid",
    label="CLID",
    function=_measure,
    reads_views=False,
    settings={"clusters": CLUSTERS, "scale": SCALE},
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
    beside={"learnability": _learnability, "dimension": _dimension},
    max_rows=PAIR_ROWS,
)
