"""The oracle: its computation against NumPy, its scores in known cases, and the network that it reads."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from trainers.datasets import open_dataset
from trainers.datasets.folder import Folder
from trainers.loop import train
from trainers.network import load_network
from trainers.oracles import ORACLES
from trainers.oracles.base import standardised
from trainers.oracles.lidar_paper import LIDAR_PAPER as PAPER
from trainers.oracles.lidar_paper import LinearProbe, fit
from trainers.probe import probe, probe_pixels
from trainers.records import CHECKPOINT, CriteriaSample, OracleScore, TrialConfig
from trainers.splits import Data, Split, in_order


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(per_class: int, d: int = 6, classes: int = 4, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian classes around the first axes, in mixed order."""
    labels = torch.arange(classes).repeat(per_class)
    return torch.eye(d)[labels] + noise * torch.randn(len(labels), d, generator=seeded(seed)), labels


def score(*, noise: float = 0.1, seed: int = 0) -> OracleScore:
    return PAPER.score(*blobs(500, noise=noise), *blobs(100, noise=noise, seed=1), seed=seed)


# the protocol


def test_the_protocol_is_the_papers() -> None:
    assert LinearProbe(epochs=20, batch_size=256, lr=0.01, drop_after_epoch=15, drop_factor=10.0) == PAPER


def written_out(features: Tensor, labels: Tensor, protocol: LinearProbe, seed: int) -> list[NDArray[np.float64]]:
    """Weights and biases after the protocol in NumPy and float64: softmax regression by Adam."""
    x = features.double().numpy()
    targets = np.eye(int(labels.max()) + 1)[labels.numpy()]
    torch.manual_seed(seed)
    layer = nn.Linear(x.shape[1], targets.shape[1])
    parameters = [layer.weight.detach().double().numpy().T.copy(), layer.bias.detach().double().numpy().copy()]
    first, second = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    generator, step = seeded(seed), 0
    for epoch in range(1, protocol.epochs + 1):
        lr = protocol.lr / (protocol.drop_factor if epoch > protocol.drop_after_epoch else 1)
        order = torch.randperm(len(x), generator=generator).numpy()
        for start in range(0, len(x), protocol.batch_size):
            chosen = order[start : start + protocol.batch_size]
            logits = x[chosen] @ parameters[0] + parameters[1]
            shares = np.exp(logits - logits.max(1, keepdims=True))
            error = (shares / shares.sum(1, keepdims=True) - targets[chosen]) / len(chosen)
            step += 1
            for index, gradient in enumerate((x[chosen].T @ error, error.sum(0))):
                first[index] = 0.9 * first[index] + 0.1 * gradient
                second[index] = 0.999 * second[index] + 0.001 * gradient**2
                scale = np.sqrt(second[index] / (1 - 0.999**step)) + 1e-8
                parameters[index] -= lr * first[index] / (1 - 0.9**step) / scale
    return parameters


@pytest.mark.parametrize(("epochs", "drop_after_epoch"), [(1, 5), (6, 3), (6, 5), (6, 6)])
def test_the_layer_is_trained_as_written_out(epochs: int, drop_after_epoch: int) -> None:
    protocol = LinearProbe(epochs=epochs, batch_size=64, lr=0.01, drop_after_epoch=drop_after_epoch, drop_factor=10.0)
    features, labels = blobs(50, noise=1.0)
    weight, bias = written_out(features, labels, protocol, seed=3)
    layer = fit(features, labels, 4, protocol, seed=3)
    np.testing.assert_allclose(layer.weight.detach().numpy().T, weight, atol=2e-6)
    np.testing.assert_allclose(layer.bias.detach().numpy(), bias, atol=2e-6)


def test_the_score_is_the_share_of_test_images_that_the_layer_names() -> None:
    features, labels = blobs(250, noise=1.0)
    test, test_labels = blobs(250, noise=1.0, seed=1)
    spread = torch.tensor([1, 10, 0.1, 1, 1, 100])
    standard, standard_test = standardised(features, test)
    weight, bias = written_out(standard, labels, PAPER, seed=0)
    logits = standard_test.double().numpy() @ weight + bias
    expected = (logits.argmax(1) == test_labels.numpy()).mean()
    found = PAPER.score(features * spread + 5, labels, test * spread + 5, test_labels)
    assert 0.4 < found.accuracy < 0.9
    assert found.accuracy == pytest.approx(expected, abs=0.002)  # float32 may decide a tie differently


# scores


def test_classes_apart_are_told_apart() -> None:
    found = score()
    assert found.accuracy == 1.0
    assert found.n == 400
    assert found.seconds > 0


def test_labels_without_a_pattern_are_guessed() -> None:
    train, labels = blobs(250)
    test, test_labels = blobs(250, seed=1)
    mixed = labels[torch.randperm(len(labels), generator=seeded(2))]
    assert PAPER.score(train, mixed, test, test_labels).accuracy == pytest.approx(0.25, abs=0.25)
    noise = torch.randn(1000, 6, generator=seeded(3))
    assert PAPER.score(noise, labels, noise.flip(0), test_labels).accuracy == pytest.approx(0.25, abs=0.08)


@pytest.mark.slow
def test_the_score_is_a_function_of_its_inputs_and_seed() -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    one = score(noise=1.0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert score(noise=1.0).accuracy == one.accuracy
    assert len({score(noise=1.0, seed=seed).accuracy for seed in range(6)}) > 1


@pytest.mark.slow
def test_shifts_scales_and_dead_features_do_not_matter() -> None:
    train, labels = blobs(500, noise=0.7)
    test, test_labels = blobs(250, noise=0.7, seed=1)
    plain = PAPER.score(train, labels, test, test_labels).accuracy
    powers = torch.tensor([2.0**-20, 2.0**-3, 1.0, 2.0**3, 2.0**10, 2.0**30])
    assert PAPER.score(train * powers, labels, test * powers, test_labels).accuracy == plain
    moved = PAPER.score(train + 3, labels, test + 3, test_labels).accuracy
    assert moved == pytest.approx(plain, abs=0.003)
    train[:, 5], test[:, 5] = 0.1, 1e6
    found = PAPER.score(train, labels, test, test_labels)
    assert found.accuracy == pytest.approx(plain, abs=0.03)


def test_standardising_is_by_the_training_split_alone() -> None:
    train, test = torch.randn(200, 5, generator=seeded()) * 7 + 3, torch.randn(50, 5, generator=seeded(1))
    train[:, 4] = 1e4 + torch.arange(200) % 2 * 1e-3  # one unit in the last place: rounding, not a feature
    ours, theirs = standardised(train, test), (train.double(), test.double())
    mean, deviation = theirs[0].mean(0), theirs[0].std(0, correction=0)
    for ours_, theirs_ in zip(ours, theirs, strict=True):
        torch.testing.assert_close(ours_[:, :4].double(), ((theirs_ - mean) / deviation)[:, :4], rtol=1e-4, atol=1e-5)
        assert (ours_[:, 4] == 0).all()


@pytest.mark.slow
def test_half_precision_features_are_probed_in_float32() -> None:
    train, labels = blobs(500)
    test, test_labels = blobs(500, seed=1)
    assert PAPER.score(train.bfloat16(), labels, test.bfloat16(), test_labels).accuracy == 1.0


@pytest.mark.slow
def test_labels_may_be_any_numbers_and_unseen_ones_are_mistakes() -> None:
    train, labels = blobs(500)
    test, test_labels = blobs(500, seed=1)
    names = torch.tensor([-7, 3, 1000, 4])
    assert PAPER.score(train, names[labels], test, names[test_labels]).accuracy == 1.0
    seen = labels != 2
    assert PAPER.score(train[seen], labels[seen], test, test_labels).accuracy == 0.75


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(bad: float) -> None:
    train, labels = blobs(5)
    for place in (0, 1):
        features = [train.clone(), train.clone()]
        features[place][3, 2] = bad
        with pytest.raises(ValueError, match="must be finite to be probed"):
            PAPER.score(features[0], labels, features[1], labels)


# on a trial


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, of bright and of dark noise."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, low in (("bright", 120), ("dark", 0)):
        (root / name).mkdir()
        for index in range(60):
            pixels = rng.integers(low, low + 130, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def config(root: Path, **changes: object) -> TrialConfig:
    base = TrialConfig(
        method="simclr",
        dataset={"name": "folder", "root": str(root), "size": 12},
        encoder={"name": "resnet", "width": 8, "blocks": 1, "stages": 2, "stem_stride": 2},
        epochs=1,
        batch_size=16,
        hyperparameters={"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "lr": 0.05},
        criteria_sample=CriteriaSample(images=16, views=2),
        oracle=("lidar_paper",),
    )
    return dataclasses.replace(base, **changes)


def everything(split: Split) -> torch.Tensor:
    """Every image of a split."""
    return torch.cat(list(in_order(split, 7)))


def by_hand(trial: TrialConfig, checkpoint: Path | None) -> float:
    dataset = open_dataset(trial.dataset)
    data = Data(dataset.images(), "cpu")
    network = load_network(trial, data, checkpoint)
    with torch.no_grad():
        features = [network.represent(data.clean(everything(split))) for split in (data.train, data.test)]
    labels = [torch.from_numpy(dataset.labels(split)) for split in ("train", "test")]
    return PAPER.score(features[0], labels[0], features[1], labels[1]).accuracy


@pytest.mark.slow
def test_it_reads_the_network_of_the_checkpoint_or_the_untrained_one(pictures: Path, tmp_path: Path) -> None:
    trial = config(pictures, seed=2)
    for _ in train(trial, folder=tmp_path):
        pass
    before, after = probe(trial), probe(trial, folder=tmp_path)
    assert before["lidar_paper"].accuracy == by_hand(trial, None)
    assert after["lidar_paper"].accuracy == by_hand(trial, tmp_path / CHECKPOINT)
    assert before["lidar_paper"].n == 24
    images = open_dataset(trial.dataset).images()
    assert probe(trial, images=images)["lidar_paper"].accuracy == before["lidar_paper"].accuracy


def test_every_protocol_asked_for_is_scored(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = dataclasses.replace(PAPER, epochs=1)
    monkeypatch.setitem(ORACLES, "short", short)
    assert list(probe(config(pictures, oracle=("short", "lidar_paper")))) == ["short", "lidar_paper"]


def test_raw_pixels_tell_bright_from_dark(pictures: Path) -> None:
    assert probe_pixels(config(pictures))["lidar_paper"].accuracy == 1.0


@pytest.mark.slow
def test_raw_digits_score_as_a_linear_classifier_does() -> None:
    digits = TrialConfig(
        method="simclr", dataset={"name": "mnist5k"}, encoder={}, epochs=1, batch_size=1, oracle=("lidar_paper",)
    )
    found = probe_pixels(digits)["lidar_paper"]
    assert found.n == 1000
    assert 0.87 < found.accuracy < 0.93


def test_without_labels_there_is_no_score(pictures: Path) -> None:
    unlabelled = config(pictures, dataset={"name": "folder", "root": str(pictures), "size": 12, "labels": False})
    assert probe(unlabelled) == {}
    assert probe_pixels(unlabelled) == {}


@pytest.mark.slow
def test_without_an_oracle_no_label_is_opened(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(self: Folder, split: str) -> None:
        raise AssertionError(f"labels of {split} opened")

    monkeypatch.setattr(Folder, "labels", opened)
    assert probe(config(pictures, oracle=())) == {}
    assert probe_pixels(config(pictures, oracle=())) == {}
    for _ in train(config(pictures)):
        pass
