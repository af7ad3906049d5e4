"""One trial: the same numbers however it is interrupted, measured on the same images, blind to every label."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainers.datasets.base import Images
from trainers.loop import train
from trainers.measure import Sample, measure, spread, untrained
from trainers.methods import METHODS
from trainers.network import CHECKPOINT, Data, build_method, load_network, measurable
from trainers.records import CriteriaSample, EpochReport, TrialConfig
from trainers.settings import hyperparameters, resolve

SMALL = {
    "dino": {"prototypes": 16, "head_hidden_dim": 16, "bottleneck_dim": 8, "local_crops": 0},
    "simclr": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
    "vicreg": {"expander_dim": 16, "optimizer": "sgd", "lr": 0.05},
}
RESNET = {"name": "resnet", "width": 4, "blocks": 1, "stages": 2, "stem_stride": 2}


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(
        train=rng.integers(0, 256, (64, 12, 12, 3), dtype=np.uint8),
        test=rng.integers(0, 256, (32, 12, 12, 3), dtype=np.uint8),
    )


def config(method: str = "simclr", **changes: object) -> TrialConfig:
    hyperparameters = SMALL[method] | dict(changes.pop("hyperparameters", {}))  # type: ignore[call-overload]
    base = TrialConfig(
        method=method,
        dataset={"name": "given"},
        encoder=RESNET,
        epochs=3,
        batch_size=16,
        hyperparameters=hyperparameters,
        criteria_sample=CriteriaSample(images=16, views=3),
        seed=5,
    )
    return dataclasses.replace(base, **changes)


def numbers(report: EpochReport) -> tuple[object, ...]:
    """All of a report but its timings."""
    return (report.trial, report.epoch, report.step, report.loss, dict(report.criteria), report.spread)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reports_every_epoch(method: str, images: Images) -> None:
    reports = list(train(config(method), images=images))
    assert [(r.epoch, r.step) for r in reports] == [(1, 4), (2, 8), (3, 12)]
    for report in reports:
        assert math.isfinite(report.loss)
        assert report.criteria["lidar"] == report.criteria[f"lidar.{METHODS[method].layers['lidar']}"]
        assert report.criteria["rankme"] == report.criteria[f"rankme.{METHODS[method].layers['rankme']}"]
        assert len(report.criteria) == 6
        assert all(1 <= value <= 16 for value in report.criteria.values())


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_trial_gives_the_same_reports(method: str, images: Images, tmp_path: Path) -> None:
    trial = config(method, hyperparameters={"mask_ratio": 0.3})
    whole = [numbers(r) for r in train(trial, images=images)]
    for killed_after in (1, 2):
        folder = tmp_path / str(killed_after)
        folder.mkdir()
        first = train(trial, images=images, folder=folder)
        for _ in range(killed_after):
            next(first)
        first.close()
        assert [numbers(r) for r in train(trial, images=images, folder=folder)] == whole
        assert [numbers(r) for r in train(trial, images=images, folder=folder)] == whole  # finished: nothing is trained


def test_the_seed_decides(images: Images) -> None:
    one, same, other = (numbers(next(train(config(seed=seed), images=images))) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_read_only_images_are_only_read(images: Images) -> None:
    frozen = Images(images.train.copy(), images.test.copy())
    frozen.train.setflags(write=False)
    frozen.test.setflags(write=False)
    assert numbers(next(train(config(), images=frozen))) == numbers(next(train(config(), images=images)))


def test_a_checkpoint_is_whole_and_holds_no_code(images: Images, tmp_path: Path) -> None:
    next(train(config(), images=images, folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["epoch"] == 1


def test_measuring_does_not_touch_the_training(images: Images) -> None:
    """More criteria, another sample: the losses stay bit for bit."""
    trial = config(hyperparameters={"mask_ratio": 0.3})
    bare = dataclasses.replace(trial, criteria=(), criteria_sample=CriteriaSample(images=4, views=2, seed=9))
    assert [r.loss for r in train(trial, images=images)] == [r.loss for r in train(bare, images=images)]


def test_criteria_views_keep_the_default_where_the_sweep_varies_it(images: Images) -> None:
    """Two trials that differ in a swept augmentation are measured on one sample; a fixed one moves it for all."""
    data = Data(images, "cpu")

    def views(value: float, swept: tuple[str, ...]) -> torch.Tensor:
        trial = config(hyperparameters={"crop_scale_min": value}, swept=swept)
        return torch.cat(list(Sample(data, trial.criteria_sample, resolve(trial).criteria_augmentation).views()))

    assert torch.equal(views(0.1, ("crop_scale_min",)), views(0.9, ("crop_scale_min",)))
    assert not torch.equal(views(0.1, ()), views(0.9, ()))


def test_the_sample_is_the_same_whether_kept_or_drawn_again(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    data, trial = Data(images, "cpu"), config()
    augmentation = resolve(trial).criteria_augmentation
    kept = torch.cat(list(Sample(data, trial.criteria_sample, augmentation).views()))
    monkeypatch.setattr("trainers.measure.KEPT_BYTES", 0)
    again = Sample(data, trial.criteria_sample, augmentation)
    for _ in range(2):
        assert torch.equal(torch.cat(list(again.views())), kept)


def test_criteria_read_the_network_that_the_oracle_reads(images: Images, tmp_path: Path) -> None:
    trial = config("dino", hyperparameters={"mask_ratio": 0.5})
    last = list(train(trial, images=images, folder=tmp_path))[-1]
    data = Data(images, "cpu")
    network = load_network(trial, data, tmp_path / CHECKPOINT)
    sample = Sample(data, trial.criteria_sample, resolve(trial).criteria_augmentation)
    assert measure(network, sample, trial.criteria)[0] == last.criteria


def test_batchnorm_that_saw_masked_images_is_estimated_again(images: Images) -> None:
    """On a copy, and on whole images: its mean is the mean of what it now sees."""
    data, trial = Data(images, "cpu"), config(hyperparameters={"mask_ratio": 0.5})
    method = build_method(trial, data)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    network = measurable(method, trial, data)
    assert network is not method
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    stem = network.encoder.stem  # type: ignore[union-attr]
    seen = stem[0](data.clean(data.train))
    torch.testing.assert_close(stem[1].running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)


def test_unmasked_and_teacher_networks_are_measured_as_they_are(images: Images) -> None:
    data = Data(images, "cpu")
    for trial in (config(), config("dino", hyperparameters={"mask_ratio": 0.5})):
        method = build_method(trial, data)
        assert measurable(method, trial, data) is method


def test_untrained_is_the_network_before_any_update(images: Images) -> None:
    report = untrained(config(), images=images)
    assert (report.epoch, report.step) == (0, 0)
    assert math.isnan(report.loss)
    still = config(hyperparameters={"lr": 0.0})
    data = Data(images, "cpu")
    sample = Sample(data, still.criteria_sample, resolve(still).criteria_augmentation)
    assert measure(load_network(still, data, None), sample, still.criteria)[0] == report.criteria


def test_a_diverged_trial_says_so(images: Images) -> None:
    last = list(train(config(hyperparameters={"lr": 1e30}), images=images))[-1]
    assert not math.isfinite(last.loss)
    assert all(math.isnan(value) for value in last.criteria.values())


def test_normalised_training_images_have_zero_mean_and_unit_deviation(images: Images) -> None:
    data = Data(images, "cpu")
    clean = data.clean(data.train)
    torch.testing.assert_close(clean.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(clean.std((0, 2, 3)), torch.ones(3), rtol=1e-4, atol=0)


def test_spread_is_scale_free_and_sees_a_point() -> None:
    torch.manual_seed(0)
    cloud = torch.randn(1000, 64)
    assert spread(cloud) == pytest.approx(1 / 8, rel=0.02)
    assert spread(7 * cloud) == pytest.approx(spread(cloud), rel=1e-6)
    assert spread(1 + 1e-4 * cloud) < 1e-3
    assert math.isnan(spread(torch.zeros(4, 3)))


def test_hyperparameters_belong_to_one_part_each() -> None:
    for name, kind in METHODS.items():
        parts = [
            {field.name for field in dataclasses.fields(part)}
            for part in (kind.Params(), kind.optimizer, kind.augmentation)
        ]
        assert len(hyperparameters(name)) == sum(map(len, parts)), f"a name stands twice in {name}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hyperparameters": {"temprature": 0.1}}, "`temprature` is not a hyperparameter of simclr"),
        ({"hyperparameters": {"local_crops": 2}}, "`local_crops` must be 0 for simclr"),
        ({"batch_size": 65}, "at most the 64 training images, but got 65"),
        ({"criteria_sample": CriteriaSample(images=65)}, "at most the 64 images of the train split"),
    ],
)
def test_what_cannot_be_trained_is_said(changes: dict[str, object], words: str, images: Images) -> None:
    with pytest.raises(ValueError, match=words):
        next(train(config(**changes), images=images))


def test_modules_have_no_dropout() -> None:
    """Training draws nothing but what its own generators draw."""
    data = Data(Images(np.zeros((4, 12, 12, 3), np.uint8), np.zeros((4, 12, 12, 3), np.uint8)), "cpu")
    for method in METHODS:
        for module in build_method(config(method), data).modules():
            assert not (isinstance(module, nn.Dropout) and module.p > 0)
