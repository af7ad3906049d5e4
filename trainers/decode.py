"""Image files as squares of pixels: upright, opaque, of one size, gray or in colour."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from trainers.sixteen import SWAPPED, gray, layout, lower_bytes, values_of

FORMATS: Final = (
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg"),
    *(".jpg", ".jxl", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp"),
)
"""Endings of image files, in upper or lower case; Pillow reads most of them."""
MODES: Final = {1: "L", 3: "RGB"}
"""Channels -> Pillow's mode."""
BACKGROUND: Final = (255, 255, 255, 255)
"""White, which browsers and paper put behind a transparent image; its hidden colours could tell the class."""
MAX_PIXELS: Final = 178_956_970
"""Pixels of the largest image that Pillow opens unless it is told otherwise."""
FILES_PER_TASK: Final = 64
"""Images that a thread decodes in one go."""
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's orientation -> what turns the image upright (EXIF 2.32, tag 0x0112)."""


@dataclass(frozen=True)
class Square:
    """The middle square of one image."""

    pixels: NDArray[np.uint8] | NDArray[np.float32]
    """uint8 (size, size, channels); of a file with more bits, its float32 values, where gray of one channel."""
    span: tuple[float, float] | None = None
    """Least and greatest value of a file with more than 8 bits a pixel."""
    whole: bool = True
    """Whether the values of the file are integers."""
    transparent: bool = False
    """Whether anything of the background shows."""
    cut: bool = False
    """Whether the file has 16 bits a channel of which only the upper 8 are read."""


@dataclass
class Squares:
    """The middle squares of many images."""

    pixels: NDArray[np.uint8]
    """(n, size, size, channels); what stands at the place of a file that cannot be read has no meaning."""
    failures: dict[int, str] = field(default_factory=dict)
    """Position of a file that cannot be read -> why."""
    deep: dict[int, Square] = field(default_factory=dict)
    """Position of a file with more than 8 bits a pixel -> its square."""
    transparent: int = 0
    """Images laid on the background."""
    cut: int = 0
    """Images of 16 bits a channel of which only the upper 8 are read."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How pixels were understood where a file leaves it open, a line each."""
        notes = []
        if self.deep:
            notes.append(f"{_images(len(self.deep))} of more than 8 bits a pixel: {describe_scale(self.deep)}")
        if self.transparent:
            notes.append(f"{_images(self.transparent)} with transparent parts, laid on white")
        if self.cut:
            notes.append(
                f"{_images(self.cut)} of 16 bits a channel, with alpha or planes, of which the upper 8 bits are read"
            )
        return tuple(notes)


def readable_endings() -> frozenset[str]:
    """Endings of the image files that this Pillow reads, with pillow-heif where that is installed."""
    with suppress(ImportError):
        import_module("pillow_heif").register_heif_opener()
    return frozenset(FORMATS) & frozenset(Image.registered_extensions())


def read_squares(
    paths: Sequence[Path],
    size: int,
    channels: int,
    *,
    max_pixels: int,
    skip: int = 0,
    span: tuple[float, float, bool] | None = None,
) -> Squares:
    """Decode files in threads; whatever is wrong with one is its failure, and more than `skip` end the reading.

    Values of more than 8 bits are scaled alike in all files; `span` is their range (see `span_of`), where these are not
    all files.
    """
    read = Squares(np.empty((len(paths), size, size, channels), dtype=np.uint8))

    def fill(start: int) -> list[tuple[bool, bool]]:
        return [place(index) for index in range(start, min(start + FILES_PER_TASK, len(paths)))]

    def place(index: int) -> tuple[bool, bool]:
        if len(read.failures) > skip:
            return False, False
        try:
            square = read_square(paths[index], size, channels, max_pixels=max_pixels)
        except Exception as error:  # Pillow's readers let through whatever a damaged file makes them stumble over
            read.failures[index] = reason(error)
            return False, False
        if square.span is None:
            read.pixels[index] = square.pixels
        else:
            read.deep[index] = square
        return square.transparent, square.cut

    with pillow(), ThreadPoolExecutor() as pool:
        said = [pair for pairs in pool.map(fill, range(0, len(paths), FILES_PER_TASK)) for pair in pairs]
    read.transparent, read.cut = (sum(pair[place] for pair in said) for place in (0, 1))
    for index, square in read.deep.items():
        read.pixels[index] = scaled(square.pixels, *(span or span_of(read.deep)))
    return read


def check_pixels(file: Image.Image, max_pixels: int) -> None:
    """Raises: ValueError, if an image has more pixels than are decoded."""
    count = file.width * file.height
    if count > max_pixels:
        raise ValueError(
            f"{file.width}×{file.height} pixels are more than max_pixels {max_pixels}; dataset.max_pixels={count} "
            "allows them"
        )


def read_square(path: Path, size: int, channels: int, *, max_pixels: int = MAX_PIXELS) -> Square:
    """The middle square of an image file, upright as its camera was held.

    Raises:
        Exception: whatever Pillow raises for a file that it cannot read; ValueError for one that is too large.
    """
    mode = MODES[channels]
    with Image.open(path) as file:
        check_pixels(file, max_pixels)
        file.draft(mode, (2 * size, 2 * size))  # a large JPEG is decoded at a lower resolution
        bytes_of_file = layout(file)
        image = upright(file)
        deep = image.mode.startswith("I") or image.mode == "F"
        if (deep or bytes_of_file in SWAPPED) and "transparency" in image.info:
            raise ValueError("its transparent colour (tRNS) has 16 bits, which cannot be read; save it with an alpha")
        if deep:
            return _deep(np.asarray(image), size, whole=image.mode != "F")
        flat, transparent = opaque(image)
        if bytes_of_file in SWAPPED and not transparent:
            values = values_of(image, upright(lower_bytes(path)))
            return _deep(gray(values) if channels == 1 else values, size)
        square = ImageOps.fit(flat.convert(mode), (size, size), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(square).reshape(size, size, channels)
    return Square(pixels, transparent=transparent, cut=";16" in bytes_of_file)


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say; other EXIF values are not looked at, however odd they are."""
    image.load()
    try:
        turn = UPRIGHT.get(orientation(image.getexif().get(ExifTags.Base.Orientation)))
    except Exception:  # EXIF data are no part of the picture: those that cannot be parsed say nothing
        turn = None
    return image if turn is None else image.transpose(turn)


def orientation(value: object) -> int:
    """EXIF's orientation, 1 where nothing sensible stands; some programs write it as text or as a fraction.

    >>> orientation(6), orientation("6\\0"), orientation((8, 8)), orientation(b"3"), orientation(float("nan"))
    (6, 6, 8, 3, 1)
    """
    if isinstance(value, tuple) and value:
        value = value[0]
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    try:
        number = float(str(value).strip("\0 "))
    except ValueError:
        return 1
    return int(number) if number in UPRIGHT else 1


def opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image on the background, and whether any of that shows."""
    if image.mode not in ("P", "PA") and "transparency" not in image.info and image.getbands()[-1] not in ("A", "a"):
        return image, False
    above = image.convert("RGBA")
    least, _ = above.getchannel("A").getextrema()
    return Image.alpha_composite(Image.new("RGBA", above.size, BACKGROUND), above), least != 255


def span_of(deep: Mapping[int, Square]) -> tuple[float, float, bool]:
    """Least and greatest value of all files, and whether all values are integers."""
    spans = [square.span for square in deep.values() if square.span is not None]
    return min(low for low, _ in spans), max(high for _, high in spans), all(one.whole for one in deep.values())


def scaled(values: NDArray[np.float32] | NDArray[np.uint8], low: float, high: float, whole: bool) -> NDArray[np.uint8]:
    """Values to 8 bits: unsigned integers by the bits that the greatest one needs, others from `low` to `high`.

    >>> scaled(np.array([0, 16, 4095], dtype=np.float32), 0, 4000, True).tolist()
    [0, 1, 255]
    >>> scaled(np.array([-1.0, 0.0, 1.0], dtype=np.float32), -1, 1, False).tolist()
    [0, 128, 255]
    """
    exact = values.astype(np.float64)
    if whole and low >= 0:
        bits = bits_of(high)
        levels = np.rint(exact).clip(0, 2**bits - 1) // 2 ** (bits - 8)
    else:
        levels = np.rint((exact - low) / ((high - low) or 1.0) * 255).clip(0, 255)
    return np.asarray(levels, dtype=np.uint8)


def find_span(paths: Sequence[Path], size: int, channels: int) -> tuple[float, float, bool] | None:
    """The range of the files with more than 8 bits a pixel, which alone are decoded (see `span_of`); None without."""

    def deep(path: Path) -> Square | None:
        try:
            with Image.open(path) as file:
                if not file.mode.startswith(("I", "F")) and layout(file) not in SWAPPED:
                    return None
            square = read_square(path, size, channels)
        except Exception:  # who reads the files says what is wrong with them
            return None
        return replace(square, pixels=np.empty(0, np.uint8)) if square.span is not None else None

    with pillow(), ThreadPoolExecutor() as pool:
        found = {index: square for index, square in enumerate(pool.map(deep, paths)) if square is not None}
    return span_of(found) if found else None


def bits_of(high: float) -> int:
    """Bits of the greatest value, at least 8."""
    return max(8, int(high).bit_length())


def describe_scale(deep: Mapping[int, Square]) -> str:
    """What `scaled` does with these files, in words."""
    low, high, whole = span_of(deep)
    if whole and low >= 0:
        return f"the greatest value of all is {high:.0f}, so they are read as {bits_of(high)} bits"
    return f"the values of all range from {low:g} to {high:g}, which become 0 to 255"


def reason(error: Exception) -> str:
    """What was wrong with a file, on one line."""
    if isinstance(error, UnidentifiedImageError):
        return "no image format that this Pillow knows"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(" ".join(text.split())) or type(error).__name__


def printable(text: object) -> str:
    """Text with an escape in the place of everything that no terminal should be sent, such as line breaks.

    >>> printable("a\\nb\\x1b[31m")
    'a\\\\nb\\\\x1b[31m'
    """
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in str(text))


def _deep(values: NDArray[Any], size: int, *, whole: bool = True) -> Square:
    """The square of an image of more than 8 bits a pixel, (height, width) or with channels last, in its own values.

    Raises:
        ValueError: some are not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("it holds values that are not finite")
    exact = values.astype(np.float32).reshape(*values.shape[:2], -1)
    channels = [Image.fromarray(np.ascontiguousarray(exact[..., index])) for index in range(exact.shape[2])]
    squares = [ImageOps.fit(channel, (size, size), method=Image.Resampling.BICUBIC) for channel in channels]
    return Square(np.stack([np.asarray(one) for one in squares], axis=-1), (low, high), whole)


@contextmanager
def pillow() -> Iterator[None]:
    """Pillow without a limit of its own, and without its warnings, which are about metadata and name no file."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _images(count: int) -> str:
    """`1 image`, `2 images`."""
    return f"{count} image{'s' if count > 1 else ''}"
