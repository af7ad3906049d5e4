"""RankMe: the smooth rank of the embeddings, which are not centred.

Garrido et al., ICML 2023, arXiv 2210.02885.

Collapse onto a point or a line: near 1, the lowest. Cost: the product of n rows of d with themselves in float64, and
O(d³).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import (
    CHUNK_ROWS,
    OF_MASKED,
    Criterion,
    Features,
    check_embeddings,
    check_not_negative,
    effective_rank,
    gram,
)

EPSILON: Final = 1e-7
"""Added to each p. The paper gives no value; public code uses this one."""
SQUARED_FLOOR: Final = 1e-11
"""Below this share of the largest, an eigenvalue of a float64 Gram matrix is too inexact to take its square root."""


def rankme(embeddings: Tensor, *, epsilon: float = EPSILON) -> float:
    """exp(-Σ p ln p) with p = σ/‖σ‖₁ + epsilon over the singular values σ of the uncentred embeddings (equation 2).

    Args:
        embeddings: (n, d), of any floating-point dtype.

    Returns:
        About 1 (collapse onto a line) to min(n, d); NaN if an embedding is not finite or all are zero.

    Raises:
        ValueError: wrong shape or dtype, or a negative `epsilon`.

    >>> round(rankme(torch.diag(torch.tensor([2.0, 1.0, 1.0])), epsilon=0.0), 5)
    2.82843
    """
    embeddings = check_embeddings(embeddings, n=1, d=1)
    check_not_negative(epsilon=epsilon)
    low, high = (float(extreme) for extreme in embeddings.aminmax())
    peak = max(-low, high)
    if not 0 < peak < float("inf"):
        return float("nan")
    if math.isinf(1 / peak):  # subnormal numbers of float64, times a power of two that loses no digit
        embeddings, peak = embeddings * 2.0**512, peak * 2.0**512
    tall = embeddings if embeddings.shape[0] >= embeddings.shape[1] else embeddings.T
    return effective_rank(_singular_values(tall, 1 / peak), size=tall.shape[1], epsilon=epsilon)


def _singular_values(tall: Tensor, scale: float) -> Tensor:
    """Singular values (d,) of a tall (n, d) matrix times `scale`, from its Gram matrix if that is exact enough."""
    total = torch.zeros(tall.shape[1], tall.shape[1], dtype=torch.float64, device=tall.device)
    for start in range(0, len(tall), CHUNK_ROWS):
        total += gram(tall[start : start + CHUNK_ROWS].to(torch.float64) * scale)
    squared: Tensor = torch.linalg.eigvalsh(total)
    if squared[0] > SQUARED_FLOOR * squared[-1]:
        return squared.sqrt()
    triangle = total[:0]
    for start in range(0, len(tall), CHUNK_ROWS):
        chunk = tall[start : start + CHUNK_ROWS].to(torch.float64) * scale
        triangle = torch.linalg.qr(torch.cat((triangle, chunk)), mode="r").R
    values: Tensor = torch.linalg.svdvals(triangle)
    return values


def _measure(features: Features) -> float:
    return rankme(features.clean)


RANKME: Final = Criterion(
    name="rankme",
    label="RankMe",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
