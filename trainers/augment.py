"""Augmentations as batched tensor operations with per-sample randomness, on the device that trains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """The knobs of the two-view (and multi-crop) augmentation; each is a hyperparameter that can be swept.

    Scales are shares of the image's area, strengths those of torchvision's ColorJitter, probabilities per view.
    `second_*` differ for the second view where not None (BYOL's asymmetry). Local crops are extra, smaller views.
    """

    crop_scale_min: float = 0.08
    crop_scale_max: float = 1.0
    flip_probability: float = 0.5
    jitter_probability: float = 0.8
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    grayscale_probability: float = 0.2
    blur_probability: float = 0.5
    second_blur_probability: float | None = None
    solarize_probability: float = 0.0
    second_solarize_probability: float | None = None
    local_crops: int = 0
    local_size: int | None = None
    local_scale_min: float = 0.05
    local_scale_max: float = 0.4
