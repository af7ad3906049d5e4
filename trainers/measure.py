"""The label-free criteria of a network: the same images and the same draws for every trial of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from trainers.augment import Augmentation, repeat_views
from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.datasets import open_dataset
from trainers.datasets.base import Images
from trainers.device import exact, now
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.records import EMBEDDING, LAYERS, CriteriaSample, EpochReport, TrialConfig
from trainers.seeds import criteria_generator, criteria_order
from trainers.settings import resolve
from trainers.splits import Data

BATCH: Final = 1000
"""Images per forward pass where nothing is trained: it bounds the memory."""
KEPT_BYTES: Final = 2**30
"""The views of a sample are kept between epochs while they take no more than this."""


class Sample:
    """The n images × q views on which the criteria are measured, drawn from the sweep's seed alone."""

    def __init__(self, data: Data, sample: CriteriaSample, augmentation: Augmentation) -> None:
        split = data.train if sample.split == "train" else data.test
        if sample.images > len(split):
            raise ValueError(
                f"`criteria_sample.images` must be at most the {len(split)} images of the {sample.split} split, "
                f"but got {sample.images}"
            )
        chosen = criteria_order(len(split), data.device, sample.seed)
        self.data = data
        self.sample = sample
        self.augmentation = augmentation
        self.images = split.take(chosen[: sample.images])
        size = self.images[0].numel() * sample.images * sample.views * 4
        self._kept = list(self._draw()) if size <= KEPT_BYTES else None

    def views(self) -> Iterator[Tensor]:
        """Chunks (images, q, c, h, w) of whole images, normalised; the same ones at every call."""
        return iter(self._kept) if self._kept is not None else self._draw()

    def _draw(self) -> Iterator[Tensor]:
        for index, chunk in enumerate(self.images.split(max(1, BATCH // self.sample.views))):
            generator = criteria_generator(self.data.device, self.sample.seed, index)
            views = repeat_views(chunk, self.augmentation, self.sample.views, generator)
            yield self.data.normalize(views.flatten(0, 1)).unflatten(0, views.shape[:2])


@dataclass(frozen=True)
class Measurement:
    """What the criteria say of a network."""

    criteria: dict[str, float]
    """Every criterion column -> value."""
    spread: float
    """Of the embeddings (see EpochReport)."""
    seconds: dict[str, float]
    """Criterion -> what it would take alone: the passes through the network that it reads, and both layers."""


def measure(network: Method, sample: Sample, criteria: tuple[str, ...], method: str) -> Measurement:
    """Every criterion of the network of a method, in eval mode."""
    device = sample.data.device
    began = now(device)
    views = embed_views(network, sample)
    viewed = now(device)
    clean = embed_clean(network, sample)
    passes = {True: viewed - began, False: now(device) - viewed}
    features = {layer: Features(views[layer], clean[layer]) for layer in LAYERS}
    values: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for name in criteria:
        began = now(device)
        values |= CRITERIA[name].measure(features, method)
        seconds[name] = passes[CRITERIA[name].reads_views] + now(device) - began
    return Measurement(values, spread(clean[EMBEDDING]), seconds)


def embed_views(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, q, d) of the sample's views."""
    rows = by_layer([both_layers(network, chunk.flatten(0, 1)) for chunk in sample.views()])
    return {layer: tensor.unflatten(0, (-1, sample.sample.views)) for layer, tensor in rows.items()}


def embed_clean(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, d) of the sample's images as they are."""
    return by_layer([both_layers(network, sample.data.clean(chunk)) for chunk in sample.images.split(BATCH)])


def by_layer(chunks: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Layer -> its rows, of chunks from `both_layers`."""
    return {layer: torch.cat([chunk[index] for chunk in chunks]) for index, layer in enumerate(LAYERS)}


@torch.no_grad()
def both_layers(network: Method, images: Tensor) -> tuple[Tensor, Tensor]:
    """Representations and embeddings of (b, c, h, w) images, from one pass through the encoder, in the order of LAYERS.

    In float32: bfloat16 would add rank to a collapsed network.
    """
    with exact():
        representations = network.represent(images)
        return representations.float(), network.project(representations).float()


def spread(embeddings: Tensor) -> float:
    """Mean standard deviation per dimension over mean norm of (n, d) embeddings; 0 for a point, about 1/√d at best.

    >>> spread(torch.ones(4, 3))
    0.0
    """
    rows = embeddings.double()
    norm = float(rows.norm(dim=1).mean())
    return float(rows.std(0).mean()) / norm if norm else math.nan


def untrained(config: TrialConfig, *, images: Images | None = None) -> EpochReport:
    """The criteria of the network before any update, as a report of epoch 0 whose loss is NaN."""
    data = Data(images if images is not None else open_dataset(config.dataset).images(), config.device)
    sample = Sample(data, config.criteria_sample, resolve(config).criteria_augmentation)
    found = measure(load_network(config, data, None), sample, config.criteria, config.method)
    seconds = {"train": 0.0, "criteria": 0.0}
    return EpochReport(config.trial, 0, 0, math.nan, found.criteria, found.spread, seconds, math.nan)
