"""Image operations on whole batches, each image with its own parameters.

Every one equals torchvision's on a float image in [0, 1]. Crop and blur are pairs of batched matrix products, so that a
batch costs a few kernels and no loop, and nothing makes the host wait for the device.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

CROP_RATIO: Final = (3 / 4, 4 / 3)
"""Aspect ratios of a crop, log-uniform (Szegedy et al. 2015; torchvision's RandomResizedCrop)."""
CROP_ATTEMPTS: Final = 10
"""Boxes tried before the whole image is taken, as torchvision does."""
BLUR_SHARE: Final = 0.1
"""Width of the blur's kernel as a share of the image (SimCLR, appendix A); at least 3 pixels."""
SOLARIZE_THRESHOLD: Final = 128 / 255
"""BYOL, appendix B; PIL's default."""
GRAY_WEIGHTS: Final = (0.2989, 0.587, 0.114)
"""ITU-R 601 luma, with torchvision's digits."""
BRIGHTNESS, CONTRAST, SATURATION = range(3)
"""The parts of a colour jitter that draw an image towards or away from a base; hue is the fourth."""


def random_boxes(
    batch: int, height: int | Tensor, width: int | Tensor, scale: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Boxes (b, 4) of top, left, height and width, distributed as those of torchvision's RandomResizedCrop.

    Args:
        batch: b.
        height, width: of every image, or of each (b,), float32.
        scale: smallest and largest share of the area.
        generator: the source of all randomness; the boxes are on its device.
    """
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
    last_width, last_height = _largest(width, height, CROP_RATIO[1]), _largest(height, width, 1 / CROP_RATIO[0])
    box_width = widths.gather(0, first)[0].where(found, last_width)
    box_height = heights.gather(0, first)[0].where(found, last_height)
    top = (draws[-1, 0] * (height - box_height + 1)).floor().where(found, (height - last_height) // 2)
    left = (draws[-1, 1] * (width - box_width + 1)).floor().where(found, (width - last_width) // 2)
    return torch.stack((top, left, box_height, box_width), dim=1)


def _largest(side: int | Tensor, other: int | Tensor, ratio: float) -> float | Tensor:
    """The longest side of a box within an image whose other side is whole."""
    if isinstance(side, Tensor) and isinstance(other, Tensor):
        return torch.minimum(side, (other * ratio).round())
    return float(min(int(side), round(int(other) * ratio)))


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


def blend(images: Tensor, parts: Tensor, factors: Tensor) -> Tensor:
    """factor·image + (1 - factor)·base in [0, 1], each image with its own part (b,) and factor (b,); 1 changes nothing.

    The base is black for brightness, the mean gray for contrast, the pixel's own gray for saturation.
    """
    grays = gray(images)
    away = 1 - factors
    contrast = (away * grays.mean(dim=(1, 2, 3))).where(parts == CONTRAST, 0.0)
    saturation = away.where(parts == SATURATION, 0.0)
    base = torch.addcmul(per_image(contrast), grays, per_image(saturation))
    return torch.addcmul(base, images, per_image(factors)).clamp_(0, 1)


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


def to_gray(images: Tensor, chosen: Tensor) -> Tensor:
    """The chosen (b,) RGB images without colour."""
    return torch.where(per_image(chosen), gray(images), images)


def gray(images: Tensor) -> Tensor:
    """(b, 1, h, w): the luma of RGB images, the mean over channels of others."""
    if images.shape[1] != 3:
        return images if images.shape[1] == 1 else images.mean(dim=1, keepdim=True)
    red, green, blue = images.unbind(dim=1)
    luma = torch.add(GRAY_WEIGHTS[0] * red, green, alpha=GRAY_WEIGHTS[1]).add_(blue, alpha=GRAY_WEIGHTS[2])
    return luma.unsqueeze(1)


def as_read(images: Tensor, size: int, channels: int) -> Tensor:
    """Images of another data set as an encoder reads them: (b, c, h, w) -> (b, channels, size, size).

    The antialiased bilinear resize of torchvision; gray for one channel; a gray image is repeated for more.
    """
    if images.shape[1] != channels:
        images = gray(images).expand(-1, channels, -1, -1)
    if images.shape[2:] == (size, size):
        return images
    resized = nn.functional.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
    return resized.clamp(0, 1)


def solarize(images: Tensor, chosen: Tensor) -> Tensor:
    """The chosen (b,) images with their bright pixels inverted."""
    return torch.where((images >= SOLARIZE_THRESHOLD) & per_image(chosen), 1 - images, images)


def per_image(values: Tensor) -> Tensor:
    """(b,) -> (b, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)
