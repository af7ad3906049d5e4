"""A batch of images at their own resolution, from which views are cut on the host.

Packed images have sizes of their own, so that they are no tensor. A box is drawn for each; it is cut and resized as by
torchvision on a uint8 image, and what follows is batched on the device as for any other view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

import torch
from torch import Tensor
from torch.nn.functional import interpolate


class Originals:
    """b images (h, w, c), uint8, on the host; as a batch they look like squares of `size` on the device."""

    def __init__(self, images: Sequence[Tensor], size: int, device: torch.device, pool: Executor | None = None) -> None:
        self.images = images
        self.device = device
        self._size = size
        self._map: Callable[..., Iterable[Tensor]] = pool.map if pool is not None else map

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(b, size, size, c) of the squares that the network takes."""
        return len(self.images), self._size, self._size, self.images[0].shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def sides(self) -> tuple[Tensor, Tensor]:
        """Heights and widths (b,), float32 on the device."""
        both = torch.tensor([image.shape[:2] for image in self.images], dtype=torch.float32).to(self.device)
        return both[:, 0], both[:, 1]

    def cut(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Each image's box of top, left, height and width (b, 4), resized to float32 (b, c, *size) in [0, 1].

        The box is resized by antialiased bilinear interpolation, and rounded to 8 bits, as by torchvision's
        `RandomResizedCrop` on a uint8 image.
        """
        views = list(self._map(lambda image, box: resized(image, box, size, "bilinear"), self.images, boxes.tolist()))
        return torch.stack(views).to(self.device).to(torch.float32).div_(255)

    def squares(self) -> Tensor:
        """The middle square of each, resized to (b, size, size, c), uint8 on the device."""
        side = (self._size, self._size)
        views = self._map(lambda image: resized(image, middle(image), side, "bicubic"), self.images)
        return torch.stack(list(views)).permute(0, 2, 3, 1).contiguous().to(self.device)


def middle(image: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height and width of the middle square of an image (h, w, c).

    >>> middle(torch.zeros(4, 9, 3))
    (0, 2, 4, 4)
    """
    height, width = image.shape[:2]
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def resized(image: Tensor, box: Sequence[float], size: tuple[int, int], mode: str) -> Tensor:
    """A box of top, left, height and width of an image (h, w, c), uint8, resized to (c, *size), uint8."""
    top, left, height, width = map(int, box)
    part = image[top : top + height, left : left + width]
    if part.shape[:2] == size:
        return part.permute(2, 0, 1)
    return interpolate(part.permute(2, 0, 1)[None], size, mode=mode, antialias=True)[0]
