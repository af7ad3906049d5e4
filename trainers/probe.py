"""The oracles: how well a linear layer on frozen features names the classes.

This is the only file that opens labels, and nothing that searches, prunes or measures a criterion imports it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn

from trainers.datasets import open_dataset
from trainers.datasets.base import SPLITS, Images
from trainers.device import exact, limit_threads
from trainers.network import load_network
from trainers.records import CHECKPOINT, OracleScore, Scalar, TrialConfig
from trainers.splits import Data, in_order

FEATURE_BATCH: Final = 512
"""Images per forward pass; it bounds the memory and changes nothing else."""
ROUNDING: Final = 1e-6
"""A deviation below this share of the mean is float32's rounding."""


@dataclass(frozen=True)
class Protocol:
    """How a linear probe is trained: Adam and cross-entropy on features standardised by the training split."""

    epochs: int
    batch_size: int
    lr: float
    drop_after_epoch: int
    """The learning rate is divided by `drop_factor` once this many epochs are finished."""
    drop_factor: float = 10.0


ORACLES: Final[Mapping[str, Protocol]] = MappingProxyType(
    {
        # Thilak et al. (ICLR 2024), appendix; the batch size and the standardisation are ours
        "lidar_paper": Protocol(epochs=20, batch_size=256, lr=0.01, drop_after_epoch=15),
    }
)


def probe(config: TrialConfig, *, images: Images | None = None, folder: Path | None = None) -> dict[str, OracleScore]:
    """Score of every protocol in `config.oracle` on the representations of one network; {} where there are no labels.

    Args:
        config: the trial.
        images: the data set's images, where the caller has them; otherwise they are read.
        folder: the trial's folder, whose checkpoint holds the network; None = the network before any update.

    Raises:
        ValueError: the representations are not finite.
    """
    labels = _labels(config)
    if labels is None:
        return {}
    data = _data(config, images)
    start = time.perf_counter()
    network = load_network(config, data, folder / CHECKPOINT if folder is not None else None)
    with torch.no_grad(), exact():
        train, test = (
            torch.cat([network.represent(data.clean(batch)).float() for batch in in_order(split, FEATURE_BATCH)])
            for split in (data.train, data.test)
        )
    return _scores(config, (train, test), labels, time.perf_counter() - start)


def probe_pixels(config: TrialConfig, *, images: Images | None = None) -> dict[str, OracleScore]:
    """Score of every protocol in `config.oracle` on the flattened pixels; {} where there are no labels."""
    labels = _labels(config)
    if labels is None:
        return {}
    data = _data(config, images)
    train, test = (
        torch.cat([batch.flatten(1) / 255 for batch in in_order(split, FEATURE_BATCH)])
        for split in (data.train, data.test)
    )
    return _scores(config, (train, test), labels, 0.0)


def has_labels(dataset: Mapping[str, Scalar]) -> bool:
    """Whether a data set has labels for both splits, so that an oracle can measure anything."""
    opened = open_dataset(dataset)
    return all(opened.labels(split) is not None for split in SPLITS)


def _labels(config: TrialConfig) -> tuple[Tensor, Tensor] | None:
    """Labels of both splits, where there are any and an oracle asks for them."""
    dataset = open_dataset(config.dataset)
    train, test = (dataset.labels(split) if config.oracle else None for split in ("train", "test"))
    if train is None or test is None:
        return None
    return torch.from_numpy(train).to(config.device), torch.from_numpy(test).to(config.device)


def _data(config: TrialConfig, images: Images | None) -> Data:
    limit_threads(config.threads)
    return Data(images if images is not None else open_dataset(config.dataset).images(), config.device)


def _scores(
    config: TrialConfig, features: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], seconds: float
) -> dict[str, OracleScore]:
    """Every protocol on the same features; each score's seconds include the `seconds` that they took to make."""
    for split, rows, classes in zip(("train", "test"), features, labels, strict=True):
        if len(rows) != len(classes):
            raise ValueError(
                f"{len(rows)} {split} images, but {len(classes)} labels: has the data set changed on disk?"
            )
    scores = {}
    for name in config.oracle:
        score = linear_probe(features[0], labels[0], features[1], labels[1], ORACLES[name])
        scores[name] = replace(score, seconds=score.seconds + seconds)
    return scores


def linear_probe(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    protocol: Protocol,
    *,
    seed: int = 0,
) -> OracleScore:
    """Accuracy on the test split of a linear layer fitted to the training split.

    The layer's start and its batches are functions of `seed` alone, so that scores differ by the features only.

    Args:
        train_features: (n, d), frozen.
        train_labels: (n,), int64 of any values; a test label that is not among them counts as a mistake.
        test_features: (m, d).
        test_labels: (m,).
        protocol: how to train.
        seed: of the layer's start and of the batches.

    Raises:
        ValueError: a feature that is not finite.
    """
    start = time.perf_counter()
    for features in (train_features, test_features):
        if not features.isfinite().all():
            raise ValueError("the representations must be finite to be probed; this network has diverged")
    classes = train_labels.unique()
    train, test = standardised(train_features.float(), test_features.float())
    layer = _fit(train, torch.searchsorted(classes, train_labels), len(classes), protocol, seed)
    with torch.no_grad():
        hits = classes[layer(test).argmax(dim=1)] == test_labels
    return OracleScore(float(hits.double().mean()), n=len(test_labels), seconds=time.perf_counter() - start)


def standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both splits, less the training split's mean and over its standard deviation per feature; dead features are 0.

    >>> standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([[4.0, 9.0]]))[1]
    tensor([[2., 0.]])
    """
    deviation, mean = torch.std_mean(train, dim=0, correction=0)
    # what is constant but for rounding is dead: dividing by its deviation would turn rounding into a feature
    scale = (1 / deviation).where(deviation > ROUNDING * mean.abs(), 0.0)
    return (train - mean) * scale, (test - mean) * scale


def _fit(features: Tensor, classes: Tensor, count: int, protocol: Protocol, seed: int) -> nn.Linear:
    """A linear layer of `count` outputs, trained on all features at once where they lie, in seeded random batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.Linear(features.shape[1], count)
    layer = layer.to(features.device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=protocol.lr)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(protocol.epochs):
        if epoch == protocol.drop_after_epoch:
            for group in optimizer.param_groups:
                group["lr"] = protocol.lr / protocol.drop_factor
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for chosen in order.split(protocol.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(features[chosen]), classes[chosen]).backward()
            optimizer.step()
    return layer
