"""The work of a trial in forward passes of whole-size images: a sample of the criteria that takes a share of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from trainers.records import is_measured

SHARE: Final = 0.1
"""Of the criteria's work in that of training."""
STEP: Final = 3
"""Passes that a view of a training step counts as: one forward, and about two backward."""
VIEWS: Final = (10, 50)
"""Fewest and most views of an image: those of LiDAR's paper for joint embedding and for masks (arXiv 2312.04000)."""
IMAGES: Final = 1000
"""Most images, and the number that is enough for an embedding of any width: those of the same paper."""
PER_DIMENSION: Final = 2
"""Images for each dimension of the embedding: LiDAR is at most one less than the images."""


@dataclass(frozen=True)
class Work:
    """What the passes of a trial depend on."""

    images: int
    """To train on."""
    batch_size: int
    epochs: int
    every: int
    """Every how many epochs the criteria are measured."""
    views: float = 2.0
    """Of an image in a training step; a local crop counts by its area."""

    @property
    def training(self) -> float:
        """Passes of the training."""
        return STEP * self.views * self.batch_size * (self.images // self.batch_size) * self.epochs

    @property
    def measurements(self) -> int:
        """Epochs after which the criteria are measured."""
        return sum(is_measured(epoch, self.every, self.epochs) for epoch in range(1, self.epochs + 1))

    def share(self, images: int, views: int) -> float:
        """The criteria's passes over those of training; the clean images pass after every epoch.

        >>> round(Work(images=4000, batch_size=100, epochs=10, every=1).share(images=218, views=10), 3)
        0.1
        """
        return images * (self.measurements * views + self.epochs) / self.training


def sample_size(work: Work, there: int, width: int | None) -> tuple[int, int]:
    """The images and views of a sample that takes about SHARE of the training, out of `there` images.

    First the images grow, then the views. `width` is that of the layer that LiDAR reads, None if it is not known: at
    least twice as many images are taken as it has dimensions, if there are as many, even if that is more work.

    >>> sample_size(Work(images=4000, batch_size=100, epochs=10, every=1), there=4000, width=64)
    (218, 10)
    >>> sample_size(Work(images=4000, batch_size=100, epochs=10, every=1), there=4000, width=256)
    (512, 10)
    >>> sample_size(Work(images=40_000, batch_size=100, epochs=10, every=1), there=40_000, width=256)
    (1000, 23)
    """
    fewest, most = VIEWS
    budget, measured = SHARE * work.training, work.measurements
    images = int(budget / (measured * fewest + work.epochs))
    if images > IMAGES:
        views = int((budget / IMAGES - work.epochs) / measured)
        return min(IMAGES, there), min(max(views, fewest), most)
    least = IMAGES if width is None else min(IMAGES, PER_DIMENSION * width)
    return min(there, max(images, least, 2)), fewest


def fitting_batch(images: int) -> int:
    """The largest power of two up to 128, the batch of the examples, with which an epoch has two updates.

    >>> [fitting_batch(images) for images in (2, 20, 100, 256, 5000)]
    [2, 8, 32, 128, 128]
    """
    return int(min(128, 2 ** max(1, (images // 2).bit_length() - 1)))
