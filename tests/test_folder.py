"""folder: splits by name, classes, files that cannot be read, and what is said of them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from small_sweeps import make_images, mapping, small_config

from sweeper.cli.plan import estimate_seconds
from sweeper.cli.screens.sweeps import sweep_parts
from sweeper.config.read import parse_config
from sweeper.errors import ConfigError
from sweeper.run.observers.base import Observer
from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from sweeper.store.listing import open_listing
from trainers.datasets import open_dataset
from trainers.datasets.base import Dataset


def write(root: Path, names: list[str]) -> dict[str, int]:
    """Plain images, each of a gray of its own; their names -> gray."""
    grays = {name: 5 * index for index, name in enumerate(names)}
    for name, gray in grays.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), gray).save(root / name)
    return grays


def opened(root: Path, **options: object) -> Dataset:
    return open_dataset({"name": "folder", "root": str(root), "size": 4, "channels": 1, **options})  # type: ignore[dict-item]


def contents(dataset: Dataset, grays: Mapping[str, int]) -> dict[str, list[tuple[str, int | None]]]:
    """Split -> the name and the label of every image, in order."""
    images, names = dataset.images(), {gray: name for name, gray in grays.items()}
    found = {}
    for split, pixels in (("train", images.train), ("test", images.test)):
        assert dataset.shape(split) == pixels.shape
        labels = dataset.labels(split)
        shown = [None] * len(pixels) if labels is None else labels.tolist()
        assert len(shown) == len(pixels)
        found[split] = list(zip([names[int(image[0, 0, 0])] for image in pixels], shown, strict=True))
    return found


# splits


@pytest.mark.parametrize("names", [("train", "val"), ("train", "test"), ("Train", "VALID"), ("training", "testing")])
def test_folders_named_for_splits_are_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    grays = write(tmp_path, [f"{s}/{c}/{i}.png" for s in names for c in ("cat", "ant") for i in range(2 + (s > "V"))])
    dataset = opened(tmp_path, test_share=0.5)
    found = contents(dataset, grays)
    for split, folder in zip(("train", "test"), names, strict=True):
        assert sorted(found[split]) == sorted((n, int("cat" in n)) for n in grays if n.startswith(f"{folder}/"))
    assert dataset.images().notes == (
        f"{names[0]}/ and {names[1]}/ are splits, no classes: {len(found['train'])} images to train and "
        f"{len(found['test'])} to test; test_share is ignored",
    )


def test_splits_without_class_folders_have_no_labels(tmp_path: Path) -> None:
    grays = write(tmp_path, [f"{s}/{i}.png" for s in ("train", "val") for i in range(4)])
    found = contents(opened(tmp_path), grays)
    assert sorted(name for name, _ in found["test"]) == [f"val/{i}.png" for i in range(4)]
    assert {label for _, label in found["train"]} == {None}


def test_of_val_and_test_the_one_is_left_untouched(tmp_path: Path) -> None:
    grays = write(tmp_path, [f"{s}/{c}/{i}.png" for s in ("train", "val", "test") for c in "ab" for i in range(3)])
    grays |= write(tmp_path, ["beside.png"])
    dataset = opened(tmp_path)
    assert dataset.shape("train")[0] == dataset.shape("test")[0] == 6
    assert dataset.images().notes[1] == "7 images outside both splits are left out, in beside.png, test"


@pytest.mark.parametrize("names", [("train", "car"), ("val", "test"), ("train",), ("trains", "tests")])
def test_other_folders_are_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, [f"{name}/{i}.png" for name in names for i in range(10)])
    dataset = opened(tmp_path)
    assert dataset.shape("test")[0] == (2 * len(names) if len(names) > 1 else 0)
    assert (dataset.labels("train") is None) == (len(names) == 1)


def test_a_class_that_one_split_lacks_is_said_and_numbers_agree(tmp_path: Path) -> None:
    grays = write(tmp_path, [*(f"train/{c}/{i}.png" for c in "abc" for i in (1, 2)), "val/a/1.png", "val/d/1.png"])
    dataset = opened(tmp_path)
    assert dataset.labels("test").tolist() == [  # type: ignore[union-attr]
        "abcd".index(name.split("/")[1]) for name, _ in contents(dataset, grays)["test"]
    ]
    assert dataset.images().notes[1:] == (
        "1 of 4 classes have one image each (d): no oracle can both learn and test them; if folders are no classes, "
        "set labels=false",
        "2 of 4 classes have no test image (b, c)",
    )


def test_class_folders_in_one_split_and_none_in_the_other_are_refused(tmp_path: Path) -> None:
    write(tmp_path, [*(f"train/{c}/{i}.png" for c in "ab" for i in (1, 2)), "val/1.png"])
    with pytest.raises(ValueError, match=r"got 1 such as val/1.png beside 2 sub-folders; .* dataset.labels=false"):
        opened(tmp_path)
    assert opened(tmp_path, labels=False).shape("test")[0] == 1


def test_an_image_in_both_splits_counts_once(tmp_path: Path) -> None:
    grays = write(tmp_path, [*(f"train/{c}/{i}.png" for c in "ab" for i in range(4)), "val/a/9.png", "val/b/9.png"])
    (tmp_path / "val" / "a" / "again.png").symlink_to("../../train/a/1.png")
    (tmp_path / "val" / "c").symlink_to("../train/b")
    found = contents(opened(tmp_path), grays)
    assert sorted(name for name, _ in found["test"]) == ["val/a/9.png", "val/b/9.png"]


def test_one_image_a_class_is_a_caution(tmp_path: Path) -> None:
    write(tmp_path, [f"{i}/only.png" for i in range(10)])
    (note,) = opened(tmp_path).images().notes
    assert note.startswith("10 of 10 classes have one image each (0, 1, 2, 3, 4 and 5 others): no oracle can both")
    assert opened(tmp_path, labels=False).images().notes == ()


# files that cannot be read


def damage(root: Path, *names: str) -> None:
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:50])


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Path, dict[str, int]]:
    return tmp_path, write(tmp_path, [f"{c}/{i}.png" for c in "ab" for i in range(20)])


def test_unreadable_files_are_left_out_and_nothing_else_changes(photos: tuple[Path, dict[str, int]]) -> None:
    root, grays = photos
    before = contents(opened(root, skip_unreadable=4), grays)
    assert opened(root, skip_unreadable=4).images().notes == ()
    broken = [before["test"][0][0], before["test"][-1][0], before["train"][5][0]]
    damage(root, *broken)
    dataset = opened(root, skip_unreadable=4)
    labels = {split: dataset.labels(split) for split in ("train", "test")}  # before any image is read
    after = contents(dataset, grays)
    for split, rows in before.items():
        assert after[split] == [row for row in rows if row[0] not in broken]
        assert labels[split].tolist() == [label for _, label in after[split]]  # type: ignore[union-attr]
    (note,) = dataset.images().notes
    assert note.startswith("3 unreadable files are left out: ")
    assert all(f"{name} (" in note for name in broken)


def test_more_unreadable_files_than_allowed_are_refused(photos: tuple[Path, dict[str, int]]) -> None:
    root, _ = photos
    damage(root, "a/1.png", "b/2.png", "b/3.png")
    with pytest.raises(
        ValueError, match=r"\.png cannot be read as an image \(.*\), and it is not the only one: more t"
    ):
        opened(root, skip_unreadable=2)
    with pytest.raises(ValueError, match=r"[ab]/\d.png cannot be read as an image \(.*\); repair it .*skip_unreadable"):
        opened(root).images()
    assert len(opened(root, skip_unreadable=3).images().train) > 0


def test_a_split_of_which_nothing_remains_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ["train/1.png", "train/2.png", "val/3.png"])
    damage(tmp_path, "val/3.png")
    with pytest.raises(ValueError, match="got 2 to train and 0 to test"):
        opened(tmp_path, skip_unreadable=1)


def test_a_file_damaged_after_the_opening_is_named(photos: tuple[Path, dict[str, int]]) -> None:
    root, _ = photos
    dataset = opened(root, skip_unreadable=5)
    damage(root, "b/7.png")
    with pytest.raises(ValueError, match=r"b/7.png cannot be read"):
        dataset.images()


@pytest.mark.parametrize(("option", "value"), [("skip_unreadable", -1), ("max_pixels", 0)])
def test_options_that_cannot_work_are_refused(tmp_path: Path, option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"`dataset.{option}` must be at least"):
        opened(tmp_path, **{option: value})


def test_a_strange_name_is_one_printable_line(tmp_path: Path) -> None:
    write(tmp_path, [f"{i}.png" for i in range(5)])
    (tmp_path / "a\n\x1b[31m.png").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read") as caught:
        opened(tmp_path).images()
    assert str(caught.value).isprintable()


# the whole sweep


class Messages(Observer):
    """What a sweep says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def on_message(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
def test_a_sweep_leaves_unreadable_images_out_and_says_so(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    (images / "rows" / "broken.png").write_bytes(b"")
    (images / "notes.txt").write_text("no image")
    dataset = {**mapping(images)["dataset"], "skip_unreadable": 1}
    config = small_config(images, trials=1, epochs=1, dataset=dataset)
    observer = Messages()
    run_sweep(config, tmp_path / "sweep", RunOptions(local=True), [observer])
    assert "left out below the data set's folder: .txt (1)" in observer.said
    assert any(text.startswith("1 unreadable file is left out: rows/broken.png (") for text in observer.said)
    (left_out,) = (tmp_path / "sweep" / "unreadable.txt").read_text().splitlines()
    assert left_out.startswith("rows/broken.png (")
    console = Console(file=io.StringIO(), width=1000)
    console.print(*sweep_parts(open_listing(str(tmp_path / "sweep"), tmp_path)))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "dataset: left out below the data set's folder: .txt (1)" in shown
    assert f"left out: 1, listed in {tmp_path / 'sweep' / 'unreadable.txt'}" in shown
    resume_sweep(tmp_path / "sweep", RunOptions(local=True), trials=2)
    assert observer.said[0] in estimate_seconds(config, RunOptions(local=True)).notes


def test_too_many_unreadable_images_are_an_error_of_the_file(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    for name in ("1.png", "2.png"):
        (images / "rows" / name).write_bytes(b"")
    changes = mapping(images)
    changes["dataset"]["skip_unreadable"] = 1
    with pytest.raises(ConfigError, match=r"rows/[12].png cannot be read as an image") as caught:
        parse_config(changes, source="test")
    assert str(caught.value).isprintable()


def test_two_copies_of_a_folder_are_read_alike(photos: tuple[Path, dict[str, int]]) -> None:
    root, _ = photos
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    try:
        one, other = opened(root).images(), opened(copy).images()
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.test, other.test)
    finally:
        shutil.rmtree(copy)
