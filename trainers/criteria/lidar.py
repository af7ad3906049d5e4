"""LiDAR: the effective rank of a linear discriminant analysis whose classes are the images, with views as samples.

Thilak et al., ICLR 2024, arXiv 2312.04000. The covariance of class means over q views is on average that of the classes
plus Σ_w/q, so that every eigenvalue of LiDAR has a floor near 1/q, also where the embeddings say nothing about the
image. `lidar_debiased`, `lda_information` and `lda_trace` subtract Σ_w/q first: the one-way random-effects estimate of
the covariance between classes (Amemiya, The American Statistician 39, 1985).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import (
    CHUNK_ROWS,
    Criterion,
    Features,
    check_embeddings,
    check_not_negative,
    effective_rank,
    gram,
)

DELTA: Final = 1e-4
"""Added to the diagonal of the within-class covariance. The paper gives no value; public code uses this one."""
EPSILON: Final = 1e-8
"""Added to each p. The paper gives no value; public code uses this one."""
SINGLE_RANGE: Final = (1e-12, 1e12)
"""Range of the largest absolute value for which squares in float32 neither overflow nor underflow."""
SINGLE_CONDITION: Final = 10.0
"""Largest condition number of Σ_w for which float32 products are exact enough: in thousands of random samples, the
relative error of LiDAR was at most 6e-8 times the condition number."""


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

    >>> points = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    >>> views = points + torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])
    >>> round(lidar(views), 4)
    2.0
    """
    check_not_negative(epsilon=epsilon)
    means, factor = _factorise(embeddings, delta)
    if factor is None:
        return math.nan
    return effective_rank(_eigenvalues(means, factor), size=embeddings.shape[2], epsilon=epsilon)


def lidar_debiased(embeddings: Tensor, *, delta: float = DELTA, epsilon: float = EPSILON) -> float:
    """LiDAR of the eigenvalues λ′ of (Σ_w + δI)^(-1/2) (Σ_b − Σ_w/q) (Σ_w + δI)^(-1/2), negative ones set to 0.

    Pure noise has a value too, because the positive half of it stays: about 24 for n = 500, q = 10 and d = 64.

    Args:
        embeddings: (n, q, d), of any floating-point dtype: q views of each of n images, kept together.

    Returns:
        About 1 to min(d, n - 1); NaN if an embedding is not finite or no λ′ is above 0.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta` or `epsilon`.

    >>> points = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    >>> views = points + torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])
    >>> round(lidar_debiased(views), 4)
    2.0
    """
    check_not_negative(epsilon=epsilon)
    spectrum = _corrected_spectrum(embeddings, delta)
    return math.nan if spectrum is None else effective_rank(spectrum, size=len(spectrum), epsilon=epsilon)


def lda_information(embeddings: Tensor, *, delta: float = DELTA) -> float:
    """½ Σ ln(1 + λ′) in nats, over the λ′ of `lidar_debiased`: the information between an image and one of its views.

    It is the mutual information of a Gaussian class mean of covariance Σ_b − Σ_w/q and a view with Gaussian noise Σ_w
    (Cover and Thomas, Elements of Information Theory, chapter 9).

    Args:
        embeddings: (n, q, d), of any floating-point dtype: q views of each of n images, kept together.

    Returns:
        0 (the views say nothing about the image, or all are one point) or more; NaN if an embedding is not finite.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta`.

    >>> points = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    >>> views = points + torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])
    >>> round(lda_information(views), 4)
    3.9196
    """
    spectrum = _corrected_spectrum(embeddings, delta)
    return math.nan if spectrum is None else float(spectrum.log1p().sum()) / 2


def lda_trace(embeddings: Tensor, *, delta: float = DELTA) -> float:
    """Σ λ′ over the λ′ of `lidar_debiased`: the variance between images in units of that between views of one image.

    Args:
        embeddings: (n, q, d), of any floating-point dtype: q views of each of n images, kept together.

    Returns:
        0 (the views say nothing about the image, or all are one point) or more; NaN if an embedding is not finite.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta`.

    >>> points = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    >>> views = points + torch.tensor([[0.1, 0.1], [-0.1, -0.1], [0.1, -0.1], [-0.1, 0.1]])
    >>> round(lda_trace(views), 2)
    98.76
    """
    spectrum = _corrected_spectrum(embeddings, delta)
    return math.nan if spectrum is None else float(spectrum.sum())


def _factorise(embeddings: Tensor, delta: float) -> tuple[Tensor, Tensor | None]:
    """Class means and the Cholesky factor of Σ_w + delta·I; None for the factor if an embedding is not finite."""
    embeddings = check_embeddings(embeddings, n=2, q=2, d=1)
    check_not_negative(delta=delta)
    low, high = (float(extreme) for extreme in embeddings.aminmax())
    peak = max(-low, high)
    if not math.isfinite(peak):
        return embeddings, None
    return _analyse(embeddings, delta, single=SINGLE_RANGE[0] < peak < SINGLE_RANGE[1])


def _corrected_spectrum(embeddings: Tensor, delta: float) -> Tensor | None:
    """The λ′ of `lidar_debiased` (d,), none below 0; None if they cannot be computed.

    With (Σ_w + δI) = L Lᵀ, the matrix L⁻¹ Σ_w L⁻ᵀ is I − δ L⁻¹ L⁻ᵀ.
    """
    means, factor = _factorise(embeddings, delta)
    if factor is None:
        return None
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    centred = (means - means.mean(dim=0)) / math.sqrt(len(means) - 1)
    within = identity - delta * (inverse @ inverse.T)
    matrix = inverse @ gram(centred) @ inverse.T - within / embeddings.shape[1]
    spectrum: Tensor = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return spectrum.clamp(min=0)


def _analyse(embeddings: Tensor, delta: float, *, single: bool) -> tuple[Tensor, Tensor | None]:
    """Class means and the Cholesky factor of Σ_w; from float32 products if `single` and if they are exact enough."""
    if single and embeddings.device.type == "cpu" and embeddings.dtype != torch.float64:
        # A part of the images is enough to detect most ill-conditioned Σ_w, at a fraction of the cost.
        glance = max(2, CHUNK_ROWS // embeddings.shape[1])
        for part in (embeddings[:glance], embeddings)[0 if 4 * glance < len(embeddings) else 1 :]:
            means, within = _scatter(part, torch.float32)
            factor = _factor(within, delta)
            if factor is None or _condition(within, factor) > SINGLE_CONDITION:
                break
            if len(part) == len(embeddings):
                return means, factor
    means, within = _scatter(embeddings, torch.float64)
    return means, _factor(within, delta)


def _scatter(embeddings: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Class means minus a common offset (n, d) and covariance within classes (d, d), both float64.

    Products are in `dtype`, of rows that are centred by class and therefore have no offset.
    """
    n, q, d = embeddings.shape
    means = torch.empty(n, d, dtype=torch.float64, device=embeddings.device)
    within = torch.zeros(d, d, dtype=torch.float64, device=embeddings.device)
    classes = max(1, CHUNK_ROWS // q)
    for start in range(0, n, classes):
        chunk = embeddings[start : start + classes].to(dtype)
        # Differences from the first view of the same class are small and exact; those from a rounded mean are not.
        first = chunk[:, 0]
        rows = chunk - chunk[:, :1]
        means[start : start + classes] = first.to(torch.float64) + rows.mean(dim=1, dtype=torch.float64)
        rows -= rows.mean(dim=1, keepdim=True)
        within += gram(rows.view(-1, d))
    return means - means[:1], within / (n * (q - 1))


def _factor(within: Tensor, delta: float) -> Tensor | None:
    """Lower Cholesky factor of Σ_w = within + delta·I, or None if Σ_w is not positive definite in float64."""
    regular = within + delta * torch.eye(len(within), dtype=within.dtype, device=within.device)
    factor, info = torch.linalg.cholesky_ex(regular)
    return None if info.item() else factor


def _condition(within: Tensor, factor: Tensor) -> float:
    """The amplification of errors in `within`: its norm divided by the smallest squared pivot of the factor.

    The norm is the fourth root of Σ λ⁴, which is close to the largest eigenvalue and much cheaper.
    """
    return float((within @ within).norm().sqrt() / factor.diagonal().min() ** 2)


def _eigenvalues(means: Tensor, factor: Tensor) -> Tensor:
    """Eigenvalues of L⁻¹ Σ_b L⁻ᵀ, equal to those of Σ_w^(-1/2) Σ_b Σ_w^(-1/2): all d, or the n that may be nonzero."""
    n, d = means.shape
    centred = (means - means.mean(dim=0)) / math.sqrt(n - 1)
    if n - 1 < d:
        matrix = gram(torch.linalg.solve_triangular(factor, centred.T, upper=False))
    else:
        half = torch.linalg.solve_triangular(factor, gram(centred), upper=False)
        matrix = torch.linalg.solve_triangular(factor, half.T, upper=False)
    eigenvalues: Tensor = torch.linalg.eigvalsh(matrix)
    return eigenvalues


def _measure(features: Features) -> float:
    return lidar(features.views)


LIDAR: Final = Criterion(
    name="lidar",
    label="LiDAR",
    function=_measure,
    reads_views=True,
    settings={"delta": DELTA, "epsilon": EPSILON},
    layer="embedding",
    layer_by_method={"vicreg": "representation", "ijepa": "representation", "data2vec": "representation"},
    higher_is_better=True,
)
