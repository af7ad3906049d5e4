"""One trial: the same numbers after any interruption, measured on the same images, without labels."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainers.criteria import CRITERIA
from trainers.criteria.base import Criterion, Features
from trainers.datasets.base import Images
from trainers.loop import Trainer, train
from trainers.measure import Sample, embed_clean, embed_views, measure, spread, untrained
from trainers.methods import METHODS
from trainers.methods.base import Batch, Method
from trainers.network import build_method, load_network, measurable
from trainers.optim import learning_rate
from trainers.records import CHECKPOINT, EMBEDDING, REPRESENTATION, CriteriaSample, EpochReport, TrialConfig
from trainers.settings import hyperparameters, resolve
from trainers.splits import Data, Split, in_order

SMALL = {
    "barlow_twins": {"projector_dim": 16, "optimizer": "sgd", "lr": 0.05},
    "byol": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
    "byol_logdet": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
    "byol_pairdist": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
    "data2vec": {"top_blocks": 2, "min_block": 4},
    "ijepa": {"predictor_dim": 16, "predictor_depth": 1, "min_context": 4},
    "dino": {"prototypes": 16, "head_hidden_dim": 16, "bottleneck_dim": 8, "local_crops": 0},
    "moco": {"projection_dim": 8, "queue_size": 32, "batch_groups": 2, "lr": 0.05},
    "simclr": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
    "swav": {"prototypes": 8, "projection_dim": 8, "queue_size": 16, "local_crops": 0, "optimizer": "sgd", "lr": 0.05},
    "vicreg": {"expander_dim": 16, "optimizer": "sgd", "lr": 0.05},
    "vicreg_logdet": {"expander_dim": 16, "optimizer": "sgd", "lr": 0.05},
    "vicreg_pairdist": {"expander_dim": 16, "optimizer": "sgd", "lr": 0.05},
}
RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 2, "stem_stride": 2}
VIT = {"name": "vit", "dim": 16, "depth": 2, "heads": 2, "patch": 2}
MASKED = ("data2vec", "ijepa")
"""Methods that need an encoder with tokens."""


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
        encoder=VIT if method in MASKED else RESNET,
        epochs=3,
        batch_size=16,
        hyperparameters=hyperparameters,
        criteria_sample=CriteriaSample(images=16, views=3),
        seed=5,
    )
    return dataclasses.replace(base, **changes)


def everything(split: Split) -> torch.Tensor:
    """Every image of a split."""
    return torch.cat(list(in_order(split, 7)))


def sample_of(trial: TrialConfig, data: Data) -> Sample:
    return Sample(build_method(trial, data), data, trial.criteria_sample, resolve(trial))


def pixels(sample: Sample) -> torch.Tensor:
    return torch.cat([views for views, _ in sample.views()])


def numbers(report: EpochReport) -> tuple[object, ...]:
    """A report without its timings."""
    return (report.trial, report.epoch, report.step, report.loss, dict(report.criteria), report.spread)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_every_method_reports_every_epoch(method: str, images: Images) -> None:
    reports = list(train(config(method), images=images))
    assert [(r.epoch, r.step) for r in reports] == [(1, 4), (2, 8), (3, 12)]
    for report in reports:
        assert math.isfinite(report.loss)
        assert report.criteria["lidar"] == report.criteria[f"lidar.{CRITERIA['lidar'].layer_of(method)}"]
        assert report.criteria["rankme"] == report.criteria[f"rankme.{CRITERIA['rankme'].layer_of(method)}"]
        assert tuple(report.criteria) == (*CRITERIA["lidar"].columns, *CRITERIA["rankme"].columns)
        values = dict(report.criteria)
        assert values.pop("lidar_noise") < 1
        assert all(1 <= value <= 16 for value in values.values())


def test_a_new_criterion_names_its_own_layer(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line in the catalogue is enough; no method has to name the criterion."""

    def mean_norm(features: Features) -> float:
        return float(features.clean.norm(dim=1).mean())

    norm = Criterion(
        name="norm",
        label="Norm",
        function=mean_norm,
        reads_views=False,
        layer=REPRESENTATION,
        layer_by_method={"vicreg": EMBEDDING},
    )
    monkeypatch.setitem(CRITERIA, "norm", norm)
    (report,) = train(config(epochs=1, criteria=("norm",)), images=images)
    assert report.criteria["norm"] == report.criteria["norm.representation"] != report.criteria["norm.embedding"]
    (report,) = train(config("vicreg", epochs=1, criteria=("norm",)), images=images)
    assert report.criteria["norm"] == report.criteria["norm.embedding"] != report.criteria["norm.representation"]


def test_a_criterion_may_read_both_layers(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value belongs to no single layer, so the columns of single layers are NaN."""

    def widening(features: Mapping[str, Features]) -> float:
        return features[REPRESENTATION].views.shape[2] / features[EMBEDDING].clean.shape[1]

    ratio = Criterion(name="ratio", label="Ratio", joint_function=widening, reads_views=True)
    monkeypatch.setitem(CRITERIA, "ratio", ratio)
    (report,) = train(config(epochs=1, criteria=("ratio", "rankme")), images=images)
    assert report.criteria["ratio"] == 16 / 8
    assert math.isnan(report.criteria["ratio.representation"])
    assert math.isnan(report.criteria["ratio.embedding"])
    assert "ratio" in report.seconds


def test_a_criterion_has_one_function() -> None:
    with pytest.raises(ValueError, match="`none` must have either `function` or `joint_function`"):
        Criterion(name="none", label="None", reads_views=False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
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


@pytest.mark.slow
def test_the_seed_decides(images: Images) -> None:
    one, same, other = (numbers(next(train(config(seed=seed), images=images))) for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.slow
def test_read_only_images_are_only_read(images: Images) -> None:
    frozen = Images(images.train.copy(), images.test.copy())
    frozen.train.setflags(write=False)
    frozen.test.setflags(write=False)
    assert numbers(next(train(config(), images=frozen))) == numbers(next(train(config(), images=images)))


def test_a_checkpoint_is_whole_and_holds_no_code(images: Images, tmp_path: Path) -> None:
    next(train(config(), images=images, folder=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["epoch"] == 1


@pytest.mark.slow
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
        return pixels(sample_of(trial, data))

    assert torch.equal(views(0.1, ("crop_scale_min",)), views(0.9, ("crop_scale_min",)))
    assert not torch.equal(views(0.1, ()), views(0.9, ()))


def test_the_sample_is_the_same_whether_kept_or_drawn_again(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    data, trial = Data(images, "cpu"), config()
    kept = pixels(sample_of(trial, data))
    monkeypatch.setattr("trainers.measure.KEPT_BYTES", 0)
    again = sample_of(trial, data)
    for _ in range(2):
        assert torch.equal(pixels(again), kept)


@pytest.mark.slow
def test_criteria_read_the_network_that_the_oracle_reads(images: Images, tmp_path: Path) -> None:
    trial = config("dino", hyperparameters={"mask_ratio": 0.5})
    last = list(train(trial, images=images, folder=tmp_path))[-1]
    data = Data(images, "cpu")
    network = load_network(trial, data, tmp_path / CHECKPOINT)
    sample = sample_of(trial, data)
    assert measure(network, sample, trial.criteria, trial.method).criteria == last.criteria


@pytest.mark.slow
def test_each_criterion_is_timed_from_the_trained_network_on(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reading of the clock adds a second, so that the time of one criterion is a number of readings."""
    clock = itertools.count()
    monkeypatch.setattr("trainers.measure.now", lambda device: float(next(clock)))
    monkeypatch.setattr("trainers.loop.now", lambda device: float(next(clock)))
    (report, *_) = train(config(), images=images)
    assert report.seconds == {"train": 1.0, "criteria": 9.0, "lidar": 3.0, "rankme": 3.0}


def test_batchnorm_that_saw_masked_images_is_estimated_again(images: Images) -> None:
    """Statistics are re-estimated on a copy, from whole images: the mean is that of these images."""
    data, trial = Data(images, "cpu"), config(hyperparameters={"mask_ratio": 0.5})
    method = build_method(trial, data)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    network = measurable(method, trial, data)
    assert network is not method
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    stem = network.encoder.stem  # type: ignore[union-attr]
    seen = stem[0](data.clean(everything(data.train)))
    torch.testing.assert_close(stem[1].running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)


def test_unmasked_and_teacher_networks_are_measured_as_they_are(images: Images) -> None:
    data = Data(images, "cpu")
    for trial in (config(), config("dino", hyperparameters={"mask_ratio": 0.5})):
        method = build_method(trial, data)
        assert measurable(method, trial, data) is method
    swept = config(swept=("mask_ratio",))  # a trial without a mask among masked ones is measured as they are
    method = build_method(swept, data)
    assert measurable(method, swept, data) is not method


def test_the_untrained_network_has_batchnorm_statistics(images: Images) -> None:
    """The baseline does not depend on the sweep's masking."""
    plain, masked = (
        untrained(config(), images=images),
        untrained(config(hyperparameters={"mask_ratio": 0.5}), images=images),
    )
    assert plain.criteria == masked.criteria
    data = Data(images, "cpu")
    network = load_network(config("dino"), data, None)
    assert network.teacher_encoder.stem[1].running_mean.abs().sum() > 0  # type: ignore[union-attr,index]


def test_untrained_is_the_network_before_any_update(images: Images) -> None:
    report = untrained(config(), images=images)
    assert (report.epoch, report.step) == (0, 0)
    assert math.isnan(report.loss)
    data = Data(images, "cpu")
    sample = sample_of(config(), data)
    network = measurable(build_method(config(), data), config(), data, untrained=True)
    assert measure(network, sample, config().criteria, "simclr").criteria == report.criteria


@pytest.mark.slow
def test_a_diverged_trial_says_so(images: Images) -> None:
    last = list(train(config(hyperparameters={"lr": 1e30}), images=images))[-1]
    assert not math.isfinite(last.loss)
    assert all(math.isnan(value) for value in last.criteria.values())


def test_normalised_training_images_have_zero_mean_and_unit_deviation(images: Images) -> None:
    data = Data(images, "cpu")
    clean = data.clean(everything(data.train))
    torch.testing.assert_close(clean.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(clean.std((0, 2, 3)), torch.ones(3), rtol=1e-4, atol=0)


def test_spread_is_scale_free_and_sees_a_point() -> None:
    torch.manual_seed(0)
    cloud = torch.randn(1000, 64)
    assert spread(cloud) == pytest.approx(1 / 8, rel=0.02)
    assert spread(7 * cloud) == pytest.approx(spread(cloud), rel=1e-6)
    assert spread(1 + 1e-4 * cloud) < 1e-3
    assert spread(torch.zeros(4, 3)) == 0.0
    assert math.isnan(spread(torch.full((4, 3), math.nan)))
    assert not math.isfinite(spread(torch.full((4, 3), math.inf)))


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


class Recorder(Method):
    """Represents an image by its mean and its first pixel, and records the calls."""

    Params = METHODS["simclr"].Params
    augmentation = METHODS["simclr"].augmentation
    optimizer = METHODS["simclr"].optimizer

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.params = self.Params()
        self.weight = nn.Parameter(torch.ones(2, 2))
        self.dropout = nn.Dropout(0.5)
        self.patches, self.patch = 9, 1
        self.batches: list[Batch] = []
        self.calls: list[tuple[str, float]] = []

    def loss(self, batch: Batch) -> torch.Tensor:
        self.batches.append(batch)
        self.calls.append(("loss", self.progress))
        return 100 * (self.weight * self.dropout(torch.ones(2, 2))).sum()

    def represent(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        return torch.stack([images.mean((1, 2, 3)), images[:, 0, 0, 0]], 1)

    def project(self, representations: torch.Tensor) -> torch.Tensor:
        return -representations

    def after_step(self, progress: float) -> None:
        self.calls.append(("after_step", progress))


def gray_images() -> Images:
    """Images of one gray each: whatever is cropped from image i is gray level 3i."""
    levels = np.arange(64, dtype=np.uint8)[:, None, None, None] * 3
    return Images(np.broadcast_to(levels, (64, 12, 12, 1)).copy(), np.zeros((4, 12, 12, 1), np.uint8))


def recorded(monkeypatch: pytest.MonkeyPatch, **changes: object) -> Trainer:
    recorder = Recorder()
    monkeypatch.setattr("trainers.loop.build_method", lambda config, data: recorder)
    off = {"jitter_probability": 0.0, "blur_probability": 0.0, "flip_probability": 0.0}
    trial = config(hyperparameters=off | changes)
    recorder.params = resolve(trial).params
    return Trainer(trial, gray_images())


def test_views_of_an_image_stay_together_down_to_the_criteria(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = recorded(monkeypatch)
    network = trainer.method.eval()
    clean, views = embed_clean(network, trainer.sample), embed_views(network, trainer.sample)
    grays = trainer.data.clean(trainer.sample.images)[:, 0, 0, 0]
    assert len(set(grays.tolist())) == 16
    for layer, sign in (("representation", 1), ("embedding", -1)):
        torch.testing.assert_close(clean[layer], sign * grays[:, None].expand(16, 2))
        torch.testing.assert_close(views[layer], sign * grays[:, None, None].expand(16, 3, 2))


def test_the_oracles_images_are_not_augmented(images: Images) -> None:
    data = Data(images, "cpu")
    method = Recorder().eval()
    sample = Sample(method, data, CriteriaSample(16, 3), resolve(config()))
    first_pixel = embed_clean(method, sample)["representation"][:, 1]
    torch.testing.assert_close(first_pixel, data.clean(sample.images)[:, 0, 0, 0])
    assert not torch.allclose(embed_views(method, sample)["representation"][:, 0, 1], first_pixel)


def test_an_epoch_sees_every_image_once_in_its_own_order(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = recorded(monkeypatch, mask_ratio=1 / 3)
    rates: list[float] = []
    step = trainer.optimizer.step
    monkeypatch.setattr(
        trainer.optimizer, "step", lambda: (rates.append(trainer.optimizer.param_groups[0]["lr"]), step())
    )
    trainer.run_epoch()
    trainer.run_epoch()
    method = trainer.method
    assert isinstance(method, Recorder)
    orders = [torch.cat([batch.views[0][:, 0, 0, 0] for batch in method.batches[e : e + 4]]) for e in (0, 4)]
    for order in orders:
        torch.testing.assert_close(order.sort().values, trainer.data.clean(everything(trainer.data.train))[:, 0, 0, 0])
        assert not torch.equal(order, order.sort().values)
    assert not torch.equal(*orders)
    for batch in method.batches:
        assert [kept.shape for kept in batch.kept if kept is not None] == [(16, 6), (16, 6)]
        assert not torch.equal(batch.kept[0], batch.kept[1])  # type: ignore[arg-type]
    expected = [call for k in range(8) for call in (("loss", k / 12), ("after_step", (k + 1) / 12))]
    assert method.calls == expected
    settings = trainer.settings.optimizer
    assert rates == [learning_rate(settings, k, 12) for k in range(8)]


def test_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = recorded(monkeypatch, clip_norm=0.5)
    trainer.run_epoch()
    assert trainer.method.weight.grad.norm() == pytest.approx(0.5, rel=1e-4)  # type: ignore[union-attr,operator]


def test_dropout_is_drawn_from_the_seed_and_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the caller's generator is left as it was."""
    torch.manual_seed(0)
    before = torch.get_rng_state()
    losses = []
    for noise in (0, 1):
        torch.manual_seed(noise)
        trainer = recorded(monkeypatch)
        losses.append([trainer.run_epoch().loss for _ in range(2)])
        torch.manual_seed(0)
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_local_crops_fit_the_encoders_patches(images: Images) -> None:
    trial = config("dino", encoder={"name": "vit", "dim": 32, "depth": 1, "patch": 3}, batch_size=32)
    local = dataclasses.replace(trial, hyperparameters=trial.hyperparameters | {"local_crops": 2})
    assert math.isfinite(next(train(local, images=images)).loss)


def test_a_checkpoint_of_another_configuration_is_refused(images: Images, tmp_path: Path) -> None:
    next(train(config(), images=images, folder=tmp_path))
    with pytest.raises(ValueError, match="another configuration"):
        next(train(config(hyperparameters={"lr": 0.01}), images=images, folder=tmp_path))


def test_wide_images_are_refused() -> None:
    with pytest.raises(ValueError, match="must be square, but got 12×16"):
        Data(Images(np.zeros((4, 12, 16, 3), np.uint8), np.zeros((4, 12, 16, 3), np.uint8)), "cpu")


def test_the_sample_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 convolutions may not be rounded to TF32, nor chosen anew in every run."""
    seen = []
    monkeypatch.setattr(
        Recorder,
        "project",
        lambda self, x: seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic)) or x,
    )
    trainer = recorded(monkeypatch)
    measure(trainer.method.eval(), trainer.sample, ("rankme",), "simclr")
    assert set(seen) == {(False, True)}
