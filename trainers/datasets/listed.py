"""Data sets whose images are files of their own, each of a class or of none: what they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, UNLABELLED, Dataset, DatasetOptions, Images, check_split, scrambled
from trainers.decode import MAX_PIXELS, printable, read_squares
from trainers.packs.sources import SIDE, Sources
from trainers.walk import Listing, some

Files = list[tuple[str, str | None]]
"""The path and the class of every image; None for an image without a class."""


@dataclass(frozen=True)
class Listed:
    """The files of both splits."""

    root: Path
    """The folder that their paths are relative to."""
    files: Mapping[str, Files]
    """Split -> its images."""
    listings: tuple[Listing, ...] = ()
    """Where they were found."""


class ListedDataset(Dataset):
    """Colour images of `size` pixels from files, in an order that depends on their paths alone."""

    def __init__(self, options: DatasetOptions, listed: Listed, size: int) -> None:
        super().__init__(options)
        self.size, self._listed = size, listed
        self._files = {}
        for split in SPLITS:
            found = listed.files[split]
            if not found:
                raise ValueError(f"`dataset.root` must hold {split} images, but got none in {listed.root}")
            self._files[split] = [found[place] for place in scrambled(path for path, _ in found)]
        self._number = {name: place for place, name in enumerate(sorted(set(self._names("train"))))}
        unknown = tuple(sorted({*self._names("test")} - {*self._number}))
        if unknown:
            raise ValueError(
                f"`dataset.root` must have the test classes in its training images too, but {some(unknown)} have none "
                f"in {listed.root}"
            )

    def is_current(self) -> bool:
        return all(listing.is_current() for listing in self._listed.listings)

    def images(self) -> Images:
        paths = {split: [self._listed.root / path for path, _ in self._files[split]] for split in SPLITS}
        files = [*paths["train"], *paths["test"]]
        read = read_squares(files, self.size, 3, max_pixels=MAX_PIXELS)
        if read.failures:
            first = min(read.failures)
            raise ValueError(
                f"{printable(files[first])} cannot be read as an image ({read.failures[first]}); get it again"
            )
        count = len(paths["train"])
        return Images(read.pixels[:count], read.pixels[count:], (*self.notes, *read.notes))

    def sources(self, name: str) -> Sources:
        return Sources(
            {"name": name, "root": str(self._listed.root)},
            3,
            root=self._listed.root,
            files={split: tuple(PurePath(path) for path, _ in self._files[split]) for split in SPLITS},
            side=max(SIDE, self.size),
            max_pixels=MAX_PIXELS,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(note for listing in self._listed.listings for note in listing.notes)

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return len(self._files[split]), self.size, self.size, 3

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        return np.array(
            [UNLABELLED if name is None else self._number[name] for _, name in self._files[split]], dtype=np.int64
        )

    def _names(self, split: str) -> list[str]:
        return [name for _, name in self._files[split] if name is not None]
