"""tiny_imagenet: 110,000 photographs of 200 classes at 64 pixels (Stanford's CS231n), read from its files on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from trainers.datasets.base import DatasetOptions, absolute
from trainers.datasets.listed import Files, Listed, ListedDataset
from trainers.walk import find_images

FOLDER: Final = "tiny-imagenet-200"
SIDE: Final = 64
ANNOTATIONS: Final = "val_annotations.txt"


@dataclass(frozen=True)
class TinyImagenetOptions(DatasetOptions):
    """Where the files are."""

    root: str = "data"
    """Folder that holds tiny-imagenet-200, as its archive unpacks it, or that is this folder."""


class TinyImagenet(ListedDataset):
    """64×64×3; 100,000 to train, and the 10,000 of `val/` to test, since those of `test/` have no labels.

    `val/` is as it is unpacked, with val_annotations.txt, or sorted into one folder for each class.
    """

    Options = TinyImagenetOptions

    def __init__(self, options: TinyImagenetOptions) -> None:
        above = absolute(options.root)
        root = above / FOLDER if (above / FOLDER).is_dir() else above
        for split in ("train", "val"):
            if not (root / split).is_dir():
                raise ValueError(
                    f"`dataset.root` must hold the folder {FOLDER} with train/ and val/, but {root / split} is no "
                    "folder; unpack tiny-imagenet-200.zip (cs231n.stanford.edu) there, or set dataset.root=FOLDER"
                )
        train, val = find_images(root / "train"), find_images(root / "val")
        files: dict[str, Files] = {
            "train": [(f"train/{path.as_posix()}", path.parts[0]) for path in train.paths if len(path.parts) > 1],
            "test": _validation(root / "val", val.paths),
        }
        super().__init__(replace(options, root=str(above)), Listed(root, files, (train, val)), SIDE)


def _validation(folder: Path, paths: tuple[PurePath, ...]) -> Files:
    """The validation images with their classes: the folder that an image lies in, or else what the annotations say.

    Raises:
        ValueError: an image has no class.
    """
    sorted_already = {path.parts[0] for path in paths if len(path.parts) > 1} - {"images"}
    if sorted_already:
        return [(f"val/{path.as_posix()}", path.parts[0]) for path in paths if path.parts[0] in sorted_already]
    named = folder / ANNOTATIONS
    if not named.is_file():
        raise ValueError(
            f"`dataset.root` must hold val/{ANNOTATIONS}, or val/ sorted into folders by class, but {named} is missing"
        )
    lines = (line.split("\t") for line in named.read_text(encoding="utf-8").splitlines() if line.strip())
    classes = {fields[0]: fields[1] for fields in lines if len(fields) > 1}
    found: Files = [(f"val/{path.as_posix()}", classes.get(path.name)) for path in paths]
    missing = [path for path, name in found if name is None]
    if missing:
        raise ValueError(f"{named} must name the class of every image, but lacks {len(missing)} such as {missing[0]}")
    return found
