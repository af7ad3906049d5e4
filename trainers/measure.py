"""Measure the label-free criteria of a network, on the same images and draws for every trial of a sweep.

BatchNorm is not folded into the convolutions: without any BatchNorm, the pass of the views of the default SimCLR sweep
is no faster on a CPU (medians of 14 passes: 0.845 s, and 0.837 s with it).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.criteria.rankme import rankme
from trainers.datasets.base import Images
from trainers.device import exact, now
from trainers.images import read_images
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.passes import images_per_pass, parts
from trainers.records import EMBEDDING, LAYERS, CriteriaSample, EpochReport, TrialConfig, criterion_columns
from trainers.seeds import criteria_generator, criteria_order, null_order, null_shifts
from trainers.settings import Settings, resolve
from trainers.splits import Data

BATCH: Final = 1000
"""Images or views that are drawn together, if they take at most DRAWN_BYTES; the draws depend on it."""
DRAWN_BYTES: Final = 2**27
"""Views that are drawn together take at most this much in float32, and a few times as much while they are drawn. The
draws depend on it where 1,000 views take more: from 3 × 106 × 106 pixels on."""
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
        self.split = split
        self.chosen = chosen[: sample.images]
        self.images = split.take(self.chosen)
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
        drawn = min(BATCH, DRAWN_BYTES // (4 * self.images[0].numel()))
        for index, chosen in enumerate(self.chosen.split(max(1, drawn // q))):
            generator = criteria_generator(self.data.device, self.sample.seed, index)
            batch = self.method.sample_views(self.split.originals(chosen), q, augmentation, params, generator)
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
    embedding_rank: float = math.nan
    """RankMe of the embeddings (see EpochReport)."""
    nulls: dict[str, float] = field(default_factory=dict)
    """Null column -> value on shuffled views."""


def measure(
    network: Method, sample: Sample, criteria: tuple[str, ...], method: str, *, nulls: bool = False
) -> Measurement:
    """Measure the `criteria` of a network in eval mode, with one forward pass of the views and one of the clean images.

    Args:
        network: the network.
        sample: the images and views.
        criteria: their names.
        method: the name of the method, which decides on the layer of the plain columns.
        nulls: whether to measure the criteria on shuffled views too.
    """
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
    found = null_values(features, criteria, method, sample.sample.seed) if nulls else {}
    rank = values["rankme.embedding"] if "rankme" in criteria else math.nan
    return Measurement(values, spread(clean[EMBEDDING]), seconds, rank, found)


def watch(network: Method, sample: Sample, criteria: tuple[str, ...]) -> Measurement:
    """What the collapse rule reads, without any criterion: a pass of the clean images alone."""
    embeddings = embed_clean(network, sample)[EMBEDDING]
    rank = rankme(embeddings) if "rankme" in criteria else math.nan
    return Measurement({}, spread(embeddings), {}, rank)


def null_values(features: Mapping[str, Features], criteria: Iterable[str], method: str, seed: int) -> dict[str, float]:
    """Null column -> value of the criteria that read views, on views shuffled between images."""
    shuffled = {layer: Features(shuffle(of_layer.views, seed), of_layer.clean) for layer, of_layer in features.items()}
    found: dict[str, float] = {}
    for name in criteria:
        criterion = CRITERIA[name]
        if criterion.reads_views:
            values = criterion.measure(shuffled, method)
            found |= dict(zip(criterion.null_columns, (values[key] for key in criterion_columns(name)), strict=True))
    return found


def shuffle(views: Tensor, seed: int) -> Tensor:
    """(n, q, d) views, each index permuted over the images, so that the q views of a row are of q different images.

    View j of row i is that of image p[(i + s_j) mod n], for a random permutation p and random shifts s, which differ
    while there are as many images as views. The permutations depend on n, q and the seed alone.
    """
    n, q, _ = views.shape
    order, shifts = null_order(n, views.device, seed), null_shifts(n, views.device, seed)
    index = torch.arange(q, device=views.device)
    rows = torch.arange(n, device=views.device)
    return views[order[(rows[:, None] + shifts[index % n]) % n], index]


def embed_views(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, q, d) of the sample's views."""
    count = images_per_pass(network, sample.data.clean(sample.images[:1])[0])
    rows = joined(
        float_features(network, *batch)
        for views, kept in sample.views()
        for batch in passes_of(views.flatten(0, 1), None if kept is None else kept.flatten(0, 1), count=count)
    )
    return {layer: tensor.unflatten(0, (-1, sample.sample.views)) for layer, tensor in rows.items()}


def embed_clean(network: Method, sample: Sample) -> dict[str, Tensor]:
    """Layer -> (n, d) of the sample's images, not augmented."""
    count = images_per_pass(network, sample.data.clean(sample.images[:1])[0])
    return joined(float_features(network, sample.data.clean(chunk)) for chunk in sample.images.split(min(BATCH, count)))


def passes_of(images: Tensor, kept: Tensor | None = None, *, count: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The images (b, c, h, w) and their kept patches in parts for one forward pass each, of at most `count`."""
    for part in parts(len(images), count):
        yield images[part], None if kept is None else kept[part]


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


def untrained(
    config: TrialConfig, *, images: Images | None = None, show: Callable[[Sample], None] | None = None
) -> EpochReport:
    """The criteria of the network before any update, as a report of epoch 0 whose loss is NaN.

    `show` is called with the sample after the measurement.
    """
    data = Data(images if images is not None else read_images(config.dataset), config.device)
    network = load_network(config, data, None)
    sample = Sample(network, data, config.criteria_sample, resolve(config))
    found = measure(network, sample, config.criteria, config.method, nulls=True)
    if show is not None:
        show(sample)
    return EpochReport(
        trial=config.trial,
        epoch=0,
        step=0,
        loss=math.nan,
        criteria=found.criteria,
        spread=found.spread,
        seconds={"train": 0.0, "criteria": 0.0},
        images_per_second=math.nan,
        embedding_rank=found.embedding_rank,
        nulls=found.nulls,
    )
