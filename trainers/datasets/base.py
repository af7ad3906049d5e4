"""The contract of a data set: uint8 images for everyone, and labels that only the probe opens."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from trainers.packs.images import PackedImages
from trainers.packs.sources import Sources

SPLITS = ("train", "test")
UNLABELLED = -1
"""The class of an image without a label, in a split where others have one."""
PACK_BYTES: Final = 2**30
"""Images that take more than this as arrays are read from a pack, where a data set does not say otherwise."""

Pixels = NDArray[np.uint8] | PackedImages
"""The images of one split: (n, h, w, c) in memory, or in a pack."""


@dataclass(frozen=True)
class Images:
    """Both splits as uint8 arrays (n, h, w, c), which Ray's object store holds once per node; or in a pack."""

    train: Pixels
    test: Pixels
    notes: tuple[str, ...] = ()
    """What the user should know of how they were read, such as files left out; a sentence each."""
    unreadable: tuple[str, ...] = ()
    """Every file that was left out because it could not be read, with the reason."""

    @property
    def fingerprint(self) -> str:
        """Digest of every pixel of both splits, in order; of packed ones, from the digests of their shards."""
        if isinstance(self.train, PackedImages) or isinstance(self.test, PackedImages):
            parts = [one.fingerprint if isinstance(one, PackedImages) else fingerprint(one) for one in self._both]
            return fingerprint(np.frombuffer("".join(parts).encode(), dtype=np.uint8))
        return fingerprint(self.train, self.test)

    @property
    def memory_bytes(self) -> int:
        """What they take in memory, where a pack takes nothing of its own."""
        return sum(one.nbytes for one in self._both if not isinstance(one, PackedImages))

    @property
    def _both(self) -> tuple[Pixels, Pixels]:
        return self.train, self.test


@dataclass(frozen=True)
class DatasetOptions:
    """What a search-space file may say below `dataset:`, besides the name; each data set extends it."""


class Dataset(ABC):
    """One data set, opened with its options; images and labels are read when asked for.

    `options` are kept as resolved, with absolute paths. The constructor raises ValueError, with one line that says what
    to do, for options that cannot work.
    """

    Options: ClassVar[type[DatasetOptions]] = DatasetOptions

    def __init__(self, options: DatasetOptions) -> None:
        self.options = options

    def is_current(self) -> bool:
        """Whether opening it again would find the same; asked before it is used again in the same process."""
        return True

    @abstractmethod
    def images(self) -> Images:
        """Both splits, in a fixed order; read anew at every call."""

    def shape(self, split: str) -> tuple[int, ...]:
        """(n, h, w, c) of a split; a data set may know it without reading the images."""
        check_split(split)
        images = self.images()
        return (images.train if split == "train" else images.test).shape

    def paths(self, split: str) -> list[str]:
        """Where every image of a split is from, in its order: for files, their paths."""
        return [f"{split}/{index}" for index in range(self.shape(split)[0])]

    @property
    def packs(self) -> bool:
        """Whether the images are read from a pack: those that are large, of a data set that knows its shape unread."""
        if type(self).shape is Dataset.shape:
            return False
        return sum(math.prod(self.shape(split)) for split in SPLITS) > PACK_BYTES

    @property
    def stays_on_disk(self) -> bool:
        """Whether the images need no memory of their own."""
        return self.packs

    def sources(self, name: str) -> Sources:
        """What a pack of the data set is made of, called `name` in the catalogue: by default the arrays of `images`."""

        def arrays() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
            images = self.images()
            assert not isinstance(images.train, PackedImages)
            assert not isinstance(images.test, PackedImages)
            return images.train, images.test

        key = {"name": name, **asdict(self.options)}
        return Sources(key, self.shape("train")[3], arrays=arrays, watched=tuple(self.watched_files()))

    def watched_files(self) -> Iterable[Path]:
        """The files behind `images`; a pack asks at every start whether their sizes and times are the same."""
        return ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of packed images, a sentence each."""
        return ()

    @abstractmethod
    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Class of every image of `split` ("train" or "test"), or None without labels. Only probe.py calls it.

        The class of an image without a label is `UNLABELLED`; the others are not negative.
        """


def scrambled(keys: Iterable[str]) -> NDArray[np.int64]:
    """Positions of `keys`, sorted by the digests of the keys: a mixed order that depends on the keys alone.

    Unlike a seeded permutation, it does not depend on NumPy's generators, and a new key leaves the order of the others.

    >>> scrambled(["a", "b", "c", "d"]).tolist()
    [3, 0, 1, 2]
    """
    digests = [hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest() for key in keys]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)


def fingerprint(*arrays: NDArray[np.uint8]) -> str:
    """BLAKE2b digest (128 bits, in hexadecimal) of the bytes of the arrays, one after the other.

    >>> fingerprint(np.arange(4, dtype=np.uint8)) == fingerprint(*np.arange(4, dtype=np.uint8).reshape(2, 2))
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def absolute(root: str) -> Path:
    """The folder that `dataset.root` names, as an absolute path, since the trials may run in another folder.

    Raises:
        ValueError: it cannot be reached, whether it exists or not.
    """
    try:
        path = Path(root).expanduser().resolve()
        path.is_dir()  # raises for a name that is too long
    except (OSError, RuntimeError, ValueError) as error:  # no such user, links that go round, a byte 0
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"`dataset.root` must be a folder, but {root!r} cannot be reached ({why})") from None
    return path


def check_split(split: str) -> None:
    """Raises: ValueError where `split` is neither "train" nor "test"."""
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}, but got {split!r}")
