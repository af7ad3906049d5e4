"""Read the images of a data set: into memory, or from its pack, which is written where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from trainers.datasets import open_dataset
from trainers.datasets.base import Dataset, Images
from trainers.packs.cache import pack_folder
from trainers.packs.images import packed_images
from trainers.packs.index import Index, has_index
from trainers.packs.write import Tell, checked_index, write_pack
from trainers.records import Scalar


def read_images(dataset: Mapping[str, Scalar], *, tell: Tell | None = None) -> Images:
    """The images of a data set; those of a large one are in a pack in the cache.

    Args:
        dataset: its name, and its options beside it.
        tell: told how many images are packed, of how many.

    Raises:
        OSError, ValueError: they cannot be read or packed; the line says what to do.
    """
    opened = open_dataset(dataset)
    if not opened.packs:
        return opened.images()
    sources = opened.sources(str(dataset["name"]))
    folder = pack_folder(sources)
    if has_index(folder):
        return of_pack(opened, checked_index(folder, sources))
    return of_pack(opened, write_pack(sources, folder, tell=tell))


def of_pack(opened: Dataset, index: Index) -> Images:
    """The images of a pack, in the size that the data set's options ask for."""
    splits = packed_images(index, opened.shape("train")[1])
    notes = (*opened.notes, *index.notes, *_left_out(index))
    return Images(splits["train"], splits["test"], notes, index.left_out)


def packed_in(dataset: Mapping[str, Scalar]) -> Path | None:
    """The folder of the pack of a data set, there or not; None if its images are read into memory."""
    opened = open_dataset(dataset)
    return pack_folder(opened.sources(str(dataset["name"]))) if opened.packs else None


def _left_out(index: Index) -> tuple[str, ...]:
    """The note on files that cannot be read, if there are any."""
    count = len(index.left_out)
    if not count:
        return ()
    return (
        f"{count} unreadable file{'s are' if count > 1 else ' is'} left out; {index.folder}/left_out.txt names them",
    )
