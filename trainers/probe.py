"""Score the frozen features of a network against labels, by the oracles of a trial.

This is the only file that opens labels, and nothing that searches, prunes or measures a criterion imports it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.datasets import open_dataset
from trainers.datasets.base import SPLITS, Images
from trainers.device import exact, limit_threads
from trainers.images import read_images
from trainers.network import load_network
from trainers.oracles import ORACLES
from trainers.packs.images import PackedImages
from trainers.packs.index import LABELS, Index, read_index, read_labels, write_arrays
from trainers.passes import images_per_pass
from trainers.records import CHECKPOINT, OracleScore, Scalar, TrialConfig
from trainers.seeds import ORACLE_SEED
from trainers.splits import Data, in_order

FEATURE_BATCH: Final = 512
"""Images per forward pass, or fewer where they are large."""
PIXEL_BYTES: Final = 2**32
"""No oracle is asked for the pixels themselves where both splits would take more in float32."""


def probe(config: TrialConfig, *, images: Images | None = None, folder: Path | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the representations of one network; {} without labels.

    Args:
        config: the trial.
        images: the data set's images, if the caller has read them already.
        folder: the trial's folder, which has the checkpoint of the network; None = the network before any update.

    Raises:
        ValueError: the representations are not finite.
    """
    labels = _labels(config, images)
    if labels is None:
        return {}
    data = _data(config, images)
    start = time.perf_counter()
    network = load_network(config, data, folder / CHECKPOINT if folder is not None else None)
    count = min(FEATURE_BATCH, images_per_pass(network, data.clean(data.train.take(torch.arange(1)))[0]))
    with torch.no_grad(), exact():
        train, test = (
            torch.cat([network.represent(data.clean(batch)).float() for batch in in_order(split, count)])
            for split in (data.train, data.test)
        )
    return _scores(config, (train, test), labels, time.perf_counter() - start)


def probe_pixels(config: TrialConfig, *, images: Images | None = None) -> dict[str, OracleScore]:
    """Score of every oracle in `config.oracle` on the flattened pixels; {} without labels, or for too many pixels."""
    labels = _labels(config, images)
    if labels is None:
        return {}
    data = _data(config, images)
    if 4 * sum(math.prod(split.shape) for split in (data.train, data.test)) > PIXEL_BYTES:
        return {}
    train, test = (
        torch.cat([batch.flatten(1) / 255 for batch in in_order(split, FEATURE_BATCH)])
        for split in (data.train, data.test)
    )
    return _scores(config, (train, test), labels, 0.0)


def has_labels(dataset: Mapping[str, Scalar]) -> bool:
    """Whether a data set has labels for both splits, so that an oracle can measure anything."""
    opened = open_dataset(dataset)
    return all(opened.labels(split) is not None for split in SPLITS)


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


def _labels(config: TrialConfig, images: Images | None) -> tuple[Tensor, Tensor] | None:
    """Labels of both splits; None without labels, or if no oracle asks for them."""
    if not config.oracle:
        return None
    if images is None and open_dataset(config.dataset).packs:
        images = read_images(config.dataset)
    if images is not None and isinstance(images.train, PackedImages):
        labels = _labels_of_pack(config.dataset, images.train.index)
        found: tuple[NDArray[np.int64] | None, ...] = labels or (None, None)
    else:
        dataset = open_dataset(config.dataset)
        found = tuple(dataset.labels(split) for split in SPLITS)
    train, test = found
    if train is None or test is None:
        return None
    return torch.from_numpy(train).to(config.device), torch.from_numpy(test).to(config.device)


def _data(config: TrialConfig, images: Images | None) -> Data:
    limit_threads(config.threads)
    return Data(images if images is not None else read_images(config.dataset), config.device)


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
