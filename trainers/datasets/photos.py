"""photos: crops of 20 photographs and textures that two packages contain, so that nothing is downloaded.

The files are in the wheels of scikit-image (`skimage/data`) and scikit-learn (`sklearn/datasets/images`). Their
licences, as these packages state them in `skimage.data` and in `sklearn/datasets/images/README.txt`:

- CC0: brick, gravel (CC0Textures), grass (DeviantArt, linolafett), camera (Lav Varshney), cell (Müller et al., 2018),
  chelsea (Stefan van der Walt), coffee (Rachel Michetti; courtesy of Pikolo Espresso Bar), retina (Mikael Häggström).
- Public domain: astronaut (NASA), clock_motion (Stefan van der Walt), hubble_deep_field (NASA), rocket (SpaceX), text
  (Wikipedia).
- No known copyright restrictions: coins (Brooklyn Museum), ihc (Center for Microscopy and Molecular Imaging).
- No licence is stated: moon, page, and motorcycle_left (Middlebury stereo benchmark; Scharstein et al., GCPR 2014).
- CC BY 2.0: china (danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/) and flower (vultilion,
  https://www.flickr.com/photos/vultilion/6056698931/).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainers.datasets.base import SPLITS, Dataset, DatasetOptions, Images, check_split, scrambled
from trainers.fields import AtLeast

SKIMAGE: Final = ("skimage", "data", "scikit-image")
SKLEARN: Final = ("sklearn", "datasets/images", "scikit-learn")
"""Module, folder below it, and the name of the package in a registry."""
PHOTOGRAPHS: Final[dict[str, tuple[str, str, str]]] = {
    "astronaut.png": SKIMAGE,
    "brick.png": SKIMAGE,
    "camera.png": SKIMAGE,
    "cell.png": SKIMAGE,
    "chelsea.png": SKIMAGE,
    "clock_motion.png": SKIMAGE,
    "coffee.png": SKIMAGE,
    "coins.png": SKIMAGE,
    "grass.png": SKIMAGE,
    "gravel.png": SKIMAGE,
    "hubble_deep_field.jpg": SKIMAGE,
    "ihc.png": SKIMAGE,
    "moon.png": SKIMAGE,
    "motorcycle_left.png": SKIMAGE,
    "page.png": SKIMAGE,
    "retina.jpg": SKIMAGE,
    "rocket.jpg": SKIMAGE,
    "text.png": SKIMAGE,
    "china.jpg": SKLEARN,
    "flower.jpg": SKLEARN,
}
"""File -> where it is; the position is the class. Left out: drawings, diagrams, and pictures of less than two tiles."""
SIDE: Final = 32
"""Of an image."""
CROP_SIDES: Final = (32, 96)
"""Smallest and largest side of a crop, in pixels of the photograph; log-uniform between them."""
CROPS: Final = 200
"""Of each photograph in each split."""


@dataclass(frozen=True)
class PhotosOptions(DatasetOptions):
    """How the crops are drawn."""

    color: bool = False
    """Three channels instead of one; the ten gray photographs have three equal ones."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the places and sides of the crops."""


class Box(NamedTuple):
    """A square of a photograph, in pixels; right and lower are exclusive."""

    left: int
    upper: int
    right: int
    lower: int


class Photos(Dataset):
    """32×32×1; 4,000 crops to train and 4,000 to test, from disjoint tiles of 20 photographs, which are the classes.

    A photograph is cut into a grid of tiles of at least 96 pixels, whose colours alternate as on a chessboard: training
    crops lie within tiles of one colour, test crops within tiles of the other. A crop of 32 to 96 pixels is reduced to
    32 by the mean over the area that a pixel covers.
    """

    Options = PhotosOptions

    def __init__(self, options: PhotosOptions) -> None:
        super().__init__(options)
        self.drawn = options
        for name in PHOTOGRAPHS:
            find_photograph(name)

    def images(self) -> Images:
        train, test = (_pixels(split, self.drawn)[_order(split)] for split in SPLITS)
        return Images(train=train, test=test)

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return len(PHOTOGRAPHS) * CROPS, SIDE, SIDE, 3 if self.drawn.color else 1

    def labels(self, split: str) -> NDArray[np.int64]:
        check_split(split)
        return np.repeat(np.arange(len(PHOTOGRAPHS), dtype=np.int64), CROPS)[_order(split)]


def find_photograph(name: str) -> Path:
    """The file, found without importing the package that contains it.

    Raises:
        ValueError: the package is not installed, or has no such file; the line says what to install.
    """
    module, folder, package = PHOTOGRAPHS[name]
    spec = find_spec(module)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(root) / folder / name).is_file():
            return path
    found = f"has no {folder}/{name}" if spec else "is not installed"
    raise ValueError(
        f"the data set photos must have the photographs of {package}, but that {found}; `pip install {package}`"
    )


def tiles(width: int, height: int, split: str) -> list[Box]:
    """The tiles of a photograph from which the crops of a split are cut; those of both splits cover all of it once.

    >>> tiles(200, 100, "train"), tiles(200, 100, "test")
    ([Box(left=0, upper=0, right=100, lower=100)], [Box(left=100, upper=0, right=200, lower=100)])
    """
    columns, rows = (max(1, side // CROP_SIDES[1]) for side in (width, height))
    return [
        Box(x * width // columns, y * height // rows, (x + 1) * width // columns, (y + 1) * height // rows)
        for y in range(rows)
        for x in range(columns)
        if (x + y) % 2 == SPLITS.index(split)
    ]


def crops(name: str, width: int, height: int, split: str, seed: int) -> Iterator[Box]:
    """`CROPS` squares of a photograph, each within one tile of the split.

    Python promises that these draws are the same in all its versions, which NumPy does not of its own.
    """
    draw = random.Random(f"{seed}/{split}/{name}").random
    of_split = tiles(width, height, split)
    low, high = CROP_SIDES
    for _ in range(CROPS):
        tile = of_split[int(draw() * len(of_split))]
        side = round(low * (high / low) ** draw())
        left = tile.left + int(draw() * (tile.right - tile.left - side + 1))
        upper = tile.upper + int(draw() * (tile.lower - tile.upper - side + 1))
        yield Box(left, upper, left + side, upper + side)


@cache  # the sweep reads the images several times: the baselines, the estimates, the trials of `--local`
def _pixels(split: str, options: PhotosOptions) -> NDArray[np.uint8]:
    """(4000, 32, 32, c), one photograph after the other."""
    reduced = []
    for name in PHOTOGRAPHS:
        with Image.open(find_photograph(name)) as opened:
            photograph = opened.convert("RGB" if options.color else "L")
        for box in crops(name, *photograph.size, split, options.seed):
            reduced.append(np.asarray(photograph.resize((SIDE, SIDE), Image.Resampling.BOX, box=box)))
    return np.stack(reduced).reshape(len(reduced), SIDE, SIDE, -1)


def _order(split: str) -> NDArray[np.int64]:
    """A mixed order of a split's crops."""
    return scrambled(f"{split}/{position}" for position in range(len(PHOTOGRAPHS) * CROPS))
