"""toy_stripes: horizontal and vertical stripes in noise, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import Dataset, DatasetOptions, Images, check_split


@dataclass(frozen=True)
class ToyStripesOptions(DatasetOptions):
    """How many images there are."""

    count: int = 64
    """Training images; there are a third as many to test."""


class ToyStripes(Dataset):
    """12×12×1: even images have bright rows, odd ones bright columns."""

    Options = ToyStripesOptions

    def __init__(self, options: DatasetOptions) -> None:
        super().__init__(options)
        assert isinstance(options, ToyStripesOptions)
        if options.count < 6:
            raise ValueError(f"`dataset.count` must be at least 6, but got {options.count}")
        self.counts = {"train": options.count, "test": options.count // 3}

    def images(self) -> Images:
        return Images(train=self._draw("train"), test=self._draw("test"))

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        return np.arange(self.counts[split], dtype=np.int64) % 2

    def _draw(self, split: str) -> NDArray[np.uint8]:
        generator = np.random.default_rng([0, split == "test"])
        images = generator.integers(0, 120, (self.counts[split], 12, 12, 1))
        for index, image in enumerate(images):
            start = generator.integers(0, 9)
            image[(slice(None),) * (index % 2) + (slice(start, start + 3),)] += 120
        return images.astype(np.uint8)
