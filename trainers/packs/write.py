"""Write a pack: plan it, encode its shards in worker processes, and index them; what a killed one left is kept."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.packs.encode import ABOUT, PIXELS, Job, write_array_shard
from trainers.packs.index import (
    AGAIN,
    INDEX,
    PLAN,
    VERSION,
    Index,
    Places,
    Plan,
    Shard,
    check_index,
    check_sources,
    file_digest,
    has_index,
    read_plan,
    reread_index,
    write_index,
    write_plan,
)
from trainers.packs.processes import cores, run_jobs
from trainers.packs.sources import SPLITS, PackError, Sources, stamps_of

RAW_BYTES: Final = 2**32
"""A pack of image files is of raw pixels up to this size, which the page cache of most machines has room for, and of
JPEGs above it."""
ASPECT: Final = 4 / 3
"""Long side over short side of a common photograph, for estimates of size."""
JPEG_SHARE: Final = 0.2
"""Bytes of a JPEG of quality 95 over those of its pixels, for estimates of size."""
SHARD_BYTES: Final = 2**26
"""About as much is in a shard, and in the memory of a worker."""
SHARD_IMAGES: Final = 1024
"""Most images of a shard, so that progress is seen and little is lost when packing is killed."""
SHARDS: Final = "shards"
LOCK: Final = ".lock"

Tell = Callable[[int, int], None]
"""Told the images that have been packed, and all."""


def _silent(done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Estimate:
    """What a pack will be, before anything is decoded."""

    encoding: str
    images: int
    bytes: int
    """Of the whole pack, about."""


def estimate(sources: Sources, images: int, encoding: str | None = None, *, raw: int | None = None) -> Estimate:
    """What the pack of so many images will be.

    Args:
        sources: the images.
        images: how many there are.
        encoding: raw or jpeg, if that is not to be chosen by size.
        raw: bytes of the pixels, where they are known.
    """
    if raw is None:
        raw = round(images * (sources.side or 0) ** 2 * ASPECT * sources.channels)
        encoding = encoding or ("raw" if raw <= RAW_BYTES else "jpeg")
    else:
        encoding = "raw"
    return Estimate(encoding, images, raw if encoding == "raw" else round(JPEG_SHARE * raw))


def write_pack(
    sources: Sources,
    folder: Path,
    *,
    encoding: str | None = None,
    workers: int | None = None,
    tell: Tell | None = None,
    again: bool = False,
) -> Index:
    """The pack of these images in `folder`: written, completed where a killed process began it, or found whole.

    With `again`, the pack that is there is removed first. The images of one shard are packed in this process, more in
    `workers` processes, by default one per core. The bytes depend neither on the workers nor on interruptions.

    Raises:
        PackError: no space, a file that cannot be read or has changed, another version, a damaged or a busy pack.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if again:
                _remove(folder)
            if has_index(folder):
                return checked_index(folder, sources)
            return _write(sources, folder, encoding, workers, tell or _silent)
    except OSError as error:
        raise PackError(
            f"the pack {folder} cannot be written: {error.strerror or error}; --cache or SWEEPER_CACHE sets another "
            "place"
        ) from error


def checked_index(folder: Path, sources: Sources) -> Index:
    """The index of a whole pack, whose files and shards are as they were.

    Raises:
        PackError: they are not.
    """
    index = reread_index(folder)
    check_sources(folder, index.plan, sources)
    check_index(index)
    check_skipped(index, sources)
    return index


def check_skipped(index: Index, sources: Sources) -> None:
    """Raises: PackError, if more files were left out than may be, or all of a split."""
    if len(index.left_out) > sources.skip:
        raise _too_many(len(index.left_out), index.left_out[0], sources.skip)
    for split, count in index.plan.counts.items():
        if count and not len(index.places[split]):
            raise PackError(f"none of the {count} {split} images can be read, such as {index.left_out[0]}; repair them")


def _write(sources: Sources, folder: Path, encoding: str | None, workers: int | None, tell: Tell) -> Index:
    arrays = sources.arrays() if sources.arrays is not None else None
    if arrays is not None:
        counts = {split: len(array) for split, array in zip(SPLITS, arrays, strict=True)}
        wanted = estimate(sources, sum(counts.values()), raw=sum(array.nbytes for array in arrays))
    else:
        counts = {split: len(sources.files[split]) for split in SPLITS}
        wanted = estimate(sources, sum(counts.values()), encoding)
    plan = read_plan(folder)
    if plan is None:
        plan = _plan(sources, counts, wanted)
        _check_space(folder, wanted.bytes)
        write_plan(folder, plan, stamps_of(sources.paths))
    else:
        check_sources(folder, plan, sources)
        if encoding not in (None, plan.encoding):
            raise PackError(f"{folder} was begun as {plan.encoding}, and is now asked for as {encoding}; {AGAIN}")
        _check_space(folder, wanted.bytes - _written(folder))
    (folder / SHARDS).mkdir(exist_ok=True)
    for torn in folder.rglob("*.tmp"):
        torn.unlink(missing_ok=True)
    jobs = _jobs(sources, folder, plan)
    waiting, written = ([job for job in jobs if Path(job.shard).is_file() == there] for there in (False, True))
    done = sum(_count(job, plan) for job in written)
    tell(done, wanted.images)
    failed = _failures(written)
    _check_failures(sources, failed)
    if arrays is not None:
        for job in waiting:
            write_array_shard(job, _part(job, arrays, plan))
            tell(done := done + _count(job, plan), wanted.images)
    else:
        for job, failures in run_jobs(waiting, workers or cores() if wanted.images > SHARD_IMAGES else 1):
            failed |= {(_split(job), position): why for position, why in failures.items()}
            _check_failures(sources, failed)
            tell(done := done + _count(job, plan), wanted.images)
    index = make_index(sources, folder, plan, jobs)
    check_skipped(index, sources)
    write_index(index)
    return reread_index(folder)


def make_index(sources: Sources, folder: Path, plan: Plan, jobs: Sequence[Job]) -> Index:
    """The index of shards that are all written."""
    shards: list[Shard] = []
    tables: dict[str, list[NDArray[np.int64]]] = {split: [] for split in SPLITS}
    failures: dict[tuple[str, int], str] = {}
    levels = np.zeros((plan.channels, 256), dtype=np.int64)
    said = {"transparent": 0, "cut": 0}
    for number, job in enumerate(jobs):
        path, split = Path(job.shard), _split(job)
        small, about, start = read_shard_index(path)
        shards.append(Shard(f"{SHARDS}/{path.name}", path.stat().st_size, start, file_digest(path)))
        table = small["images"]
        ends = np.cumsum(table[:, 1])
        tables[split].append(np.column_stack([np.full(len(table), number), ends - table[:, 1], table]))
        levels += small["levels"]
        failures |= {(split, int(position)): why for position, why in about["failures"].items()}
        said = {name: count + about[name] for name, count in said.items()}
    joined = {split: np.concatenate([np.empty((0, 6), np.int64), *tables[split]]) for split in SPLITS}
    sides = {side for table in joined.values() for side in np.unique(table[:, 4:6]).tolist()}
    places = {split: _places(table) for split, table in joined.items()}
    left_out = tuple(_named(sources, split, position, why) for (split, position), why in sorted(failures.items()))
    square = sides.pop() if len(sides) == 1 else None
    return Index(
        folder, plan, tuple(shards), places, tuple(map(tuple, levels.tolist())), square, _notes(said), left_out
    )


def read_shard_index(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any], int]:
    """The small arrays of a shard, what it says of its files, and where its pixels start; the pixels are not read.

    Source: the safetensors format: a length of 8 bytes, a header in JSON, then the arrays.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = loads(file.read(length))
        start = 8 + length
        small = {}
        for name in ("images", "levels"):
            low, high = header[name]["data_offsets"]
            file.seek(start + low)
            small[name] = np.frombuffer(file.read(high - low), dtype=np.int64).reshape(header[name]["shape"])
    return small, loads(header["__metadata__"][ABOUT]), start + header[PIXELS]["data_offsets"][0]


def _plan(sources: Sources, counts: dict[str, int], wanted: Estimate) -> Plan:
    each = max(1, wanted.bytes // max(1, wanted.images))
    per_shard = max(1, min(SHARD_IMAGES, SHARD_BYTES // each))
    return Plan(VERSION, wanted.encoding, sources.side, sources.channels, counts, sources.names_digest(), per_shard)


def _jobs(sources: Sources, folder: Path, plan: Plan) -> list[Job]:
    jobs = []
    for split in SPLITS:
        files = [str(sources.root / path) for path in sources.files.get(split, ())]
        for number, first in enumerate(range(0, plan.counts[split], plan.per_shard)):
            jobs.append(
                Job(
                    shard=str(folder / SHARDS / f"{split}-{number:05d}.safetensors"),
                    files=files[first : first + plan.per_shard],
                    first=first,
                    counted=split == "train",
                    side=sources.side or 0,
                    channels=plan.channels,
                    max_pixels=sources.max_pixels,
                    encoding=plan.encoding,
                )
            )
    return jobs


def _split(job: Job) -> str:
    return SPLITS[0] if job.counted else SPLITS[1]


def _count(job: Job, plan: Plan) -> int:
    """Images of a shard."""
    return min(plan.per_shard, plan.counts[_split(job)] - job.first)


def _part(job: Job, arrays: tuple[NDArray[np.uint8], NDArray[np.uint8]], plan: Plan) -> NDArray[np.uint8]:
    return arrays[SPLITS.index(_split(job))][job.first : job.first + plan.per_shard]


def _places(table: NDArray[np.int64]) -> Places:
    """Rows of shard, offset, position, length, height, width."""
    shard, offset, position, length, height, width = (np.ascontiguousarray(column) for column in table.T)
    return Places(shard.astype(np.int32), offset, length, height.astype(np.int32), width.astype(np.int32), position)


def _failures(jobs: Sequence[Job]) -> dict[tuple[str, int], str]:
    """What the written shards say of files that cannot be read."""
    return {
        (_split(job), int(position)): why
        for job in jobs
        for position, why in read_shard_index(Path(job.shard))[1]["failures"].items()
    }


def _check_failures(sources: Sources, failed: dict[tuple[str, int], str]) -> None:
    if len(failed) > sources.skip:
        (split, position), why = min(failed.items())
        raise _too_many(len(failed), _named(sources, split, position, why), sources.skip)


def _too_many(count: int, first: str, skip: int) -> PackError:
    more = f", and it is not the only one: more than skip_unreadable {skip}" if skip else ""
    return PackError(
        f"{first}: cannot be packed{more}; repair it or take it out, or leave it out with dataset.skip_unreadable=N"
        + (f" ({count} so far)" if count > 1 else "")
    )


def _named(sources: Sources, split: str, position: int, why: str) -> str:
    return f"{ascii(str(sources.files[split][position]))[1:-1]} ({why})"


def _notes(said: dict[str, int]) -> tuple[str, ...]:
    """How pixels were understood where a file leaves it open, a line each."""
    texts = {
        "transparent": "with transparent parts, laid on white",
        "cut": "of 16 bits a channel, of which the upper 8 bits are read",
    }
    return tuple(f"{count} image{'s' if count > 1 else ''} {texts[name]}" for name, count in said.items() if count)


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PackError(
            f"the pack needs about {needed / 1e9:,.1f} GB, but {folder} has {free / 1e9:,.1f} GB free; free some "
            "space, or set another place with --cache or SWEEPER_CACHE"
        )


def _remove(folder: Path) -> None:
    """Remove a pack, and nothing that is none.

    Shards go first: without a plan, those of a removal that was killed would be taken for parts of the next pack.
    """
    if not any((folder / name).is_file() for name in (PLAN, INDEX)):
        return
    for path in sorted(folder.iterdir(), key=Path.is_file):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _written(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / SHARDS).glob("*.safetensors"))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a pack for this process; the kernel releases the lock when the process dies."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PackError(f"another process writes the pack {folder}; wait until it has ended") from None
    finally:
        os.close(descriptor)
