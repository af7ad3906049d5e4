"""Score the frozen features of a network against labels, by the oracles of a trial.

This is the only file that opens labels, and nothing that searches, prunes or measures a criterion imports it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from trainers.datasets import open_dataset
from trainers.datasets.base import SPLITS, Images
from trainers.device import exact, limit_threads
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.oracles import ORACLES
from trainers.records import CHECKPOINT, OracleScore, Scalar, TrialConfig
from trainers.seeds import ORACLE_SEED
from trainers.splits import Data, in_order

FEATURE_BATCH: Final = 512
"""Images per forward pass; it limits the memory."""


def probe(config: TrialConfig, *, images: Images | None = None, folder: Path | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the representations of one network; {} without labels.

    Args:
        config: the trial.
        images: the data set's images, if the caller has read them already.
        folder: the trial's folder, which has the checkpoint of the network; None = the network before any update.

    Raises:
        ValueError: the representations are not finite.
    """
    labels = _labels(config)
    if labels is None:
        return {}
    data = _data(config, images)
    start = time.perf_counter()
    network = load_network(config, data, folder / CHECKPOINT if folder is not None else None)
    return _network_scores(config, network, data, labels, start)


def probe_network(config: TrialConfig, network: Method, data: Data) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on what a network in eval mode represents; {} without labels.

    Raises:
        ValueError: the representations are not finite.
    """
    labels = _labels(config)
    return {} if labels is None else _network_scores(config, network, data, labels, time.perf_counter())


def _network_scores(
    config: TrialConfig, network: Method, data: Data, labels: tuple[Tensor, Tensor], start: float
) -> dict[str, OracleScore]:
    with torch.no_grad(), exact():
        train, test = (
            torch.cat([network.represent(data.clean(batch)).float() for batch in in_order(split, FEATURE_BATCH)])
            for split in (data.train, data.test)
        )
    return _scores(config, (train, test), labels, time.perf_counter() - start)


def probe_pixels(config: TrialConfig, *, images: Images | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the flattened pixels; {} without labels."""
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
    """Labels of both splits; None without labels, or if no oracle asks for them."""
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
    """Every oracle on the same features; each score's seconds include the `seconds` that they took to make."""
    for split, rows, classes in zip(("train", "test"), features, labels, strict=True):
        if len(rows) != len(classes):
            raise ValueError(
                f"{len(rows)} {split} images, but {len(classes)} labels: has the data set changed on disk?"
            )
    scores = {}
    for name in config.oracle:
        score = ORACLES[name].score(features[0], labels[0], features[1], labels[1], seed=ORACLE_SEED)
        scores[name] = replace(score, seconds=score.seconds + seconds)
    return scores
