"""The images of a data set as the laboratory sees them: two splits that hand out images on the training device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.augment import normalize, to_float
from trainers.datasets.base import Images, Pixels, fingerprint
from trainers.host import Batch, OnHost
from trainers.packs.images import PackedImages

STATISTICS_BATCH: Final = 4096
"""Images whose pixels are counted at once, if they take at most STATISTICS_BYTES; the statistics depend on neither."""
STATISTICS_BYTES: Final = 2**26
DEVICE_SHARE: Final = 1 / 8
"""Both splits lie on a GPU if they take at most this share of its memory: with four trials on it, half."""


class Split(Protocol):
    """The images of one split. Nobody asks how they are stored."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, h, w, c)."""

    @property
    def fingerprint(self) -> str:
        """Digest of every pixel, in order."""

    def __len__(self) -> int:
        """n."""

    def take(self, indices: Tensor) -> Tensor:
        """uint8 images (b, h, w, c) on the device, for int64 indices (b,) on any device: whole, or middle squares."""

    def originals(self, indices: Tensor) -> Batch:
        """The same images to make views of: at their own resolution, where that is another one."""

    def stream(self, order: Tensor, batch: int) -> Iterator[Batch]:
        """`originals` of `order`, `batch` at a time; read ahead, where they are not on the device."""


class InMemory:
    """A split that lies on the training device as a whole."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        with warnings.catch_warnings():
            # Arrays in Ray's object store are read-only, and torch warns of writing to them; nothing here does.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
            self._images = torch.from_numpy(images).to(device)  # on the CPU it shares the caller's memory

    @property
    def shape(self) -> tuple[int, int, int, int]:
        n, height, width, channels = self._images.shape
        return n, height, width, channels

    @property
    def fingerprint(self) -> str:
        return fingerprint(self._images.cpu().numpy())

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: Tensor) -> Tensor:
        return self._images[indices.to(self._images.device)]

    def originals(self, indices: Tensor) -> Tensor:
        return self.take(indices)

    def stream(self, order: Tensor, batch: int) -> Iterator[Tensor]:
        return (self.take(chosen) for chosen in order.split(batch))


def place(images: Images, device: torch.device) -> tuple[Split, Split]:
    """Both splits where their pixels can be: on the device if they fit a share of it, else on the host.

    Images of sizes of their own, and JPEGs, stay on the host, where they are cut. In the memory of the host, packed
    images are mapped, so that all trials share them.
    """
    splits = [images.train, images.test]
    whole = all(not isinstance(one, PackedImages) or one.is_array for one in splits)
    room = device.type != "cuda" or fits(images, device_bytes(device))
    train, test = (_placed(one, device, whole=whole and room) for one in splits)
    return train, test


def _placed(images: Pixels, device: torch.device, *, whole: bool) -> Split:
    if not isinstance(images, PackedImages):
        return InMemory(images, device) if whole else OnHost(images, device)
    if not whole or device.type == "cpu":
        return OnHost(images, device)
    return InMemory(OnHost(images, torch.device("cpu")).take(torch.arange(len(images))).numpy(), device)


def fits(images: Images, memory: int) -> bool:
    """Whether both splits, as arrays, take at most a trial's share of so much memory of a device."""
    return sum(math.prod(one.shape) for one in (images.train, images.test)) <= DEVICE_SHARE * memory


def device_bytes(device: torch.device) -> int:
    """Memory of a GPU."""
    return int(torch.cuda.get_device_properties(device).total_memory)


class Data:
    """Both splits of a data set, and the statistics of the training split."""

    def __init__(self, images: Images, device: str) -> None:
        self.device = torch.device(device)
        self.train, self.test = place(images, self.device)
        _, height, width, _ = self.train.shape
        if height != width:
            raise ValueError(f"`images` must be square, but got {height}×{width}")
        if isinstance(images.train, PackedImages):
            self.mean, self.std = statistics(torch.tensor(images.train.index.levels, device=self.device))
        else:
            self.mean, self.std = pixel_statistics(self.train)

    @property
    def image_size(self) -> int:
        """Side of the (square) images in pixels."""
        return self.train.shape[1]

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.train.shape[3]

    def clean(self, images: Tensor) -> Tensor:
        """uint8 images (b, h, w, c) as the network reads them: (b, c, h, w), normalised, not augmented."""
        return self.normalize(to_float(images))

    def normalize(self, views: Tensor) -> Tensor:
        """Float views (b, c, h, w) in [0, 1] to zero mean and unit deviation per channel of the training images."""
        return normalize(views, self.mean, self.std)


def in_order(split: Split, batch: int) -> Iterator[Tensor]:
    """All images of a split in their order, at most `batch` at once."""
    for start in range(0, len(split), batch):
        yield split.take(torch.arange(start, min(start + batch, len(split))))


def pixel_statistics(split: Split) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (c,) per channel of pixels in [0, 1]; exact, from the counts of the 256 levels."""
    return statistics(count_levels(split))


def count_levels(split: Split) -> Tensor:
    """How many pixels have each of the 256 levels, per channel: (c, 256), int64 on the device.

    Raises:
        ValueError: there is no image.
    """
    counts: Tensor | None = None
    size = max(1, math.prod(split.shape[1:]))
    for images in in_order(split, max(1, min(STATISTICS_BATCH, STATISTICS_BYTES // size))):
        batch = torch.stack([channel.bincount(minlength=256) for channel in images.flatten(0, 2).unbind(1)])
        counts = batch if counts is None else counts + batch
    if counts is None:
        raise ValueError("`images` must hold at least one training image, but got none")
    return counts


def statistics(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (c,) of pixels in [0, 1], from the counts (c, 256) of their levels."""
    histogram = counts.double()
    pixels = int(counts[0].sum())
    levels = torch.arange(256, dtype=torch.float64, device=counts.device)
    mean = histogram @ levels / pixels
    variance = (histogram * (levels - mean[:, None]).square()).sum(1) / max(1, pixels - 1)
    return (mean / 255).float(), variance.sqrt().clamp_min(1e-3).div(255).float()
