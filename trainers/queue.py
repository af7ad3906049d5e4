"""The queue of past embeddings that MoCo contrasts with and SwAV clusters with; a checkpoint holds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Queue(nn.Module):
    """The last `size` rows that were pushed; before, random unit vectors take their places."""

    rows: Tensor
    pushed: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rows", F.normalize(torch.randn(size, dim), dim=-1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @property
    def is_full(self) -> bool:
        """Whether every row was pushed; on a GPU, the host waits for the device to know it."""
        return bool(self.pushed >= self.size)

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Put (b, dim) rows in the places of the oldest ones; b divides the size.

        `rows` becomes a new tensor, because the gradient of the loss needs the rows that the loss has seen.
        """
        places = (self.pushed + torch.arange(len(rows), device=rows.device)) % self.size
        self.rows = self.rows.index_copy(0, places, rows.to(self.rows.dtype))
        self.pushed.add_(len(rows))


def check_queue(size: int, batch_size: int, images: int) -> None:
    """Check the hyperparameter `queue_size` against the batch and the number of training images.

    Raises:
        ValueError: the size is no multiple of the batch, or the queue would hold as many keys as there are images.
    """
    if size % batch_size:
        raise ValueError(f"`queue_size` must be a multiple of the batch of {batch_size} images, but got {size}")
    if size >= images:
        few = f"less than the {images} training images, best at most a fifth of them"
        raise ValueError(f"`queue_size` must be {few}, but got {size}")
