"""packed: a pack that `sweeper pack --out` wrote, without the files that it was made of."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import Dataset, DatasetOptions, Images, absolute, check_split
from trainers.fields import AtLeast
from trainers.packs.images import packed_images
from trainers.packs.index import INDEX, check_index, read_labels, reread_index


@dataclass(frozen=True)
class PackedOptions(DatasetOptions):
    """Where the pack is."""

    root: str | None = None
    """Folder of the pack; it must be given."""
    size: Annotated[int, AtLeast(1)] | None = None
    """Side in pixels of what the network takes; null = that of the pack, if all its images are squares of one size."""


class Packed(Dataset):
    """The images of a pack, wherever it has been copied; every node of a cluster needs it at the same path."""

    Options = PackedOptions

    def __init__(self, options: PackedOptions) -> None:
        if not options.root:
            raise ValueError("`dataset.root` must be the folder of a pack; set dataset.root=FOLDER")
        root = absolute(options.root)
        self.index = reread_index(root)
        self._written = os.stat(root / INDEX).st_mtime_ns
        check_index(self.index)
        size = options.size or self.index.square
        if size is None:
            raise ValueError("`dataset.size` must be given, since the images of the pack are no squares of one size")
        self._splits = packed_images(self.index, size)
        super().__init__(replace(options, root=str(root), size=size))

    def is_current(self) -> bool:
        try:
            return os.stat(self.index.folder / INDEX).st_mtime_ns == self._written
        except OSError:
            return False

    @property
    def stays_on_disk(self) -> bool:
        return True

    def images(self) -> Images:
        return Images(self._splits["train"], self._splits["test"], self.index.notes, self.index.left_out)

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return self._splits[split].shape

    @property
    def packs(self) -> bool:
        """It is one already."""
        return False

    def labels(self, split: str) -> NDArray[np.int64] | None:
        check_split(split)
        found = read_labels(self.index.folder)
        return None if found is None else found[split]
