"""folder: anyone's own images, with or without labels."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainers.datasets.base import Dataset, DatasetOptions, Images, check_split, scrambled

EXTENSIONS: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What counts as an image, in upper or lower case; hidden files never do."""
MODES: Final = {1: "L", 3: "RGB"}
"""Channels -> PIL's mode."""
FILES_PER_TASK: Final = 64
"""Images that a thread decodes in one go."""
SETTLED_NANOSECONDS: Final = 2_000_000_000
"""Age from which a folder's time of change tells later changes apart; the coarsest clock, that of FAT, has 2 s."""


@dataclass(frozen=True)
class FolderOptions(DatasetOptions):
    """Where the images are and how they are read."""

    root: str | None = None
    """Folder that is searched for images, sub-folders included; it must be given."""
    size: int = 64
    """Side in pixels: the short side is resized to it, and the middle square is cut out."""
    channels: int = 3
    """3 = colour, 1 = gray."""
    test_share: float = 0.2
    """Share of the images that are not trained on but score the oracle; with 0, no oracle runs."""
    labels: bool = True
    """Whether the folders directly below `root` are classes, where there are at least two."""


class Folder(Dataset):
    """Every image below a folder; order and split depend on the relative paths of the files alone."""

    Options = FolderOptions

    def __init__(self, options: FolderOptions) -> None:
        _check(options)
        # absolute, since the trials may run in another working directory
        self.root = Path(str(options.root)).expanduser().resolve()
        super().__init__(replace(options, root=str(self.root)))
        self.size, self.channels = options.size, options.channels
        self._listing = find_images(self.root)
        paths = list(self._listing.paths)
        test = round(options.test_share * len(paths))
        if len(paths) - test < 2 or (options.test_share > 0 and test == 0):
            raise ValueError(
                f"`dataset.root` must hold enough images to train and to test with test_share {options.test_share}, "
                f"but got {len(paths)} ({' '.join(EXTENSIONS)}) below {self.root}"
            )
        paths = [paths[position] for position in scrambled(path.as_posix() for path in paths)]
        self._classes = find_classes(paths) if options.labels and test else []
        self._paths = {"test": paths[:test], "train": paths[test:]}

    def is_current(self) -> bool:
        return self._listing.is_current()

    def images(self) -> Images:
        return Images(train=self._read("train"), test=self._read("test"))

    def shape(self, split: str) -> tuple[int, ...]:
        check_split(split)
        return (len(self._paths[split]), self.size, self.size, self.channels)

    def labels(self, split: str) -> NDArray[np.int64] | None:
        check_split(split)
        if not self._classes:
            return None
        number = {name: index for index, name in enumerate(self._classes)}
        return np.array([number[path.parts[0]] for path in self._paths[split]], dtype=np.int64)

    def _read(self, split: str) -> NDArray[np.uint8]:
        paths = self._paths[split]
        images = np.empty((len(paths), self.size, self.size, self.channels), dtype=np.uint8)

        def fill(start: int) -> None:
            for index in range(start, min(start + FILES_PER_TASK, len(paths))):
                images[index] = read_image(self.root / paths[index], self.size, self.channels)

        with ThreadPoolExecutor() as pool:
            list(pool.map(fill, range(0, len(paths), FILES_PER_TASK)))  # list: so that an error is raised here
        return images


@dataclass(frozen=True)
class Listing:
    """The images found below a folder, and what tells whether it has changed since."""

    paths: tuple[PurePath, ...]
    """Of every image that is not hidden, relative to the folder, sorted."""
    modified: Mapping[str, int]
    """Every folder searched -> when its entries changed last, in nanoseconds."""
    began: int
    """When the search began, in nanoseconds."""

    def is_current(self) -> bool:
        """Whether no image can have been added, removed or renamed since; a file's own pixels may have changed."""
        if any(moment > self.began - SETTLED_NANOSECONDS for moment in self.modified.values()):
            return False  # a later change could bear the same time: clocks of file systems are coarse
        try:
            return all(os.stat(folder).st_mtime_ns == moment for folder, moment in self.modified.items())
        except OSError:
            return False


def find_images(root: Path) -> Listing:
    """Every image below a folder, links to folders followed."""
    found: list[PurePath] = []
    seen: set[str] = set()
    modified: dict[str, int] = {}
    began = time.time_ns()
    for folder, folders, files in os.walk(root, followlinks=True):
        modified[folder] = os.stat(folder).st_mtime_ns
        seen.add(os.path.realpath(folder))  # a link to a folder above would go round for ever
        linked = {name: os.path.realpath(os.path.join(folder, name)) for name in folders}
        folders[:] = [name for name in folders if not name.startswith(".") and linked[name] not in seen]
        kept = (name for name in files if name.lower().endswith(EXTENSIONS) and not name.startswith("."))
        found += [PurePath(folder, name).relative_to(root) for name in kept]
    return Listing(tuple(sorted(found)), modified, began)


def find_classes(paths: Sequence[PurePath]) -> list[str]:
    """Names of the folders directly below the root, sorted, or none where there are fewer than two.

    Raises:
        ValueError: some images lie in such folders and some beside them.
    """
    names = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    if len(names) < 2:
        return []
    beside = [path for path in paths if len(path.parts) == 1]
    if beside:
        raise ValueError(
            f"`dataset.root` must hold images in sub-folders, one a class, or beside each other, but got {len(beside)} "
            f"such as {beside[0]} beside {len(names)} sub-folders; move them, or set dataset.labels=false"
        )
    return names


def read_image(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    """The middle square of an image file, (size, size, channels), upright as its camera was held.

    Raises:
        ValueError: the file cannot be read as an image.
    """
    mode = MODES[channels]
    try:
        with Image.open(path) as file:
            file.draft(mode, (2 * size, 2 * size))  # a large JPEG is decoded at a lower resolution
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # PIL would clip 16 bits at 255 where it should divide
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.mode in ("I", "F"):
                raise ValueError("32 bits a pixel; save it with 8 or 16")
            if image.mode == "P":  # a palette may hold transparency, which only RGBA can take
                image = image.convert("RGBA")
            square = ImageOps.fit(image.convert(mode), (size, size), method=Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error}); repair it or take it out") from None
    return np.asarray(square).reshape(size, size, channels)


def _check(options: FolderOptions) -> None:
    """Raises: ValueError for options that cannot work."""
    if not options.root:
        raise ValueError("`dataset.root` must be a folder of images; set dataset.root=FOLDER")
    if not Path(options.root).expanduser().is_dir():
        raise ValueError(f"`dataset.root` must be a folder of images, but {options.root} is not a folder")
    if options.size < 1:
        raise ValueError(f"`dataset.size` must be at least 1 pixel, but got {options.size}")
    if options.channels not in MODES:
        raise ValueError(f"`dataset.channels` must be 1 or 3, but got {options.channels}")
    if not 0 <= options.test_share < 1:
        raise ValueError(f"`dataset.test_share` must be in [0, 1), but got {options.test_share}")
