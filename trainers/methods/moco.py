"""MoCo v2: momentum contrast with a queue (He et al., CVPR 2020, arXiv 1911.05722; Chen et al., arXiv 2003.04297)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.ema import Teacher
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.optim import Optimizer
from trainers.queue import Queue, check_queue


@dataclass(frozen=True)
class MoCoParams(MaskedParams):
    """MoCo's hyperparameters, with the defaults of version 2 for ImageNet, batch 256 on eight GPUs."""

    temperature: float = 0.2
    """Temperature of the contrastive softmax."""
    queue_size: int = 65536
    """Keys of earlier batches that are negatives: a multiple of the batch, and far fewer than the training images (at
    most a fifth), because a key of the query's own image would be a negative too. Sweep it as `choices`."""
    teacher_momentum: float = 0.999
    """EMA momentum of the key encoder, before the first update."""
    final_teacher_momentum: float | None = None
    """The same after the last update, with a line between them; null holds `teacher_momentum`, as in the paper."""
    projector_hidden_dim: int = 2048
    """Width of the projector's hidden layer; the paper's is as wide as its encoder's output."""
    projection_dim: int = 128
    """Width of the embedding."""
    batch_groups: int = 8
    """Groups of a worker's batch that BatchNorm sees one by one, as on as many GPUs; 1 sees the whole batch. An image's
    key is in another group than its query, so that the statistics do not tell which key is whose."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("queue_size", "batch_groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but got {getattr(self, name)}")


class MoCo(Method):
    """A query is to find the key of the other view, made by the EMA of its network, among the keys of a queue.

    The paper shuffles the keys of a batch over its GPUs. The order of a batch is random already, so a fixed permutation
    does the same here: queries are grouped by their place, and keys by their place modulo the number of groups.
    """

    Params: ClassVar[type[MethodParams]] = MoCoParams
    params: MoCoParams
    moves_loss: ClassVar[tuple[str, ...]] = ("temperature", "queue_size")
    augmentation: ClassVar[Augmentation] = Augmentation(
        crop_scale_min=0.2, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1
    )
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.03, weight_decay=1e-4, warmup=0.0)

    def __init__(self, encoder: Encoder, params: MoCoParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder
        self.projector = nn.Sequential(
            nn.Linear(encoder.dim, params.projector_hidden_dim),
            nn.ReLU(inplace=True),
            nn.Linear(params.projector_hidden_dim, params.projection_dim),
        )
        self.teacher = Teacher(params.teacher_momentum, self.students)
        self.queue = Queue(params.queue_size, params.projection_dim)

    @classmethod
    def check_data(cls, params: MethodParams, batch_size: int, images: int) -> None:
        params = cast(MoCoParams, params)
        check_queue(params.queue_size, batch_size, images)
        groups = params.batch_groups
        if batch_size % groups or (groups > 1 and batch_size < 2 * groups):
            several = f"the batch of {batch_size} images into groups of at least 2"
            raise ValueError(f"`batch_groups` must divide {several}, but got {groups}")

    @property
    def students(self) -> dict[str, nn.Module]:
        """The networks that the key encoder follows."""
        return {"encoder": self.encoder, "projector": self.projector}

    def loss(self, batch: Batch) -> Tensor:
        """Queries of the first view against their keys, of the second view seen whole, and the queue."""
        copies, groups = self.teacher.copies, self.params.batch_groups
        with torch.no_grad():
            shuffled = interleave(batch.views[1], groups)
            representations = torch.cat([copies["encoder"](view) for view in shuffled.chunk(groups)])
            keys = F.normalize(deinterleave(copies["projector"](representations), groups).float(), dim=-1)
        views, kept = batch.views[0].chunk(groups), batch.kept[0]
        seen = (None,) * groups if kept is None else kept.chunk(groups)
        representations = torch.cat([self.encoder(*of_group) for of_group in zip(views, seen, strict=True)])
        queries = F.normalize(self.projector(representations).float(), dim=-1)
        with torch.autocast(queries.device.type, enabled=False):  # the cosines in float32
            loss = info_nce(queries, keys, self.queue.rows, self.params.temperature)
        self.queue.push(self.world.gather(keys))  # only now: a positive must not be among its negatives
        return loss

    def project(self, representations: Tensor) -> Tensor:
        """The query projector's output, not normalised."""
        embeddings: Tensor = self.projector(representations)
        return embeddings

    def after_step(self, progress: float) -> None:
        """The key encoder follows the query encoder."""
        first, last = self.params.teacher_momentum, self.params.final_teacher_momentum
        self.teacher.follow(self.students, first if last is None else first + progress * (last - first))


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of each query's own key among it and the negatives, over cosines / temperature.

    queries, keys: (b, d); negatives: (k, d); all of unit norm. Source: He et al. 2020, equation 1.

    >>> round(float(info_nce(torch.eye(2), torch.eye(2), torch.tensor([[0.0, 1.0]]), 1.0)), 6)
    0.503204
    """
    positive = (queries * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def interleave(rows: Tensor, groups: int) -> Tensor:
    """(b, …) rows by their place modulo `groups`, then by their place.

    >>> interleave(torch.arange(6), 2)
    tensor([0, 2, 4, 1, 3, 5])
    """
    rows = rows.unflatten(0, (-1, groups))
    return rows.transpose(0, 1).flatten(0, 1)


def deinterleave(rows: Tensor, groups: int) -> Tensor:
    """The inverse of `interleave`.

    >>> deinterleave(interleave(torch.arange(6), 2), 2)
    tensor([0, 1, 2, 3, 4, 5])
    """
    rows = rows.unflatten(0, (groups, -1))
    return rows.transpose(0, 1).flatten(0, 1)
