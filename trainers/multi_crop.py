"""Two whole-size views and local crops of every image, and the loss between them: what DINO and SwAV share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from trainers.methods.base import Batch


def whole_views(batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The two whole-size views as one batch, and the patches kept of them."""
    first, second = batch.kept[:2]
    return torch.cat(batch.views[:2]), None if first is None or second is None else torch.cat((first, second))


def local_views(batch: Batch) -> tuple[Tensor] | None:
    """The local crops as one batch."""
    return (torch.cat(batch.views[2:]),) if len(batch.views) > 2 else None


def distillation_loss(students: Sequence[Tensor], targets: Sequence[Tensor], temperature: float) -> Tensor:
    """Mean over pairs of a target view and another student view of −Σ t ln softmax(s / temperature).

    students: views of (b, prototypes) logits; targets: the first views' (b, prototypes) distributions.
    Source: Caron et al. 2021, equation 3, averaged over pairs as in the reference code.
    """
    log_probabilities = [(logits / temperature).log_softmax(-1) for logits in students]
    terms = [
        -(target * log_probability).sum(-1).mean()
        for t, target in enumerate(targets)
        for s, log_probability in enumerate(log_probabilities)
        if s != t
    ]
    return torch.stack(terms).mean()
