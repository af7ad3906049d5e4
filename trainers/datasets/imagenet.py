"""imagenet: ImageNet-1k (ILSVRC 2012; Russakovsky et al., IJCV 2015), read from its files on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Annotated, Final

from trainers.datasets.base import DatasetOptions, absolute
from trainers.datasets.listed import Files, Listed, ListedDataset
from trainers.fields import Between
from trainers.walk import find_images

BELOW: Final = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
"""Where the folders train and val are below `root`: directly, or as Kaggle's archive unpacks them."""
VALIDATION: Final = ("val", "validation")
DEVKITS: Final = ("ILSVRC2012_devkit_t12", "devkit", "")
"""Where the devkit is unpacked, beside the splits or above them; its files are in `data/` there."""
TRUTH: Final = "ILSVRC2012_validation_ground_truth.txt"
META: Final = "meta.mat"
SOLUTION: Final = "LOC_val_solution.csv"
"""Kaggle's classes of the validation images."""


@dataclass(frozen=True)
class ImagenetOptions(DatasetOptions):
    """Where the files are and how large they are read."""

    root: str = "data/imagenet"
    """Folder with `train/`, one folder for each synset, and `val/`: sorted in the same way, or flat, with the devkit's
    (ILSVRC2012_devkit_t12) or Kaggle's (LOC_val_solution.csv) list of classes beside it."""
    size: Annotated[int, Between(1, 10_000)] = 224
    """Side in pixels: the short side is resized to it, and the middle square is cut out."""


class Imagenet(ListedDataset):
    """224×224×3, unless `size` says otherwise; 1,281,167 to train, and the 50,000 of the validation split to test.

    The classes are the synsets of `train/` in alphabetical order, as torchvision and timm count them.
    """

    Options = ImagenetOptions

    def __init__(self, options: ImagenetOptions) -> None:
        above = absolute(options.root)
        root = next((above / place for place in BELOW if (above / place / "train").is_dir()), None)
        if root is None:
            raise ValueError(
                f"`dataset.root` must hold ImageNet's train/, one folder for each synset, but {above} does not; unpack "
                "ILSVRC2012_img_train.tar there, or set dataset.root=FOLDER"
            )
        val = next((root / name for name in VALIDATION if (root / name).is_dir()), None)
        if val is None:
            raise ValueError(
                f"`dataset.root` must hold ImageNet's val/, but {root} does not; unpack ILSVRC2012_img_val.tar there"
            )
        train, test = find_images(root / "train"), find_images(val)
        _check_unpacked(root / "train", train.paths)
        files: dict[str, Files] = {
            "train": [(f"train/{path.as_posix()}", path.parts[0]) for path in train.paths if len(path.parts) > 1],
            "test": _validation(above, root, val, test.paths),
        }
        listed = Listed(root, files, (train, test))
        super().__init__(replace(options, root=str(above)), listed, options.size)


def _check_unpacked(folder: Path, paths: tuple[PurePath, ...]) -> None:
    """Raises: ValueError, if the archives of the synsets have not been unpacked."""
    if any(len(path.parts) > 1 for path in paths):
        return
    archives = len(list(folder.glob("n*.tar")))
    what = f"holds {archives} archives of synsets; unpack each into a folder of its name" if archives else "has none"
    raise ValueError(f"`dataset.root` must hold train/ with one folder of images for each synset, but {folder} {what}")


def _validation(above: Path, root: Path, val: Path, paths: tuple[PurePath, ...]) -> Files:
    """The validation images with their synsets: the folder that an image lies in, or else what a list says.

    Raises:
        ValueError: there is neither, or an image has no synset.
    """
    if any(len(path.parts) > 1 for path in paths):
        return [(f"{val.name}/{path.as_posix()}", path.parts[0]) for path in paths if len(path.parts) > 1]
    places = list(dict.fromkeys([root, above, *root.parents[: len(BELOW[1].split("/"))]]))
    synsets = _kaggle(places) or _devkit(places)
    if not synsets:
        raise ValueError(
            f"`dataset.root` must say the classes of {val}: sort it into folders by synset, or unpack "
            f"ILSVRC2012_devkit_t12.tar.gz (or put {SOLUTION}) in {above}"
        )
    found: Files = [(f"{val.name}/{path.as_posix()}", synsets.get(path.stem)) for path in paths]
    missing = [path for path, synset in found if synset is None]
    if missing:
        raise ValueError(
            f"`dataset.root` must say the class of every image of {val}, but its list lacks {len(missing)} such as "
            f"{missing[0]}"
        )
    return found


def _kaggle(places: Iterable[Path]) -> dict[str, str]:
    """Name of a validation image -> its synset, by Kaggle's list; {} where there is none."""
    file = next((place / SOLUTION for place in places if (place / SOLUTION).is_file()), None)
    if file is None:
        return {}
    with file.open(encoding="utf-8", newline="") as opened:
        return {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(opened)}


def _devkit(places: Iterable[Path]) -> dict[str, str]:
    """Name of a validation image -> its synset, by the devkit; {} where there is none."""
    folders = (place / kit / "data" for place in places for kit in DEVKITS)
    folder = next((one for one in folders if (one / TRUTH).is_file() and (one / META).is_file()), None)
    if folder is None:
        return {}
    synset = _synsets(folder / META)
    numbers = map(int, (folder / TRUTH).read_text(encoding="ascii").split())
    return {f"ILSVRC2012_val_{place:08d}": synset[number] for place, number in enumerate(numbers, start=1)}


def _synsets(meta: Path) -> Mapping[int, str]:
    """The devkit's number of a class -> its synset; numbers of classes that have classes below them are left out."""
    from scipy.io import loadmat

    rows = loadmat(str(meta), squeeze_me=True)["synsets"]
    return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in rows if int(row["num_children"]) == 0}
