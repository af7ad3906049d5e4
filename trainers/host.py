"""A split whose images stay on the host: mapped from a pack, decoded where they are JPEGs, and read ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.originals import Originals
from trainers.packs.images import PackedImages

AHEAD_BYTES: Final = 2**28
"""Batches are read ahead while they take at most this much; one always is."""
AHEAD: Final = 4
"""Batches that are read ahead at most."""

Read = TypeVar("Read")
Batch = Tensor | Originals
"""uint8 images (b, h, w, c) on the device, or images of several sizes on the host."""


class OnHost:
    """A split that is too large for the device, or whose images have sizes of their own."""

    def __init__(self, images: NDArray[np.uint8] | PackedImages, device: torch.device) -> None:
        self._images = images
        self._device = device
        self._pool = pool_of(os.getpid(), torch.get_num_threads())

    @property
    def shape(self) -> tuple[int, int, int, int]:
        n, height, width, channels = self._images.shape
        return n, height, width, channels

    @property
    def fingerprint(self) -> str:
        if isinstance(self._images, PackedImages):
            return self._images.fingerprint
        from trainers.datasets.base import fingerprint

        return fingerprint(self._images)

    def __len__(self) -> int:
        return len(self._images)

    def take(self, indices: Tensor) -> Tensor:
        chosen = self._read(indices)
        return chosen.squares() if isinstance(chosen, Originals) else self._sent(chosen)

    def originals(self, indices: Tensor) -> Batch:
        return self._delivered(self._read(indices))

    def stream(self, order: Tensor, batch: int) -> Iterator[Batch]:
        chosen = order.cpu().split(batch)
        size = batch * self._image_bytes()
        depth = max(1, min(AHEAD, AHEAD_BYTES // max(1, size)))
        for one in ahead([lambda part=part: self._read(part) for part in chosen], depth):  # type: ignore[misc]
            yield self._delivered(one)

    def _image_bytes(self) -> int:
        """Of one image as it is read, on average."""
        images = self._images
        if not isinstance(images, PackedImages):
            return int(images[0].nbytes)
        places = images.index.places[images.split]
        return round(float(np.mean(places.height.astype(np.int64) * places.width)) * images.channels)

    def _read(self, indices: Tensor) -> Batch:
        """The images on the host; in pinned memory, if they are squares for a GPU."""
        positions = indices.cpu().numpy()
        images = self._images
        if isinstance(images, PackedImages) and not images.is_array:
            decoded = list(self._pool.map(lambda position: decoded_image(images, position), positions.tolist()))
            return Originals(decoded, images.size, self._device, self._pool)
        if isinstance(images, PackedImages):
            side = images.shape[1:]
            rows = np.stack([images.data(position).reshape(side) for position in positions.tolist()])
        else:
            rows = images[positions]
        squares = torch.from_numpy(rows)
        return squares.pin_memory() if self._device.type == "cuda" else squares

    def _sent(self, squares: Tensor) -> Tensor:
        return squares.to(self._device, non_blocking=True)

    def _delivered(self, chosen: Batch) -> Batch:
        return self._sent(chosen) if isinstance(chosen, Tensor) else chosen


def decoded_image(images: PackedImages, position: int) -> Tensor:
    """(h, w, c), uint8, at the resolution of the pack."""
    data = images.data(position)
    if images.index.plan.encoding == "raw":
        return torch.from_numpy(np.array(data).reshape(*images.sides(position), images.channels))
    from torchvision.io import ImageReadMode, decode_jpeg

    mode = ImageReadMode.GRAY if images.channels == 1 else ImageReadMode.RGB
    pixels: Tensor = decode_jpeg(torch.from_numpy(np.array(data)), mode=mode)
    return pixels.permute(1, 2, 0)


@lru_cache(maxsize=4)
def pool_of(process: int, threads: int) -> ThreadPoolExecutor:
    """The threads that decode and cut for this process, as many as a trial has cores."""
    return ThreadPoolExecutor(max(1, threads), thread_name_prefix="images")


def ahead(reads: list[Callable[[], Read]], depth: int) -> Iterator[Read]:
    """What each of `reads` returns, in their order, `depth` of them begun before they are asked for."""
    waiting: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as reader:
        try:
            for read in reads:
                waiting.append(reader.submit(read))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
