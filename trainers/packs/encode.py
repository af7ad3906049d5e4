"""Image files to the bytes of a shard; it needs Pillow and NumPy alone, so that worker processes start fast."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.decode import MODES, check_pixels, opaque, pillow, reason, upright
from trainers.packs.index import write_arrays
from trainers.sixteen import SWAPPED, layout

QUALITY: Final = 95
"""Of a JPEG that is encoded again; Pillow's documentation advises against more."""
PIXELS: Final = "bytes"
"""The array of a shard that holds the images, one after the other."""
ABOUT: Final = "about"
"""The key of a shard's metadata: JSON with the files that cannot be read, and how many were transparent or cut."""


@dataclass(frozen=True)
class Encoded:
    """One packed image."""

    data: bytes
    pixels: NDArray[np.uint8]
    """(height, width, channels), as decoded."""
    transparent: bool = False
    cut: bool = False
    """Whether the file has 16 bits a channel, of which the upper 8 are kept."""


@dataclass(frozen=True)
class Job:
    """The images of one shard."""

    shard: str
    files: Sequence[str]
    first: int
    """Position of the first in its split."""
    counted: bool
    """Whether their levels count for mean and deviation: those of the training split do."""
    side: int
    channels: int
    max_pixels: int
    encoding: str


def encode_file(path: Path, side: int, channels: int, *, max_pixels: int, encoding: str) -> Encoded:
    """An image file, upright and opaque, its short side reduced to `side`, never enlarged.

    With the encoding `jpeg`, the file's own bytes are kept where they are the same picture.

    Raises:
        Exception: whatever Pillow raises for a file that it cannot read; ValueError for one that cannot be packed.
    """
    mode = MODES[channels]
    with Image.open(path) as file:
        check_pixels(file, max_pixels)
        plain_jpeg = file.format == "JPEG" and file.mode == mode and min(file.size) <= side
        file.draft(mode, (2 * side, 2 * side))  # a large JPEG is decoded at a lower resolution
        bytes_of_file = layout(file)
        image = upright(file)
        if image.mode.startswith("I") or image.mode == "F" or bytes_of_file in SWAPPED:
            raise ValueError("more than 8 bits a pixel, which only dataset.pack=0 reads; save it with 8 bits")
        same = plain_jpeg and image is file
        flat, transparent = opaque(image)
        flat = reduce(flat.convert(mode), side)
    pixels = np.asarray(flat).reshape(flat.height, flat.width, channels)
    cut = ";16" in bytes_of_file
    if encoding == "raw":
        return Encoded(pixels.tobytes(), pixels, transparent, cut)
    return Encoded(path.read_bytes() if same else to_jpeg(flat), pixels, transparent, cut)


def reduce(image: Image.Image, side: int) -> Image.Image:
    """The image with its short side of `side` pixels, if it is longer.

    >>> reduce(Image.new("L", (640, 480)), 256).size, reduce(Image.new("L", (64, 48)), 256).size
    ((341, 256), (64, 48))
    """
    short = min(image.size)
    if short <= side:
        return image
    width, height = (side if length == short else round(length * side / short) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def to_jpeg(image: Image.Image) -> bytes:
    """The image as a JPEG, colour at its full resolution."""
    written = io.BytesIO()
    image.save(written, "JPEG", quality=QUALITY, subsampling=0)
    return written.getvalue()


def write_shard(job: Job) -> dict[int, str]:
    """Encode the files of a shard, and write it.

    Returns:
        Position in the split of each file that cannot be read -> why.
    """
    with pillow():
        return _write(
            job,
            lambda index: encode_file(
                Path(job.files[index]), job.side, job.channels, max_pixels=job.max_pixels, encoding=job.encoding
            ),
            len(job.files),
        )


def write_array_shard(job: Job, images: NDArray[np.uint8]) -> None:
    """Write the shard of images that are an array (n, side, side, c), as they are."""
    _write(job, lambda index: Encoded(images[index].tobytes(), images[index]), len(images))


def _write(job: Job, encode: Callable[[int], Encoded], count: int) -> dict[int, str]:
    kept: list[tuple[int, int, int, int]] = []
    data, failures = bytearray(), {}
    said = {"transparent": 0, "cut": 0}
    levels = np.zeros((job.channels, 256), dtype=np.int64)
    for index in range(count):
        try:
            one = encode(index)
        except Exception as error:  # Pillow's readers let through whatever a damaged file makes them stumble over
            failures[job.first + index] = reason(error)
            continue
        height, width, _ = one.pixels.shape
        kept.append((job.first + index, len(one.data), height, width))
        data += one.data
        said["transparent"] += one.transparent
        said["cut"] += one.cut
        if job.counted:
            for channel in range(job.channels):
                levels[channel] += np.bincount(one.pixels[..., channel].ravel(), minlength=256)
    table = np.array(kept, dtype=np.int64).reshape(-1, 4)
    arrays: dict[str, NDArray[Any]] = {PIXELS: np.frombuffer(data, dtype=np.uint8), "images": table, "levels": levels}
    # safetensors puts wider types first, so that the pixels are the end of the file
    # one key alone, since safetensors writes several in any order
    write_arrays(Path(job.shard), arrays, {ABOUT: json.dumps({"failures": failures, **said})})
    return failures
