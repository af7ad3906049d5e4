"""One image file: upright whatever its EXIF data are, opaque, of every depth, and a reason on one line otherwise."""

from __future__ import annotations

import struct
import sys
import types
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.decode import MAX_PIXELS, Squares, printable, read_square, read_squares, readable_endings, upright

RNG = np.random.default_rng(0)
QUADRANTS = np.kron(np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]]), np.ones((16, 16, 1)))
"""Red, green, blue and white quarters, 32×32, so that a turn shows even after JPEG's losses."""
ASCII, SHORT, LONG, RATIONAL, BYTES, SRATIONAL, FLOAT, DOUBLE = 2, 3, 4, 5, 7, 10, 11, 12
"""Types of EXIF values."""


Entry = tuple[int, int, int, bytes]
"""Tag, type, count and value of one entry of a TIFF directory, which EXIF data are."""


def directory(entries: tuple[Entry, ...], *, data: bytes = b"", order: str = "<") -> bytes:
    """A TIFF file of `data`, which begin at byte 8, and of entries."""
    start = 8 + len(data) + 2 + 12 * len(entries) + 4
    table, values = struct.pack(f"{order}H", len(entries)), b""
    for tag, kind, count, value in sorted(entries):
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", start + len(values))
        values += value if len(value) > 4 else b""
        table += struct.pack(f"{order}HHI", tag, kind, count) + place
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8 + len(data)) + data + table + b"\0\0\0\0" + values


def tags(*entries: Entry, order: str = "<") -> bytes:
    """EXIF data of those entries."""
    return b"Exif\0\0" + directory(entries, order=order)


def write_signed(path: Path, values: np.ndarray, *odd: Entry, order: str = "<") -> Path:
    """A TIFF of signed 16-bit values, which Pillow reads but does not write."""
    height, width = values.shape
    numbers = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 339: 2}
    numbers[279] = 2 * width * height
    entries = {tag: (tag, LONG, 1, struct.pack(f"{order}I", number)) for tag, number in numbers.items()}
    entries |= {entry[0]: entry for entry in odd}
    path.write_bytes(directory(tuple(entries.values()), data=values.astype(f"{order}i2").tobytes(), order=order))
    return path


TURNED = (0x0112, SHORT, 1, struct.pack("<H", 6))
"""Orientation: to be turned a quarter clockwise."""
ODD = {
    "rational -1/0": (0x011A, SRATIONAL, 1, struct.pack("<ii", -1, 0)),
    "rational 0/0": (0x011A, RATIONAL, 1, struct.pack("<II", 0, 0)),
    "rational 1/0": (0x011B, RATIONAL, 1, struct.pack("<II", 1, 0)),
    "text for a rational": (0x011A, ASCII, 3, b"72\0"),
    "bytes for a rational": (0x011A, BYTES, 5, b"\xff\xfe\0ab"),
    "a fraction for a width": (0x0100, FLOAT, 1, struct.pack("<f", 32.5)),
    "NaN for a height": (0x0101, DOUBLE, 1, struct.pack("<d", float("nan"))),
    "text for a unit": (0x0128, ASCII, 5, b"inch\0"),
    "no values": (0x011A, RATIONAL, 0, b""),
    "text for the offset of another table": (0x8769, ASCII, 5, b"here\0"),
    "another table beyond the end": (0x8769, LONG, 1, struct.pack("<I", 1 << 30)),
    "a type that does not exist": (0x011A, 99, 1, b"\1"),
    "text that is no ASCII": (0x0131, ASCII, 6, b"\xe9\xff\x80ab\0"),
}


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def alike(got: np.ndarray, expected: np.ndarray) -> bool:
    """Whether two pictures of quadrants are the same, but for what JPEG does to them."""
    return float(np.abs(got.astype(float) - expected).mean()) < 30


def read(*paths: Path, size: int = 8, channels: int = 1, **options: int) -> Squares:
    return read_squares(list(paths), size, channels, **{"max_pixels": MAX_PIXELS, **options})


# upright


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
@pytest.mark.parametrize("odd", ODD)
def test_odd_exif_values_are_not_looked_at(tmp_path: Path, odd: str, ending: str) -> None:
    exact = {"lossless": True} if ending == "webp" else {}
    found = read(save(tmp_path / f"a.{ending}", QUADRANTS, exif=tags(TURNED, ODD[odd]), **exact), size=32, channels=3)
    assert not found.failures
    assert alike(found.pixels[0], np.rot90(QUADRANTS, -1))


@pytest.mark.parametrize("odd", [odd for odd in ODD if not odd.endswith(("a width", "a height"))])
def test_odd_tags_of_a_tiff_are_not_looked_at(tmp_path: Path, odd: str) -> None:
    """Except for the sides, which are no metadata there."""
    values = np.arange(64).reshape(8, 8)
    found = read(write_signed(tmp_path / "a.tif", values, TURNED, ODD[odd]))
    assert not found.failures
    np.testing.assert_array_equal(found.pixels[0, ..., 0], np.rot90(values, -1))


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path: Path, turn: int) -> None:
    """By the definition in EXIF: what the 0th row and the 0th column of the file are in the picture."""
    stored = {
        1: QUADRANTS, 2: QUADRANTS[:, ::-1], 3: QUADRANTS[::-1, ::-1], 4: QUADRANTS[::-1],
        5: QUADRANTS.swapaxes(0, 1), 6: np.rot90(QUADRANTS, 1),
        7: QUADRANTS[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(QUADRANTS, -1),
    }[turn]  # fmt: skip
    path = save(tmp_path / "turned.png", stored, exif=tags((0x0112, SHORT, 1, struct.pack("<H", turn))))
    np.testing.assert_array_equal(read_square(path, 32, 3).pixels, QUADRANTS)


@pytest.mark.parametrize(
    ("kind", "count", "value", "turned"),
    [
        (ASCII, 2, b"6\0", True),
        (LONG, 1, struct.pack("<I", 6), True),
        (RATIONAL, 1, struct.pack("<II", 6, 1), True),
        (DOUBLE, 1, struct.pack("<d", 6.0), True),
        (SHORT, 2, struct.pack("<HH", 6, 6), True),
        (RATIONAL, 1, struct.pack("<II", 6, 0), False),
        (ASCII, 4, b"top\0", False),
        (SHORT, 1, struct.pack("<H", 9), False),
        (SHORT, 1, struct.pack("<H", 0), False),
        (DOUBLE, 1, struct.pack("<d", float("inf")), False),
        (DOUBLE, 1, struct.pack("<d", float("nan")), False),
        (BYTES, 0, b"", False),
    ],
)
def test_an_orientation_of_another_type_counts_where_it_is_one(
    tmp_path: Path, kind: int, count: int, value: bytes, turned: bool
) -> None:
    path = save(tmp_path / "a.png", QUADRANTS, exif=tags((0x0112, kind, count, value)))
    found = read(path, size=32, channels=3)
    np.testing.assert_array_equal(found.pixels[0], np.rot90(QUADRANTS, -1) if turned else QUADRANTS)


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0rubbish", tags(TURNED)[:-9]])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_exif_data_that_cannot_be_parsed_say_nothing(tmp_path: Path, exif: bytes, ending: str) -> None:
    found = read(save(tmp_path / f"a.{ending}", QUADRANTS, exif=exif), size=32, channels=3)
    assert not found.failures
    assert alike(found.pixels[0], QUADRANTS)


def test_a_big_endian_exif_and_deep_images_are_turned(tmp_path: Path) -> None:
    exif = tags((0x0112, SHORT, 1, struct.pack(">H", 6)), order=">")
    path = save(tmp_path / "a.png", QUADRANTS, exif=exif)
    np.testing.assert_array_equal(read_square(path, 32, 3).pixels, np.rot90(QUADRANTS, -1))
    deep = RNG.integers(0, 65536, (8, 8), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "deep.png").pixels[0, ..., 0], np.rot90(deep, -1) >> 8)


def test_an_image_whose_exif_data_raise_is_read_as_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.fromarray(QUADRANTS.astype(np.uint8))

    def broken() -> None:
        raise struct.error("argument out of range")

    monkeypatch.setattr(image, "getexif", broken)
    assert upright(image) is image


# formats


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".avif", ".jp2", ".pnm", ".tga", ".dib", ".mpo", ".bmp", ".gif"])
def test_formats_are_read_by_their_content(tmp_path: Path, ending: str) -> None:
    if ending not in readable_endings():
        pytest.skip(f"this Pillow reads no {ending}")
    assert alike(read_square(save(tmp_path / f"a{ending}", QUADRANTS), 32, 3).pixels, QUADRANTS)


def test_heif_is_read_where_its_plug_in_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Image.registered_extensions()
    monkeypatch.setattr(Image, "EXTENSION", dict(known))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # not installed
    assert ".heic" not in readable_endings()
    plugin = types.ModuleType("pillow_heif")
    plugin.register_heif_opener = lambda: Image.register_extension("HEIF", ".heic")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    assert ".heic" in readable_endings()


def test_a_large_jpeg_is_decoded_at_a_lower_resolution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.jpg", np.kron(QUADRANTS, np.ones((16, 16, 1))))
    decoded: list[tuple[int, int]] = []

    def watched(image: Image.Image) -> Image.Image:
        decoded.append(image.size)
        return upright(image)

    monkeypatch.setattr("trainers.decode.upright", watched)
    assert alike(read_square(path, 32, 3).pixels, QUADRANTS)
    assert decoded == [(64, 64)]


# transparency


def hidden(colour: tuple[int, int, int], mode: str, path: Path) -> Path:
    """A file that shows nothing: every pixel is of that colour and transparent."""
    image = Image.new("RGBA", (12, 12), (*colour, 0))
    if mode == "RGB":
        Image.new("RGB", (12, 12), colour).save(path, transparency=colour)
    elif mode == "L":
        Image.new("L", (12, 12), colour[0]).save(path, transparency=colour[0])
    elif mode == "P":
        image.convert("RGB").quantize(4).save(path, transparency=bytes(4))
    else:
        image.convert(mode).save(path)
    return path


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        *(("RGBA", ending) for ending in ("png", "tif", "tga", "gif", "jp2")),
        *(("LA", "png"), ("LA", "tif"), ("P", "png"), ("RGB", "png"), ("L", "png")),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_colours_do_not_show(tmp_path: Path, mode: str, ending: str, channels: int) -> None:
    paths = [hidden(colour, mode, tmp_path / f"{colour[0]}.{ending}") for colour in ((0, 255, 0), (255, 0, 250))]
    found = read(*paths, channels=channels)
    assert (found.pixels == 255).all()
    assert found.notes == ("2 images with transparent parts, laid on white",)


def test_transparent_parts_are_mixed_with_white_and_opaque_ones_stay(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (10, 20, 30, 128)).save(tmp_path / "half.png")
    mixed = [round(255 + (colour - 255) * 128 / 255) for colour in (10, 20, 30)]
    np.testing.assert_allclose(read_square(tmp_path / "half.png", 4, 3).pixels[2, 2], mixed, atol=1)
    pixels = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    opaque = np.dstack([pixels, np.full((16, 16), 255, dtype=np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "opaque.png")
    found = read(tmp_path / "opaque.png", size=16, channels=3)
    np.testing.assert_array_equal(found.pixels[0], pixels)
    assert found.notes == ()


def test_palette_and_print_colours_are_read(tmp_path: Path) -> None:
    picture = Image.fromarray(QUADRANTS.astype(np.uint8))
    picture.quantize(8).save(tmp_path / "palette.png")
    picture.convert("CMYK").save(tmp_path / "print.jpg")
    picture.convert("CMYK").save(tmp_path / "print.tif")
    for path in tmp_path.iterdir():
        assert alike(read_square(path, 32, 3).pixels, QUADRANTS), path
        assert alike(read_square(path, 32, 1).pixels, np.asarray(picture.convert("L"))[..., None]), path


# more than 8 bits


def write_pgm(path: Path, values: np.ndarray) -> Path:
    height, width = values.shape
    path.write_bytes(f"P5 {width} {height} 65535\n".encode() + values.astype(">u2").tobytes())
    return path


@pytest.mark.parametrize("form", ["png", "tif", "big.tif", "pgm"])
def test_16_bits_keep_the_upper_8(tmp_path: Path, form: str) -> None:
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    path = tmp_path / f"deep.{form}"
    if form == "pgm":
        write_pgm(path, values)
    elif form == "big.tif":
        Image.fromarray(values.astype(">u2")).save(path)
    else:
        Image.fromarray(values).save(path)
    found = read(path)
    np.testing.assert_array_equal(found.pixels[0, ..., 0], values >> 8)
    assert found.notes == (
        "1 image of more than 8 bits a pixel: the greatest value of all is 65535, so they are read as 16 bits",
    )
    np.testing.assert_array_equal(read(path, channels=3).pixels[0], np.repeat((values >> 8)[..., None], 3, axis=2))


def test_12_bits_in_16_are_scaled_alike_in_all_files(tmp_path: Path) -> None:
    dark = RNG.integers(0, 100, (8, 8), dtype=np.uint16)
    bright = RNG.integers(0, 4096, (8, 8), dtype=np.uint16)
    bright[0, 0] = 4095
    plain = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    Image.fromarray(plain).save(tmp_path / "plain.png")
    found = read(tmp_path / "dark.png", write_pgm(tmp_path / "bright.pgm", bright), tmp_path / "plain.png")
    for got, expected in zip(found.pixels[..., 0], (dark >> 4, bright >> 4, plain), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert found.notes[0].endswith("the greatest value of all is 4095, so they are read as 12 bits")
    assert found.notes[0].startswith("2 images of more")


def write_png(path: Path, values: np.ndarray, *, key: bytes = b"") -> Path:
    """A PNG of 16 bits a channel, as the PNG specification lays it out; Pillow writes none in colour."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = [head, chunk(b"tRNS", key) if key else b"", chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def write_tiff(path: Path, values: np.ndarray, order: str) -> Path:
    """An uncompressed TIFF of 16 bits a channel in colour (TIFF 6.0, section 6)."""
    height, width, _ = values.shape
    data, start = values.astype(f"{order}u2").tobytes(), 8 + 2 + 9 * 12 + 4
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, start), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, start + 6), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data))]
    text = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        text += struct.pack(f"{order}HHI", tag, kind, count)
        text += struct.pack(f"{order}HH", value, 0) if (kind, count) == (3, 1) else struct.pack(f"{order}I", value)
    path.write_bytes(text + struct.pack(f"{order}IHHH", 0, 16, 16, 16) + data)
    return path


@pytest.mark.parametrize("form", ["png", "<tif", ">tif", "alpha.png"])
@pytest.mark.parametrize("bits", [12, 16])
def test_colours_of_16_bits_are_scaled_as_gray_ones_are(tmp_path: Path, form: str, bits: int) -> None:
    values = RNG.integers(0, 2**bits, (8, 8, 3), dtype=np.uint16)
    values[0, 0] = 2**bits - 1
    path = tmp_path / f"deep.{form[1:]}"
    if form == "alpha.png":
        write_png(path, np.concatenate([values, np.full((8, 8, 1), 65535)], axis=2))
    elif form == "png":
        write_png(path, values)
    else:
        write_tiff(path, values, form[0])
    found = read(path, channels=3)
    np.testing.assert_array_equal(found.pixels[0], values >> (bits - 8))
    assert found.notes[0].endswith(f"so they are read as {bits} bits")
    luma = values.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(path).pixels[0, ..., 0] - luma / 2 ** (bits - 8)).max() <= 1


def test_colours_of_16_bits_are_turned_upright_with_both_bytes(tmp_path: Path) -> None:
    values = RNG.integers(0, 4096, (8, 8, 3), dtype=np.uint16)
    values[0, 0] = 4095
    path = write_png(tmp_path / "a.png", values)
    exif = Image.Exif()
    exif[274] = 6
    content = path.read_bytes()
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
    path.write_bytes(content[:33] + chunk + content[33:])
    np.testing.assert_array_equal(read(path, channels=3).pixels[0], np.rot90(values >> 4, -1))


def test_16_bits_with_transparent_parts_keep_the_upper_8_and_say_so(tmp_path: Path) -> None:
    for name, channels in (("la.png", 2), ("rgba.png", 4)):
        values = np.full((8, 8, channels), 0x8001, dtype=np.uint16)
        values[..., -1] = 65535
        values[:4, :, -1] = 0
        found = read(write_png(tmp_path / name, values), channels=3)
        assert np.unique(found.pixels[0, :4]).tolist() == [255]
        assert np.unique(found.pixels[0, 4:]).tolist() == [128]
        assert "1 image of 16 bits a channel, with alpha or planes, of which the upper 8 bits are read" in found.notes


@pytest.mark.parametrize("channels", [1, 3])
def test_a_key_colour_of_16_bits_is_refused(tmp_path: Path, channels: int) -> None:
    path = write_png(tmp_path / "key.png", np.full((8, 8, channels), 7), key=b"\0\7" * channels)
    assert "transparent colour (tRNS) has 16 bits" in read(path, skip=1).failures[0]


def test_8_bits_in_16_stay(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels[0, ..., 0], values)


@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_values_range_over_all_files(tmp_path: Path, order: str) -> None:
    air = write_signed(tmp_path / "air.tif", np.full((8, 8), -1024), order=order)
    values = np.linspace(-1000, 3071, 64).round().reshape(8, 8)
    found = read(air, write_signed(tmp_path / "bone.tif", values, order=order))
    assert (found.pixels[0] == 0).all()
    np.testing.assert_array_equal(found.pixels[1, ..., 0], np.rint((values + 1024) / 4095 * 255))
    assert found.notes[0].endswith("the values of all range from -1024 to 3071, which become 0 to 255")


def test_floats_and_32_bits_range_over_all_files(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(read(tmp_path / "float.tif").pixels[0, ..., 0], np.rint(ramp * 255))
    Image.fromarray(np.full((8, 8), 0.5, dtype=np.float32)).save(tmp_path / "flat.tif")
    assert (read(tmp_path / "flat.tif").pixels == 0).all()
    values = np.linspace(0, 2**31 - 1, 64).astype(np.int32).reshape(8, 8)
    Image.fromarray(values).save(tmp_path / "large.tif")
    np.testing.assert_allclose(read(tmp_path / "large.tif").pixels[0, ..., 0], values >> 23, atol=1)


def test_resizing_deep_images_leaves_their_range(tmp_path: Path) -> None:
    """Bicubic interpolation overshoots at an edge; neither may that wrap around nor widen the range."""
    values = np.zeros((32, 32), dtype=np.uint16)
    values[:, 16:] = 4095
    Image.fromarray(values).save(tmp_path / "edge.png")
    found = read(tmp_path / "edge.png", size=15).pixels[0, ..., 0]
    assert (found[:, :6] <= 3).all()
    assert (found[:, 9:] >= 252).all()


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    for index, value in enumerate((np.nan, np.inf)):
        pixels = np.ones((8, 8), dtype=np.float32)
        pixels[3, 3] = value
        Image.fromarray(pixels).save(tmp_path / f"{index}.tif")
    found = read(tmp_path / "0.tif", tmp_path / "1.tif", skip=2)
    assert set(found.failures.values()) == {"it holds values that are not finite"}


# files that cannot be read


def test_whatever_pillow_raises_is_a_reason_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", QUADRANTS)
    kinds = (struct.error, KeyError, IndexError, TypeError, OverflowError, MemoryError, AssertionError, EOFError)
    for kind in (*kinds, ZeroDivisionError, RecursionError, NotImplementedError, Image.DecompressionBombError):
        for text in ("two\nlines \x1b[31m", ""):

            def broken(file: Image.Image, kind: type[Exception] = kind, text: str = text) -> None:
                raise kind(text)

            monkeypatch.setattr("trainers.decode.upright", broken)
            (reason,) = read(path).failures.values()
            assert reason
            assert reason.isprintable()


def test_damaged_files_fail_and_the_others_stay(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = save(tmp_path / "whole.png", pixels)
    for name, content in {
        "cut.png": whole.read_bytes()[:-3000],
        "cut.jpg": save(tmp_path / "cut.jpg", pixels).read_bytes()[:900],
        "empty.png": b"",
        "text.jpg": b"<html>404</html>",
    }.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in ("cut.png", "whole.png", "cut.jpg", "empty.png", "text.jpg", "missing.png")]
    found = read(*paths, size=64, channels=3, skip=9)
    assert sorted(found.failures) == [0, 2, 3, 4, 5]
    assert found.failures[4] == "no image format that this Pillow knows"
    assert found.failures[5] == "No such file or directory"
    np.testing.assert_array_equal(found.pixels[1], pixels)


def test_reading_ends_where_too_many_fail(tmp_path: Path) -> None:
    paths = []
    for index in range(9):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(b"")
    assert len(read(*paths).failures) == 1
    assert len(read(*paths, skip=2).failures) == 3


@pytest.mark.slow
def test_a_large_image_is_allowed_by_an_option(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (16_000, 12_500)).save(path)
    assert read(path).failures == {
        0: "16000×12500 pixels are more than max_pixels 178956970; dataset.max_pixels=200000000 allows them"
    }
    before = Image.MAX_IMAGE_PIXELS
    found = read(path, max_pixels=200_000_000)
    assert not found.failures
    assert (found.pixels == 0).all()
    assert before == Image.MAX_IMAGE_PIXELS
    small = save(tmp_path / "small.png", QUADRANTS)
    assert not read(small, max_pixels=32 * 32).failures
    for fewer in (32 * 32 - 1, 32 * 32 // 2 - 1, 1):  # Pillow's own limit has a second step at twice its value
        assert f"max_pixels {fewer}; dataset.max_pixels=1024" in read(small, max_pixels=fewer).failures[0]


def test_pillows_warnings_are_not_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", QUADRANTS)

    def warned(image: Image.Image) -> Image.Image:
        warnings.warn("Corrupt EXIF data", UserWarning, stacklevel=1)
        return upright(image)

    monkeypatch.setattr("trainers.decode.upright", warned)
    assert not read(path).failures  # here, a warning that is not caught is an error


def test_names_are_shown_as_they_may_be_printed() -> None:
    assert printable("Straße 1/日本.png") == "Straße 1/日本.png"
    assert printable("a\u202eb\udcff\t") == "a\\u202eb\\udcff\\t"
