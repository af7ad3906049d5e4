"""SimCLR: contrastive learning of visual representations (Chen et al., ICML 2020, arXiv 2002.05709)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.optim import Optimizer
from trainers.world import SINGLE, World


@dataclass(frozen=True)
class SimCLRParams(MaskedParams):
    """SimCLR's hyperparameters, with the paper's defaults for ImageNet."""

    temperature: float = 0.1
    """Temperature of the contrastive softmax."""
    projector_hidden_dim: int = 2048
    """Width of the projector's hidden layer."""
    projection_dim: int = 128
    """Width of the embedding."""


class SimCLR(Method):
    """Pulls the two views of an image together and pushes every other view in the batch away."""

    Params: ClassVar[type[MethodParams]] = SimCLRParams
    params: SimCLRParams
    moves_loss: ClassVar[tuple[str, ...]] = ("temperature",)
    augmentation: ClassVar[Augmentation] = Augmentation()
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="lars", lr=4.8, weight_decay=1e-6, warmup=0.1)

    def __init__(self, encoder: Encoder, params: SimCLRParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        self.projector = nn.Sequential(
            nn.Linear(encoder.dim, params.projector_hidden_dim, bias=False),
            nn.BatchNorm1d(params.projector_hidden_dim),
            nn.ReLU(inplace=True),
            nn.Linear(params.projector_hidden_dim, params.projection_dim, bias=False),
            nn.BatchNorm1d(params.projection_dim),
        )

    def loss(self, batch: Batch) -> Tensor:
        """NT-Xent between the two views."""
        first, second = (
            self.projector(self.encoder(view, kept)) for view, kept in zip(batch.views, batch.kept, strict=True)
        )
        with torch.autocast(first.device.type, enabled=False):  # bfloat16 logits would err by percents of the gradient
            return nt_xent(first.float(), second.float(), self.params.temperature, self.world)

    def project(self, representations: Tensor) -> Tensor:
        """The projector's output, not normalised."""
        embeddings: Tensor = self.projector(representations)
        return embeddings


def nt_xent(first: Tensor, second: Tensor, temperature: float, world: World = SINGLE) -> Tensor:
    """Mean over the 2b rows of the cross-entropy of each view's partner among the other views of all workers.

    first, second: (b, d) embeddings of two views of the same images, as many on every worker.
    Source: Chen et al. 2020, equation 1.

    >>> round(float(nt_xent(torch.eye(2), torch.eye(2), 1.0)), 6)  # ln(e + 2) - 1
    0.551445
    """
    embeddings = F.normalize(torch.cat([first, second]), dim=-1)
    logits = embeddings @ world.gather(embeddings).T / temperature
    count = len(first)
    own = world.rank * 2 * count  # the column of this worker's first row
    logits.diagonal(own).fill_(float("-inf"))
    partners = own + torch.arange(2 * count, device=logits.device).roll(count)
    return F.cross_entropy(logits, partners)
