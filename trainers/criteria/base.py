"""The contract of a label-free criterion, and functions that spectral criteria share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import torch
from torch import Tensor

from trainers.device import now
from trainers.records import EMBEDDING, LAYERS, REPRESENTATION, criterion_columns, null_columns

T = TypeVar("T")

OF_MASKED: Final = {"ijepa": REPRESENTATION, "data2vec": REPRESENTATION}
"""`layer_by_method` of most criteria: methods that predict hidden patches have no projector."""

CHUNK_ROWS: Final = 8192
"""Rows per matrix product: large enough to be efficient, small enough that float64 copies need little memory."""


@dataclass(frozen=True)
class Features:
    """The features of one layer that a criterion reads: of the views of n images, and of the clean images."""

    views: Tensor
    """(n, q, d): row i holds the q views of image i."""
    clean: Tensor
    """(n, d)"""
    _shared: dict[Callable[[Features], Any], tuple[Any, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    spared: dict[Callable[[Features], Any], float] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was shared since the last `clear()` -> the seconds that it took, or 0 if it was computed since then."""

    def shared(self, function: Callable[[Features], T]) -> T:
        """`function(self)`, computed once: what several criteria share, such as a factorisation."""
        if function in self._shared:
            found, seconds = self._shared[function]
            self.spared.setdefault(function, seconds)
            return cast(T, found)
        began = now(self.clean.device)
        computed = function(self)
        self._shared[function] = computed, now(self.clean.device) - began
        self.spared[function] = 0.0
        return computed

    def first(self, images: int) -> Features:
        """The features of the first `images` images; the order of a sample's images is random and fixed."""
        if images >= len(self.clean):
            return self
        return Features(self.views[:images], self.clean[:images])


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One label-free criterion as a sweep measures it.

    It has one of two functions: `function` takes one layer and is called for each, `joint_function` takes both layers.
    The function raises ValueError for features of the wrong shape, and returns NaN if the value cannot be computed.
    Write `name`, `label`, `reads_views`, `higher_is_better` and the keys of `settings` as literals: `analysis` reads
    them from the source, without torch. The other arguments may be constants.
    """

    name: str
    """Its column in the tables, and its key in the catalogue."""
    label: str
    """Its name in reports and figures."""
    function: Callable[[Features], float] | None = None
    """The value of one layer."""
    joint_function: Callable[[Mapping[str, Features]], float] | None = None
    """The value of both layers together, from layer -> features."""
    reads_views: bool
    """Whether the value depends on the views, and therefore on the number of views per image."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """The constants that the value depends on; they are recorded with it."""
    layer: str = EMBEDDING
    """The layer that the plain column repeats, for methods that are not in `layer_by_method`."""
    layer_by_method: Mapping[str, str] = field(default_factory=dict)
    """Method -> the layer that the plain column repeats."""
    higher_is_better: bool = True
    """Whether a higher value predicts a better trial."""
    beside: Mapping[str, Callable[[Features], float]] = field(default_factory=dict)
    """Name -> the function of a value that is recorded beside the criterion's own, in the column `<criterion>_<name>`,
    on the layer that the plain column repeats."""
    max_rows: int | None = None
    """The most rows that the function reads: of clean images, or of views if it reads views. None means all."""

    def __post_init__(self) -> None:
        if (self.function is None) == (self.joint_function is None):
            raise ValueError(f"`{self.name}` must have either `function` or `joint_function`")
        if self.beside and self.function is None:
            raise ValueError(f"`{self.name}` must have `function` to have values `beside` it")

    def layer_of(self, method: str) -> str:
        """The layer that the plain column repeats for a method."""
        return self.layer_by_method.get(method, self.layer)

    def description(self, method: str) -> dict[str, str | bool]:
        """The entry in sweep.yaml that `analysis` reads."""
        layer = "both" if self.joint_function is not None else self.layer_of(method)
        return {"label": self.label, "higher_is_better": self.higher_is_better, "layer": layer}

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns: the plain one, the two layers, and the values beside it."""
        return (*criterion_columns(self.name), *(f"{self.name}_{name}" for name in self.beside))

    @property
    def null_columns(self) -> tuple[str, ...]:
        """Its columns on shuffled views; none if it does not read views."""
        return null_columns(self.name) if self.reads_views else ()

    def measure(self, features: Mapping[str, Features], method: str) -> dict[str, float]:
        """Column -> value (see `columns`); the columns of single layers are NaN for a joint value."""
        n, q, _ = features[EMBEDDING].views.shape
        read = {layer: of_layer.first(self.images(n, q)) for layer, of_layer in features.items()}
        plain, *of_layers = criterion_columns(self.name)
        if self.joint_function is not None:
            return {plain: self.joint_function(read), **dict.fromkeys(of_layers, math.nan)}
        assert self.function is not None
        values = {layer: self.function(read[layer]) for layer in LAYERS}
        layer = self.layer_of(method)
        beside = {f"{self.name}_{name}": function(read[layer]) for name, function in self.beside.items()}
        return {plain: values[layer], **dict(zip(of_layers, values.values(), strict=True)), **beside}

    def images(self, n: int, q: int) -> int:
        """How many of n images with q views each are read: all, or as many as `max_rows` allows, but at least two."""
        if self.max_rows is None:
            return n
        return min(n, max(2, self.max_rows // q if self.reads_views else self.max_rows))

    def record(self, n: int, q: int) -> dict[str, float]:
        """Column -> value for the conditions of the measurement, on a sample of n images with q views each."""
        columns: dict[str, float] = {f"{self.name}_n": self.images(n, q)}
        if self.reads_views:
            columns[f"{self.name}_q"] = q
        return columns | {f"{self.name}_{setting}": value for setting, value in self.settings.items()}


def effective_rank(spectrum: Tensor, size: int, epsilon: float) -> float:
    """exp of the entropy of p = spectrum / ‖spectrum‖₁ + epsilon; NaN if the spectrum is zero or not finite.

    Roy and Vetterli (EUSIPCO 2007), with the epsilon of RankMe's equation 2. It is added after the division, so that
    the p may not sum to 1. `size` is the length of the whole spectrum; values missing from `spectrum` are zero, so that
    each has p = epsilon.

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

    On the CPU it uses NumPy, which detects the product of a matrix with its transpose and does half the work. On a GPU
    `rows` must be float64, because TF32 and autocast do not affect float64.
    """
    if rows.device.type == "cpu":
        array = rows.numpy()
        return torch.from_numpy(array.T @ array)
    return rows.T @ rows


def check_embeddings(embeddings: Tensor, **least: int) -> Tensor:
    """Check `embeddings`, and return them detached, on a device that supports float64.

    `least` gives the name and the smallest size of each dimension.

    Raises:
        ValueError: `embeddings` is not a floating-point tensor with these dimensions.
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
    """Raise ValueError if a setting is negative or NaN."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"`{name}` must be at least 0, but got {value}")
