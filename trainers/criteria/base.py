"""The contract of a label-free criterion, and the arithmetic that spectral criteria share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from trainers.records import EMBEDDING

CHUNK_ROWS: Final = 8192
"""Rows per matrix product: enough to keep it efficient, few enough to keep copies in float64 small."""


@dataclass(frozen=True)
class EmbeddingSample:
    """What a criterion sees of one layer: the views of n images, kept together, and the clean images themselves."""

    views: Tensor
    """(n, q, d): the q views of image i are row i."""
    clean: Tensor
    """(n, d)"""


@dataclass(frozen=True)
class Criterion:
    """One label-free criterion as it is measured in a sweep.

    Arguments besides the function are written as literals: the judge reads them from the source, without torch.
    """

    name: str
    """Its column, and its key in the catalogue."""
    function: Callable[[EmbeddingSample], float]
    """Raises ValueError for a sample of the wrong shape; NaN where the value cannot be computed."""
    label: str
    """Its name in reports and figures."""
    reads_views: bool
    """Whether the value depends on how many views an image has."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """The constants that the value depends on, recorded with it."""
    layer: str = EMBEDDING
    """The layer that the plain column repeats, unless a method names another in its `layers`."""
    higher_is_better: bool = True
    """Whether a higher value predicts a better trial."""

    def __call__(self, sample: EmbeddingSample) -> float:
        return self.function(sample)

    def record(self, n: int, q: int) -> dict[str, float]:
        """The columns that say under which conditions the criterion was measured, on n images of q views each."""
        columns: dict[str, float] = {f"{self.name}_n": n}
        if self.reads_views:
            columns[f"{self.name}_q"] = q
        return columns | {f"{self.name}_{setting}": value for setting, value in self.settings.items()}


def effective_rank(spectrum: Tensor, size: int, epsilon: float) -> float:
    """exp of the entropy of p = spectrum / ‖spectrum‖₁ + epsilon; NaN where the spectrum is zero or not finite.

    Roy and Vetterli (EUSIPCO 2007), with the epsilon of RankMe's equation 2: added after the division, so that the p
    need not sum to 1. `size` counts the whole spectrum: values left out of `spectrum` are zero, and weigh epsilon each.

    >>> round(effective_rank(torch.tensor([2.0, 1.0, 1.0]), size=3, epsilon=0.0), 5)
    2.82843
    """
    spectrum = spectrum.to(torch.float64).clamp(min=0)
    p = spectrum / spectrum.sum() + epsilon
    left_out = torch.tensor(epsilon, dtype=torch.float64)
    entropy = -torch.xlogy(p, p).sum().item() - (size - len(spectrum)) * torch.xlogy(left_out, left_out).item()
    return torch.tensor(entropy, dtype=torch.float64).exp().item()


def gram(rows: Tensor) -> Tensor:
    """rowsᵀ·rows in the dtype of `rows`, (r, d) -> (d, d).

    On the CPU through NumPy, which recognises the product of a matrix with itself and does half the work; on a GPU
    `rows` must be float64, which neither TF32 nor autocast touches.
    """
    if rows.device.type == "cpu":
        array = rows.numpy()
        return torch.from_numpy(array.T @ array)
    return rows.T @ rows


def check_embeddings(embeddings: Tensor, **least: int) -> Tensor:
    """`embeddings`, cut off from autograd, where float64 exists; `least` names its dimensions and their smallest sizes.

    Raises:
        ValueError: not a floating-point tensor of these dimensions.
    """
    shape = ", ".join(least)
    if embeddings.ndim != len(least):
        raise ValueError(f"`embeddings` must have shape ({shape}), but got {tuple(embeddings.shape)}")
    if not embeddings.is_floating_point():
        raise ValueError(f"`embeddings` must be floating-point, but got {embeddings.dtype}")
    for (name, size), got in zip(least.items(), embeddings.shape, strict=True):
        if got < size:
            raise ValueError(f"`embeddings` of shape ({shape}) must have {name} >= {size}, but got {got}")
    embeddings = embeddings.detach()
    return embeddings if embeddings.device.type in ("cpu", "cuda") else embeddings.cpu()


def check_not_negative(**settings: float) -> None:
    """Raises: ValueError where a setting is negative or not a number."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"`{name}` must be at least 0, but got {value}")
