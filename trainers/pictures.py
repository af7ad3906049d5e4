"""A picture of images of the criteria's sample, each beside some of its views as the network reads them."""

from __future__ import annotations

import io
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from trainers.augment import normalize, to_float
from trainers.measure import Sample

IMAGES: Final = 4
VIEWS: Final = 4
SIDE: Final = 80
"""The longest side of an image in the picture, in pixels, so that the file stays small."""
GAP: Final = 4
"""White pixels between images, and twice as many after the first column."""
HIDDEN: Final = 0.5
"""The grey of the patches that the network does not see."""


def samples_png(sample: Sample) -> bytes:
    """The first images of the sample as PNG, one per row: the image, then its first views, which every trial has."""
    views, kept = next(sample.views())
    views = views[:IMAGES, :VIEWS]
    count, shown = views.shape[:2]
    pixels = normalize(views.flatten(0, 1), -sample.data.mean / sample.data.std, 1 / sample.data.std)  # the inverse
    if kept is not None:
        pixels = grey_outside(pixels, kept[:IMAGES, :VIEWS].flatten(0, 1), sample.method.patch)
    clean = to_float(sample.images[:count])
    rows = torch.cat([clean[:, None], pixels.unflatten(0, (count, shown))], dim=1)
    side = min(SIDE, rows.shape[-1])
    small = interpolate(rows.flatten(0, 1), (side, side), mode="bilinear", antialias=True)
    return png(tiled(small.clamp(0, 1).unflatten(0, (count, 1 + shown)).cpu()))


def grey_outside(images: Tensor, kept: Tensor, patch: int) -> Tensor:
    """Images (b, c, h, w) with grey patches outside of `kept`, (b, kept patches) in row-major order.

    >>> grey_outside(torch.ones(1, 1, 2, 2), torch.tensor([[0, 3]]), 1)[0, 0].tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    side = images.shape[-1] // patch
    seen = torch.zeros(len(images), side * side, device=images.device).scatter(1, kept, 1.0)
    grid = seen.unflatten(1, (1, side, side)).repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    return torch.where(grid.bool(), images, HIDDEN)


def tiled(rows: Tensor) -> Tensor:
    """(n, m, c, side, side) in [0, 1] -> (height, width, 3), uint8: n rows of m images on white."""
    n, m, _, side, _ = rows.shape
    picture = torch.ones(n * (side + GAP) - GAP, m * (side + GAP), 3)
    for row in range(n):
        for column in range(m):
            top, left = row * (side + GAP), column * (side + GAP) + (GAP if column else 0)
            picture[top : top + side, left : left + side] = rows[row, column].permute(1, 2, 0)
    return picture.mul(255).round().byte()


def png(picture: Tensor) -> bytes:
    """(height, width, 3), uint8, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, "png", optimize=True)
    return buffer.getvalue()
