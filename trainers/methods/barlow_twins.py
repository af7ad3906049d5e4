"""Barlow Twins: self-supervised learning via redundancy reduction (Zbontar et al., ICML 2021, arXiv 2103.03230)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class BarlowTwinsParams(MaskedParams):
    """Barlow Twins' hyperparameters, with the reference code's defaults for ImageNet."""

    redundancy_weight: float = 0.0051
    """Weight λ of the squared correlations between unlike dimensions, at least 0."""
    projector_dim: int = 8192
    """Width of the projector's three layers, the last of which is the embedding."""

    def __post_init__(self) -> None:
        if not self.redundancy_weight >= 0:
            raise ValueError(f"`redundancy_weight` must be at least 0, but got {self.redundancy_weight}")
        super().__post_init__()


class BarlowTwins(Method):
    """Makes the correlation matrix between the two views' dimensions the identity."""

    Params: ClassVar[type[MethodParams]] = BarlowTwinsParams
    params: BarlowTwinsParams
    moves_loss: ClassVar[tuple[str, ...]] = ("redundancy_weight",)
    augmentation: ClassVar[Augmentation] = Augmentation(
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_probability=1.0,
        second_blur_probability=0.1,
        second_solarize_probability=0.2,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="lars", lr=1.6, weight_decay=1e-6, warmup=0.01, final_lr=1e-3)

    def __init__(self, encoder: Encoder, params: BarlowTwinsParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        width = params.projector_dim
        self.projector = nn.Sequential(
            nn.Linear(encoder.dim, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width, bias=False),
        )

    def loss(self, batch: Batch) -> Tensor:
        """The redundancy-reduction loss between the two views of all workers."""
        first, second = (
            self.projector(self.encoder(view, kept)).float() for view, kept in zip(batch.views, batch.kept, strict=True)
        )
        with torch.autocast(first.device.type, enabled=False):  # the correlations in float32
            everyones = [self.world.gather(embeddings) for embeddings in (first, second)]
            return redundancy_reduction(everyones[0], everyones[1], self.params.redundancy_weight)

    def project(self, representations: Tensor) -> Tensor:
        """The projector's output, before the loss standardises it."""
        embeddings: Tensor = self.projector(representations)
        return embeddings


def redundancy_reduction(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Σ (C_ii − 1)² + weight · Σ_{i≠j} C_ij², C the (d, d) correlations of the dimensions of (b, d) views.

    Variances are over b, not b − 1, as in BatchNorm. Source: Zbontar et al. 2021, equations 1 and 2; ε of the
    reference's BatchNorm.
    """
    correlations = standardize(first).T @ standardize(second) / len(first)
    diagonal = correlations.diagonal()
    unlike = correlations.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + weight * unlike


def standardize(embeddings: Tensor) -> Tensor:
    """(b, d) -> each dimension with mean 0 and variance 1 over the batch, as BatchNorm without affine."""
    centred = embeddings - embeddings.mean(0)
    return centred / (embeddings.var(0, correction=0) + 1e-5).sqrt()
