"""Colour images of 16 bits a channel: Pillow gives their upper bytes, so their lower ones are read as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SWAPPED: Final = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": "RGB;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": "RGBA;16B",
}
"""Layout of the bytes in a file -> that of the other byte order, in which Pillow takes the lower byte of each value for
the upper one. N is the order of the machine; those in use have the little one."""


def layout(file: Image.Image) -> str:
    """How an image that is open but not loaded has its bytes, such as `RGB;16B`; "" where it does not say."""
    tiles = getattr(file, "tile", None) or [(None, None, None, "")]
    return str(_raw(tiles[0][3]))


def lower_bytes(path: Path) -> Image.Image:
    """The image whose bytes are the lower ones of a file with one of the layouts that can be swapped."""
    with Image.open(path) as file:
        file.tile = [tile._replace(args=_swapped(tile.args)) for tile in file.tile]
        file.load()
    return file


def values_of(upper: Image.Image, lower: Image.Image) -> NDArray[np.float32]:
    """(height, width, 3) values from 0 to 65535, of two images of bytes; the alpha is left out."""
    high, low = (np.asarray(image, dtype=np.float32)[..., :3] for image in (upper, lower))
    return np.asarray(256 * high + low, dtype=np.float32)


def gray(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(height, width, 1) luma of (height, width, 3) colours, by ITU-R 601-2, as Pillow makes mode L."""
    return np.asarray(values @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32), dtype=np.float32)


def _raw(arguments: Any) -> Any:
    """The layout among a decoder's arguments, of which it is the first."""
    return arguments[0] if isinstance(arguments, tuple) else arguments


def _swapped(arguments: Any) -> Any:
    """A decoder's arguments for the other byte order."""
    swapped = SWAPPED[_raw(arguments)]
    return (swapped, *arguments[1:]) if isinstance(arguments, tuple) else swapped
