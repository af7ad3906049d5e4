"""The parts of a search-space file that name things of the laboratory: method, data set, encoder, criteria, oracle.

The laboratory imports torch, so its catalogues are opened inside the functions that need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

from sweeper.config.document import Document, Key, dotted, shown
from sweeper.config.fields import missing, read, read_value
from sweeper.errors import did_you_mean
from trainers.records import CriteriaSample, Scalar, TrialConfig

DEFAULT_OBJECTIVE: Final = "lidar"
DEFAULT_ORACLE: Final = ("lidar_paper",)


def read_name(document: Document, key: Key, names: Iterable[str], *, others: str = "") -> str:
    """A name of a catalogue; `others` says in words what else there is."""
    names = list(names)
    expected = f"one of {', '.join(names)}{others}"
    value = document.get(key)
    if value is None:
        raise missing(document, key, expected)
    if value not in names:
        problem = f"{dotted(key)} must be {expected}, but got {shown(value)}"
        raise document.error(key, problem + did_you_mean(str(value), names))
    return str(value)


def read_names(document: Document, key: Key, names: Iterable[str], *, others: str = "") -> tuple[str, ...]:
    """One name of a catalogue, or a list of them; `others` says in words what else there is."""
    names = list(names)
    values: tuple[str, ...] = read_value(document, key, tuple[str, ...])
    for value in values:
        if value not in names:
            problem = f"{dotted(key)} must be among {', '.join(names)}{others}, but got {shown(value)}"
            raise document.error(key, problem + did_you_mean(value, names))
    if len(set(values)) < len(values):
        raise document.error(key, f"{dotted(key)} must name each once, but got {shown(values)}")
    return values


def read_method(document: Document) -> str:
    """The method's name."""
    from trainers.methods import METHODS

    return read_name(document, ("method",), METHODS)


def read_dataset(document: Document) -> dict[str, Scalar]:
    """The data set with every option written out, opened once to see that it can be."""
    from trainers.datasets import DATASETS, open_dataset

    name = read_name(document, ("dataset", "name"), DATASETS)
    options = read(DATASETS[name].Options, document, ("dataset",), beside=["name"], what=f"an option of {name}")
    try:
        opened = open_dataset({"name": name, **asdict(options)})
    except ValueError as error:
        raise document.error(("dataset",), str(error)) from None
    # as the data set resolved them: a relative root is an absolute one, wherever the trials run
    return {"name": name, **asdict(opened.options)}


def read_encoder(document: Document) -> dict[str, Scalar]:
    """The encoder with every option written out."""
    from trainers.encoders import ENCODERS, TIMM_PREFIX, TimmOptions, encoder_options

    name = document.get(("encoder", "name"))
    if isinstance(name, str) and name.startswith(TIMM_PREFIX):
        kind: type[Any] = TimmOptions
    else:
        name = read_name(document, ("encoder", "name"), ENCODERS, others=f" or {TIMM_PREFIX}MODEL")
        kind = ENCODERS[name]
    options = read(kind, document, ("encoder",), beside=["name"], what=f"an option of {name}")
    encoder: dict[str, Scalar] = {"name": name, **asdict(options)}
    try:
        encoder_options(encoder)
    except ValueError as error:
        raise document.error(("encoder",), str(error)) from None
    return encoder


def read_criteria(document: Document) -> tuple[str, ...]:
    from trainers.criteria import CRITERIA

    if document.get(("criteria",)) is None:
        return tuple(CRITERIA)
    criteria = read_names(document, ("criteria",), CRITERIA)
    if not criteria:
        raise document.error(("criteria",), "`criteria` must name at least one criterion, but got []")
    return criteria


def read_oracle(document: Document) -> tuple[str, ...]:
    from trainers.oracles import ORACLES

    if "oracle" not in document.values:
        return DEFAULT_ORACLE
    if document.get(("oracle",)) in (None, "none"):
        return ()
    return read_names(document, ("oracle",), ORACLES, others=" or be none")


def read_objective(document: Document, criteria: tuple[str, ...]) -> str:
    """A criterion of this sweep: nothing else steers."""
    from trainers.criteria import CRITERIA

    value = document.get(("objective",)) if "objective" in document.values else DEFAULT_OBJECTIVE
    if value in criteria:
        return str(value)
    if isinstance(value, str) and value in CRITERIA:
        problem = f"`objective` must be one of the `criteria` of this sweep ({', '.join(criteria)}), but got {value}"
        raise document.error(("objective",), f"{problem}; add it to `criteria`", ("criteria",))
    problem = f"`objective` must be one of the criteria {', '.join(CRITERIA)}, but got {shown(value)}"
    near = did_you_mean(str(value), CRITERIA)
    reason = "; only criteria that need no labels steer a sweep, an accuracy, an oracle or a loss does not"
    raise document.error(("objective",), problem + (near or reason))


def read_criteria_sample(document: Document) -> CriteriaSample:
    key = ("criteria_sample",)
    sample = read(CriteriaSample, document, key)
    # LiDAR needs two classes for a scatter between them, and two views of each for one within.
    for name, least in (("images", 2), ("views", 2), ("seed", 0)):
        if getattr(sample, name) < least:
            problem = f"must be a whole number of at least {least}, but got {getattr(sample, name)}"
            raise document.error((*key, name), f"{dotted((*key, name))} {problem}")
    if sample.split not in ("train", "test"):
        problem = f"{dotted((*key, 'split'))} must be train or test, but got {shown(sample.split)}"
        raise document.error((*key, "split"), problem + did_you_mean(sample.split, ("train", "test")))
    return sample


def check_images(
    document: Document,
    dataset: Mapping[str, Scalar],
    encoder: Mapping[str, Scalar],
    batch_size: int,
    sample: CriteriaSample,
    method: str,
    fixed: Mapping[str, Scalar],
) -> None:
    """There are as many images as a batch and the criteria take, and the encoder suits the images and the method.

    Raises:
        ConfigError: there are not, or it does not.
    """
    from trainers.datasets import open_dataset
    from trainers.encoders import check_encoder
    from trainers.methods import METHODS
    from trainers.settings import resolve

    opened = open_dataset(dataset)
    count, side, _, channels = opened.shape("train")
    if batch_size > count:
        problem = f"`batch_size` must be at most the {count} training images, but got {batch_size}"
        raise document.error(("batch_size",), problem, ("dataset", "name"))
    there = opened.shape(sample.split)[0]
    if sample.images > there:
        problem = f"must be at most the {there} images of the {sample.split} split, but got {sample.images}"
        raise document.error(("criteria_sample", "images"), f"`criteria_sample.images` {problem}", ("dataset", "name"))
    try:
        network = check_encoder(encoder, side, channels)
    except ValueError as error:
        raise document.error(("encoder",), f"{error} (images of {side}×{side})", ("dataset", "name")) from None
    trial = TrialConfig(method, dataset, encoder, epochs=1, batch_size=batch_size, hyperparameters=fixed)
    try:
        METHODS[method].check(network, resolve(trial).params)
    except ValueError as error:
        raise document.error(("method",), str(error), ("encoder", "name")) from None
