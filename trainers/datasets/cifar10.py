"""cifar10: 60,000 small colour photographs (Krizhevsky 2009), read from torchvision's layout on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, Dataset, DatasetOptions, Images, absolute, check_split

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

FOLDER: Final = "cifar-10-batches-py"


@dataclass(frozen=True)
class Cifar10Options(DatasetOptions):
    """Where the files are."""

    root: str = "data"
    """Folder that holds cifar-10-batches-py, the unpacked Python version of the data set."""


class Cifar10(Dataset):
    """32×32×3; the author's 50,000 to train and 10,000 to test. Nothing is ever downloaded."""

    Options = Cifar10Options

    def __init__(self, options: Cifar10Options) -> None:
        self.root = absolute(options.root)
        if not (self.root / FOLDER).is_dir():
            raise ValueError(
                f"`dataset.root` must hold the folder {FOLDER}, but {self.root} does not; unpack "
                "cifar-10-python.tar.gz (www.cs.toronto.edu/~kriz/cifar.html) there, or set dataset.root=FOLDER"
            )
        super().__init__(replace(options, root=str(self.root)))

    def images(self) -> Images:
        train, test = (np.ascontiguousarray(self._open(split).data) for split in SPLITS)
        return Images(train=train, test=test)

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        return np.array(self._open(split).targets, dtype=np.int64)

    def _open(self, split: str) -> CIFAR10:
        """torchvision's reader, which compares every file with its known digest before it unpickles it."""
        from torchvision.datasets import CIFAR10

        try:
            return CIFAR10(str(self.root), train=split == "train", download=False)
        except RuntimeError:
            raise ValueError(
                f"`dataset.root` must hold CIFAR-10 whole, but files in {self.root / FOLDER} are missing or damaged; "
                "unpack cifar-10-python.tar.gz there again"
            ) from None
