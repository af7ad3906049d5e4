"""The features of many images, written part by part, so that a run that was killed continues where it stopped."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sweeper.errors import ConfigError, ResultsError
from sweeper.store.atomic import remove_torn, write_bytes, write_text
from sweeper.store.tables import write_features

if TYPE_CHECKING:
    from torch import Tensor

    from trainers.decode import Squares
    from trainers.export import ExportedEncoder
    from trainers.records import Scalar
    from trainers.splits import Split

ENDINGS: Final = (".parquet", ".npz")
PLAN: Final = "plan.json"
"""File in the folder of the parts: what they are parts of."""


@dataclass(frozen=True)
class Source:
    """Images in a fixed order."""

    paths: Sequence[str]
    read: Callable[[int, int], Squares]
    """The images from one position up to another, as squares."""
    digest: str
    """Of what is read: another digest means other images."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Embedded:
    """What was written."""

    images: int
    dim: int
    unreadable: tuple[str, ...]
    """Every file that was left out, with the reason."""


def folder_source(root: Path, size: int, channels: int) -> Source:
    """Every image below a folder, as the data set `folder` finds and reads them, sorted by their relative paths.

    Raises:
        ConfigError: the folder cannot be searched, or has no image.
    """
    from trainers.decode import MAX_PIXELS, find_span, read_squares
    from trainers.walk import find_images

    try:
        listing = find_images(root)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not listing.paths:
        raise ConfigError("; ".join([f"`IMAGES` must hold images, but {root} has none", *listing.notes]))
    files = [root / path for path in listing.paths]
    stats = [os.stat(file) for file in files]
    seen = [(str(path), about.st_size, about.st_mtime_ns) for path, about in zip(listing.paths, stats, strict=True)]
    span = find_span(files, size, channels)

    def read(first: int, last: int) -> Squares:
        chosen = files[first:last]
        return read_squares(chosen, size, channels, max_pixels=MAX_PIXELS, skip=len(chosen), span=span)

    return Source(
        [path.as_posix() for path in listing.paths], read, digest_of(str(root.resolve()), seen), listing.notes
    )


def dataset_source(dataset: Mapping[str, Scalar]) -> tuple[Source, int]:
    """Both splits of a data set, training first, at its own size; and its channels.

    Raises:
        ConfigError: it cannot be read.
    """
    import torch

    from trainers.datasets import open_dataset
    from trainers.datasets.base import SPLITS
    from trainers.decode import Squares
    from trainers.splits import place

    try:
        opened = open_dataset(dataset)
        images = opened.images()
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from None
    splits = place(images, torch.device("cpu"))
    paths = [path for split in SPLITS for path in opened.paths(split)]

    def read(first: int, last: int) -> Squares:
        return Squares(np.concatenate([split.take(part).numpy() for split, part in parts_of(splits, first, last)]))

    return Source(paths, read, images.fingerprint, images.notes), images.train.shape[-1]


def parts_of(splits: Iterable[Split], first: int, last: int) -> Iterator[tuple[Split, Tensor]]:
    """Each split, and the positions in it of the images from `first` up to `last` of all splits, one after the other.

    >>> [part.tolist() for _, part in parts_of([range(3), range(4)], 2, 5)]
    [[2], [0, 1]]
    """
    import torch

    for split in splits:
        count = len(split)
        yield split, torch.arange(min(max(first, 0), count), max(0, min(last, count)))
        first, last = first - count, last - count


def digest_of(*parts: object) -> str:
    """BLAKE2b digest (128 bits, in hexadecimal) of the text of the parts."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def check_out(out: Path) -> None:
    """Asked before anything is read.

    Raises:
        ConfigError: the file has another ending, or its folder does not exist.
        ResultsError: it exists.
    """
    if out.suffix not in ENDINGS:
        raise ConfigError(f"`--out` must end in {' or '.join(ENDINGS)}, but got {out}")
    if not out.parent.is_dir():
        raise ConfigError(f"`--out` must be in a folder that exists, but there is no {out.parent}")
    if out.exists():
        raise ResultsError(f"{out} exists; remove it, or choose another --out")


def embed(
    encoder: ExportedEncoder, source: Source, out: Path, device: str, advance: Callable[[int], object]
) -> Embedded:
    """Write the features of every image that can be read; parts that an earlier run has written are kept.

    Args:
        encoder: it gives the features.
        source: the images.
        out: a new file.
        device: cpu or cuda.
        advance: is told of every part how many images it has.

    Raises:
        ResultsError: the parts are of other images or of another encoder, or no image can be read.
    """
    from trainers.foreign import encoder_digest
    from trainers.reader import batch_size

    folder, batch = out.with_name(f"{out.name}.parts"), batch_size(encoder.recipe)
    plan = {"encoder": encoder_digest(encoder), "images": source.digest, "count": len(source.paths), "batch": batch}
    begin(folder, {**plan, "device": device})
    numbers = range(0, len(source.paths), batch)
    for first in numbers:
        part, last = part_file(folder, first), min(first + batch, len(source.paths))
        if not part.is_file():
            write_bytes(part, make_part(encoder, source.read(first, last), device))
        advance(last - first)
    unreadable = [
        f"{source.paths[first + int(place)]} ({why})"
        for first in numbers
        for place, why in said_in(folder, first).items()
    ]
    if len(unreadable) == len(source.paths):
        shutil.rmtree(folder)
        raise ResultsError(f"none of the {len(unreadable)} images can be read; the first: {unreadable[0]}")
    join(out, read_parts(folder, numbers, source.paths))
    shutil.rmtree(folder)
    return Embedded(len(source.paths) - len(unreadable), encoder.recipe.dim, tuple(unreadable))


def begin(folder: Path, plan: Mapping[str, Any]) -> None:
    """Make the folder of the parts, or check that it belongs to the same plan.

    Raises:
        ResultsError: it does not.
    """
    folder.mkdir(exist_ok=True)
    remove_torn(folder)
    file, text = folder / PLAN, json.dumps(plan)
    if not any(folder.glob("*.npz")):
        write_text(file, text)
    elif not file.is_file() or file.read_text(encoding="utf-8") != text:
        raise ResultsError(f"{folder} has parts of other images or of another encoder; remove it to begin again")


def part_file(folder: Path, first: int) -> Path:
    """The part that begins with an image."""
    return folder / f"{first:09d}.npz"


def make_part(encoder: ExportedEncoder, read: Squares, device: str) -> bytes:
    """The features of the images that could be read, their places in the part, and why others could not."""
    from trainers.reader import features_of

    places = np.array([place for place in range(len(read.pixels)) if place not in read.failures], dtype=np.int64)
    rows = np.empty((0, encoder.recipe.dim), dtype=np.float32)
    if len(places):
        rows = features_of(encoder, read.pixels[places], device)
    buffer = io.BytesIO()
    np.savez(buffer, features=rows, places=places, failures=np.array(json.dumps(read.failures)))
    return buffer.getvalue()


def said_in(folder: Path, first: int) -> dict[str, str]:
    """Place in the part -> why the file could not be read."""
    with np.load(part_file(folder, first), allow_pickle=False) as part:
        failures: dict[str, str] = json.loads(str(part["failures"]))
    return failures


def read_parts(
    folder: Path, numbers: Sequence[int], paths: Sequence[str]
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Paths and features (n, dim) of every part that has any."""
    for first in numbers:
        with np.load(part_file(folder, first), allow_pickle=False) as part:
            places, rows = part["places"], part["features"]
        if len(rows):
            yield [paths[first + int(place)] for place in places], rows


def join(out: Path, parts: Iterator[tuple[list[str], NDArray[np.float32]]]) -> None:
    """Write the file of all parts, whole or not at all."""
    if out.suffix == ".parquet":
        write_features(out, parts)
        return
    paths, rows = zip(*parts, strict=True)
    buffer = io.BytesIO()
    np.savez(buffer, paths=np.array([path for part in paths for path in part]), features=np.concatenate(rows))
    write_bytes(out, buffer.getvalue())
