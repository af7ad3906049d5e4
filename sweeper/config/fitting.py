"""The batch and the criteria's sample where a file does not give them, or gives them for another data set.

What is chosen depends on counts alone, never on a clock: the same file and images give the same sweep. It is said in
one line, and sweep.yaml has it as given, so that a resume keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sweeper.config.document import Document, Key
from sweeper.config.model import section_options
from sweeper.config.passes import SHARE, Work, fitting_batch, sample_size
from sweeper.config.sections import read_mapping, read_section_values
from sweeper.config.sizes import dimensions, largest
from trainers.formats import percent
from trainers.records import CriteriaSample, Scalar, TrialConfig

if TYPE_CHECKING:
    from sweeper.config.axes import Axis
    from trainers.encoders import Encoder

logger = logging.getLogger(__name__)

SAMPLE: Final[Key] = ("criteria_sample",)
MORE: Final = 1.2
"""So many times the share are said to be more than meant; below it is rounding."""
Shape = tuple[int, ...]
"""(n, h, w, c) of the training images."""


def read_criteria_sample(document: Document) -> CriteriaSample:
    """The images and draws on which the criteria are measured, before `fit_sample`."""
    return CriteriaSample(**read_section_values(section_options("criteria_sample"), document, SAMPLE))


def fit_batch_size(document: Document, given: int | None, shape: Shape) -> int:
    """The batch size: that of the file; one that fits if there is none, or if it was for another data set.

    Raises:
        ConfigError: a batch needs more training images than there are.
    """
    if given is None or (given > shape[0] and is_for_another(document, ("batch_size",))):
        return fitting_batch(shape[0])
    if given > shape[0]:
        problem = f"`batch_size` must be at most the {shape[0]} training images, but got {given}"
        raise document.error(("batch_size",), problem, ("dataset", "name"))
    return given


def check_given_sample(document: Document, sample: CriteriaSample, dataset: Mapping[str, Scalar], shape: Shape) -> None:
    """Raises: ConfigError, if the file asks for more images than their split has; `shape` is that of training."""
    there = _there(sample, dataset, shape)
    given = document.get((*SAMPLE, "images")) is not None
    if there < 2 or (given and sample.images > there and not is_for_another(document, (*SAMPLE, "images"))):
        problem = f"must be at most the {there} images of the {sample.split} split, but got {sample.images}"
        raise document.error((*SAMPLE, "images"), f"`criteria_sample.images` {problem}", ("dataset", "name"))


def fit_sample(
    document: Document,
    given: CriteriaSample,
    dataset: Mapping[str, Scalar],
    shape: Shape,
    method: str,
    network: Encoder,
    axes: Mapping[str, Axis],
    fixed: Mapping[str, Scalar],
    batch_size: int,
    epochs: int,
    criteria_every: int,
) -> CriteriaSample:
    """The sample: that of the file, with at most the images that there are; or one that is sized from counts."""
    there = _there(given, dataset, shape)
    if read_mapping(document, SAMPLE):
        return _replaced(given, min(given.images, there), given.views)
    views, width = measure_network(method, network, shape, axes, fixed)
    work = Work(shape[0], batch_size, epochs, criteria_every, views)
    return _replaced(given, *sample_size(work, there, width))


def say_what_was_fitted(document: Document, values: Mapping[str, Any]) -> None:
    """Log one line with what was chosen and why, if anything was."""
    (images, *_), batch, sample = values["shape"], values["batch_size"], values["criteria_sample"]
    asked = document.get(("batch_size",)), document.get((*SAMPLE, "images"))
    said = []
    if document.get(("dataset", "test_share")) is None and values["dataset"].get("test_share") == 0:
        said.append("no image is held out, because none has a label")
    if asked[0] is None:
        said.append(f"`batch_size` is {batch}")
    elif asked[0] != batch:
        said.append(f"`batch_size` is lowered from {asked[0]} to {batch}")
    if not read_mapping(document, SAMPLE):
        said.append(_sample_in_words(values))
    elif (before := asked[1] or CriteriaSample().images) != sample.images:
        said.append(f"`criteria_sample.images` is lowered from {before} to {sample.images}")
    if said:
        logger.warning("for %s training images: %s", f"{images:,}", "; ".join(said))


def _sample_in_words(values: Mapping[str, Any]) -> str:
    """The sample that was chosen, and the share of its work."""
    sample, shape = values["criteria_sample"], values["shape"]
    views, width = measure_network(values["method"], values["network"], shape, values["space"], values["fixed"])
    work = Work(shape[0], values["batch_size"], values["epochs"], values["criteria_every"], views)
    share = work.share(sample.images, sample.views)
    counted = f"{percent(share)} of the training's passes"
    if share > MORE * SHARE:
        counted += f", because LiDAR needs so many for {width or 'any number of'} dimensions"
    return f"`criteria_sample` is {{images: {sample.images}, views: {sample.views}}}, {counted}"


def measure_network(
    method: str, network: Encoder, shape: Shape, axes: Mapping[str, Axis], fixed: Mapping[str, Scalar]
) -> tuple[float, int | None]:
    """The views of an image in a training step, by area, and the width of the layer that LiDAR reads, if it is known.

    Whole-number hyperparameters that vary are at their largest.
    """
    import torch

    from trainers.augment import local_side
    from trainers.criteria.lidar import LIDAR
    from trainers.methods import METHODS
    from trainers.settings import resolve

    kind, side = METHODS[method], shape[1]
    values = {**largest(axes), **{name: value for name, value in fixed.items() if name not in axes}}
    try:
        settings = resolve(TrialConfig(method, {}, {}, epochs=1, batch_size=1, hyperparameters=values))
        with torch.device("meta"):
            built = kind(network, settings.params)
    except (TypeError, ValueError):
        return float(kind.trained_views), None  # the checks of the values and of the method report it
    crops = settings.augmentation
    local = crops.local_crops * ((crops.local_size or local_side(side, network.patch)) / side) ** 2
    return kind.trained_views + local, dimensions(built, shape).get(LIDAR.layer_of(method))


def is_for_another(document: Document, key: Key) -> bool:
    """Whether `key` is from a file whose data set an override replaces, and is no override itself."""
    overridden = document.overrides
    replaced = any(one[0] == "dataset" for one in overridden)
    return replaced and not any(key[:length] in overridden for length in range(1, len(key) + 1))


def _there(sample: CriteriaSample, dataset: Mapping[str, Scalar], shape: Shape) -> int:
    """The images that the sample is taken from; `shape` is that of training."""
    from trainers.datasets import open_dataset

    return shape[0] if sample.split == "train" else open_dataset(dataset).shape(sample.split)[0]


def _replaced(sample: CriteriaSample, images: int, views: int) -> CriteriaSample:
    return CriteriaSample(images, views, sample.split, sample.seed)
