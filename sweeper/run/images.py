"""The images of a sweep's data set: read once for all trials, and checked to be the same after a resume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError, ResultsError
from sweeper.store.atomic import write_text
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import NOTES, UNREADABLE, record_once
from trainers.datasets.base import Images
from trainers.fields import shortened
from trainers.packs.images import PackedImages
from trainers.records import OracleChoice, Scalar

if TYPE_CHECKING:
    from trainers.packs.write import Tell

LONGEST_NOTE: Final = 300
"""Characters of a note in sweep.yaml."""


def read_images(config: SweepConfig, tell: Tell | None = None) -> Images:
    """The images of the sweep's data set, packed first where they are large; its labels lie beside the pack then.

    Raises:
        ConfigError: one of them cannot be read or packed.
    """
    from trainers.images import read_images

    try:
        images = read_images(config.dataset, tell=tell)
        if isinstance(images.train, PackedImages) and config.oracle:
            keep_labels(config.dataset, images.train.folder)
        return images
    except (OSError, ValueError) as error:
        raise ConfigError(f"the images of `dataset` {config.dataset['name']} cannot be read: {error}") from error


def keep_labels(dataset: Mapping[str, Scalar], pack: Path) -> None:
    """Write the labels of a pack's images beside it, where the probe finds them.

    Raises:
        OSError, ValueError: they cannot be read or written.
    """
    from trainers.probe import store_labels

    store_labels(dataset, pack)


def same_images(
    config: SweepConfig, folder: SweepFolder, images: Images | None = None, tell: Tell | None = None
) -> Images:
    """The images of the sweep's data set, checked to be those that it began with; read where `images` is None.

    Raises:
        ConfigError: one of them cannot be read.
        ResultsError: they have changed since.
    """
    images = images or read_images(config, tell)
    found = {"train": len(images.train), "test": len(images.test), "digest": images.fingerprint}
    begun = record_once(folder, "images", found)
    if begun != found:
        counts = [f"{seen['train']} to train and {seen['test']} to test" for seen in (begun, found)]
        what = f"{counts[0]} then, {counts[1]} now" if counts[0] != counts[1] else "other pixels"
        raise ResultsError(
            f"the images of `dataset` {config.dataset['name']} have changed since the sweep began ({what}), so its "
            "trials could not be compared; put them back, or run a new sweep"
        )
    record_notes(folder, images)
    return images


def record_notes(folder: SweepFolder, images: Images) -> None:
    """Keep what the data set said of itself: the notes in sweep.yaml, the files that cannot be read in unreadable.txt.

    An earlier version wrote neither; a resume adds them.
    """
    if images.notes:
        record_once(folder, NOTES, [shortened(note, LONGEST_NOTE) for note in images.notes])
    if images.unreadable:
        write_text(folder.unreadable, "".join(f"{file}\n" for file in images.unreadable))
        record_once(folder, UNREADABLE, len(images.unreadable))


def has_labels(config: SweepConfig) -> bool:
    """Whether the sweep's data set has the labels that an oracle needs.

    Raises:
        ConfigError: they cannot be read.
    """
    return _has_labels(config.dataset)


def check_labels(config: SweepConfig, oracles: Iterable[OracleChoice]) -> None:
    """Check that each oracle's data set, which may be another one than the sweep's, has labels.

    Raises:
        ConfigError: one has none, or they cannot be read.
    """
    for oracle in oracles:
        dataset = oracle.dataset or config.dataset
        if not _has_labels(dataset):
            labels = "; the labels of `folder` are its sub-folders" if dataset["name"] == "folder" else ""
            where = "" if oracle.dataset is None else f" of the oracle {oracle.name}"
            raise ConfigError(
                f"`dataset` {dataset['name']}{where} has no labels, so no oracle can measure its trials{labels}"
            )


def _has_labels(dataset: Mapping[str, Scalar]) -> bool:
    from trainers.probe import has_labels

    try:
        return has_labels(dataset)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the labels of `dataset` {dataset['name']} cannot be read: {error}") from error
