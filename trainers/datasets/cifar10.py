"""cifar10: 60,000 small colour photographs (Krizhevsky 2009), read from torchvision's layout on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, Dataset, DatasetOptions, Images, absolute, check_split
from trainers.datasets.fetch import fetch

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10


@dataclass(frozen=True)
class CifarOptions(DatasetOptions):
    """Where the files are."""

    root: str = "data"
    """Folder that holds the unpacked Python version of the data set, as torchvision unpacks it."""
    download: bool = False
    """Whether torchvision downloads the data set into `root`, if it is not there."""


class Cifar10(Dataset):
    """32×32×3; the author's 50,000 to train and 10,000 to test."""

    Options = CifarOptions
    title: ClassVar[str] = "CIFAR-10"
    folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[str] = "cifar-10-python.tar.gz"

    def __init__(self, options: CifarOptions) -> None:
        self.root = absolute(options.root)
        if options.download and not (self.root / self.folder).is_dir():
            fetch(lambda: self.kind()(str(self.root), download=True), self.title)
        if not (self.root / self.folder).is_dir():
            raise ValueError(
                f"`dataset.root` must hold the folder {self.folder}, but {self.root} does not; unpack {self.archive} "
                "(www.cs.toronto.edu/~kriz/cifar.html) there, set dataset.root=FOLDER, or set dataset.download=true"
            )
        super().__init__(replace(options, root=str(self.root)))

    def images(self) -> Images:
        train, test = (np.ascontiguousarray(self._open(split).data) for split in SPLITS)
        return Images(train=train, test=test)

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        return np.array(self._open(split).targets, dtype=np.int64)

    @staticmethod
    def kind() -> type[CIFAR10]:
        """torchvision's reader, which compares every file with its known digest before it unpickles it."""
        from torchvision.datasets import CIFAR10

        kind: type[CIFAR10] = CIFAR10
        return kind

    def _open(self, split: str) -> CIFAR10:
        try:
            return self.kind()(str(self.root), train=split == "train", download=False)
        except RuntimeError:
            raise ValueError(
                f"`dataset.root` must hold {self.title} whole, but files in {self.root / self.folder} are missing or "
                f"damaged; unpack {self.archive} there again"
            ) from None
