"""Every random stream of the laboratory: one function each, so that no two of them are the same and none depends on
how much another has drawn.

`seed` is the trial's seed, except where the docstring says that it is the sweep's seed for the criteria sample.
"""

from __future__ import annotations

import hashlib
from typing import Final

import torch
from torch import Tensor

ORACLE_SEED: Final = 0
"""Seed of every probe: scores of two trials differ because of their features alone."""


def weights_seed(seed: int) -> int:
    """Seed of the initial weights of the networks."""
    return seed_of(seed, "weights")


def dropout_seed(seed: int, epoch: int) -> int:
    """Seed of torch's global generators during an epoch, for encoders that drop paths or units."""
    return seed_of(seed, "dropout", epoch)


def training_order(count: int, device: torch.device, seed: int, epoch: int) -> Tensor:
    """Order of the `count` training images in an epoch."""
    return shuffled(count, device, seed, "order", epoch)


def augmentation_generator(device: torch.device, seed: int, epoch: int) -> torch.Generator:
    """Draws of an epoch's views and masks."""
    return seeded(device, seed, epoch)


def criteria_order(count: int, device: torch.device, seed: int) -> Tensor:
    """Order of the `count` images of a split, of which the criteria take the first; from the criteria sample's seed."""
    return shuffled(count, device, seed, "images")


def criteria_generator(device: torch.device, seed: int, chunk: int) -> torch.Generator:
    """Draws of the views of one chunk of the criteria sample; from the criteria sample's seed."""
    return seeded(device, seed, "views", chunk)


def null_order(count: int, device: torch.device, seed: int) -> Tensor:
    """Order of the sample's images in which their views are shuffled; from the criteria sample's seed."""
    return shuffled(count, device, seed, "null")


def null_shifts(count: int, device: torch.device, seed: int) -> Tensor:
    """Order of the shifts 0 to count - 1, of which view j takes the j-th; from the criteria sample's seed."""
    return shuffled(count, device, seed, "null shifts")


def recalibration_order(count: int, device: torch.device, seed: int) -> Tensor:
    """Order of the training images over which BatchNorm is estimated again; from the criteria sample's seed."""
    return shuffled(count, device, seed, "recalibration")


def seed_of(*parts: object) -> int:
    """A 63-bit seed from the text of the parts: the same in every process and on every machine.

    >>> seed_of(0, "weights") == seed_of(0, "weights") != seed_of(0, 1)
    True
    """
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def shuffled(count: int, device: torch.device, *parts: object) -> Tensor:
    """A permutation (count,) that depends on the parts alone and not on the device."""
    return torch.randperm(count, generator=seeded(torch.device("cpu"), *parts)).to(device)


def seeded(device: torch.device, *parts: object) -> torch.Generator:
    """A generator on the device, seeded by the parts."""
    return torch.Generator(device).manual_seed(seed_of(*parts))
