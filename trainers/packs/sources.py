"""What a pack is made of: the image files of both splits in their order, or two arrays."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray

SPLITS: Final = ("train", "test")
SIDE: Final = 256
"""Short side of a packed image where nobody says otherwise: that from which 224 pixels are usually cropped."""


class PackError(ValueError):
    """A pack cannot be written or read; its message is one line and says what to do."""


@dataclass(frozen=True)
class Sources:
    """Where the images of a pack come from.

    Either `files` has the paths of both splits below `root`, or `arrays` reads both splits as (n, side, side, c).
    """

    key: Mapping[str, object]
    """The data set's name, and those of its options that decide which images there are and how they are decoded."""
    channels: int
    """3 = colour, 1 = gray."""
    root: Path = Path()
    """What the files' paths are relative to."""
    files: Mapping[str, tuple[PurePath, ...]] = field(default_factory=dict)
    """Split -> its files, in the order of the images."""
    arrays: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]] | None = None
    """Reads the images to train and to test on, for a data set that has no file for each."""
    watched: tuple[Path, ...] = ()
    """The files that `arrays` reads, whose sizes and times tell whether they have changed."""
    side: int | None = None
    """Short side to which larger images are reduced; None = that of the arrays, which are packed as they are."""
    max_pixels: int = 0
    """Width times height of the largest image that is decoded."""
    skip: int = 0
    """Files that cannot be read and may be left out."""

    @property
    def name(self) -> str:
        """The data set's name."""
        return str(self.key["name"])

    @property
    def paths(self) -> list[Path]:
        """Every file that the pack is made of."""
        if self.arrays is not None:
            return list(self.watched)
        return [self.root / path for split in SPLITS for path in self.files[split]]

    def identity(self) -> str:
        """What the pack is called: the data set's name, the side, and a digest of both and of the options.

        >>> Sources({"name": "folder", "root": "/photos"}, 3, side=256).identity()
        'folder-256-73861c82deaa605b'
        """
        text = json.dumps([dict(self.key), self.side], sort_keys=True)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        return "-".join([self.name, *([str(self.side)] if self.side else []), digest])

    def names_digest(self) -> str:
        """Digest of the files' relative paths, in order."""
        digest = hashlib.blake2b(digest_size=16)
        for split in SPLITS:
            for path in self.files.get(split, ()):
                digest.update(os.fsencode(path.as_posix()) + b"\0")
            digest.update(b"\0")
        return digest.hexdigest()


@dataclass(frozen=True)
class Stamps:
    """Size and time of change of every file that a pack is made of."""

    sizes: NDArray[np.int64]
    """Bytes."""
    times: NDArray[np.int64]
    """Nanoseconds."""


def stamps_of(paths: list[Path]) -> Stamps:
    """The sizes and times of these files as they are now; -1 for one that is missing."""
    found = np.full((2, len(paths)), -1, dtype=np.int64)
    for index, path in enumerate(paths):
        try:
            about = os.stat(path)
        except OSError:
            continue
        found[:, index] = about.st_size, about.st_mtime_ns
    return Stamps(found[0], found[1])
