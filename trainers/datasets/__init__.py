"""The catalogue of data sets: name in a search-space file -> class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args, get_type_hints

from trainers.datasets.base import Dataset, DatasetOptions
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.folder import Folder
from trainers.datasets.mnist5k import Mnist5k
from trainers.records import Scalar

DATASETS: Final[dict[str, type[Dataset]]] = {
    "mnist5k": Mnist5k,
    "folder": Folder,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
}


_OPENED: Final[dict[tuple[type[Dataset], DatasetOptions], Dataset]] = {}
"""Class, and options as the data set resolved them -> the data set, for as long as the process lives."""


def open_dataset(dataset: Mapping[str, Scalar]) -> Dataset:
    """The data set that `dataset` describes: its `name`, and its options beside it.

    A process opens it once: later calls return the same object, until it says that it is no longer current.

    Raises:
        ValueError: an unknown name or option, or an option whose value cannot work.

    >>> open_dataset({"name": "mnist5k"}).images().train.shape
    (4000, 28, 28, 1)
    """
    options = dict(dataset)
    name = str(options.pop("name", None))
    if name not in DATASETS:
        raise ValueError(f"`dataset.name` must be one of {_listed(name, DATASETS)}")
    kind = DATASETS[name]
    known = get_type_hints(kind.Options)
    for key, value in options.items():
        if key not in known:
            raise ValueError(f"the options of `{name}` must be among: {_listed(key, known)}")
        if not _fits(value, known[key]):
            raise ValueError(f"`dataset.{key}` must be of type {_type_name(known[key])}, but got {value!r}")
    asked = kind.Options(**options)
    known_already = _OPENED.get((kind, asked))
    if known_already is not None and known_already.is_current():
        return known_already
    opened = kind(asked)
    _OPENED[kind, opened.options] = opened
    return opened


def _listed(got: str, names: Iterable[str]) -> str:
    """The names, what came instead, and the nearest right one."""
    nearest = get_close_matches(got, list(names), n=1)
    return f"{', '.join(names) or 'none'}, but got `{got}`" + (f"; did you mean `{nearest[0]}`?" if nearest else "")


def _fits(value: Scalar, hint: Any) -> bool:
    """Whether `value` is of the annotated type; an int is a float, a bool is no number."""
    allowed = get_args(hint) or (hint,)
    return type(value) in allowed or (type(value) is int and float in allowed)


def _type_name(hint: Any) -> str:
    """`str or None` for `str | None`."""
    return " or ".join("None" if one is type(None) else one.__name__ for one in get_args(hint) or (hint,))
