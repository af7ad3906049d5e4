"""IdEst: the intrinsic dimension of the representations, from the lengths of minimum spanning trees.

Mordacq, Kalogeiton and Oudot, ICML 2026, arXiv 2606.03338. The length of the tree of n points grows as n^(1 - 1/D).
Less is better, on the representation. The paper's subsets are random; here they are n rows, halves, quarters and
eighths of them, where the lengths of disjoint parts are averaged.

Collapse onto a point: it is blind to it, as long as the rows differ. Collapse onto a line: near 1, which is the best,
so it never stands alone. Cost: the distances of all pairs of n rows of d, and O(n²) for each tree; at most 5,000 rows
are read.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import Criterion, Features
from trainers.criteria.points import PAIR_ROWS, scaled, squared_distances

HALVINGS: Final = 3
"""How often the rows are halved: the fit has one more point than that."""


def idest(embeddings: Tensor, *, halvings: int = HALVINGS) -> float:
    """1/(1 - m) with m the slope of ln L on ln n, where L is the length of the minimum spanning tree of n rows.

    Args:
        embeddings: (n, d), of any floating-point dtype; the order of rows is random.

    Returns:
        The dimension; NaN if an embedding is not finite, a tree has no length, m is 1 or more, or there are fewer than
        2·2^halvings rows.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    if rows is None or len(rows) < 2 * 2**halvings:
        return math.nan
    distances = torch.cat([squared for _, squared in squared_distances(rows)]).sqrt().cpu()
    sizes = [len(rows) // 2**halving for halving in range(halvings + 1)]
    lengths = [_mean_length(distances, size) for size in sizes]
    if not all(lengths):
        return math.nan
    x = torch.tensor(sizes, dtype=torch.float64).log()
    y = torch.tensor(lengths, dtype=torch.float64).log()
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    return 1 / (1 - slope) if slope < 1 else math.nan


def _mean_length(distances: Tensor, size: int) -> float:
    """Mean length of the trees of the disjoint parts with `size` rows each."""
    starts = range(0, len(distances) - size + 1, size)
    return sum(tree_length(distances[at : at + size, at : at + size]) for at in starts) / len(starts)


def tree_length(distances: Tensor) -> float:
    """Length of the minimum spanning tree of a matrix (n, n) of distances, by Prim's algorithm."""
    remaining = distances.clone()
    remaining[:, 0] = math.inf
    nearest = remaining[0].clone()
    total = 0.0
    for _ in range(len(distances) - 1):
        joined = int(nearest.argmin())
        total += float(nearest[joined])
        remaining[:, joined] = math.inf
        torch.minimum(nearest, remaining[joined], out=nearest)
        nearest[joined] = math.inf
    return total


def _measure(features: Features) -> float:
    return idest(features.clean)


IDEST: Final = Criterion(
    name="idest",
    label="IdEst",
    function=_measure,
    reads_views=False,
    settings={"halvings": HALVINGS},
    layer="representation",
    higher_is_better=False,
    max_rows=PAIR_ROWS,
)
