"""Measure the label-free criteria of a network, on the same images and draws for every trial of a sweep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.datasets import open_dataset
from trainers.datasets.base import Images
from trainers.device import exact, now
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.records import EMBEDDING, LAYERS, CriteriaSample, EpochReport, TrialConfig
from trainers.seeds import criteria_generator, criteria_order
from trainers.settings import Settings, resolve
from trainers.splits import Data

BATCH: Final = 1000
"""Images per forward pass; it limits the memory."""
KEPT_BYTES: Final = 2**30
"""The views of a sample are kept between epochs if they take at most this much."""


class Sample:
    """The n images × q views on which the criteria are measured, drawn from the criteria sample's seed alone."""

    def __init__(self, method: Method, data: Data, sample: CriteriaSample, settings: Settings) -> None:
        split = data.train if sample.split == "train" else data.test
        if sample.images > len(split):
            raise ValueError(
                f"`criteria_sample.images` must be at most the {len(split)} images of the {sample.split} split, "
                f"but got {sample.images}"
            )
        chosen = criteria_order(len(split), data.device, sample.seed)
        self.method = method
        self.data = data
        self.sample = sample
        self.settings = settings
        self.images = split.take(chosen[: sample.images])
        size = self.images[0].numel() * sample.images * sample.views * 4
        self._drawn = list(self._draw()) if size <= KEPT_BYTES else None

    def views(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Chunks of the sample, the same at every call.

        Each is the normalised views (images, q, c, h, w), and the patches kept of each view (images, q, kept patches)
        or None if no patch is hidden.
        """
        return iter(self._drawn) if self._drawn is not None else self._draw()

    def _draw(self) -> Iterator[tuple[Tensor, Tensor | None]]:
        q, augmentation, params = self.sample.views, self.settings.criteria_augmentation, self.settings.criteria_params
        for index, chunk in enumerate(self.images.split(max(1, BATCH // q))):
            generator = criteria_generator(self.data.device, self.sample.seed, index)
            batch = self.method.sample_views(chunk, q, augmentation, params, generator)
            kept = [patches for patches in batch.kept if patches is not None]
            yield (
                self.data.normalize(torch.stack(batch.views, dim=1)),
                torch.stack(kept, dim=1) if kept else None,
            )


@dataclass(frozen=True)
class Measurement:
    """The criteria of one network."""

    criteria: dict[str, float]
    """Every criterion column -> value."""
    spread: float
    """Of the embeddings (see EpochReport)."""
    seconds: dict[str, float]
    """Criterion -> the seconds that it would take alone: its forward passes, and its computation on both layers."""


def measure(network: Method, sample: Sample, criteria: tuple[str, ...], method: str) -> Measurement:
    """Measure the `criteria` of a network in eval mode; `method` is its name."""
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
        for of_layer in features.values():
            of_layer.spared.clear()
        began = now(device)
        values |= CRITERIA[name].measure(features, method)
        computed = now(device) - began + sum(sum(of_layer.spared.values()) for of_layer in features.values())
        seconds[name] = passes[CRITERIA[name].reads_views] + computed
    return Measurement(values, spread(clean[EMBEDDING]), seconds)


def embed_views(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, q, d) of the sample's views."""
    rows = joined(
        float_features(network, views.flatten(0, 1), None if kept is None else kept.flatten(0, 1))
        for views, kept in sample.views()
    )
    return {layer: tensor.unflatten(0, (-1, sample.sample.views)) for layer, tensor in rows.items()}


def embed_clean(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, d) of the sample's images, not augmented."""
    return joined(float_features(network, sample.data.clean(chunk)) for chunk in sample.images.split(BATCH))


def joined(chunks: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Layer -> the rows of all chunks."""
    chunks = list(chunks)
    return {layer: torch.cat([chunk[layer] for chunk in chunks]) for layer in LAYERS}


@torch.no_grad()
def float_features(network: Method, images: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
    """Layer -> its rows (b, d) of normalised images (b, c, h, w), in float32: rounding to bfloat16 would add rank."""
    with exact():
        return {layer: rows.float() for layer, rows in network.features(images, kept).items()}


def spread(embeddings: Tensor) -> float:
    """Mean standard deviation per dimension over mean norm of (n, d) embeddings: 0 for a point, at most about 1/√d.

    >>> spread(torch.ones(4, 3))
    0.0
    """
    rows = embeddings.double()
    norm = float(rows.norm(dim=1).mean())
    return float(rows.std(0).mean()) / norm if norm else 0.0


def untrained(config: TrialConfig, *, images: Images | None = None) -> EpochReport:
    """The criteria of the network before any update, as a report of epoch 0 whose loss is NaN."""
    data = Data(images if images is not None else open_dataset(config.dataset).images(), config.device)
    network = load_network(config, data, None)
    sample = Sample(network, data, config.criteria_sample, resolve(config))
    found = measure(network, sample, config.criteria, config.method)
    seconds = {"train": 0.0, "criteria": 0.0}
    return EpochReport(config.trial, 0, 0, math.nan, found.criteria, found.spread, seconds, math.nan)
