"""The image files below a folder: each once, in an order that depends on their names alone."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from trainers.decode import FORMATS, printable, readable_endings

SETTLED_NANOSECONDS: Final = 2_000_000_000
"""Age from which a folder's time of change tells later changes apart; the coarsest clock, that of FAT, has 2 s."""
SHOWN: Final = 5
"""Names that a message shows before it counts the others."""


@dataclass(frozen=True)
class Listing:
    """The images found below a folder, what was left out, and what tells whether the folder has changed since."""

    paths: tuple[PurePath, ...]
    """Of every image that is not hidden, relative to the folder, sorted."""
    modified: Mapping[str, int]
    """Every folder searched -> when its entries changed last, in nanoseconds."""
    began: int
    """When the search began, in nanoseconds."""
    left_out: Mapping[str, int]
    """Ending of a file, or what it is in words -> how many were left out."""
    repeated: tuple[str, ...]
    """Links and folders whose images are found elsewhere too."""
    closed: Mapping[str, str]
    """Folders that cannot be searched -> why."""

    def is_current(self) -> bool:
        """Whether no image can have been added, removed or renamed since; a file's own pixels may have changed."""
        if self.closed or any(moment > self.began - SETTLED_NANOSECONDS for moment in self.modified.values()):
            return False  # a later change could bear the same time: clocks of file systems are coarse
        try:
            return all(os.stat(folder).st_mtime_ns == moment for folder, moment in self.modified.items())
        except OSError:
            return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why, a line each."""
        unknown = {ending: count for ending, count in self.left_out.items() if ending in FORMATS}
        others = {ending: count for ending, count in self.left_out.items() if ending not in FORMATS}
        notes = []
        if others:
            notes.append(f"left out below the data set's folder: {_counted(others)}")
        if unknown:
            heif = (
                "; `pip install pillow-heif` reads .heic and .heif" if {".heic", ".heif", ".hif"} & set(unknown) else ""
            )
            notes.append(f"left out, since this Pillow cannot read them: {_counted(unknown)}{heif}")
        if self.repeated:
            notes.append(f"counted once, since links lead to them twice: the images of {some(self.repeated)}")
        if self.closed:
            reasons = [f"{printable(folder)} ({reason})" for folder, reason in sorted(self.closed.items())]
            notes.append(f"folders that cannot be searched, so that their images are missing: {', '.join(reasons)}")
        return tuple(notes)


@dataclass
class _Search:
    """A search that is under way."""

    root: str
    endings: frozenset[str]
    found: list[str] = field(default_factory=list)
    """Relative paths."""
    modified: dict[str, int] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    repeated: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Relative path of an image -> its device and its number there, which hard links share."""
    searched: set[str] = field(default_factory=set)
    """Real paths of the folders searched."""
    folder_links: list[tuple[str, str]] = field(default_factory=list)
    """Relative path and target of the links to folders that are still to be followed."""
    file_links: list[tuple[str, str]] = field(default_factory=list)
    """Relative path and target of the links to images."""

    def below(self, folder: str, real: str) -> None:
        """Search a folder and those in it; links are put aside, so that what lies here in fact is found here."""
        waiting = [(folder, real)]
        while waiting:
            folder, real = waiting.pop()
            if real in self.searched:
                self.repeated.append(folder)
                continue
            path = os.path.join(self.root, folder)
            try:
                about = os.stat(path)
                with os.scandir(path) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.closed[folder] = error.strerror or type(error).__name__
                continue
            self.modified[path] = about.st_mtime_ns
            self.searched.add(real)
            for entry in inside:
                self._enter(entry, os.path.join(folder, entry.name), real, about.st_dev, waiting)

    def _enter(
        self, entry: os.DirEntry[str], path: str, parent: str, device: int, waiting: list[tuple[str, str]]
    ) -> None:
        """Put one entry of a folder where it belongs."""
        if entry.name.startswith("."):
            self.left_out["hidden"] += 1
            return
        kind, link = _kind(entry), entry.is_symlink()
        real = os.path.realpath(entry.path) if link else os.path.join(parent, entry.name)
        if kind == "folder" and not link:
            waiting.append((path, real))
        elif kind == "folder" and _is_within(parent, real):
            self.left_out["links to a folder above"] += 1  # they would go round for ever
        elif kind == "folder":
            self.folder_links.append((path, real))
        elif kind != "file":
            self.left_out[kind] += 1
        elif (ending := _ending(entry.name)) not in self.endings:
            self.left_out[ending or "without an ending"] += 1
        elif link:
            self.file_links.append((path, real))
        else:
            self.numbers[path] = device, entry.inode()
            self.found.append(path)

    def follow_links(self) -> None:
        """Search what links alone lead to, and leave out what has been found already."""
        while self.folder_links:
            links, self.folder_links = sorted(self.folder_links), []
            for path, real in links:
                self.below(path, real)
        targets: set[str] = set()
        for path, real in sorted(self.file_links):
            folder, name = os.path.split(real)
            is_found = folder in self.searched and not name.startswith(".") and _ending(name) in self.endings
            (self.repeated if is_found or real in targets else self.found).append(path)
            targets.add(real)

    def leave_out_hard_links(self) -> None:
        """Leave out every further path of a file that has several names; the first in alphabetical order stays."""
        first: dict[tuple[int, int], str] = {}
        for path in sorted(self.found):
            number = self.numbers.get(path) or _number(os.path.join(self.root, path))
            other = first.setdefault(number, path)
            if other != path and os.path.samefile(os.path.join(self.root, other), os.path.join(self.root, path)):
                self.repeated.append(path)
        again = set(self.repeated)
        self.found = [path for path in self.found if path not in again]


def find_images(root: Path) -> Listing:
    """Every image below a folder, links followed; an image that several paths lead to is found at one of them.

    Raises:
        ValueError: the folder itself cannot be searched.
    """
    began = time.time_ns()
    search = _Search(str(root), readable_endings())
    search.below("", os.path.realpath(root))
    if "" in search.closed:
        raise ValueError(f"`dataset.root` must be a folder that can be searched: {root} ({search.closed['']})")
    search.follow_links()
    search.leave_out_hard_links()
    paths = tuple(sorted(map(PurePath, search.found)))
    repeated = tuple(sorted(search.repeated))
    return Listing(paths, search.modified, began, search.left_out, repeated, search.closed)


def some(names: tuple[str, ...]) -> str:
    """The first few names, and how many others there are.

    >>> some(tuple("abcdefg"))
    'a, b, c, d, e and 2 others'
    """
    more = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more


def _kind(entry: os.DirEntry[str]) -> str:
    """What an entry is, links followed."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
    except OSError:  # a link that leads to itself
        pass
    return "broken links" if entry.is_symlink() else "neither files nor folders"


def _number(path: str) -> tuple[int, int]:
    """The device of a file and its number there."""
    about = os.stat(path)
    return about.st_dev, about.st_ino


def _ending(name: str) -> str:
    """`.jpg` of `a.JPG`."""
    return os.path.splitext(name)[1].lower()


def _is_within(folder: str, above: str) -> bool:
    """Whether a real path is that of `above` or of something below it."""
    return folder == above or folder.startswith(above.rstrip(os.sep) + os.sep)


def _counted(left_out: Mapping[str, int]) -> str:
    """`.txt (12), hidden (1)`, the most frequent first."""
    ordered = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{printable(what)} ({count})" for what, count in ordered)
