"""folder: anyone's own images, with or without labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.base import SPLITS, Dataset, DatasetOptions, Images, absolute, check_split, scrambled
from trainers.decode import FORMATS, MAX_PIXELS, MODES, Squares, printable, read_squares
from trainers.packs.sources import SIDE, Sources
from trainers.walk import find_images, some

TRAIN_FOLDERS: Final = ("train", "training")
"""Names, in upper or lower case, of the folder with the images to train on, where there is one for testing too."""
TEST_FOLDERS: Final = ("val", "valid", "validation", "test", "testing")
"""Names of the folder with the images to test on, the first that exists; a test set beside it is left untouched."""
TEST_SHARE: Final = 0.2
"""Share of labelled images that score the oracle, unless `test_share` says otherwise."""
PACKED_BY: Final = ("root", "channels", "test_share", "labels", "max_pixels")
"""The options that decide which images a pack holds, in which order, and how they are decoded."""
LISTED: Final = 50
"""Unreadable files that a note names before it counts the others."""


@dataclass(frozen=True)
class FolderOptions(DatasetOptions):
    """Where the images are and how they are read."""

    root: str | None = None
    """Folder that is searched for images, sub-folders included; it must be given. `train/` and `val/` (or `test/`)
    directly below it are the two splits."""
    size: int = 64
    """Side in pixels: the short side is resized to it, and the middle square is cut out."""
    channels: int = 3
    """3 = colour, 1 = gray."""
    test_share: float | None = None
    """Share of the images that are not trained on but score the oracle; with 0, no oracle runs. null = 0.2 where there
    are labels, else 0. Ignored where `root` has a folder for each split."""
    labels: bool = True
    """Whether the folders directly below `root`, or below its splits, are classes, where there are at least two."""
    skip_unreadable: int = 0
    """Files that cannot be read and may be left out. Above 0, every process that opens the data set decodes it once
    to find them."""
    max_pixels: int = MAX_PIXELS
    """Width times height of the largest image that is decoded."""
    pack: int | None = None
    """Short side of the images in a pack, from which views are cropped, at least `size`; null = 256 (or `size`, if that
    is more) where the images would take more than 1 GiB of memory, and else no pack; 0 = no pack."""


class Folder(Dataset):
    """Every image below a folder; order and split depend on the relative paths of the files alone.

    Transparent images are laid on white, and values of more than 8 bits are scaled alike in all files.
    """

    Options = FolderOptions

    def __init__(self, options: FolderOptions) -> None:
        _check(options)
        self.root = absolute(str(options.root))
        if not self.root.is_dir():
            raise ValueError(f"`dataset.root` must be a folder of images, but {self.root} is not a folder")
        self._listing = find_images(self.root)
        share = default_share(self._listing.paths, options) if options.test_share is None else options.test_share
        self._options = replace(options, root=str(self.root), test_share=share)
        super().__init__(self._options)
        self._share = share
        division = divide(self._listing.paths, share)
        self._paths = {"train": division.train, "test": division.test}
        self._check_enough()
        has_classes = options.labels and division.test
        self._classes = find_classes(division.train + division.test, division.depth) if has_classes else []
        self._depth = division.depth
        self._unreadable = self._leave_out_unreadable() if options.skip_unreadable and not self.packs else ()
        left_out = _left_out(self._unreadable)
        self._notes = (*division.notes, *self._listing.notes, *left_out, *self._class_notes())

    def is_current(self) -> bool:
        return self._listing.is_current()

    def images(self) -> Images:
        train, test = (self._paths[split] for split in SPLITS)
        read = self._read([*train, *test], skip=0)
        notes = (*self._notes, *read.notes)
        return Images(read.pixels[: len(train)], read.pixels[len(train) :], notes, self._unreadable)

    @property
    def packs(self) -> bool:
        return super().packs if self._options.pack is None else self._options.pack > 0

    def sources(self, name: str) -> Sources:
        options = self._options
        return Sources(
            {"name": name, **{one: getattr(options, one) for one in PACKED_BY}},
            options.channels,
            root=self.root,
            files={split: tuple(paths) for split, paths in self._paths.items()},
            side=options.pack or max(SIDE, options.size),
            max_pixels=options.max_pixels,
            skip=options.skip_unreadable,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return self._notes

    def shape(self, split: str) -> tuple[int, ...]:
        """In a pack, files that cannot be read may still be left out."""
        check_split(split)
        return (len(self._paths[split]), self._options.size, self._options.size, self._options.channels)

    def paths(self, split: str) -> list[str]:
        check_split(split)
        return [path.as_posix() for path in self._paths[split]]

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """Of a pack's images, also of those that it has left out."""
        check_split(split)
        if not self._classes:
            return None
        number = {name: index for index, name in enumerate(self._classes)}
        return np.array([number[name] for name in self._names(split)], dtype=np.int64)

    def _names(self, split: str) -> list[str]:
        """The class of every image of a split, by name."""
        return [path.parts[self._depth] for path in self._paths[split]]

    def _read(self, paths: Sequence[PurePath], *, skip: int) -> Squares:
        """Raises: ValueError where more than `skip` files cannot be read."""
        options = self._options
        files = [self.root / path for path in paths]
        read = read_squares(files, options.size, options.channels, max_pixels=options.max_pixels, skip=skip)
        if len(read.failures) > skip:
            first = min(read.failures)
            problem = f"{printable(files[first])} cannot be read as an image ({read.failures[first]})"
            if skip:
                problem += f", and it is not the only one: more than skip_unreadable {skip}"
            raise ValueError(f"{problem}; repair it or take it out, or leave it out with dataset.skip_unreadable=N")
        return read

    def _leave_out_unreadable(self) -> tuple[str, ...]:
        """Take the files that cannot be read out of the splits, whose order stays; each of them with the reason."""
        paths = [path for split in SPLITS for path in self._paths[split]]
        failures = self._read(paths, skip=self._options.skip_unreadable).failures
        if not failures:
            return ()
        why = {paths[position]: text for position, text in failures.items()}
        self._paths = {split: [path for path in self._paths[split] if path not in why] for split in SPLITS}
        self._check_enough()
        return tuple(f"{printable(path)} ({text})" for path, text in sorted(why.items()))

    def _check_enough(self) -> None:
        """Raises: ValueError where there is nothing to train on, or nothing to test on although there should be."""
        train, test = (len(self._paths[split]) for split in SPLITS)
        if train < 2 or (self._share > 0 and test == 0):
            raise ValueError(
                "; ".join(
                    [
                        "`dataset.root` must hold enough images to train and to test with test_share "
                        f"{self._share}, but got {train} to train and {test} to test in {self.root}"
                        + ("" if train + test else f", which holds no image ({', '.join(FORMATS)})"),
                        *self._listing.notes,
                    ]
                )
            )

    def _class_notes(self) -> tuple[str, ...]:
        """What stands in the way of an oracle that is to learn the classes, a line each."""
        if not self._classes:
            return ()
        train, test = (Counter(self._names(split)) for split in SPLITS)
        notes = []
        single = tuple(name for name in self._classes if train[name] + test[name] == 1)
        if single:
            few = f"{len(single)} of {len(self._classes)} classes have one image each ({some(single)})"
            notes.append(f"{few}: no oracle can both learn and test them; if folders are no classes, set labels=false")
        for split, found in (("train", train), ("test", test)):
            missing = tuple(name for name in self._classes if not found[name] and name not in single)
            if missing:
                notes.append(f"{len(missing)} of {len(self._classes)} classes have no {split} image ({some(missing)})")
        return tuple(notes)


@dataclass(frozen=True)
class Division:
    """Which images are trained on and which test the oracle."""

    train: list[PurePath]
    test: list[PurePath]
    depth: int = 0
    """Parts of a path before the folder that is a class."""
    notes: tuple[str, ...] = ()


def default_share(paths: Sequence[PurePath], options: FolderOptions) -> float:
    """The share of the images that is held out where `test_share` does not say it: none where there are no labels.

    Raises:
        ValueError: some images lie in sub-folders and some beside them.
    """
    if None not in split_folders(paths):
        return TEST_SHARE  # ignored
    return TEST_SHARE if options.labels and find_classes(paths) else 0.0


def divide(paths: Sequence[PurePath], test_share: float) -> Division:
    """Both splits, each in scrambled order: by the folders `train/` and `val/`, or a share of all images."""
    ordered = [paths[position] for position in scrambled(path.as_posix() for path in paths)]
    names = split_folders(paths)
    if None in names:
        count = round(test_share * len(paths))
        return Division(ordered[count:], ordered[:count])
    train, test = ([path for path in ordered if len(path.parts) > 1 and path.parts[0] == name] for name in names)
    shown = [f"{printable(name)}/" for name in names]
    note = (
        f"{shown[0]} and {shown[1]} are splits, no classes: {len(train)} images to train and {len(test)} to test; "
        "test_share is ignored"
    )
    outside = tuple(sorted({path.parts[0] for path in paths} - set(map(str, names))))
    left = len(paths) - len(train) - len(test)
    more = (f"{left} images outside both splits are left out, in {some(outside)}",) if outside else ()
    return Division(train, test, depth=1, notes=(note, *more))


def split_folders(paths: Sequence[PurePath]) -> list[str | None]:
    """The folders of the training and of the test images, as far as there are any."""
    folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    return [_first(kinds, folders) for kinds in (TRAIN_FOLDERS, TEST_FOLDERS)]


def _left_out(unreadable: Sequence[str]) -> tuple[str, ...]:
    """The note on files that cannot be read, if there are any."""
    if not unreadable:
        return ()
    more = f" and {len(unreadable) - LISTED} others" if len(unreadable) > LISTED else ""
    files = "file is" if len(unreadable) == 1 else "files are"
    return (f"{len(unreadable)} unreadable {files} left out: {', '.join(unreadable[:LISTED])}{more}",)


def find_classes(paths: Sequence[PurePath], depth: int = 0) -> list[str]:
    """Names of the folders below the root or, with depth 1, below its splits; sorted, none where there is but one.

    Raises:
        ValueError: some images lie in such folders and some beside them.
    """
    names = sorted({path.parts[depth] for path in paths if len(path.parts) > depth + 1})
    beside = sorted(path for path in paths if len(path.parts) == depth + 1)
    if len(names) < 2:
        return []
    if beside:
        raise ValueError(
            f"`dataset.root` must hold images in sub-folders, one a class, or beside each other, but got {len(beside)} "
            f"such as {printable(beside[0])} beside {len(names)} sub-folders; move them, or set dataset.labels=false"
        )
    return names


def _first(kinds: Sequence[str], folders: set[str]) -> str | None:
    """The folder of the first of these names, in upper or lower case."""
    return next((folder for kind in kinds for folder in sorted(folders) if folder.lower() == kind), None)


def _check(options: FolderOptions) -> None:
    """Raises: ValueError for options that cannot work."""
    if not options.root:
        raise ValueError("`dataset.root` must be a folder of images; set dataset.root=FOLDER")
    if options.channels not in MODES:
        raise ValueError(f"`dataset.channels` must be 1 or 3, but got {options.channels}")
    if options.test_share is not None and not 0 <= options.test_share < 1:
        raise ValueError(f"`dataset.test_share` must be in [0, 1), but got {options.test_share}")
    if options.pack and options.pack < options.size:
        raise ValueError(f"`dataset.pack` must be 0 or at least the size {options.size}, but got {options.pack}")
    for name, least, unit in (("size", 1, " pixel"), ("skip_unreadable", 0, ""), ("max_pixels", 1, " pixel")):
        if getattr(options, name) < least:
            raise ValueError(f"`dataset.{name}` must be at least {least}{unit}, but got {getattr(options, name)}")
