"""The index of a pack: where each image lies and how large it is, and what tells whether the pack is whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from trainers.packs.sources import SPLITS, PackError, Sources, Stamps, stamps_of

VERSION: Final = 1
"""Of what is written; another one is not read."""
PLAN, INDEX, PLACES, STAMPS, LEFT_OUT = (
    "plan.json",
    "index.json",
    "index.safetensors",
    "stamps.safetensors",
    "left_out.txt",
)
LABELS: Final = "labels.safetensors"
"""Labels and paths of the images, whose folders may name classes; they are nowhere else in a pack."""
AGAIN: Final = "`sweeper pack DATASET --again` packs anew"


@dataclass(frozen=True)
class Plan:
    """What a pack is to be, written before its first shard; a resumed pack must have the same."""

    version: int
    encoding: str
    """raw · jpeg"""
    side: int | None
    """Short side to which images were reduced."""
    channels: int
    counts: Mapping[str, int]
    """Split -> source images."""
    names: str
    """Digest of the files' names."""
    per_shard: int
    """Images of a shard, the last of a split excepted."""


@dataclass(frozen=True)
class Shard:
    """One file of images."""

    name: str
    size: int
    """Bytes of the file."""
    start: int
    """Where the pixels begin in it."""
    digest: str
    """BLAKE2b of the whole file."""


@dataclass(frozen=True)
class Places:
    """Where the images of one split lie, an entry each: (n,)."""

    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    """From where the pixels begin in the shard."""
    length: NDArray[np.int64]
    """Bytes."""
    height: NDArray[np.int32]
    width: NDArray[np.int32]
    position: NDArray[np.int64]
    """In the source's split, since files may be left out."""

    def __len__(self) -> int:
        return len(self.shard)


@dataclass(frozen=True)
class Index:
    """A whole pack."""

    folder: Path
    plan: Plan
    shards: tuple[Shard, ...]
    places: Mapping[str, Places]
    """Split -> its images."""
    levels: tuple[tuple[int, ...], ...]
    """Channel -> how many pixels of the training split have each of the 256 levels, before any JPEG."""
    square: int | None
    """The side, where all images are squares of one size."""
    notes: tuple[str, ...]
    left_out: tuple[str, ...]
    """Files that could not be read, with the reason."""

    @property
    def bytes(self) -> int:
        """Of all shards."""
        return sum(shard.size for shard in self.shards)

    @property
    def digest(self) -> str:
        """Of every packed byte, from the digests of the shards."""
        digests = "".join(shard.digest for shard in self.shards)
        return hashlib.blake2b(digests.encode(), digest_size=16).hexdigest()

    @property
    def mean_and_deviation(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation per channel of the training pixels in [0, 1]."""
        histogram = np.array(self.levels, dtype=np.float64)
        levels, pixels = np.arange(256) / 255, histogram.sum(1)
        mean = histogram @ levels / pixels
        variance = (histogram * (levels - mean[:, None]) ** 2).sum(1) / np.maximum(1, pixels - 1)
        return mean.tolist(), np.sqrt(variance).tolist()


def write_plan(folder: Path, plan: Plan, stamps: Stamps) -> None:
    """Begin a pack."""
    write_arrays(folder / STAMPS, {"sizes": stamps.sizes, "times": stamps.times})
    write_text(folder / PLAN, json.dumps(asdict(plan), indent=1))


def read_plan(folder: Path) -> Plan | None:
    """The plan of a pack that was begun; None if there is none.

    Raises:
        PackError: another version wrote it, or it is damaged.
    """
    content = _read_json(folder / PLAN)
    return None if content is None else Plan(**_of_this_version(folder, content))


def write_index(index: Index) -> None:
    """Complete a pack: from here on it is whole."""
    arrays = {
        f"{split}.{name}": array for split, places in index.places.items() for name, array in asdict(places).items()
    }
    write_arrays(index.folder / PLACES, arrays)
    write_text(index.folder / LEFT_OUT, "".join(f"{line}\n" for line in index.left_out))
    mean, deviation = index.mean_and_deviation
    content = {
        "plan": asdict(index.plan),
        "digest": index.digest,
        "mean": mean,
        "deviation": deviation,
        "levels": index.levels,
        "square": index.square,
        "notes": index.notes,
        "shards": [list(asdict(shard).values()) for shard in index.shards],
    }
    write_text(index.folder / INDEX, json.dumps(content))


def has_index(folder: Path) -> bool:
    """Whether a pack is whole, as far as its index says."""
    return (folder / INDEX).is_file()


@lru_cache(maxsize=8)  # every split of every trial asks for it
def read_index(folder: Path) -> Index:
    """The index of a pack.

    Raises:
        PackError: there is none, another version wrote it, or it is damaged.
    """
    content = _read_json(folder / INDEX)
    if content is None:
        begun = "was begun and is not whole" if (folder / PLAN).is_file() else "is no pack"
        raise PackError(f"{folder} {begun}; `sweeper pack DATASET` completes it")
    plan = Plan(**_of_this_version(folder, content["plan"]))
    try:
        arrays = load_file(folder / PLACES)
        places = {split: Places(**_below(split, arrays)) for split in plan.counts}
        left_out = tuple((folder / LEFT_OUT).read_text(encoding="utf-8").splitlines())
        shards = tuple(Shard(*values) for values in content["shards"])
    except (OSError, SafetensorError, TypeError) as error:
        raise PackError(f"the pack {folder} is damaged ({error}); {AGAIN}") from None
    levels = tuple(map(tuple, content["levels"]))
    return Index(folder, plan, shards, places, levels, content["square"], tuple(content["notes"]), left_out)


def reread_index(folder: Path) -> Index:
    """The index as it is on disk now: the pack may have been packed anew since this process has read it.

    Raises:
        PackError: see `read_index`.
    """
    read_index.cache_clear()
    return read_index(folder)


def read_labels(folder: Path) -> dict[str, NDArray[np.int64]] | None:
    """Split -> the class of each image of a pack; None if none have been written. For the probe alone."""
    if not (folder / LABELS).is_file():
        return None
    try:
        arrays = load_file(folder / LABELS)
        return {split: arrays[split] for split in SPLITS}
    except (OSError, SafetensorError, KeyError) as error:
        raise PackError(f"the pack {folder} is damaged ({error}); {AGAIN}") from None


def check_index(index: Index) -> None:
    """Check that every shard is there and as long as it was.

    Raises:
        PackError: one is not.
    """
    for shard in index.shards:
        path = index.folder / shard.name
        size = path.stat().st_size if path.is_file() else None
        if size != shard.size:
            found = "is missing" if size is None else f"has {size:,} bytes, and had {shard.size:,}"
            raise PackError(f"the pack {index.folder} is damaged: {shard.name} {found}; {AGAIN}")


def check_digests(index: Index) -> None:
    """Check every byte of a pack.

    Raises:
        PackError: one has changed.
    """
    check_index(index)
    for shard in index.shards:
        if file_digest(index.folder / shard.name) != shard.digest:
            raise PackError(f"the pack {index.folder} is damaged: the bytes of {shard.name} have changed; {AGAIN}")


def check_sources(folder: Path, plan: Plan, sources: Sources) -> None:
    """Check that the files of a pack are those that it was made of, by their names, sizes and times.

    Raises:
        PackError: a file has been added, removed, renamed or changed since.
    """
    counts = {split: len(files) for split, files in sources.files.items()}
    way = f"put it back, or {AGAIN}"
    if sources.files and counts != dict(plan.counts):
        was, now = (" and ".join(map(str, one.values())) for one in (plan.counts, counts))
        raise PackError(
            f"the images of {sources.name} have changed since they were packed: {was} then, {now} now; {way}"
        )
    if plan.names != sources.names_digest():
        raise PackError(f"the images of {sources.name} have changed since they were packed: other names; {way}")
    try:
        packed = Stamps(**load_file(folder / STAMPS))
    except (OSError, SafetensorError, TypeError) as error:
        raise PackError(f"the pack {folder} is damaged ({error}); {AGAIN}") from None
    now_there = stamps_of(sources.paths)
    if len(packed.sizes) != len(now_there.sizes):
        raise PackError(f"the files of {sources.name} have changed since they were packed; {way}")
    changed = np.flatnonzero((packed.sizes != now_there.sizes) | (packed.times != now_there.times))
    if len(changed):
        more = f" and {len(changed) - 1} others" if len(changed) > 1 else ""
        first = sources.paths[int(changed[0])]
        raise PackError(f"{ascii(str(first))[1:-1]}{more} changed since {sources.name} was packed; {way}")


def file_digest(path: Path) -> str:
    """BLAKE2b digest (128 bits, in hexadecimal) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: dict[str, str] | None = None) -> None:
    """Write arrays as safetensors to a temporary file, then rename it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file(dict(arrays), temporary, metadata)
    _put(temporary, path)


def write_text(path: Path, text: str) -> None:
    """Write a text to a temporary file, then rename it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _put(temporary, path)


def _put(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _below(split: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(f"{split}.")}


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise PackError(f"the pack {path.parent} is damaged ({path.name}: {error}); {AGAIN}") from None
    return content


def _of_this_version(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    if content.get("version") != VERSION:
        raise PackError(
            f"the pack {folder} is of version {content.get('version')}, and this sweeper reads {VERSION}; {AGAIN}"
        )
    return content
