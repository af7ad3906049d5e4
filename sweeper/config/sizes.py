"""Sizes beyond reason: what a sweep needs of memory, estimated before anything is read or built."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sweeper.config.axes import Axis, Choices, FloatRange
from sweeper.config.document import Document, Key
from sweeper.config.model import Search
from trainers.records import CriteriaSample, Scalar, TrialConfig

if TYPE_CHECKING:
    from trainers.encoders import Encoder
    from trainers.methods.base import Method

logger = logging.getLogger(__name__)

GRID: Final = 100_000
"""Configurations of a grid, which is made as a list for every trial."""
CLUSTER_BYTES: Final = 2**42
"""Of a cluster's machine, which nobody has asked: no machine of today has more for one trial."""
UNMEASURED: Final = (NotImplementedError, RuntimeError, TypeError)
"""What a method raises that cannot be run without numbers."""
REASON: Final = 200
"""Characters of the reason in a warning."""
WEIGHT_BYTES: Final = 16
"""Of a weight in float32, its gradient, and the two moments of AdamW."""

Shape = tuple[int, ...]
"""(n, h, w, c) of the training images."""


def machine_bytes(*, cluster: bool) -> int:
    """The memory of this machine."""
    return CLUSTER_BYTES if cluster else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_shape(document: Document, dataset: Mapping[str, Scalar], *, cluster: bool) -> Shape:
    """The shape (n, h, w, c) of the training images; all images must fit into memory together, if they are not packed.

    Raises:
        ConfigError: they do not.
    """
    from trainers.datasets import open_dataset

    opened = open_dataset(dataset)
    shapes = [opened.shape(split) for split in ("train", "test")]
    if opened.stays_on_disk:
        return shapes[0]
    key: Key = ("dataset", "size") if "size" in dataset else ("dataset",)
    _refuse(document, key, sum(map(math.prod, shapes)), "the images", cluster=cluster)
    return shapes[0]


def check_encoder_size(document: Document, network: Encoder, *, cluster: bool) -> Encoder:
    """The encoder, whose weights fit into memory.

    Raises:
        ConfigError: they do not.
    """
    _refuse(document, ("encoder",), _weight_bytes(network), "the encoder in training", cluster=cluster)
    return network


def check_sizes(
    document: Document,
    method: str,
    network: Encoder,
    shape: Shape,
    axes: Mapping[str, Axis],
    fixed: Mapping[str, Scalar],
    batch_size: int,
    sample: CriteriaSample,
    *,
    cluster: bool,
) -> None:
    """Check what a trial needs, its whole-number hyperparameters at their largest.

    Raises:
        ConfigError: the networks, the views of a batch, or the embeddings of the criteria do not fit into memory.
    """
    import torch

    from trainers.methods import METHODS
    from trainers.settings import resolve

    values = {**largest(axes), **{name: value for name, value in fixed.items() if name not in axes}}
    try:
        settings = resolve(TrialConfig(method, {}, {}, epochs=1, batch_size=1, hyperparameters=values))
        crops = settings.augmentation
        key = _blamed(axes, fixed)
        local = crops.local_crops * (crops.local_size or shape[1]) ** 2
        pixels = batch_size * shape[3] * (2 * shape[1] * shape[2] + local)
        blamed = ("batch_size",) if not crops.local_crops else key
        _refuse(document, blamed, 4 * pixels, "the views of a batch", cluster=cluster)
        with torch.device("meta"):
            built = METHODS[method](network, settings.params)
    except (TypeError, ValueError):
        return  # the checks of the values and of the method report it
    _refuse(document, key, _weight_bytes(built), "the networks of a trial in training", cluster=cluster)
    try:
        dims = measured(built, shape)
    except UNMEASURED as error:
        why = " ".join(str(error).split())[:REASON]
        logger.warning("the memory of the layers of `method` %s is not checked: it cannot be run (%s)", method, why)
        return
    scatter = 4 * 8 * max(dims.values(), default=0) ** 2  # LiDAR's matrices, in float64
    _refuse(document, key, scatter, "LiDAR's covariances", cluster=cluster)
    rows = sample.images * sample.views
    what = "the embeddings of `criteria_sample`"
    _refuse(document, ("criteria_sample",), 4 * rows * sum(dims.values()), what, cluster=cluster)


def check_grid(document: Document, axes: Mapping[str, Axis], search: Search) -> None:
    """Raises: ConfigError, if a grid has more configurations than can be listed."""
    count = math.prod(map(_count, axes.values()))
    if search.sampler == "grid" and count > GRID:
        problem = f"must have at most {GRID:,} configurations, but got {count:,}; lower `points`, or sample at random"
        raise document.error(("search", "sampler"), f"this grid {problem}", ("space",))


def _count(axis: Axis) -> int:
    if isinstance(axis, Choices):
        return len(axis.choices)
    if isinstance(axis, FloatRange):
        return axis.points if axis.high > axis.low else 1
    return min(axis.points, axis.high - axis.low + 1)


def largest(axes: Mapping[str, Axis]) -> dict[str, Scalar]:
    """The largest value of every axis of whole numbers."""
    found: dict[str, Scalar] = {}
    for name, axis in axes.items():
        values = axis.choices if isinstance(axis, Choices) else (axis.high,)
        whole = [value for value in values if type(value) is int]
        if whole:
            found[name] = max(whole)
    return found


def _blamed(axes: Mapping[str, Axis], fixed: Mapping[str, Scalar]) -> Key:
    """The key of the largest whole-number hyperparameter."""
    sizes = {("space", name): value for name, value in largest(axes).items() if isinstance(value, int)}
    sizes |= {("fixed", name): value for name, value in fixed.items() if type(value) is int}
    return max(sizes, key=sizes.__getitem__, default=("encoder", "name"))


def _weight_bytes(network: Encoder | Method) -> int:
    return WEIGHT_BYTES * sum(weight.numel() for weight in network.parameters())


def dimensions(method: Method, shape: Shape) -> dict[str, int]:
    """As `measured`; none where the method cannot be run, of which `check_sizes` warns."""
    try:
        return measured(method, shape)
    except UNMEASURED:
        return {}


def measured(method: Method, shape: Shape) -> dict[str, int]:
    """Layer that the criteria read -> its width, from a run without numbers.

    Raises:
        NotImplementedError, RuntimeError, TypeError: the method needs numbers, or cannot read such images.
    """
    import torch

    with torch.device("meta"), torch.no_grad():
        rows = method.eval().features(torch.empty(2, shape[3], shape[1], shape[2]))
    return {name: layer.shape[-1] for name, layer in rows.items()}


def _refuse(document: Document, key: Key, needed: int, what: str, *, cluster: bool) -> None:
    """Raises: ConfigError, if so many bytes are more than there are."""
    there = machine_bytes(cluster=cluster)
    if needed > there:
        machine = "any machine" if cluster else "this machine"
        problem = f"must be smaller: {what} would need {_gigabytes(needed)} of memory, and {machine} has"
        raise document.error(key, f"`{'.'.join(key)}` {problem} {_gigabytes(there)}")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
