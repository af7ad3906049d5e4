"""Augmentations as batched tensor operations with per-sample randomness, on the device that trains.

Every operation equals torchvision's on a float image in [0, 1], with each sample's own parameters, all drawn from one
generator. Crop and blur are pairs of batched matrix products, so a batch costs a few dozen kernels and no loop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

CROP_RATIO: Final = (3 / 4, 4 / 3)
"""Aspect ratios of a crop, log-uniform (Szegedy et al. 2015; torchvision's RandomResizedCrop)."""
CROP_ATTEMPTS: Final = 10
"""Boxes tried before the whole image is taken, as torchvision does."""
BLUR_SIGMA: Final = (0.1, 2.0)
"""Pixels, uniform (SimCLR, appendix A)."""
BLUR_SHARE: Final = 0.1
"""Width of the blur's kernel as a share of the image (SimCLR, appendix A); at least 3 pixels."""
SOLARIZE_THRESHOLD: Final = 128 / 255
"""BYOL, appendix B; PIL's default."""
GRAY_WEIGHTS: Final = (0.2989, 0.587, 0.114)
"""ITU-R 601 luma, with torchvision's digits."""
LOCAL_SHARE: Final = 3 / 7
"""Side of a local crop over the image's: 96 of 224 (SwAV, DINO)."""


@dataclass(frozen=True)
class Augmentation:
    """The knobs of the two-view (and multi-crop) augmentation; each is a hyperparameter that can be swept.

    Scales are shares of the image's area, strengths those of torchvision's ColorJitter, probabilities per view.
    `second_*` differ for the second view where not None (BYOL's asymmetry). Local crops are extra, smaller views.

    Raises:
        ValueError: a knob outside its range.
    """

    crop_scale_min: float = 0.08
    """Smallest share of the area that a crop keeps, in (0, 1]."""
    crop_scale_max: float = 1.0
    """Largest share of the area that a crop keeps, in (0, 1]."""
    flip_probability: float = 0.5
    """Of a left-right flip."""
    jitter_probability: float = 0.8
    """Of the colour jitter, whose four parts come in random order."""
    brightness: float = 0.8
    """The factor is uniform in [max(0, 1 - strength), 1 + strength]."""
    contrast: float = 0.8
    """As brightness."""
    saturation: float = 0.8
    """As brightness; for images of three channels."""
    hue: float = 0.2
    """The shift is uniform in [-strength, strength], at most 0.5, in turns; for images of three channels."""
    grayscale_probability: float = 0.2
    """Of losing all colour; for images of three channels."""
    blur_probability: float = 0.5
    """Of a Gaussian blur."""
    second_blur_probability: float | None = None
    """The same for the second view; null = as the first."""
    solarize_probability: float = 0.0
    """Of inverting the bright half of the pixels."""
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
    """Of blurring a local crop; null = as the first view."""

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


def make_views(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Two whole-size views of every image, then its local crops.

    Args:
        images: (b, h, w, c), uint8, on the generator's device.

    Returns:
        2 + `local_crops` tensors (b, c, h, w), float32 in [0, 1]; local crops are `local_size` wide and high.

    >>> images = torch.randint(256, (8, 28, 28, 1), dtype=torch.uint8)
    >>> views = make_views(images, Augmentation(local_crops=1), torch.Generator().manual_seed(0))
    >>> [tuple(view.shape) for view in views]
    [(8, 1, 28, 28), (8, 1, 28, 28), (8, 1, 12, 12)]
    """
    pixels = to_float(images)
    views = [_view(pixels, kind, generator) for kind in (augmentation, _second(augmentation))]
    height, width = pixels.shape[-2:]
    side = augmentation.local_size or round(LOCAL_SHARE * min(height, width))
    local = _local(augmentation)
    views += [_view(pixels, local, generator, size=(side, side)) for _ in range(augmentation.local_crops)]
    return tuple(views)


def repeat_views(images: Tensor, augmentation: Augmentation, views: int, generator: torch.Generator) -> Tensor:
    """`views` whole-size views of every image, first-view and second-view draws by turns, kept together.

    Args:
        images: (b, h, w, c), uint8, on the generator's device.

    Returns:
        (b, views, c, h, w), float32 in [0, 1].
    """
    pixels = to_float(images)
    kinds = (augmentation, _second(augmentation))
    return torch.stack([_view(pixels, kinds[view % 2], generator) for view in range(views)], dim=1)


def to_float(images: Tensor) -> Tensor:
    """(b, h, w, c) uint8 -> (b, c, h, w) float32 in [0, 1]."""
    return images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def normalize(images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """(…, c, h, w) with each channel's mean taken off and its standard deviation divided out.

    >>> normalize(torch.ones(1, 1, 1, 1), mean=[0.5], std=[0.25]).item()
    2.0
    """
    shift = torch.as_tensor(mean, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    scale = torch.as_tensor(std, dtype=images.dtype, device=images.device).view(-1, 1, 1)
    return (images - shift) / scale


def _second(first: Augmentation) -> Augmentation:
    """The second view's kind."""
    blur, solarize = first.second_blur_probability, first.second_solarize_probability
    return replace(
        first,
        blur_probability=first.blur_probability if blur is None else blur,
        solarize_probability=first.solarize_probability if solarize is None else solarize,
    )


def _local(first: Augmentation) -> Augmentation:
    """The local crops' kind."""
    blur = first.local_blur_probability
    return replace(
        first,
        crop_scale_min=first.local_scale_min,
        crop_scale_max=first.local_scale_max,
        blur_probability=first.blur_probability if blur is None else blur,
    )


def _view(
    pixels: Tensor, kind: Augmentation, generator: torch.Generator, *, size: tuple[int, int] | None = None
) -> Tensor:
    """One random view (b, c, *size) of float pixels (b, c, h, w); `size` is the image's own by default."""
    batch, _, height, width = pixels.shape
    boxes = random_boxes(batch, height, width, (kind.crop_scale_min, kind.crop_scale_max), generator)
    flips = _chosen(batch, kind.flip_probability, generator)
    view = resized_crop(pixels, boxes, size or (height, width), flips)
    if kind.jitter_probability > 0:
        view = _jitter(view, kind, generator)
    if kind.grayscale_probability > 0 and view.shape[1] == 3:
        view = _grayscale(view, _chosen(batch, kind.grayscale_probability, generator))
    if kind.blur_probability > 0:
        sigmas = _uniform(batch, *BLUR_SIGMA, generator)
        view = gaussian_blur(view, sigmas.where(_chosen(batch, kind.blur_probability, generator), 0.0))
    if kind.solarize_probability > 0:
        inverted = (view >= SOLARIZE_THRESHOLD) & _per_sample(_chosen(batch, kind.solarize_probability, generator))
        view = torch.where(inverted, 1 - view, view)
    return view


def random_boxes(batch: int, height: int, width: int, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Boxes (b, 4) of top, left, height and width, distributed as those of torchvision's RandomResizedCrop."""
    device = generator.device
    draws = torch.rand(CROP_ATTEMPTS + 1, 2, batch, device=device, generator=generator)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[:-1, 0])
    low, high = (math.log(ratio) for ratio in CROP_RATIO)
    ratio = torch.exp(low + (high - low) * draws[:-1, 1])
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.to(torch.uint8).argmax(dim=0, keepdim=True)
    found = fits.any(dim=0)
    # where no attempt fits: the largest centred box of an allowed ratio
    fallback_width = min(width, round(height * CROP_RATIO[1]))
    fallback_height = min(height, round(width / CROP_RATIO[0]))
    box_width = widths.gather(0, first)[0].where(found, float(fallback_width))
    box_height = heights.gather(0, first)[0].where(found, float(fallback_height))
    top = (draws[-1, 0] * (height - box_height + 1)).floor().where(found, float((height - fallback_height) // 2))
    left = (draws[-1, 1] * (width - box_width + 1)).floor().where(found, float((width - fallback_width) // 2))
    return torch.stack((top, left, box_height, box_width), dim=1)


def resized_crop(images: Tensor, boxes: Tensor, size: tuple[int, int], flips: Tensor | None = None) -> Tensor:
    """Each image's box, resized to `size` as by torchvision's antialiased bilinear `resized_crop`, then flipped.

    Args:
        images: (b, c, h, w), float.
        boxes: (b, 4), top, left, height and width in whole pixels, inside the image.
        flips: (b,), bool: which are mirrored left to right.
    """
    batch, channels, height, width = images.shape
    top, left, box_height, box_width = boxes.to(images.dtype).unbind(dim=1)
    rows = _resize_weights(top, box_height, height, size[0])
    columns = _resize_weights(left, box_width, width, size[1])
    if flips is not None:
        columns = columns.flip(1).where(flips.view(-1, 1, 1), columns)
    wide = torch.bmm(images.reshape(batch, channels * height, width), columns.transpose(1, 2))
    return torch.matmul(rows.unsqueeze(1), wide.view(batch, channels, height, size[1]))


def _resize_weights(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """(b, size, pixels): how much each pixel of [start, start + length) counts in each of `size` pixels; rows sum to 1.

    A triangle as wide as an output pixel, and at least two input pixels, cut at the box's edges.
    """
    scale = (length / size).view(-1, 1, 1)
    outputs = torch.arange(size, dtype=start.dtype, device=start.device).view(1, -1, 1)
    inputs = torch.arange(pixels, dtype=start.dtype, device=start.device).view(1, 1, -1) - start.view(-1, 1, 1)
    distance = (inputs + 0.5 - (outputs + 0.5) * scale).abs()
    weights = (1 - distance / scale.clamp(min=1)).clamp_(min=0)
    weights = weights * ((inputs >= 0) & (inputs < length.view(-1, 1, 1)))
    return weights / weights.sum(dim=2, keepdim=True)


def gaussian_blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Each image blurred by its own sigma in pixels (0 leaves it as it is), edges reflected, as torchvision does.

    Args:
        images: (b, c, h, w), float.
        sigmas: (b,).
    """
    batch, channels, height, width = images.shape
    radius = max(1, int(BLUR_SHARE * min(height, width) / 2))
    columns = _blur_weights(sigmas, width, radius)
    rows = columns if height == width else _blur_weights(sigmas, height, radius)
    wide = torch.bmm(images.reshape(batch, channels * height, width), columns.transpose(1, 2))
    return torch.matmul(rows.unsqueeze(1), wide.view(batch, channels, height, width))


def _blur_weights(sigmas: Tensor, pixels: int, radius: int) -> Tensor:
    """(b, pixels, pixels): the Gaussian of 2·radius + 1 taps as a matrix, reflected at both ends; rows sum to 1."""
    radius = min(radius, pixels - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigmas.device)
    taps = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3).unsqueeze(1)) ** 2)
    taps = taps / taps.sum(dim=1, keepdim=True)
    outputs = torch.arange(pixels, device=sigmas.device)
    sources = (outputs.unsqueeze(1) + offsets).abs()
    sources = (pixels - 1) - ((pixels - 1) - sources).abs()
    reads = (sources.unsqueeze(2) == outputs).to(taps.dtype)
    return torch.einsum("bt,otp->bop", taps, reads)


def _jitter(images: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """torchvision's ColorJitter on a share of the images, each with its own strengths and order of the parts.

    Brightness, contrast and saturation all draw an image towards or away from some base (black, its mean gray, its
    own gray), so the whole batch takes one such step at a time, each image with the base whose turn it is. Hue comes
    before one of these steps or after the last: the batch is dealt evenly over the places, since a group of random
    size would make the host wait for the device.
    """
    batch, channels = images.shape[:2]
    colour = channels == 3
    chosen = _chosen(batch, kind.jitter_probability, generator)
    strengths = [kind.brightness, kind.contrast, kind.saturation if colour else 0.0]
    parts = [part for part in range(3) if strengths[part] > 0]
    factors = [_uniform(batch, max(0.0, 1 - strengths[part]), 1 + strengths[part], generator) for part in parts]
    order = torch.rand(batch, len(parts), device=images.device, generator=generator).argsort(dim=1)
    hue = kind.hue if colour else 0.0
    shifts = _uniform(batch, -hue, hue, generator).where(chosen, 0.0)
    dealt = torch.randperm(batch, device=images.device, generator=generator).tensor_split(len(parts) + 1)
    for step in range(len(parts) + 1):
        if hue > 0:
            rows = dealt[step]
            images = images.index_copy(0, rows, shift_hue(images[rows], shifts[rows]))
        if step < len(parts):
            turn = order[:, step : step + 1]
            factor = torch.stack(factors, dim=1).gather(1, turn)[:, 0].where(chosen, 1.0)
            part = torch.tensor(parts, device=images.device)[turn[:, 0]]
            images = _blend(images, part, factor)
    return images


def _blend(images: Tensor, part: Tensor, factor: Tensor) -> Tensor:
    """factor·image + (1 - factor)·base, in [0, 1]; the base of part 0 is black, of 1 the mean gray, of 2 the gray."""
    gray = _gray(images)
    mean = gray.mean(dim=(1, 2, 3))
    away = 1 - factor
    base = torch.addcmul(
        _per_sample((away * mean).where(part == 1, 0.0)), gray, _per_sample(away.where(part == 2, 0.0))
    )
    return torch.addcmul(base, images, _per_sample(factor)).clamp_(0, 1)


def shift_hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Each RGB image (b, 3, h, w) with its hue turned by its own share of a full turn; value and saturation stay.

    Smith's hexcone (SIGGRAPH 1978), where hue runs over six edges and each channel is a trapezium of it.
    """
    red, green, blue = images.unbind(dim=1)
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low
    divisor = chroma.where(chroma > 0, 1.0)
    edge = torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    edge = torch.where(high == red, (green - blue) / divisor, edge)
    edge = (edge + 6 * shifts.view(-1, 1, 1)).remainder_(6)
    turned = torch.stack(
        (
            (edge - 3).abs_().sub_(1).clamp_(0, 1),
            (edge - 2).abs_().neg_().add_(2).clamp_(0, 1),
            (edge - 4).abs_().neg_().add_(2).clamp_(0, 1),
        ),
        dim=1,
    )
    return torch.addcmul(low.unsqueeze(1), turned, chroma.unsqueeze(1))


def _grayscale(images: Tensor, chosen: Tensor) -> Tensor:
    """The chosen RGB images without colour."""
    return torch.where(_per_sample(chosen), _gray(images), images)


def _gray(images: Tensor) -> Tensor:
    """(b, 1, h, w): the luma of RGB images, the mean over channels of others."""
    if images.shape[1] != 3:
        return images if images.shape[1] == 1 else images.mean(dim=1, keepdim=True)
    red, green, blue = images.unbind(dim=1)
    luma = torch.add(GRAY_WEIGHTS[0] * red, green, alpha=GRAY_WEIGHTS[1]).add_(blue, alpha=GRAY_WEIGHTS[2])
    return luma.unsqueeze(1)


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(b,): one draw per sample."""
    return low + (high - low) * torch.rand(batch, device=generator.device, generator=generator)


def _chosen(batch: int, probability: float, generator: torch.Generator) -> Tensor:
    """(b,), bool: one draw per sample."""
    return torch.rand(batch, device=generator.device, generator=generator) < probability


def _per_sample(values: Tensor) -> Tensor:
    """(b,) -> (b, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)
