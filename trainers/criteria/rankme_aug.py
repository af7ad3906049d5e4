"""Augmented RankMe: the smooth rank of the views, instead of the clean images.

RankMe (Garrido et al., ICML 2023) on the n·q views that LiDAR reads, as in the paper of LiDAR (Thilak et al., ICLR
2024, arXiv 2312.04000). It counts the directions in which views of one image differ as well.

Collapse onto a point or a line: the value is near 1, as for RankMe. Cost: the product of n·q rows of d with themselves
in float64, and O(d³).
"""

from __future__ import annotations

from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, check_embeddings
from trainers.criteria.rankme import EPSILON, rankme


def rankme_aug(embeddings: Tensor, *, epsilon: float = EPSILON) -> float:
    """RankMe of the views: exp(-Σ p ln p) with p = σ/‖σ‖₁ + epsilon over the singular values σ of all n·q rows.

    Args:
        embeddings: (n, q, d), of any floating-point dtype.

    Returns:
        About 1 (collapse onto a line) to min(n·q, d); NaN if an embedding is not finite or all are zero.

    Raises:
        ValueError: wrong shape or dtype, or a negative `epsilon`.
    """
    return rankme(check_embeddings(embeddings, n=1, q=1, d=1).flatten(0, 1), epsilon=epsilon)


def _measure(features: Features) -> float:
    return rankme_aug(features.views)


RANKME_AUG: Final = Criterion(
    name="rankme_aug",
    label="Augmented RankMe",
    function=_measure,
    reads_views=True,
    settings={"epsilon": EPSILON},
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
