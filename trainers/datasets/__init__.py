"""The catalogue of data sets: name in a search-space file -> class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Final

from trainers.datasets.base import Dataset, DatasetOptions
from trainers.datasets.cifar10 import Cifar10
from trainers.datasets.cifar100 import Cifar100
from trainers.datasets.fashion_mnist import FashionMnist
from trainers.datasets.folder import Folder
from trainers.datasets.huggingface import HuggingFace
from trainers.datasets.imagenet import Imagenet
from trainers.datasets.mnist5k import Mnist5k
from trainers.datasets.packed import Packed
from trainers.datasets.photos import Photos
from trainers.datasets.stl10 import Stl10
from trainers.datasets.tiny_imagenet import TinyImagenet
from trainers.names import did_you_mean
from trainers.options import read_options
from trainers.records import Scalar

DATASETS: Final[dict[str, type[Dataset]]] = {
    "photos": Photos,
    "mnist5k": Mnist5k,
    "folder": Folder,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "stl10": Stl10,
    "tiny_imagenet": TinyImagenet,
    "imagenet": Imagenet,
    "huggingface": HuggingFace,
    "packed": Packed,
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
        near = did_you_mean(name, DATASETS)
        raise ValueError(f"`dataset.name` must be one of {', '.join(DATASETS)}, but got `{name}`{near}")
    kind = DATASETS[name]
    asked = read_options(kind.Options, options, path="dataset", owner=f"an option of {name}")
    known_already = _OPENED.get((kind, asked))
    if known_already is not None and known_already.is_current():
        return known_already
    opened = kind(asked)
    left_open = {name: None for name, value in asdict(asked).items() if value is None}
    for known in (opened.options, replace(opened.options, **left_open)):  # the data set may have filled them in
        _OPENED[kind, known] = opened
    return opened
