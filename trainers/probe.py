"""Score the frozen features of a network against labels, by the oracles of a trial.

This is the only file that opens labels, and nothing that searches, prunes or measures a criterion imports it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.augment import to_float
from trainers.datasets import open_dataset
from trainers.datasets.base import SPLITS, UNLABELLED, Images
from trainers.device import exact, limit_threads
from trainers.images import read_images
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.oracles import ORACLES
from trainers.packs.images import PackedImages
from trainers.packs.index import LABELS, Index, read_index, read_labels, write_arrays
from trainers.passes import images_per_pass
from trainers.records import CHECKPOINT, OracleChoice, OracleScore, Scalar, TrialConfig
from trainers.seeds import ORACLE_SEED
from trainers.splits import Data
from trainers.transforms import as_read

FEATURE_BATCH: Final = 512
"""Images per forward pass, or fewer where they are large."""
PIXEL_BYTES: Final = 2**32
"""No oracle is asked for the pixels themselves where both splits would take more in float32."""

Features = Callable[[Tensor, bool], Tensor]
"""uint8 images (b, h, w, c), and whether they are of the trial's own data set -> their features (b, d)."""


class Group(NamedTuple):
    """The oracles that read one data set, and its labels of both splits."""

    dataset: Mapping[str, Scalar]
    oracles: list[OracleChoice]
    labels: tuple[Tensor, Tensor]


def probe(config: TrialConfig, *, images: Images | None = None, folder: Path | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the representations of one network; none on data without labels.

    Args:
        config: the trial.
        images: the data set's images, if the caller has read them already.
        folder: the trial's folder, which has the checkpoint of the network; None = the network before any update.

    Raises:
        ValueError: the representations are not finite.
    """
    groups = _by_dataset(config, images)
    if not groups:
        return {}
    data = _data(config, images)
    network = load_network(config, data, folder / CHECKPOINT if folder is not None else None)
    return _network_scores(config, network, data, groups)


def probe_network(config: TrialConfig, network: Method, data: Data) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on what a network in eval mode represents; none without labels.

    Raises:
        ValueError: the representations are not finite.
    """
    groups = _by_dataset(config)
    return _network_scores(config, network, data, groups) if groups else {}


def _network_scores(config: TrialConfig, network: Method, data: Data, groups: list[Group]) -> dict[str, OracleScore]:
    def represent(batch: Tensor, own: bool) -> Tensor:
        return network.represent(data.clean(batch) if own else data.normalize(_as_read(batch, data))).float()

    count = min(FEATURE_BATCH, images_per_pass(network, data.clean(data.train.take(torch.arange(1)))[0]))
    return _measured(config, groups, data, represent, count)


def probe_pixels(config: TrialConfig, *, images: Images | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the flattened pixels that an encoder reads.

    None without labels, or for too many pixels.
    """
    groups = _by_dataset(config, images)
    if not groups:
        return {}
    data = _data(config, images)
    if 4 * sum(math.prod(split.shape) for split in (data.train, data.test)) > PIXEL_BYTES:
        return {}

    def pixels(batch: Tensor, own: bool) -> Tensor:
        return batch.flatten(1) / 255 if own else _as_read(batch, data).flatten(1)

    return _measured(config, groups, data, pixels, FEATURE_BATCH)


def has_labels(dataset: Mapping[str, Scalar]) -> bool:
    """Whether a data set has labels for both splits, so that an oracle can measure anything."""
    return _read_labels(dataset) is not None


def store_labels(dataset: Mapping[str, Scalar], folder: Path) -> None:
    """Write the labels and paths of a pack's images beside it, so that no trial needs the data set's own files.

    Nothing is written if there are no labels, or if they have been written.
    """
    if (folder / LABELS).is_file():
        return
    index = read_index(folder)
    labels = _labels_of_pack(dataset, index)
    if labels is None:
        return
    files = open_dataset(dataset).sources(str(dataset["name"])).files
    names = [
        os.fsencode(files[split][position]) for split in files for position in index.places[split].position.tolist()
    ]
    paths = np.frombuffer(b"\0".join(names), dtype=np.uint8)
    write_arrays(folder / LABELS, {**dict(zip(SPLITS, labels, strict=True)), "paths": paths})


def _labels_of_pack(dataset: Mapping[str, Scalar], index: Index) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Labels of the images that a pack holds, which may lack some of the data set's."""
    stored = read_labels(index.folder)
    if stored is not None:
        return stored[SPLITS[0]], stored[SPLITS[1]]
    opened = open_dataset(dataset)
    train, test = (opened.labels(split) for split in SPLITS)
    if train is None or test is None:
        return None
    return train[index.places[SPLITS[0]].position], test[index.places[SPLITS[1]].position]


def _by_dataset(config: TrialConfig, images: Images | None = None) -> list[Group]:
    """Each data set that has labels and of which an oracle asks: it is read once for all of its oracles."""
    asked: list[tuple[Mapping[str, Scalar], list[OracleChoice]]] = []
    for name in config.oracle:
        choice = config.oracle_choices.get(name, OracleChoice(name))
        dataset = config.dataset if choice.dataset is None else choice.dataset
        beside = next((oracles for one, oracles in asked if one == dataset), None)
        if beside is None:
            asked.append((dataset, [choice]))
        else:
            beside.append(choice)
    found = (
        (dataset, oracles, _labels(config, dataset, images if dataset == config.dataset else None))
        for dataset, oracles in asked
    )
    return [Group(dataset, oracles, labels) for dataset, oracles, labels in found if labels is not None]


def _labels(config: TrialConfig, dataset: Mapping[str, Scalar], images: Images | None) -> tuple[Tensor, Tensor] | None:
    """Labels of both splits on the trial's device; None if one has none. `images`: those of the data set, if known."""
    if images is None and open_dataset(dataset).packs:
        images = read_images(dataset)
    train_images = None if images is None else images.train
    if isinstance(train_images, PackedImages):
        read = _labels_of_pack(dataset, train_images.index)
    else:
        read = _read_labels(dataset)
    if read is None or any((classes == UNLABELLED).all() for classes in read):
        return None
    train, test = (torch.from_numpy(labels).to(config.device) for labels in read)
    return train, test


def _read_labels(dataset: Mapping[str, Scalar]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Labels of both splits; None if no image of one has any."""
    opened = open_dataset(dataset)
    train, test = (opened.labels(split) for split in SPLITS)
    if train is None or test is None or (train == UNLABELLED).all() or (test == UNLABELLED).all():
        return None
    return train, test


def _data(config: TrialConfig, images: Images | None) -> Data:
    limit_threads(config.threads)
    return Data(images if images is not None else read_images(config.dataset), config.device)


def _as_read(batch: Tensor, data: Data) -> Tensor:
    """uint8 images (b, h, w, c) of another data set as those of `data` are before they are normalised."""
    return as_read(to_float(batch), data.image_size, data.channels)


def _measured(
    config: TrialConfig, groups: list[Group], data: Data, features: Features, count: int
) -> dict[str, OracleScore]:
    """Every oracle, in the order of `config.oracle`, on features that are computed once for each data set.

    `count`: images at once.
    """
    scores: dict[str, OracleScore] = {}
    for dataset, oracles, labels in groups:
        own = dataset == config.dataset
        read = data if own else Data(read_images(dataset), config.device)
        start = time.perf_counter()
        _check_counts(read, labels)
        known = tuple((classes != UNLABELLED).nonzero()[:, 0] for classes in labels)
        with torch.no_grad(), exact():
            train, test = (
                torch.cat([features(split.take(chosen), own) for chosen in places.split(count)])
                for split, places in zip((read.train, read.test), known, strict=True)
            )
        classes = (labels[0][known[0]], labels[1][known[1]])
        scores |= _scores(oracles, (train, test), classes, time.perf_counter() - start)
    return {name: scores[name] for name in config.oracle if name in scores}


def _check_counts(data: Data, labels: tuple[Tensor, Tensor]) -> None:
    """Raises: ValueError, if a split has not one label for each image."""
    for split, images, classes in zip(SPLITS, (data.train, data.test), labels, strict=True):
        if len(images) != len(classes):
            raise ValueError(
                f"{len(images)} {split} images, but {len(classes)} labels: has the data set changed on disk?"
            )


def _scores(
    oracles: list[OracleChoice], features: tuple[Tensor, Tensor], labels: tuple[Tensor, Tensor], seconds: float
) -> dict[str, OracleScore]:
    """Every oracle on the same features; each score's seconds include the `seconds` that they took to make."""
    scores = {}
    for choice in oracles:
        constants: dict[str, Any] = dict(choice.constants)
        protocol = replace(ORACLES[choice.probe], **constants)
        score = protocol.score(features[0], labels[0], features[1], labels[1], seed=ORACLE_SEED)
        scores[choice.name] = replace(score, seconds=score.seconds + seconds)
    return scores
