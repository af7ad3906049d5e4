"""BYOL: bootstrap your own latent (Grill et al., NeurIPS 2020, arXiv 2006.07733)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.ema import Teacher
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class BYOLParams(MaskedParams):
    """BYOL's hyperparameters, with the paper's defaults for ImageNet."""

    teacher_momentum: float = 0.996
    """EMA momentum of the target network at the start; it follows a cosine to 1."""
    projector_hidden_dim: int = 4096
    """Width of the hidden layer of the projector and of the predictor."""
    projection_dim: int = 256
    """Width of the embedding."""


class BYOL(Method):
    """An online network predicts what its EMA, the target network, makes of the other view."""

    Params: ClassVar[type[MethodParams]] = BYOLParams
    params: BYOLParams
    augmentation: ClassVar[Augmentation] = Augmentation(
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_probability=1.0,
        second_blur_probability=0.1,
        second_solarize_probability=0.2,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="lars", lr=3.2, weight_decay=1.5e-6, warmup=0.01)

    def __init__(self, encoder: Encoder, params: BYOLParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        self.projector = _mlp(encoder.dim, params)
        self.predictor = _mlp(params.projection_dim, params)
        self.teacher = Teacher(params.teacher_momentum, self.students)

    @property
    def students(self) -> dict[str, nn.Module]:
        """The networks that the target network follows: the predictor is the online network's alone."""
        return {"encoder": self.encoder, "projector": self.projector}

    def loss(self, batch: Batch) -> Tensor:
        """Each view's prediction against the target of the other view, which is seen whole."""
        copies = self.teacher.copies
        with torch.no_grad():
            targets = [copies["projector"](copies["encoder"](view)).float() for view in batch.views]
        embeddings = [
            self.projector(self.encoder(view, kept)) for view, kept in zip(batch.views, batch.kept, strict=True)
        ]
        predictions = [self.predictor(view).float() for view in embeddings]
        with torch.autocast(targets[0].device.type, enabled=False):
            invariance = prediction_error(predictions[0], targets[1]) + prediction_error(predictions[1], targets[0])
            return self.regularized(invariance, [view.float() for view in embeddings])

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """The invariance alone: BYOL needs no term of the (b, d) embeddings."""
        return invariance

    def project(self, representations: Tensor) -> Tensor:
        """The online projector's output, not normalised."""
        embeddings: Tensor = self.projector(representations)
        return embeddings

    def after_step(self, progress: float) -> None:
        """The target network follows the online one."""
        self.teacher.update(self.students, progress)


def prediction_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of 2 − 2 cos between the rows of (b, d) predictions and targets (Grill et al. 2020, equation 2)."""
    return 2 - 2 * F.cosine_similarity(predictions, targets, dim=-1).mean()


def _mlp(dim: int, params: BYOLParams) -> nn.Sequential:
    hidden = params.projector_hidden_dim
    return nn.Sequential(
        nn.Linear(dim, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, params.projection_dim, bias=False),
    )
