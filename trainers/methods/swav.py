"""SwAV: swapping assignments between views (Caron et al., NeurIPS 2020, arXiv 2006.09882)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.multi_crop import distillation_loss, local_views, whole_views
from trainers.optim import Optimizer
from trainers.queue import Queue, check_queue


@dataclass(frozen=True)
class SwAVParams(MaskedParams):
    """SwAV's hyperparameters, with the defaults of its code for 400 epochs on ImageNet."""

    temperature: float = 0.1
    """Temperature of the softmax over the prototypes."""
    epsilon: float = 0.05
    """Temperature of the Sinkhorn assignments: how soft they are."""
    sinkhorn_iterations: int = 3
    """Iterations of Sinkhorn and Knopp."""
    prototypes: int = 3000
    """Prototypes. The batch and the queue are spread evenly over them and must have as many images, better twice."""
    freeze_prototypes: float = 1 / 400
    """Share of the updates during which the prototypes are not trained (one epoch of 400)."""
    queue_size: int = 0
    """Images of earlier batches that take part in the assignments, a multiple of the batch; 0 = none, and 3,840 in the
    code for batches of 256."""
    queue_start: float = 15 / 200
    """Share of the updates before the queue is filled (15 epochs of 200); it is used once it is full."""
    projector_hidden_dim: int = 2048
    """Width of the projector's hidden layer."""
    projection_dim: int = 128
    """Width of the embedding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilon > 0:
            raise ValueError(f"`epsilon` must be above 0, but got {self.epsilon}")
        for name, least in (("sinkhorn_iterations", 1), ("prototypes", 2), ("queue_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, but got {getattr(self, name)}")
        for name in ("freeze_prototypes", "queue_start"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], but got {getattr(self, name)}")


class SwAV(Method):
    """Each view predicts the assignment of the other view to prototypes; assignments are spread evenly over them."""

    Params: ClassVar[type[MethodParams]] = SwAVParams
    params: SwAVParams
    moves_loss: ClassVar[tuple[str, ...]] = ("temperature", "epsilon", "sinkhorn_iterations", "prototypes")
    augmentation: ClassVar[Augmentation] = Augmentation(
        crop_scale_min=0.14, local_crops=6, local_scale_min=0.05, local_scale_max=0.14
    )
    optimizer: ClassVar[Optimizer] = Optimizer(
        optimizer="lars", lr=4.8, weight_decay=1e-6, warmup=10 / 400, final_lr=1e-3
    )
    multi_crop: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: SwAVParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        self.projector = nn.Sequential(
            nn.Linear(encoder.dim, params.projector_hidden_dim),
            nn.BatchNorm1d(params.projector_hidden_dim),
            nn.ReLU(inplace=True),
            nn.Linear(params.projector_hidden_dim, params.projection_dim),
        )
        self.prototypes = nn.Parameter(torch.empty(params.prototypes, params.projection_dim))
        nn.init.kaiming_uniform_(self.prototypes, a=5**0.5)  # as nn.Linear draws its weight
        size = params.queue_size
        self.queues = nn.ModuleList(Queue(size, params.projection_dim) for _ in range(2)) if size else None

    @classmethod
    def check_data(cls, params: MethodParams, batch_size: int, images: int) -> None:
        params = cast(SwAVParams, params)
        if params.queue_size:
            check_queue(params.queue_size, batch_size, images)
        spread = batch_size + params.queue_size
        if params.prototypes > spread:
            held = f"the batch of {batch_size} and the queue of {params.queue_size} images"
            raise ValueError(
                f"`prototypes` must be at most {spread}, because {held} must fill them; but got {params.prototypes}"
            )

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy −Σ q ln p over pairs of a whole-size view's assignment and another view."""
        self.normalize_prototypes()
        # Crops of one size in one pass, as in the reference: they share their BatchNorm statistics.
        sizes = (whole_views(batch), local_views(batch))
        passes = [self.encoder(*same) for same in sizes if same is not None]
        embeddings = F.normalize(self.projector(torch.cat(passes)).float(), dim=-1)
        frozen = self.progress < self.params.freeze_prototypes
        with torch.autocast(embeddings.device.type, enabled=False):  # exp(1 / ε) overflows half precision
            scores = F.linear(embeddings, self.prototypes.detach() if frozen else self.prototypes)
            views = scores.chunk(len(batch.views))
            targets = [self._assign(view.detach(), index) for index, view in enumerate(views[:2])]
            self._push(embeddings.detach().chunk(len(batch.views))[:2])
            return distillation_loss(views, targets, self.params.temperature)

    def project(self, representations: Tensor) -> Tensor:
        """The projector's output, not normalised."""
        embeddings: Tensor = self.projector(representations)
        return embeddings

    @torch.no_grad()
    def normalize_prototypes(self) -> None:
        """Give every prototype the norm 1: its own gradient is not told of it, as in the reference."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))

    @torch.no_grad()
    def _assign(self, scores: Tensor, view: int) -> Tensor:
        """The assignments of this worker's (b, prototypes) scores, made with those of all workers and of the queue."""
        everyones, count = self.world.gather(scores), len(scores)
        own = slice(self.world.rank * count, (self.world.rank + 1) * count)
        queue = None if self.queues is None else cast(Queue, self.queues[view])
        if queue is not None and queue.is_full:
            everyones = torch.cat([everyones, queue.rows @ self.prototypes.T])
        return sinkhorn(everyones, self.params.epsilon, self.params.sinkhorn_iterations)[own]

    def _push(self, embeddings: tuple[Tensor, ...]) -> None:
        """Put the embeddings of the whole-size views of all workers into the queues, after their assignments."""
        if self.queues is not None and self.progress >= self.params.queue_start:
            for queue, rows in zip(self.queues, embeddings, strict=True):
                cast(Queue, queue).push(self.world.gather(rows))


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """(b, k) scores -> (b, k) soft assignments, whose rows sum to 1 and whose columns have about equal sums.

    In logarithms and at least float32, so that no ε overflows. Source: Caron et al. 2020, equations 3 to 5 and
    algorithm 1; Cuturi 2013.

    >>> sinkhorn(torch.tensor([[0.9, 0.8], [0.9, 0.1]]), epsilon=0.05, iterations=3).round(decimals=2)
    tensor([[0.1400, 0.8600],
            [1.0000, 0.0000]])
    """
    logarithms = scores.to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    for _ in range(iterations):
        logarithms = logarithms.log_softmax(0)  # a prototype's shares of the images
        logarithms = logarithms.log_softmax(1)  # an image's shares of the prototypes
    return logarithms.exp()
