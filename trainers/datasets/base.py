"""The contract of a data set: uint8 images that anyone may see, labels that only the probe opens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Images:
    """Both splits as uint8 arrays (n, h, w, c); what Ray's object store holds once per node."""

    train: NDArray[np.uint8]
    test: NDArray[np.uint8]


@dataclass(frozen=True)
class Options:
    """What a search-space file may say below `dataset:`, besides the name; each data set extends it."""


class Dataset(ABC):
    """One data set, opened with its options; images and labels are read when asked for."""

    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def images(self) -> Images:
        """Both splits, in a fixed order."""

    @abstractmethod
    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Class of every image of `split` ("train" or "test"), or None where there are none. For probe.py alone."""
