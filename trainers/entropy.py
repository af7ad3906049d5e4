"""Estimators of the entropy of a batch of embeddings, in nats, and the loss that maximises it beside an invariance.

Shwartz-Ziv et al., NeurIPS 2023, arXiv 2303.00633: the regulariser of VICReg, or of BYOL, is replaced by an estimate of
the entropy of the embeddings. Both estimators leave out what is constant in the embeddings. They compute in float64,
because β may be below the rounding of a Gram matrix in float32, and return the dtype of the embeddings.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

PairDistance = Literal["kl", "bhattacharyya"]
DIVISORS: Final[dict[str, float]] = {"kl": 2.0, "bhattacharyya": 8.0}
"""Distance between two Gaussians of one variance v -> what divides ‖μ_i − μ_j‖² / v in it."""


def logdet_entropy(embeddings: Tensor, beta: float, *, centered: bool = False) -> Tensor:
    """½ ln det(ZᵀZ / N + βI) of (N, d) embeddings Z: the entropy of a Gaussian with their second moments and noise β.

    Where N < d, the determinant is that of the N × N matrix ZZᵀ / N + βI, times β^(d − N).

    Args:
        embeddings: (N, d), floating-point.
        beta: β, above 0.
        centered: whether the mean of the embeddings is taken out first, so that ZᵀZ / N is their covariance.

    Returns:
        A scalar of at least (d / 2) ln β, reached where Z is 0; NaN if an embedding is not finite.

    Source: Zhouyin and Liu 2021, arXiv 2105.03705.

    >>> round(float(logdet_entropy(torch.eye(2), beta=0.5)), 6), round(math.log(1 / 2 + 1 / 2), 6)
    (0.0, 0.0)
    >>> round(float(logdet_entropy(torch.zeros(3, 4), beta=0.1)), 6), round(4 / 2 * math.log(0.1), 6)
    (-4.60517, -4.60517)
    """
    count, dim = embeddings.shape
    rows = embeddings.double()
    if centered:
        rows = rows - rows.mean(0)
    gram = rows @ rows.T if count < dim else rows.T @ rows
    noisy = gram / count + beta * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    factor, failed = torch.linalg.cholesky_ex(noisy)
    half_logdet = factor.diagonal().log().sum() + (dim - len(gram)) / 2 * math.log(beta)
    entropy: Tensor = half_logdet.where(failed == 0, math.nan).to(embeddings.dtype)
    return entropy


def pairdist_entropy(embeddings: Tensor, variance: float, distance: PairDistance = "kl") -> Tensor:
    """−mean_i ln (1/N) Σ_j exp(−‖z_i − z_j‖² / 2v) of (N, d) embeddings: bounds the entropy of Gaussians around them.

    The Gaussians N(z_i, vI) have equal weights. With `kl`, and their own entropy added, the value is an upper bound of
    the entropy of the mixture; with `bhattacharyya`, where 8v takes the place of 2v, a lower bound.

    Args:
        embeddings: (N, d), floating-point.
        variance: v, above 0.
        distance: the distance between two Gaussians.

    Returns:
        A scalar from 0, where all embeddings are equal, to ln N; NaN if one is not finite.

    Source: Kolchinsky and Tracey 2017, arXiv 1706.02419.

    >>> points = torch.tensor([[0.0], [2.0]])
    >>> round(float(pairdist_entropy(points, variance=1.0)), 6), round(-math.log((1 + math.exp(-2)) / 2), 6)
    (0.566219, 0.566219)
    """
    rows = embeddings.double()
    rows = rows - rows.mean(0)  # distances stay, and lose fewer digits
    gram = rows @ rows.T
    squares = gram.diagonal()
    distances = (squares[:, None] + squares - 2 * gram).clamp(min=0)
    log_kernel = -distances / (DIVISORS[distance] * variance)
    density = log_kernel.logsumexp(1) - math.log(len(rows))
    return -density.mean().to(embeddings.dtype)


@dataclass(frozen=True)
class EntropyParams(ABC):
    """Hyperparameters of a loss that maximises an entropy beside an invariance."""

    invariance_weight: float = 1.0
    """Weight of the invariance, at least 0."""
    entropy_weight: float | None = None
    """Weight of the entropy, at least 0."""

    def __post_init__(self) -> None:
        for name in ("invariance_weight", "entropy_weight"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"`{name}` must be at least 0, but got {value}")

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """invariance_weight · invariance − entropy_weight · entropy, the mean entropy of the (N, d) views."""
        entropy = torch.stack([self.entropy(embeddings) for embeddings in views]).mean()
        return self.invariance_weight * invariance - self.weight(views[0].shape[1]) * entropy

    @abstractmethod
    def entropy(self, embeddings: Tensor) -> Tensor:
        """Estimate of the entropy of (N, d) embeddings."""

    @abstractmethod
    def weight(self, dim: int) -> float:
        """Weight of the entropy of d-dimensional embeddings."""


@dataclass(frozen=True)
class LogDet(EntropyParams):
    """Hyperparameters of the LogDet estimator."""

    entropy_weight: float | None = None
    """Weight of the entropy, at least 0; null = `invariance_weight` over the width of the embedding."""
    beta: float = 1e-3
    """β: the variance of the noise in every dimension, above 0. A dimension far below it costs no entropy to lose."""
    centered: bool = False
    """Whether the mean of the embeddings is taken out first; without, a large mean counts as entropy."""

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"`beta` must be above 0, but got {self.beta}")
        super().__post_init__()

    def entropy(self, embeddings: Tensor) -> Tensor:
        return logdet_entropy(embeddings, self.beta, centered=self.centered)

    def weight(self, dim: int) -> float:
        return self.invariance_weight / dim if self.entropy_weight is None else self.entropy_weight


@dataclass(frozen=True)
class PairDist(EntropyParams):
    """Hyperparameters of the PairDist estimator."""

    entropy_weight: float = 1.0
    """Weight of the entropy, at least 0."""
    kernel_variance: float | None = None
    """v: the variance of the Gaussian around each embedding, above 0; null = an eighth of the embedding's width."""
    pair_distance: PairDistance = "kl"
    """kl (2v) · bhattacharyya (8v): the distance between two Gaussians."""

    def __post_init__(self) -> None:
        if self.kernel_variance is not None and not self.kernel_variance > 0:
            raise ValueError(f"`kernel_variance` must be above 0, but got {self.kernel_variance}")
        if self.pair_distance not in DIVISORS:
            raise ValueError(f"`pair_distance` must be one of {', '.join(DIVISORS)}, but got {self.pair_distance!r}")
        super().__post_init__()

    def entropy(self, embeddings: Tensor) -> Tensor:
        # Pairs of unit deviation are 2d apart: their kernel is then exp(−8), about 1 / N for batches of thousands
        variance = embeddings.shape[1] / 8 if self.kernel_variance is None else self.kernel_variance
        return pairdist_entropy(embeddings, variance, self.pair_distance)

    def weight(self, dim: int) -> float:
        return self.entropy_weight
