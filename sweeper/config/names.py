"""The keys of a search-space file that name things of the laboratory: method, data set, encoder, criteria.

The laboratory imports torch, so each function imports the catalogue that it needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sweeper.config.document import Document, Key, dotted, refuse
from sweeper.config.model import DEFAULT_OBJECTIVE
from sweeper.config.sections import missing, read_at, read_mapping, read_section
from trainers.fields import as_yaml
from trainers.names import did_you_mean
from trainers.plugins import hint_for
from trainers.records import Scalar

if TYPE_CHECKING:
    from trainers.encoders import Encoder


LARGEST_SIDE: Final = 10_000
"""Pixels: such an image has 100 megapixels."""
LONGEST_PATH: Final = 4000
"""Bytes; Linux has 4,096, and the names of files follow."""
LONGEST_NAME: Final = 255
"""Bytes of a file's or a folder's name on every common file system."""


def read_name(document: Document, key: Key, names: Iterable[str], *, others: str = "", group: str = "") -> str:
    """A name of a catalogue; `others` is the end of the list of names in errors, `group` that of its plug-ins."""
    names = list(names)
    expected = f"one of {', '.join(names)}{others}"
    value = read_mapping(document, key[:-1]).get(key[-1])
    if value is None:
        raise missing(document, key, expected)
    if value not in names:
        problem = f"{dotted(key)} must be {expected}, but got {as_yaml(value)}"
        raise document.error(key, problem + _hint(str(value), names, group))
    return str(value)


def read_names(document: Document, key: Key, names: Iterable[str], *, others: str, group: str) -> tuple[str, ...]:
    """One name of a catalogue, or a list of them; `others` and `group` are those of `read_name`."""
    names = list(names)
    values: tuple[str, ...] = read_at(document, key, tuple[str, ...])
    expected = f"{dotted(key)} must be among {', '.join(names)}{others}"
    refuse(
        document.mistake(key, f"{expected}, but got {as_yaml(value)}{_hint(value, names, group)}")
        for value in values
        if value not in names
    )
    if len(set(values)) < len(values):
        raise document.error(key, f"{dotted(key)} must name each once, but got {as_yaml(values)}")
    return values


def _hint(value: str, names: Iterable[str], group: str) -> str:
    """The nearest right name; where plug-ins have the group, their package may be missing."""
    return hint_for(value, names, group) if group else did_you_mean(value, names)


def read_method(document: Document) -> str:
    """The method's name."""
    from trainers.methods import METHODS

    return read_name(document, ("method",), METHODS, group="sweeper.methods")


def read_dataset(document: Document) -> dict[str, Scalar]:
    """The data set and the value of every option. It is opened once, so that a missing folder is found here."""
    from trainers.datasets import DATASETS, open_dataset

    name = read_name(document, ("dataset", "name"), DATASETS, group="sweeper.datasets")
    kind = DATASETS[name].Options
    options = read_section(kind, document, ("dataset",), others=["name"], owner=f"an option of {name}")
    refuse(
        document.mistake(("dataset", key), f"`dataset.{key}` {problem}")
        for key, value in asdict(options).items()
        if (problem := _problem_of_option(key, value))
    )
    try:
        opened = open_dataset({"name": name, **asdict(options)})
    except OSError as error:
        raise document.error(("dataset",), f"`dataset` {error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise document.error(("dataset",), str(error)) from None
    # The data set makes a relative root absolute, because trials run in other folders.
    return {"name": name, **asdict(opened.options)}


def _problem_of_option(name: str, value: Scalar) -> str:
    """Why an option of a data set cannot be used as a path or as a side of images; "" if it can."""
    if name == "size" and isinstance(value, int) and value > LARGEST_SIDE:
        return f"must be at most {LARGEST_SIDE:,} pixels, but got {value:,}"
    if not isinstance(value, str):
        return ""
    if len(os.fsencode(value)) > LONGEST_PATH:
        return f"must have at most {LONGEST_PATH:,} bytes, but has {len(os.fsencode(value)):,}"
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in value.split("/")):
        return f"must have at most {LONGEST_NAME} bytes between two slashes"
    try:
        Path(value).expanduser()
    except RuntimeError:
        return f"must be a path of this machine, but there is no user {value.partition('/')[0]}"
    return ""


def read_encoder(document: Document) -> dict[str, Scalar]:
    """The encoder and the value of every option."""
    from trainers.encoders import ENCODERS, TIMM_PREFIX, TimmOptions, encoder_options
    from trainers.weights import as_scalars

    name = read_mapping(document, ("encoder",)).get("name")
    if isinstance(name, str) and name.startswith(TIMM_PREFIX):
        kind: type[Any] = TimmOptions
    else:
        name = read_name(document, ("encoder", "name"), ENCODERS, others=f" or {TIMM_PREFIX}MODEL")
        kind = ENCODERS[name]
    options = read_section(kind, document, ("encoder",), others=["name"], owner=f"an option of {name}")
    encoder = as_scalars({"name": name, **asdict(options)})
    if problem := _problem_of_option("weights", encoder.get("weights")):
        raise document.error(("encoder", "weights"), f"`encoder.weights` {problem}")
    if encoder.get("weights"):  # the trials run in other folders
        encoder["weights"] = str(Path(str(encoder["weights"])).expanduser().absolute())
    elif encoder.get("prefix"):
        raise document.error(("encoder", "prefix"), "`encoder.prefix` must be given with `encoder.weights`, a file")
    try:
        encoder_options(encoder)
    except ValueError as error:
        raise document.error(("encoder",), str(error)) from None
    return encoder


def read_criteria(document: Document) -> tuple[str, ...]:
    """The criteria of the sweep: `default` is a cheap set, `all` the whole catalogue."""
    from trainers.criteria import CRITERIA, DEFAULT_CRITERIA

    value = document.get(("criteria",))
    if value is None or value == "default":
        return DEFAULT_CRITERIA
    if value == "all":
        return tuple(CRITERIA)
    others = " or be default or all"
    criteria = read_names(document, ("criteria",), CRITERIA, others=others, group="sweeper.criteria")
    if not criteria:
        raise document.error(("criteria",), "`criteria` must name at least one criterion, but got []")
    return criteria


def read_objective(document: Document) -> str:
    """The criterion that the search optimises. Nothing that needs labels is accepted."""
    from trainers.criteria import CRITERIA

    value = document.get(("objective",)) if "objective" in document.values else DEFAULT_OBJECTIVE
    if isinstance(value, str) and value in CRITERIA:
        return value
    problem = f"`objective` must be one of the criteria {', '.join(CRITERIA)}, but got {as_yaml(value)}"
    near = did_you_mean(str(value), CRITERIA)
    reason = "; the search uses criteria, which need no labels, and no accuracy, oracle or loss"
    raise document.error(("objective",), problem + (near or reason))


def check_objective(document: Document, objective: str, criteria: tuple[str, ...]) -> None:
    """Raises: ConfigError, if the sweep does not measure its objective."""
    if objective not in criteria:
        problem = f"must be one of the `criteria` of this sweep ({', '.join(criteria)}), but got {objective}"
        raise document.error(("objective",), f"`objective` {problem}; add it to `criteria`", ("criteria",))


def read_network(document: Document, encoder: Mapping[str, Scalar], shape: tuple[int, ...]) -> Encoder:
    """The encoder without its numbers, after an image has passed through it; the weights that it starts from fit it.

    Raises:
        ConfigError: the encoder cannot read the images, or the file of weights is not of this encoder.
    """
    from trainers.encoders import check_encoder
    from trainers.weights import fitted_weights

    _, side, _, channels = shape
    try:
        network = check_encoder(encoder, side, channels)
    except ValueError as error:
        raise document.error(("encoder",), f"{error} (images of {side}×{side})", ("dataset", "name")) from None
    try:
        if encoder.get("weights"):
            fitted_weights(network, encoder)
    except ValueError as error:
        raise document.error(("encoder", "weights"), f"`encoder.weights` is wrong: {error}") from None
    return network
