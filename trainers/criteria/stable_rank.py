"""Stable rank: the squared Frobenius norm of the embeddings over their squared spectral norm.

Rudelson and Vershynin, Journal of the ACM 54 (2007), as a criterion in Tsitsulin et al. (2023). The embeddings are not
centred.

Collapse onto a point or a line: 1, the lowest. Cost: the product of n rows of d with themselves, and O(d³).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, gram
from trainers.criteria.points import scaled


def stable_rank(embeddings: Tensor) -> float:
    """‖X‖_F²/‖X‖₂² of (n, d) embeddings, of any floating-point dtype.

    Returns:
        1 to min(n, d); NaN if an embedding is not finite or all are zero.

    Raises:
        ValueError: wrong shape or dtype.

    >>> round(stable_rank(torch.diag(torch.tensor([2.0, 1.0, 1.0]))), 6)
    1.5
    """
    rows = scaled(embeddings, n=1, d=1)
    if rows is None:
        return math.nan
    product = gram(rows if len(rows) >= rows.shape[1] else rows.T)
    return float(product.trace() / torch.linalg.eigvalsh(product)[-1])


def _measure(features: Features) -> float:
    return stable_rank(features.clean)


STABLE_RANK: Final = Criterion(
    name="stable_rank",
    label="Stable rank",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
