"""The contract of a self-supervised method: it makes its views, gives a loss, and shows two layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainers.augment import Augmentation, local_side, make_views, repeat_views
from trainers.blocks import covered
from trainers.encoders import Encoder
from trainers.masks import keep_random
from trainers.optim import Optimizer
from trainers.originals import Originals
from trainers.records import EMBEDDING, REPRESENTATION
from trainers.world import SINGLE, World


@dataclass(frozen=True)
class MethodParams:
    """Hyperparameters of a method; each method's own Params adds the paper's."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is None:
                continue
            if name.endswith(("temperature", "_dim")) and not value > 0:
                raise ValueError(f"`{name}` must be above 0, but got {value}")
            if name.endswith("_momentum") and not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1], but got {value}")

    @property
    def hidden_share(self) -> float:
        """Share of the patches of each whole view that is hidden from the student."""
        return 0.0


@dataclass(frozen=True)
class MaskedParams(MethodParams):
    """Hyperparameters of a method that may hide random patches from the student."""

    mask_ratio: float = 0.0
    """Share of the patches of each view hidden from the student, in [0, 1)."""

    def __post_init__(self) -> None:
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must be in [0, 1), but got {self.mask_ratio}")
        super().__post_init__()

    @property
    def hidden_share(self) -> float:
        return self.mask_ratio


@dataclass(frozen=True)
class Batch:
    """Views of b images, each (b, c, h, w), and the patches that the network sees of each view.

    Whoever makes a batch gives float pixels in [0, 1]; whoever asked for it normalises them before the network reads
    them. `kept[v]` is (b, kept patches), indices into the patch grid in row-major order; None hides nothing.
    """

    views: tuple[Tensor, ...]
    kept: tuple[Tensor | None, ...]
    targets: Tensor | None = None
    """(b, m, t), for a method that predicts patches of its one view: the patches of each of m targets."""


def pooled(encoder: Encoder, images: Tensor, *, patches: bool) -> Tensor:
    """(b, c, h, w) -> (b, dim): the encoder's own output, or the mean of its patch tokens."""
    if patches:
        return encoder.tokens(images).patches.mean(1)
    representations: Tensor = encoder(images)
    return representations


class Method(nn.Module, ABC):
    """One trial's networks and loss, built from an encoder and the method's Params."""

    Params: ClassVar[type[MethodParams]]
    """Frozen dataclass: the method's hyperparameters with the paper's defaults."""
    augmentation: ClassVar[Augmentation]
    """The paper's augmentation: what trains when nothing is swept, and what the criteria see."""
    optimizer: ClassVar[Optimizer]
    """The paper's optimiser and its hyperparameters."""
    moves_loss: ClassVar[tuple[str, ...]] = ()
    """The hyperparameters in the formula of the loss: they change its value even if the network stays the same."""
    measures_teacher: ClassVar[bool] = False
    """Whether criteria and oracle read an EMA teacher, which always sees whole images."""
    multi_crop: ClassVar[bool] = False
    """Whether the loss takes local crops besides the two views."""
    trained_views: ClassVar[int] = 2
    """Whole-size views of an image in a batch, by which the work of training is counted."""
    pools_patches: ClassVar[bool] = False
    """Whether the representation is the mean of the encoder's patch tokens, and not its own output."""
    encoder: Encoder
    progress: float = 0.0
    """Share of the updates made, set before each batch."""
    world: World = SINGLE
    """The workers of the trial: a loss that looks across the batch asks it."""

    def __init__(self, encoder: Encoder, params: MethodParams) -> None:
        super().__init__()
        self.params = params
        self.patches = encoder.patches  # of a whole image: what `mask_ratio` counts
        self.patch = encoder.patch  # side of which every view's side must be a multiple

    @classmethod
    def check(cls, encoder: Encoder, params: MethodParams) -> None:
        """Asked before any trial runs, with an encoder that may have no numbers (it is on the meta device).

        Raises:
            ValueError: one line that says why the method cannot train this encoder with these hyperparameters.
        """

    @classmethod
    def check_masks(cls, encoder: Encoder, params: MethodParams) -> None:
        """Asked by `check` where views are masks, and once more with the hyperparameters of the criteria's views.

        Raises:
            ValueError: one line that says why the encoder's grid cannot have these masks.
        """

    @classmethod
    def check_data(cls, params: MethodParams, batch_size: int, images: int) -> None:
        """Asked before any trial runs, with the images of a batch (over all workers) and of the training split.

        Raises:
            ValueError: one line that says why the method cannot train on so many with these hyperparameters.
        """

    def make_batch(self, images: Tensor | Originals, augmentation: Augmentation, generator: torch.Generator) -> Batch:
        """What the loss takes: by default two views, local crops, and the patches kept of the two.

        Args:
            images: (b, h, w, c), uint8, on the generator's device; or images of sizes of their own, from which
                `make_views` and `repeat_views` crop, and of which `to_float` gives the middle squares.
            augmentation: the trial's.
            generator: the source of all randomness.
        """
        if augmentation.local_crops and augmentation.local_size is None:
            augmentation = replace(augmentation, local_size=local_side(images.shape[1], self.patch))
        views = make_views(images, augmentation, generator)
        share = self.params.hidden_share
        # A local crop is a partial view already: only the two whole-size views lose patches.
        kept = tuple(
            keep_random(len(view), self.patches, share, generator) if share and index < 2 else None
            for index, view in enumerate(views)
        )
        return Batch(views, kept)

    def sample_views(
        self,
        images: Tensor | Originals,
        count: int,
        augmentation: Augmentation,
        params: MethodParams,
        generator: torch.Generator,
    ) -> Batch:
        """`count` views of every image, which LiDAR takes as one class: by default augmented whole images.

        A method whose views are masks returns the clean images `count` times, with the patches kept of each.

        Args:
            images: (b, h, w, c), uint8, on the generator's device; or images of sizes of their own.
            augmentation: the method's default, with what the sweep holds fixed; never what it varies.
            params: the same of the method's hyperparameters.
            generator: the source of all randomness.
        """
        return Batch(repeat_views(images, augmentation, count, generator), (None,) * count)

    def features(self, images: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """Layer -> its rows (b, d), from one pass of normalised images (b, c, h, w) in eval mode.

        A method whose `sample_views` hide patches overrides this to take `kept`, (b, kept patches).
        """
        if kept is not None:
            raise TypeError(f"{type(self).__name__} must define `features` to take views with hidden patches")
        representations = self.represent(images)
        return {REPRESENTATION: representations, EMBEDDING: self.project(representations)}

    def shares(self, batch: Batch) -> Tensor:
        """(2,): the masked and the visible share of the patches of a batch, which every report has the mean of.

        Visible are those that the student sees of the whole-size views; masked are those that it predicts, where the
        batch has targets, and otherwise the rest.
        """
        kept = [1.0 if patches is None else patches.shape[1] / self.patches for patches in batch.kept[:2]]
        visible = sum(kept) / len(kept)
        if batch.targets is None:
            return torch.tensor([1 - visible, visible])
        masked = covered(batch.targets, self.patches).float().mean()
        return torch.stack([masked, torch.full_like(masked, visible)])

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Scalar loss of one batch."""

    @property
    def measured_encoder(self) -> Encoder:
        """The encoder that criteria and oracle read, and that `sweeper export` writes."""
        return self.encoder

    def represent(self, images: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, d_representation): what the probe reads."""
        return pooled(self.measured_encoder, images, patches=self.pools_patches)

    @abstractmethod
    def project(self, representations: Tensor) -> Tensor:
        """(b, d_representation) -> (b, d_embedding)."""

    def embed(self, images: Tensor) -> Tensor:
        """(b, c, h, w) -> (b, d_embedding): what LiDAR and RankMe read."""
        return self.project(self.represent(images))

    def after_step(self, progress: float) -> None:
        """EMA and schedules after an optimiser update; `progress` in [0, 1] is the share of updates made."""
