"""fashion_mnist: 70,000 articles of clothing (Xiao et al., arXiv 1708.07747), read from the four files on disk."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import Dataset, DatasetOptions, Images, absolute, check_split
from trainers.datasets.fetch import fetch

DEBIAN_ROOT: Final = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""
TORCHVISION_ROOT: Final = Path("data/FashionMNIST/raw")
"""Where torchvision's FashionMNIST("data", download=True) puts them."""
FILES: Final = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class FashionMnistOptions(DatasetOptions):
    """Where the files are."""

    root: str | None = None
    """Folder of the four idx files, gzipped or not; null = that of Debian's package, else data/FashionMNIST/raw."""
    download: bool = False
    """Whether torchvision downloads the data set into `root` (null = data), if it is not there."""
    images: int | None = None
    """How many training images are used, the first of the file; null = all."""


class FashionMnist(Dataset):
    """28×28×1; the authors' 60,000 to train and 10,000 to test."""

    Options = FashionMnistOptions

    def __init__(self, options: FashionMnistOptions) -> None:
        asked = absolute(options.root or "data")
        inside = asked / "FashionMNIST" / "raw"
        roots = [asked, inside] if options.root else [DEBIAN_ROOT, TORCHVISION_ROOT]
        if options.download and not _complete(roots):
            fetch(lambda: _download(asked), "Fashion-MNIST")
        complete = _complete(roots)
        if not complete:
            raise ValueError(
                "`dataset.root` must hold the four idx files of Fashion-MNIST, but not all are in "
                f"{' or '.join(map(str, roots))}; `apt-get install dataset-fashion-mnist`, set dataset.root=FOLDER, or "
                "set dataset.download=true"
            )
        if options.images is not None and options.images < 1:
            raise ValueError(f"`dataset.images` must be at least 1, but is {options.images}")
        self.root = complete[0].resolve()
        self.used = options.images
        super().__init__(replace(options, root=str(self.root)))

    def images(self) -> Images:
        train, test = (self._read(split, "images", dimensions=3)[..., np.newaxis] for split in ("train", "test"))
        if self.used is not None and self.used > len(train):
            raise ValueError(f"`dataset.images` must be at most {len(train)}, but is {self.used}")
        return Images(train=train[: self.used], test=test)

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        labels = self._read(split, "labels", dimensions=1).astype(np.int64)
        return labels[: self.used] if split == "train" else labels

    def _read(self, split: str, kind: str, *, dimensions: int) -> NDArray[np.uint8]:
        path = _find(self.root, FILES[split, kind])
        if path is None:
            raise ValueError(f"`dataset.root` must hold {FILES[split, kind]}, but {self.root} no longer does")
        return read_idx(path, dimensions)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an idx file of unsigned bytes, gzipped or not: a magic number, the sizes, then the bytes.

    Raises:
        ValueError: the file is not an idx file with that many dimensions, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); get the file again") from None
    header = 4 * (1 + dimensions)
    if len(content) < header or content[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(f"{path} must be an idx file of bytes in {dimensions} dimensions, but is not; get it again")
    shape = tuple(np.frombuffer(content[4:header], dtype=">u4").tolist())
    if len(content) != header + math.prod(shape):
        raise ValueError(f"{path} must hold {math.prod(shape)} bytes, but has {len(content) - header}; get it again")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _complete(roots: Iterable[Path]) -> list[Path]:
    """The folders that hold all four files."""
    return [root for root in roots if all(_find(root, name) for name in FILES.values())]


def _download(root: Path) -> object:
    from torchvision.datasets import FashionMNIST

    return FashionMNIST(str(root), download=True)


def _find(root: Path, name: str) -> Path | None:
    """The file, as it is or gzipped."""
    return next((path for path in (root / name, root / f"{name}.gz") if path.is_file()), None)
