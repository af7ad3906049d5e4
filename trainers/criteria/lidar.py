"""LiDAR: the effective rank of a linear discriminant analysis whose classes are the images, with views as samples.

Thilak et al., ICLR 2024, arXiv 2312.04000. Its eigenvalues have a floor of about 1/q, because the covariance of class
means over q views contains Σ_w/q; `lidar_debiased`, `lda_information` and `lda_trace` read the corrected eigenvalues of
the same analysis.

Collapse onto a point: it is blind to it, because the entropy does not depend on the size of the cloud; NaN if all class
means are equal. Collapse onto a line: 1 if the other dimensions are exactly 0; where they only have noise above √delta,
they keep the floor. Cost: the product of n·q rows of d with themselves, and O(d³).
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, check_not_negative, effective_rank
from trainers.criteria.discriminant import DELTA, Discriminant, discriminant, of_views
from trainers.records import REPRESENTATION

EPSILON: Final = 1e-8
"""Added to each p. The paper gives no value; public code uses this one."""
LAYERS_OF_LIDAR: Final = {
    **dict.fromkeys(("vicreg", "vicreg_logdet", "vicreg_pairdist"), REPRESENTATION),
    **OF_MASKED,
}
"""The authors of LiDAR measured VICReg on its representation."""


def lidar(embeddings: Tensor, *, delta: float = DELTA, epsilon: float = EPSILON) -> float:
    """exp(-Σ p ln p) with p = λ/‖λ‖₁ + epsilon over the eigenvalues λ of Σ_w^(-1/2) Σ_b Σ_w^(-1/2) (equations 1 to 4).

    Σ_b is the covariance of the class means, divided by n - 1. Σ_w is the covariance within classes, divided by
    n(q - 1), plus delta·I.

    Args:
        embeddings: (n, q, d), of any floating-point dtype: q views of each of n images, kept together.

    Returns:
        About 1 to min(d, n - 1); NaN if an embedding is not finite or all class means are equal.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta` or `epsilon`.

    >>> import torch
    >>> points = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    >>> views = points + torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])
    >>> round(lidar(views), 4)
    2.0
    """
    check_not_negative(epsilon=epsilon)
    return rank(discriminant(embeddings, delta=delta), epsilon)


def lidar_debiased(embeddings: Tensor, *, delta: float = DELTA, epsilon: float = EPSILON) -> float:
    """LiDAR of the corrected eigenvalues λ′ (see `Discriminant.corrected`): the same entropy, without the floor of 1/q.

    It has a floor of its own, because the positive half of the noise stays.

    Args:
        embeddings: (n, q, d), as for `lidar`.

    Returns:
        About 1 to min(d, n - 1); NaN if an embedding is not finite or no λ′ is positive.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta` or `epsilon`.
    """
    check_not_negative(epsilon=epsilon)
    return corrected_rank(discriminant(embeddings, delta=delta), epsilon)


def lda_information(embeddings: Tensor, *, delta: float = DELTA) -> float:
    """½ Σ ln(1 + λ′) over the corrected eigenvalues: the Gaussian information between an image and its view, in nats.

    Args:
        embeddings: (n, q, d), as for `lidar`.

    Returns:
        At least 0; NaN if an embedding is not finite.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta`.
    """
    return information(discriminant(embeddings, delta=delta))


def lda_trace(embeddings: Tensor, *, delta: float = DELTA) -> float:
    """Σ λ′ over the corrected eigenvalues: the variance between images in units of the variance within them.

    Args:
        embeddings: (n, q, d), as for `lidar`.

    Returns:
        At least 0; NaN if an embedding is not finite.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta`.
    """
    return trace(discriminant(embeddings, delta=delta))


def rank(found: Discriminant | None, epsilon: float = EPSILON) -> float:
    """LiDAR of an analysis."""
    return math.nan if found is None else effective_rank(found.eigenvalues, size=len(found.within), epsilon=epsilon)


def corrected_rank(found: Discriminant | None, epsilon: float = EPSILON) -> float:
    """`lidar_debiased` of an analysis."""
    return math.nan if found is None else effective_rank(found.corrected, size=len(found.within), epsilon=epsilon)


def information(found: Discriminant | None) -> float:
    """`lda_information` of an analysis."""
    return math.nan if found is None else float(found.corrected.log1p().sum()) / 2


def trace(found: Discriminant | None) -> float:
    """`lda_trace` of an analysis."""
    return math.nan if found is None else float(found.corrected.sum())


def noise(found: Discriminant | None) -> float:
    """1 - Σλ′/Σλ, the share of LiDAR's eigenvalues that is noise of the views; NaN if all class means are equal."""
    total = math.nan if found is None else float(found.eigenvalues.sum())
    return 1 - trace(found) / total if total else math.nan


def _measure(features: Features) -> float:
    return rank(features.shared(of_views))


def _noise(features: Features) -> float:
    return noise(features.shared(of_views))


LIDAR: Final = Criterion(
    name="lidar",
    label="LiDAR",
    function=_measure,
    reads_views=True,
    settings={"delta": DELTA, "epsilon": EPSILON},
    layer="embedding",
    layer_by_method=LAYERS_OF_LIDAR,
    higher_is_better=True,
    beside={"noise": _noise},
)
