"""stl10: 113,000 photographs of 96 pixels (Coates, Ng and Lee, AISTATS 2011), of which 13,000 have labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, UNLABELLED, Dataset, DatasetOptions, Images, absolute, check_split
from trainers.datasets.fetch import fetch

FOLDER: Final = "stl10_binary"
SIDE: Final = 96
BYTES: Final = 3 * SIDE * SIDE
"""Of one image: three planes, each stored column by column."""
CHUNK: Final = 4096
"""Images that are turned at once."""


@dataclass(frozen=True)
class Stl10Options(DatasetOptions):
    """Where the files are, and what is trained on."""

    root: str = "data"
    """Folder that holds stl10_binary, the unpacked binary version of the data set, as torchvision unpacks it."""
    unlabelled: bool = True
    """Whether the 100,000 images without labels are trained on too; the oracles never read them."""
    download: bool = False
    """Whether torchvision downloads the data set into `root`, if it is not there."""


class Stl10(Dataset):
    """96×96×3; 105,000 to train, of which the first 5,000 have labels, and 8,000 to test."""

    Options = Stl10Options

    def __init__(self, options: Stl10Options) -> None:
        self.root = absolute(options.root)
        self.folder = self.root / FOLDER
        if options.download and not self.folder.is_dir():
            fetch(lambda: _download(self.root), "STL-10")
        further = ["unlabeled_X.bin"] if options.unlabelled else []
        self.files = {"train": [self.folder / name for name in ("train_X.bin", *further)]}
        self.files["test"] = [self.folder / "test_X.bin"]
        self.classes = {split: self.folder / f"{split}_y.bin" for split in SPLITS}
        for path in (*self.files["train"], *self.files["test"], *self.classes.values()):
            if not path.is_file():
                raise ValueError(
                    f"`dataset.root` must hold {FOLDER}/{path.name}, but {self.root} does not; unpack "
                    "stl10_binary.tar.gz (cs.stanford.edu/~acoates/stl10) there, set dataset.root=FOLDER, or set "
                    "dataset.download=true"
                )
        super().__init__(replace(options, root=str(self.root)))

    def images(self) -> Images:
        train, test = (_read(self.files[split]) for split in SPLITS)
        return Images(train=train, test=test)

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return sum(map(_count, self.files[split])), SIDE, SIDE, 3

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        found = np.full(self.shape(split)[0], UNLABELLED, dtype=np.int64)
        known = np.fromfile(self.classes[split], dtype=np.uint8).astype(np.int64) - 1  # the file counts from 1
        if len(known) != _count(self.files[split][0]):
            raise ValueError(
                f"{self.classes[split]} must have one label for each image, but has {len(known)} for "
                f"{_count(self.files[split][0])}; unpack it again"
            )
        found[: len(known)] = known
        return found


def _download(root: Path) -> object:
    from torchvision.datasets import STL10

    return STL10(str(root), split="train", download=True)


def _count(path: Path) -> int:
    """The images of a file.

    Raises:
        ValueError: it is cut short.
    """
    count, rest = divmod(path.stat().st_size, BYTES)
    if rest or not count:
        raise ValueError(f"{path} must hold images of {BYTES} bytes, but is cut short; unpack it again")
    return count


def _read(paths: list[Path]) -> NDArray[np.uint8]:
    """(n, 96, 96, 3), one file after the other; the files have planes of columns."""
    pixels = np.empty((sum(map(_count, paths)), SIDE, SIDE, 3), dtype=np.uint8)
    place = 0
    for path in paths:
        stored = np.memmap(path, dtype=np.uint8, mode="r").reshape(-1, 3, SIDE, SIDE)
        for start in range(0, len(stored), CHUNK):
            part = stored[start : start + CHUNK].transpose(0, 3, 2, 1)
            pixels[place : place + len(part)] = part
            place += len(part)
    return pixels
