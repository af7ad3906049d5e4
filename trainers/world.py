"""The workers of one trial, for losses that look across the whole batch: the identity where there is one worker.

Each worker has a share of the batch, and the gradients of the workers are averaged. A loss that takes its statistics
from `gather` and `mean` then has the gradient that one worker would have with the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import torch
from torch import Tensor
from torch import distributed as dist


class World(Protocol):
    """The workers of one trial."""

    @property
    def rank(self) -> int:
        """This worker's number, from 0."""

    @property
    def size(self) -> int:
        """How many workers there are."""

    def gather(self, rows: Tensor) -> Tensor:
        """(b, …) of this worker -> (size · b, …) of all, by rank; with gradient, summed over what all make of it."""

    def mean(self, value: Tensor) -> Tensor:
        """Mean over the workers, elementwise, without gradient."""


@dataclass(frozen=True)
class Single:
    """A trial of one worker."""

    rank: int = 0
    size: int = 1

    def gather(self, rows: Tensor) -> Tensor:
        return rows

    def mean(self, value: Tensor) -> Tensor:
        return value.detach()


SINGLE: Final = Single()


@dataclass(frozen=True)
class Distributed:
    """The workers of torch.distributed's default group, which must have been initialised."""

    @property
    def rank(self) -> int:
        return dist.get_rank()

    @property
    def size(self) -> int:
        return dist.get_world_size()

    def gather(self, rows: Tensor) -> Tensor:
        gathered: Tensor = _Gather.apply(rows)
        return gathered

    def mean(self, value: Tensor) -> Tensor:
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.size


class _Gather(torch.autograd.Function):
    """All-gather; backward, each worker receives the sum of the gradients that all workers have for its rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]
