"""VICReg: variance-invariance-covariance regularisation (Bardes et al., ICLR 2022, arXiv 2105.04906)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class ExpanderParams(MaskedParams):
    """Hyperparameters of a method with VICReg's networks."""

    expander_dim: int = 8192
    """Width of the expander's three layers, the last of which is the embedding."""


@dataclass(frozen=True)
class VICRegParams(ExpanderParams):
    """VICReg's hyperparameters, with the paper's defaults for ImageNet."""

    invariance_weight: float = 25.0
    """Weight of the mean squared distance between the two views."""
    variance_weight: float = 25.0
    """Weight of the hinge that keeps each dimension's standard deviation at 1 or above."""
    covariance_weight: float = 1.0
    """Weight of the squared off-diagonal covariances."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("invariance_weight", "variance_weight", "covariance_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be at least 0, but got {getattr(self, name)}")


class VICReg(Method):
    """Pulls two views together, keeps the variance of each dimension up, and pushes covariances down."""

    Params: ClassVar[type[MethodParams]] = VICRegParams
    params: ExpanderParams
    moves_loss: ClassVar[tuple[str, ...]] = ("invariance_weight", "variance_weight", "covariance_weight")
    augmentation: ClassVar[Augmentation] = Augmentation(
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_probability=1.0,
        second_blur_probability=0.1,
        second_solarize_probability=0.2,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="lars", lr=1.6, weight_decay=1e-6, warmup=0.1, final_lr=1e-3)

    def __init__(self, encoder: Encoder, params: ExpanderParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        width = params.expander_dim
        self.expander = nn.Sequential(
            nn.Linear(encoder.dim, width),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width, bias=False),
        )

    def loss(self, batch: Batch) -> Tensor:
        """The distance between the two views, and the regulariser over the embeddings of all workers."""
        first, second = (
            self.expander(self.encoder(view, kept)).float() for view, kept in zip(batch.views, batch.kept, strict=True)
        )
        with torch.autocast(first.device.type, enabled=False):  # the covariances in float32
            everyones = [self.world.gather(embeddings) for embeddings in (first, second)]
            return self.regularized(F.mse_loss(first, second), everyones)

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """The weighted sum of the invariance and of the two terms of each (b, d) view."""
        weights = cast(VICRegParams, self.params)
        variance = (variance_term(views[0]) + variance_term(views[1])) / 2
        covariance = covariance_term(views[0]) + covariance_term(views[1])
        return (
            weights.invariance_weight * invariance
            + weights.variance_weight * variance
            + weights.covariance_weight * covariance
        )

    def project(self, representations: Tensor) -> Tensor:
        """The expander's output."""
        embeddings: Tensor = self.expander(representations)
        return embeddings


def variance_term(embeddings: Tensor) -> Tensor:
    """Mean over the dimensions of max(0, 1 − √(var + 1e-4)) of (b, d) embeddings (equation 1; ε of the reference)."""
    return F.relu(1 - (embeddings.var(0) + 1e-4).sqrt()).mean()


def covariance_term(embeddings: Tensor) -> Tensor:
    """Sum of the squared off-diagonal covariances of (b, d) embeddings, over d (equation 4)."""
    count, dim = embeddings.shape
    centred = embeddings - embeddings.mean(0)
    # ‖ZᵀZ‖ = ‖ZZᵀ‖: the smaller of the two products is enough
    gram = centred @ centred.T if count < dim else centred.T @ centred
    variances = centred.square().sum(0)
    return (gram.square().sum() - variances.square().sum()) / (count - 1) ** 2 / dim
