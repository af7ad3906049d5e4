"""Optimisers, schedules and their hyperparameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import nn

OptimizerName = Literal["adamw", "sgd", "lars"]
OPTIMIZERS: Final[tuple[str, ...]] = get_args(OptimizerName)


@dataclass(frozen=True)
class Optimizer:
    """The optimiser's hyperparameters; each can be swept. Biases, norms, position embeddings and tokens never decay."""

    optimizer: OptimizerName = "adamw"
    """adamw · sgd · lars"""
    lr: float = 1e-3
    """Peak learning rate as used: it is not scaled by the batch size."""
    weight_decay: float = 0.05
    """Weight decay of matrices and kernels."""
    final_weight_decay: float | None = None
    """Cosine from `weight_decay` to this over the run, as in DINO; null holds it."""
    momentum: float = 0.9
    """Momentum of sgd and lars."""
    warmup: float = 0.1
    """Share of the updates over which the learning rate rises linearly from 0."""
    final_lr: float = 0.0
    """Learning rate after the cosine, as a share of the peak."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient; null does not clip. (DINO's reference clips each parameter's by itself.)"""

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, but got {self.optimizer!r}")
        for name in ("lr", "weight_decay", "final_weight_decay"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"`{name}` must be at least 0, but got {value}")
        for name in ("momentum", "warmup", "final_lr"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], but got {getattr(self, name)}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"`clip_norm` must be above 0, but got {self.clip_norm}")


def build_optimizer(network: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """The optimiser over the parameters that require a gradient: those that decay in one group, the rest in another."""
    exempt = undecayed(network)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p not in exempt], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p in exempt], "weight_decay": 0.0},
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    from timm.optim.lars import Lars  # seconds to import: only where it is used

    groups[0]["always_adapt"] = True  # timm adapts decayed groups only; a sweep may set the decay to 0
    return Lars(groups, lr=settings.lr, momentum=settings.momentum, trust_coeff=1e-3)


def undecayed(network: nn.Module) -> set[nn.Parameter]:
    """The parameters that weight decay leaves alone: biases and norms, position embeddings, class and mask tokens.

    A module names its own in `no_weight_decay()`, as timm's models do.
    """
    exempt = {parameter for parameter in network.parameters() if parameter.ndim <= 1}
    for module in network.modules():
        if callable(named := getattr(module, "no_weight_decay", None)):
            exempt |= {parameter for name, parameter in module.named_parameters() if name in named()}
    return exempt


def learning_rate(settings: Optimizer, step: int, steps: int) -> float:
    """Learning rate of update `step` (from 0) of `steps`: linear warm-up, then a cosine to its final share.

    >>> settings = Optimizer(lr=1.0, warmup=0.2)
    >>> [round(learning_rate(settings, step, 10), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    warmup_steps = round(settings.warmup * steps)
    if step < warmup_steps:
        return settings.lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return cosine(settings.lr, settings.lr * settings.final_lr, progress)


def set_schedules(optimizer: torch.optim.Optimizer, settings: Optimizer, step: int, steps: int) -> None:
    """Set the learning rate and the weight decay of update `step` (from 0) of `steps`."""
    lr = learning_rate(settings, step, steps)
    decay = settings.weight_decay
    if settings.final_weight_decay is not None:
        decay = cosine(decay, settings.final_weight_decay, step / steps)
    decayed, undecayed = optimizer.param_groups
    decayed["lr"] = undecayed["lr"] = lr
    decayed["weight_decay"] = decay


def cosine(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at progress 1.

    >>> cosine(1.0, 0.0, 0.5)
    0.5
    """
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
