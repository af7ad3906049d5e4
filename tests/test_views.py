"""Methods other than two augmented views and a projector: without masks, with masks as views, or with own checks."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_sweeps import make_images, mapping
from torch import Tensor, nn

from sweeper.config.read import parse_config
from sweeper.errors import ConfigError
from trainers.augment import Augmentation, to_float
from trainers.datasets.base import Images
from trainers.encoders import Encoder
from trainers.loop import train
from trainers.masks import keep_random
from trainers.measure import Sample
from trainers.methods import METHODS
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.network import build_method, measurable
from trainers.optim import Optimizer
from trainers.records import EMBEDDING, REPRESENTATION, CriteriaSample, TrialConfig
from trainers.settings import hyperparameters, resolve
from trainers.splits import Data

RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 1}
VIT = {"name": "vit", "dim": 16, "depth": 1, "heads": 2, "patch": 4}


class Unmasked(Method):
    """Pulls the two views together; it has no hyperparameter of its own and no projector."""

    Params: ClassVar[type[MethodParams]] = MethodParams
    augmentation: ClassVar[Augmentation] = Augmentation()
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.01)

    def __init__(self, encoder: Encoder, params: MethodParams) -> None:
        super().__init__(encoder, params)
        self.encoder = encoder

    def loss(self, batch: Batch) -> Tensor:
        first, second = (self.encoder(view, kept) for view, kept in zip(batch.views, batch.kept, strict=True))
        return nn.functional.mse_loss(first, second)

    def represent(self, images: Tensor) -> Tensor:
        representations: Tensor = self.encoder(images)
        return representations

    def project(self, representations: Tensor) -> Tensor:
        return representations


class MaskViews(Unmasked):
    """Its views are clean images of which it sees some patches, in training and in the criteria alike."""

    Params: ClassVar[type[MethodParams]] = MaskedParams

    @classmethod
    def check(cls, encoder: Encoder, params: MethodParams) -> None:
        if encoder.patch == 1:
            raise ValueError("`method` masks must have an encoder with patch tokens")

    def make_batch(self, images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Batch:
        return self.sample_views(images, 2, augmentation, self.params, generator)

    def sample_views(
        self, images: Tensor, count: int, augmentation: Augmentation, params: MethodParams, generator: torch.Generator
    ) -> Batch:
        clean = to_float(images)
        draws = (keep_random(len(images), self.patches, params.hidden_share, generator) for _ in range(count))
        return Batch((clean,) * count, tuple(draws))

    def features(self, images: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        rows: Tensor = self.encoder(images, kept)
        return {REPRESENTATION: rows, EMBEDDING: rows}


@pytest.fixture(autouse=True)
def _on_the_shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "unmasked", Unmasked)
    monkeypatch.setitem(METHODS, "masks", MaskViews)


@pytest.fixture
def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(*(rng.integers(0, 256, (n, 12, 12, 1), dtype=np.uint8) for n in (48, 8)))


def config(method: str, **changes: object) -> TrialConfig:
    base = TrialConfig(
        method=method,
        dataset={"name": "given"},
        encoder=VIT if method == "masks" else RESNET,
        epochs=2,
        batch_size=16,
        criteria_sample=CriteriaSample(images=16, views=3),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def test_a_method_need_not_know_masks(images: Images) -> None:
    assert "mask_ratio" not in hyperparameters("unmasked")
    with pytest.raises(ValueError, match="`mask_ratio` is not a hyperparameter of unmasked"):
        resolve(config("unmasked", hyperparameters={"mask_ratio": 0.5}))
    reports = list(train(config("unmasked"), images=images))
    assert all(math.isfinite(report.criteria["lidar"]) for report in reports)
    data = Data(images, "cpu")
    method = build_method(config("unmasked"), data)
    assert measurable(method, config("unmasked"), data) is method
    batch = method.make_batch(torch.from_numpy(images.test), Unmasked.augmentation, torch.Generator())
    assert batch.kept == (None, None)


def test_views_may_be_masks_of_clean_images(images: Images) -> None:
    trial = config("masks", hyperparameters={"mask_ratio": 0.5}, criteria_sample=CriteriaSample(images=16, views=4))
    data = Data(images, "cpu")
    sample = Sample(build_method(trial, data), data, trial.criteria_sample, resolve(trial))
    for views, kept in sample.views():
        assert kept is not None
        assert (tuple(views.shape), tuple(kept.shape)) == ((16, 4, 1, 12, 12), (16, 4, 4))
        assert torch.equal(views[:, 0], data.clean(sample.images))
        assert torch.equal(views[:, 0], views[:, 3])
        assert not torch.equal(kept[:, 0], kept[:, 3])
    reports = list(train(trial, images=images))
    assert all(math.isfinite(report.criteria["lidar"]) for report in reports)
    assert numbers_of(reports) == numbers_of(list(train(trial, images=images)))


def numbers_of(reports: list) -> list[dict[str, float]]:  # type: ignore[type-arg]
    return [{"loss": report.loss, **report.criteria} for report in reports]


def test_masks_that_are_views_keep_the_default_where_the_sweep_varies_them(images: Images) -> None:
    data = Data(images, "cpu")

    def kept(ratio: float, swept: tuple[str, ...]) -> Tensor | None:
        trial = config("masks", hyperparameters={"mask_ratio": ratio}, swept=swept)
        ((_, found),) = Sample(build_method(trial, data), data, trial.criteria_sample, resolve(trial)).views()
        return found

    assert kept(0.25, ()).shape == (16, 3, 7)  # type: ignore[union-attr]
    assert kept(0.25, ("mask_ratio",)).shape == kept(0.75, ("mask_ratio",)).shape == (16, 3, 9)  # type: ignore[union-attr]


def test_hidden_views_need_a_method_that_takes_them(images: Images) -> None:
    method = build_method(config("unmasked"), Data(images, "cpu"))
    with pytest.raises(TypeError, match="Unmasked must define `features`"):
        method.features(torch.zeros(2, 1, 12, 12), torch.zeros(2, 1, dtype=torch.int64))


def test_a_method_refuses_an_encoder_before_anything_runs(images: Images) -> None:
    with pytest.raises(ValueError, match="must have an encoder with patch tokens"):
        next(train(config("masks", encoder=RESNET), images=images))


def test_the_refusal_is_one_line_of_the_configuration(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make_images(tmp_path_factory.mktemp("images"))
    space = {"lr": {"type": "float", "low": 1e-3, "high": 1e-1}}
    changes = {"method": "masks", "space": space, "fixed": {}}
    with pytest.raises(ConfigError, match="must have an encoder with patch tokens") as caught:
        parse_config(mapping(folder, **changes), source="test")
    assert "\n" not in str(caught.value)
    parse_config(mapping(folder, **changes, encoder=VIT), source="test")
