"""Augmentations as batched tensor operations with per-image randomness, on the device that trains.

All randomness comes from the caller's generator, which lies on the device of the images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from trainers import transforms
from trainers.originals import Originals

BLUR_SIGMA: Final = (0.1, 2.0)
"""Pixels, uniform (SimCLR, appendix A)."""
LOCAL_SHARE: Final = 3 / 7
"""Side of a local crop over the image's: 96 of 224 (SwAV, DINO)."""


@dataclass(frozen=True)
class Augmentation:
    """Hyperparameters of the two-view (and multi-crop) augmentation; each can be swept.

    Scales are shares of the image's area, strengths those of torchvision's ColorJitter, probabilities per view.
    `second_*` differ for the second view where not None (BYOL's asymmetry). Local crops are extra, smaller views.

    Raises:
        ValueError: a value outside its range.
    """

    crop_scale_min: float = 0.08
    """Smallest share of the area that a crop keeps, in (0, 1]."""
    crop_scale_max: float = 1.0
    """Largest share of the area that a crop keeps, in (0, 1]."""
    flip_probability: float = 0.5
    """Probability of a left-right flip."""
    jitter_probability: float = 0.8
    """Probability of the colour jitter, whose four parts come in random order."""
    brightness: float = 0.8
    """The factor is uniform in [max(0, 1 - strength), 1 + strength]."""
    contrast: float = 0.8
    """Range of the factor, as for `brightness`."""
    saturation: float = 0.8
    """Range of the factor, as for `brightness`; for images of three channels."""
    hue: float = 0.2
    """The shift is uniform in [-strength, strength], at most 0.5, in turns; for images of three channels."""
    grayscale_probability: float = 0.2
    """Probability of conversion to gray; for images of three channels."""
    blur_probability: float = 0.5
    """Probability of a Gaussian blur."""
    second_blur_probability: float | None = None
    """The same for the second view; null = as the first."""
    solarize_probability: float = 0.0
    """Probability of inverting the bright half of the pixels."""
    second_solarize_probability: float | None = None
    """The same for the second view; null = as the first."""
    local_crops: int = 0
    """Extra views of a small part of the image, as in SwAV and DINO."""
    local_size: int | None = None
    """Side of a local crop in pixels; null = 3/7 of the image's shorter side."""
    local_scale_min: float = 0.05
    """Smallest share of the area that a local crop keeps, in (0, 1]."""
    local_scale_max: float = 0.4
    """Largest share of the area that a local crop keeps, in (0, 1]."""
    local_blur_probability: float | None = None
    """Probability of blurring a local crop; null = as the first view."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith("_probability") and value is not None and not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], but got {value}")
        for low, high in (("crop_scale_min", "crop_scale_max"), ("local_scale_min", "local_scale_max")):
            if not 0 < getattr(self, low) <= getattr(self, high) <= 1:
                got = f"{getattr(self, low)} and {getattr(self, high)}"
                raise ValueError(f"`{low}` and `{high}` must be in (0, 1] and in that order, but got {got}")
        for name in ("brightness", "contrast", "saturation", "hue"):
            if not 0 <= getattr(self, name) <= (0.5 if name == "hue" else math.inf):
                bounds = "in [0, 0.5]" if name == "hue" else "at least 0"
                raise ValueError(f"`{name}` must be {bounds}, but got {getattr(self, name)}")
        if self.local_crops < 0:
            raise ValueError(f"`local_crops` must be at least 0, but got {self.local_crops}")
        if self.local_size is not None and self.local_size < 1:
            raise ValueError(f"`local_size` must be at least 1 pixel, but got {self.local_size}")


def make_views(
    images: Tensor | Originals, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """Two whole-size views of every image, then its local crops.

    Args:
        images: (b, h, w, c), uint8, on the generator's device; or images of sizes of their own.

    Returns:
        2 + `local_crops` tensors (b, c, h, w), float32 in [0, 1]; local crops are `local_size` wide and high.

    >>> images = torch.randint(256, (8, 28, 28, 1), dtype=torch.uint8)
    >>> views = make_views(images, Augmentation(local_crops=1), torch.Generator().manual_seed(0))
    >>> [tuple(view.shape) for view in views]
    [(8, 1, 28, 28), (8, 1, 28, 28), (8, 1, 12, 12)]
    """
    pixels = images if isinstance(images, Originals) else to_float(images)
    views = [_view(pixels, kind, generator) for kind in (augmentation, _second(augmentation))]
    height, width = images.shape[1:3]
    side = augmentation.local_size or local_side(min(height, width))
    local = _local(augmentation)
    views += [_view(pixels, local, generator, size=(side, side)) for _ in range(augmentation.local_crops)]
    return tuple(views)


def local_side(image_size: int, multiple: int = 1) -> int:
    """Side of a local crop where none is given: 3/7 of the image, as the nearest multiple of the encoder's patch.

    >>> local_side(224), local_side(28), local_side(28, multiple=7)
    (96, 12, 14)
    """
    return max(1, round(LOCAL_SHARE * image_size / multiple)) * multiple


def repeat_views(
    images: Tensor | Originals, augmentation: Augmentation, views: int, generator: torch.Generator
) -> tuple[Tensor, ...]:
    """`views` whole-size views of every image, drawn in turn as a first and as a second view.

    Args:
        images: (b, h, w, c), uint8, on the generator's device; or images of sizes of their own.

    Returns:
        `views` tensors (b, c, h, w), float32 in [0, 1].
    """
    pixels = images if isinstance(images, Originals) else to_float(images)
    kinds = (augmentation, _second(augmentation))
    return tuple(_view(pixels, kinds[view % 2], generator) for view in range(views))


def to_float(images: Tensor | Originals) -> Tensor:
    """(b, h, w, c) uint8 -> (b, c, h, w) float32 in [0, 1]; of images of sizes of their own, the middle squares."""
    if isinstance(images, Originals):
        images = images.squares()
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def normalize(images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """(…, c, h, w) minus each channel's mean, divided by its standard deviation.

    >>> normalize(torch.ones(1, 1, 1, 1), mean=[0.5], std=[0.25]).item()
    2.0
    """
    shift = torch.as_tensor(mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    scale = torch.as_tensor(std, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    return (images - shift) / scale


def _second(first: Augmentation) -> Augmentation:
    """The augmentation of the second view."""
    blur, solarize = first.second_blur_probability, first.second_solarize_probability
    return replace(
        first,
        blur_probability=first.blur_probability if blur is None else blur,
        solarize_probability=first.solarize_probability if solarize is None else solarize,
    )


def _local(first: Augmentation) -> Augmentation:
    """The augmentation of local crops."""
    blur = first.local_blur_probability
    return replace(
        first,
        crop_scale_min=first.local_scale_min,
        crop_scale_max=first.local_scale_max,
        blur_probability=first.blur_probability if blur is None else blur,
    )


def _view(
    pixels: Tensor | Originals,
    kind: Augmentation,
    generator: torch.Generator,
    *,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """One random view (b, c, *size) of float pixels (b, c, h, w), or of images of sizes of their own.

    `size` is by default that of the images, or of the squares that the network takes.
    """
    batch, scale = len(pixels), (kind.crop_scale_min, kind.crop_scale_max)
    if isinstance(pixels, Originals):
        boxes = transforms.random_boxes(batch, *pixels.sides(), scale, generator)
        flips = _chosen(batch, kind.flip_probability, generator)
        view = pixels.cut(boxes, size or pixels.shape[1:3])
        view = view.flip(-1).where(flips.view(-1, 1, 1, 1), view)
    else:
        height, width = pixels.shape[-2:]
        boxes = transforms.random_boxes(batch, height, width, scale, generator)
        flips = _chosen(batch, kind.flip_probability, generator)
        view = transforms.resized_crop(pixels, boxes, size or (height, width), flips)
    if kind.jitter_probability > 0:
        view = _jitter(view, kind, generator)
    if kind.grayscale_probability > 0 and view.shape[1] == 3:
        view = transforms.to_gray(view, _chosen(batch, kind.grayscale_probability, generator))
    if kind.blur_probability > 0:
        sigmas = _uniform(batch, *BLUR_SIGMA, generator)
        view = transforms.gaussian_blur(view, sigmas.where(_chosen(batch, kind.blur_probability, generator), 0.0))
    if kind.solarize_probability > 0:
        view = transforms.solarize(view, _chosen(batch, kind.solarize_probability, generator))
    return view


def _jitter(images: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """torchvision's ColorJitter on a share of the images, each with its own strengths and order of the parts.

    The whole batch takes one blending step at a time, each image with the part that comes next in its own order. Hue
    comes before one of these steps or after the last. The batch is divided evenly over these places, because a group
    of random size would make the host wait for the device.
    """
    batch, channels = images.shape[:2]
    strengths = [kind.brightness, kind.contrast] + [kind.saturation] * (channels == 3)
    hue = kind.hue * (channels == 3)
    chosen = _chosen(batch, kind.jitter_probability, generator)
    factors = torch.stack([_uniform(batch, max(0.0, 1 - s), 1 + s, generator) for s in strengths], dim=1)
    order = torch.rand(factors.shape, device=images.device, generator=generator).argsort(dim=1)
    factors = factors.gather(1, order).where(chosen.unsqueeze(1), 1.0)
    shifts = _uniform(batch, -hue, hue, generator).where(chosen, 0.0)
    dealt = torch.randperm(batch, device=images.device, generator=generator).tensor_split(len(strengths) + 1)
    for step, rows in enumerate(dealt):
        if hue > 0:
            images = images.index_copy(0, rows, transforms.shift_hue(images[rows], shifts[rows]))
        if step < len(strengths):
            images = transforms.blend(images, order[:, step], factors[:, step])
    return images


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(b,): one draw per sample."""
    return low + (high - low) * torch.rand(batch, device=generator.device, generator=generator)


def _chosen(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    """(b,), bool: one draw per sample."""
    return torch.rand(batch, device=generator.device, generator=generator) < probability
