"""The images of a data set on the training device."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.augment import normalize, to_float
from trainers.datasets.base import Images


class Data:
    """The images of a data set as uint8 tensors (n, h, w, c) on the training device, and their statistics."""

    def __init__(self, images: Images, device: str) -> None:
        self.device = torch.device(device)
        self.train = to_tensor(images.train, self.device)
        self.test = to_tensor(images.test, self.device)
        _, height, width, channels = self.train.shape
        if height != width:
            raise ValueError(f"`images` must be square, but got {height}×{width}")
        flat = self.train.flatten(0, 2)
        levels = torch.arange(256, dtype=torch.float64, device=self.device)
        histogram = torch.stack([flat[:, c].bincount(minlength=256) for c in range(channels)]).double()
        mean = histogram @ levels / len(flat)
        variance = (histogram * (levels - mean[:, None]).square()).sum(1) / max(1, len(flat) - 1)
        self.mean = (mean / 255).float()
        self.std = variance.sqrt().clamp_min(1e-3).div(255).float()

    @property
    def image_size(self) -> int:
        """Side of the (square) images in pixels."""
        return int(self.train.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.shape[3])

    def clean(self, images: Tensor) -> Tensor:
        """uint8 images (b, h, w, c) as the network reads them: (b, c, h, w), normalised, not augmented."""
        return self.normalize(to_float(images))

    def normalize(self, views: Tensor) -> Tensor:
        """Float views (b, c, h, w) in [0, 1] to zero mean and unit deviation per channel of the training images."""
        return normalize(views, self.mean, self.std)


def to_tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (n, h, w, c) as a tensor on the device; on the CPU it shares the caller's memory, which is only read."""
    with warnings.catch_warnings():
        # Arrays in Ray's object store are read-only, and torch warns of writing to them; nothing here does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(images).to(device)
