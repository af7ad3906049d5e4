"""Optimisers, schedules and their hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Optimizer:
    """The optimiser's hyperparameters; each can be swept.

    `lr` is the peak learning rate as used, not scaled by the batch size. `warmup` and `final_lr` are shares:
    of all updates, and of the peak.
    """

    optimizer: str = "adamw"
    """adamw · sgd · lars"""
    lr: float = 1e-3
    weight_decay: float = 0.05
    final_weight_decay: float | None = None
    """Cosine from `weight_decay` to this over the run, as in DINO; None holds it."""
    momentum: float = 0.9
    """Of sgd and lars; adamw's betas are torch's."""
    warmup: float = 0.1
    final_lr: float = 0.0
    clip_norm: float | None = None
