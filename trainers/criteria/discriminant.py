"""The discriminant analysis whose classes are the images, with views as samples: LiDAR and its relatives read it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import CHUNK_ROWS, Features, check_embeddings, check_not_negative, gram

DELTA: Final = 1e-4
"""Added to the diagonal of the within-class covariance. The paper of LiDAR has no value; public code uses this one."""
SINGLE_RANGE: Final = (1e-12, 1e12)
"""Range of the largest absolute value for which squares in float32 neither overflow nor underflow."""
SINGLE_CONDITION: Final = 10.0
"""Largest condition number of Σ_w for which float32 products are exact enough: in thousands of random samples, the
relative error of LiDAR was at most 6e-8 times the condition number."""


@dataclass(frozen=True)
class Discriminant:
    """The covariances of n classes with q views each, and their eigenvalues, each computed when it is first read.

    Σ_b is the covariance of the class means, divided by n - 1. Σ_w is the covariance within classes, divided by
    n(q - 1).
    """

    means: Tensor
    """The class means minus a common offset, (n, d), float64."""
    within: Tensor
    """Σ_w, (d, d), float64."""
    factor: Tensor
    """The lower Cholesky factor L of Σ_w + δI, (d, d), float64."""
    views: int
    """q"""

    @cached_property
    def eigenvalues(self) -> Tensor:
        """Eigenvalues λ of (Σ_w + δI)^(-1/2) Σ_b (Σ_w + δI)^(-1/2), at least 0: all d, or the n that may not be 0.

        They are those of L⁻¹ Σ_b L⁻ᵀ.
        """
        n, d = self.means.shape
        matrix = gram(_solve(self.factor, self._centred.T)) if n - 1 < d else _whiten(self.factor, gram(self._centred))
        return _eigenvalues(matrix)

    @cached_property
    def corrected(self) -> Tensor:
        """Eigenvalues λ′ (d,) of (Σ_w + δI)^(-1/2) (Σ_b - Σ_w/q) (Σ_w + δI)^(-1/2), where negative ones are set to 0.

        E[Σ_b] is the covariance between classes plus Σ_w/q, so that views without any information have λ near 1/q.
        The difference is the one-way random-effects estimator (Amemiya, The American Statistician 39, 1985).
        """
        return _eigenvalues(_whiten(self.factor, gram(self._centred) - self.within / self.views))

    @property
    def _centred(self) -> Tensor:
        return (self.means - self.means.mean(dim=0)) / math.sqrt(len(self.means) - 1)


def discriminant(embeddings: Tensor, *, delta: float = DELTA) -> Discriminant | None:
    """The analysis of (n, q, d) embeddings: q views of each of n images, kept together, of any floating-point dtype.

    Returns:
        None if an embedding is not finite, or Σ_w + delta·I is not positive definite in float64.

    Raises:
        ValueError: wrong shape or dtype, or a negative `delta`.
    """
    embeddings = check_embeddings(embeddings, n=2, q=2, d=1)
    check_not_negative(delta=delta)
    low, high = (float(extreme) for extreme in embeddings.aminmax())
    peak = max(-low, high)
    if not math.isfinite(peak):
        return None
    means, within, factor = _analyse(embeddings, delta, single=SINGLE_RANGE[0] < peak < SINGLE_RANGE[1])
    return None if factor is None else Discriminant(means, within, factor, embeddings.shape[1])


def of_views(features: Features) -> Discriminant | None:
    """The analysis of a layer's views at the default delta, for `Features.shared`."""
    return discriminant(features.views)


def _analyse(embeddings: Tensor, delta: float, *, single: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Class means, Σ_w and the factor of Σ_w + δI; from float32 products if `single` and if they are exact enough."""
    if single and embeddings.device.type == "cpu" and embeddings.dtype != torch.float64:
        # A part of the images is enough to detect most ill-conditioned Σ_w, at a fraction of the cost.
        glance = max(2, CHUNK_ROWS // embeddings.shape[1])
        for part in (embeddings[:glance], embeddings)[0 if 4 * glance < len(embeddings) else 1 :]:
            means, within = _scatter(part, torch.float32)
            factor = _factor(within, delta)
            if factor is None or _condition(within, factor) > SINGLE_CONDITION:
                break
            if len(part) == len(embeddings):
                return means, within, factor
    means, within = _scatter(embeddings, torch.float64)
    return means, within, _factor(within, delta)


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
    """Lower Cholesky factor of within + delta·I, or None if that is not positive definite in float64."""
    regular = within + delta * torch.eye(len(within), dtype=within.dtype, device=within.device)
    factor, info = torch.linalg.cholesky_ex(regular)
    return None if info.item() else factor


def _condition(within: Tensor, factor: Tensor) -> float:
    """The amplification of errors in `within`: its norm divided by the smallest squared pivot of the factor.

    The norm is the fourth root of Σ λ⁴, which is close to the largest eigenvalue and much cheaper.
    """
    return float((within @ within).norm().sqrt() / factor.diagonal().min() ** 2)


def _solve(factor: Tensor, matrix: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(factor, matrix, upper=False)
    return solved


def _whiten(factor: Tensor, matrix: Tensor) -> Tensor:
    """L⁻¹·matrix·L⁻ᵀ of a symmetric matrix."""
    return _solve(factor, _solve(factor, matrix).T)


def _eigenvalues(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix, where negative ones are set to 0."""
    eigenvalues: Tensor = torch.linalg.eigvalsh(matrix)
    return eigenvalues.clamp(min=0)
