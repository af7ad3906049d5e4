"""The contract of a self-supervised method: views in, a loss out, and two layers to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.optim import Optimizer


@dataclass(frozen=True)
class MethodParams:
    """Hyperparameters that every method has; each method's own Params adds the paper's."""

    mask_ratio: float = 0.0
    """Share of the patches of each view hidden from the student, in [0, 1)."""

    def __post_init__(self) -> None:
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must be in [0, 1), but got {self.mask_ratio}")
        for name, value in vars(self).items():
            if name.endswith(("temperature", "_dim")) and not value > 0:
                raise ValueError(f"`{name}` must be above 0, but got {value}")
            if name.endswith("_momentum") and not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], but got {value}")


@dataclass(frozen=True)
class Batch:
    """One training batch: views, each (b, c, h, w) and normalised, and the patches that the student sees of each.

    `kept[v]` is (b, kept patches), indices into the patch grid in row-major order, or None when nothing is hidden.
    """

    views: tuple[Tensor, ...]
    kept: tuple[Tensor | None, ...]


class Method(nn.Module, ABC):
    """One trial's networks and loss: built from an encoder (with its width `dim`) and the method's Params."""

    Params: ClassVar[type[MethodParams]]
    """Frozen dataclass: the method's hyperparameters with the paper's defaults."""
    augmentation: ClassVar[Augmentation]
    """The paper's augmentation: what trains when nothing is swept, and what the criteria see."""
    optimizer: ClassVar[Optimizer]
    """The paper's optimiser and its hyperparameters."""
    measures_teacher: ClassVar[bool] = False
    """Whether criteria and oracle read an EMA teacher, which sees whole images however many the student is spared."""
    multi_crop: ClassVar[bool] = False
    """Whether the loss takes local crops besides the two views."""
    progress: float = 0.0
    """Share of the updates made, set before each batch."""

    def __init__(self, encoder: Encoder, params: MethodParams) -> None:
        super().__init__()
        self.params = params
        self.patches = encoder.patches  # of a whole image: what `mask_ratio` counts
        self.patch = encoder.patch  # side of which every view's side must be a multiple

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Scalar loss of one batch."""

    @abstractmethod
    def represent(self, images: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, d_representation): what the probe reads."""

    @abstractmethod
    def project(self, representations: Tensor) -> Tensor:
        """(b, d_representation) -> (b, d_embedding)."""

    def embed(self, images: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, d_embedding): what LiDAR and RankMe read."""
        return self.project(self.represent(images))

    def after_step(self, progress: float) -> None:
        """EMA and schedules after an optimiser update; `progress` in [0, 1] is the share of updates made."""
