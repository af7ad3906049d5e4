"""One split of a pack, as it is handed from process to process: a few words, and no pixel."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.packs.index import Index, read_index


@dataclass(frozen=True)
class PackedImages:
    """The images of one split of a pack, which a trial sees as squares of `size`."""

    folder: Path
    split: str
    size: int
    count: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, size, size, c), as of an array."""
        return self.count, self.size, self.size, self.channels

    @property
    def index(self) -> Index:
        """Where the images lie."""
        return read_index(self.folder)

    @property
    def fingerprint(self) -> str:
        """Digest of the packed bytes, the size, and the number of images; no pixel is read."""
        text = f"{self.index.digest} {self.split} {self.size} {self.count}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def is_array(self) -> bool:
        """Whether the pack holds the squares as they are trained on, so that nothing is decoded, resized or cut."""
        return self.index.plan.encoding == "raw" and self.index.square == self.size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> PackedImages:
        """The first images, as of an array."""
        start, stop, step = part.indices(self.count)
        if start != 0 or step != 1:
            raise IndexError(f"a part of a pack must be its first images, but got {part}")
        return replace(self, count=stop)

    def data(self, position: int) -> NDArray[np.uint8]:
        """The packed bytes of an image, mapped: they are read when they are looked at."""
        index = self.index
        places = index.places[self.split]
        shard = index.shards[places.shard[position]]
        low = int(places.offset[position])
        return mapped(index.folder / shard.name, shard.start, shard.digest)[low : low + int(places.length[position])]

    def sides(self, position: int) -> tuple[int, int]:
        """Height and width of an image as it is packed."""
        places = self.index.places[self.split]
        return int(places.height[position]), int(places.width[position])


def packed_images(index: Index, size: int) -> dict[str, PackedImages]:
    """Split -> its images, for training on squares of `size`."""
    return {
        split: PackedImages(index.folder, split, size, len(places), index.plan.channels)
        for split, places in index.places.items()
    }


@lru_cache(maxsize=4096)
def mapped(shard: Path, start: int, digest: str) -> NDArray[np.uint8]:
    """The pixels of a shard, mapped into memory: the kernel keeps one copy for all processes of a machine.

    A shard that was packed anew has another digest, and is mapped anew.
    """
    if os.stat(shard).st_size == start:
        return np.empty(0, dtype=np.uint8)  # every file of the shard was left out
    return np.memmap(shard, dtype=np.uint8, mode="r", offset=start)
