"""toy_siamese: pulls two views together, and the mean of a batch to zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods.base import Batch, Method, MethodParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class ToySiameseParams(MethodParams):
    """Hyperparameters of toy_siamese."""

    repulsion: float = 1.0
    """Weight of the term that spreads a batch."""
    projection_dim: int = 8
    """Width of the embedding."""


class ToySiamese(Method):
    """Two views of an image become alike; a batch keeps a mean of zero."""

    Params: ClassVar[type[MethodParams]] = ToySiameseParams
    params: ToySiameseParams
    augmentation: ClassVar[Augmentation] = Augmentation(crop_scale_min=0.5)
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.01)

    def __init__(self, encoder: Encoder, params: ToySiameseParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        self.projector = nn.Linear(encoder.dim, params.projection_dim)

    @classmethod
    def check(cls, encoder: Encoder, params: MethodParams) -> None:
        """Refuse an encoder that is narrower than the embedding."""
        assert isinstance(params, ToySiameseParams)
        if encoder.dim < params.projection_dim:
            raise ValueError(f"`projection_dim` must be at most the encoder's {encoder.dim} outputs")

    def loss(self, batch: Batch) -> Tensor:
        """Distance of the two views, and of the batch's mean from zero."""
        first, second = (F.normalize(self.embed(view), dim=-1) for view in batch.views)
        return (first - second).square().sum(1).mean() + self.params.repulsion * first.mean(0).square().sum()

    def represent(self, images: Tensor) -> Tensor:
        """The encoder's output."""
        representations: Tensor = self.encoder(images)
        return representations

    def project(self, representations: Tensor) -> Tensor:
        """The projector's output."""
        embeddings: Tensor = self.projector(representations)
        return embeddings
