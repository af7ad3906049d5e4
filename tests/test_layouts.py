"""Data sets as people have them on disk: small real files in the layouts of their authors and of torchvision."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import savemat
from small_sweeps import small_config

from sweeper.search.configurations import make_trial_config
from trainers.datasets import open_dataset
from trainers.datasets.base import Dataset
from trainers.probe import has_labels, probe_pixels

RNG = np.random.default_rng(0)


def refusal(**dataset: Any) -> str:
    """The one line with which a data set is refused."""
    with pytest.raises(ValueError, match=r".") as caught:
        open_dataset(dataset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_plain(path: Path, level: int, size: tuple[int, int] = (9, 7)) -> None:
    """A JPEG of one gray level, which says which file it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path, "JPEG")


def levels(dataset: Dataset, split: str) -> dict[int, int]:
    """Gray level of each image of a split -> its label."""
    images = dataset.images()
    pixels = images.train if split == "train" else images.test
    assert pixels.shape == dataset.shape(split)
    assert (np.ptp(pixels.reshape(len(pixels), -1), axis=1) <= 2).all()  # plain images stay plain
    labels = dataset.labels(split)
    assert labels is not None
    return {int(level): int(label) for level, label in zip(pixels[:, 0, 0, 0], labels, strict=True)}


def as_written(found: dict[int, int], written: dict[int, int]) -> bool:
    """Whether each level, which JPEG may change by one, has its label."""
    return len(found) == len(written) and all(
        any(abs(level - one) <= 1 and label == other for one, other in written.items())
        for level, label in found.items()
    )


# cifar100


def write_cifar100(root: Path, patch: pytest.MonkeyPatch) -> tuple[np.ndarray, list[int]]:
    from torchvision.datasets import CIFAR100

    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    rows, labels = RNG.integers(0, 256, (5, 3072), dtype=np.uint8), [99, 3, 1, 0, 42]
    digests = {}
    for name, content in {
        "train": {"data": rows[:3], "fine_labels": labels[:3], "coarse_labels": [0, 0, 0]},
        "test": {"data": rows[3:], "fine_labels": labels[3:], "coarse_labels": [0, 0]},
        "meta": {"fine_label_names": [str(index) for index in range(100)]},
    }.items():
        (folder / name).write_bytes(pickle.dumps(content))
        digests[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    # the reader insists on the digests of the real files
    patch.setattr(CIFAR100, "train_list", [["train", digests["train"]]])
    patch.setattr(CIFAR100, "test_list", [["test", digests["test"]]])
    patch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": digests["meta"]})
    return rows, labels


def test_cifar100_reads_the_layout_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = write_cifar100(tmp_path, monkeypatch)
    dataset = open_dataset({"name": "cifar100", "root": str(tmp_path)})
    images = dataset.images()
    assert (images.train.shape, images.test.shape) == ((3, 32, 32, 3), (2, 32, 32, 3))
    assert images.test[1, 5, 7].tolist() == rows[4].reshape(3, 32, 32)[:, 5, 7].tolist()
    assert [*dataset.labels("train"), *dataset.labels("test")] == labels
    (tmp_path / "cifar-100-python" / "test").write_bytes(b"tampered")
    with pytest.raises(ValueError, match=r"CIFAR-100 whole, but files in .* are missing or damaged"):
        dataset.images()


def test_nothing_is_downloaded_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    asked: list[tuple[str, str]] = []

    def downloads(name: str, write: Callable[[Path], object]) -> None:
        def make(self: object, root: str, *_: object, download: bool = False, **__: object) -> None:
            assert download
            asked.append((name, root))
            write(Path(root))

        monkeypatch.setattr(getattr(torchvision.datasets, name), "__init__", make)

    def lose(root: Path) -> None:
        raise OSError("no network")

    downloads("CIFAR100", lambda root: (root / "cifar-100-python").mkdir(parents=True))
    downloads("STL10", lambda root: write_stl10(root))
    downloads("FashionMNIST", lambda root: write_fashion(root / "FashionMNIST" / "raw"))
    downloads("CIFAR10", lose)
    for name in ("cifar100", "stl10", "fashion_mnist"):
        root = tmp_path / name
        assert "download=true" in refusal(name=name, root=str(root))
        assert not asked
        opened = open_dataset({"name": name, "root": str(root), "download": True})
        assert open_dataset({"name": name, "root": str(opened.options.root)}) is not opened
        assert [place for _, place in asked] == [str(root)]
        asked.clear()
    line = refusal(name="cifar10", root=str(tmp_path), download=True)
    assert line.startswith("`dataset.download` could not get CIFAR-10 (no network)")


def write_fashion(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(b"")


# stl10


def write_stl10(root: Path) -> dict[str, np.ndarray]:
    """Five labelled images, three to test, and seven without a label, (n, h, w, c)."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    written = {}
    for name, count in {"train": 5, "test": 3, "unlabeled": 7}.items():
        written[name] = RNG.integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
        (folder / f"{name}_X.bin").write_bytes(written[name].transpose(0, 3, 2, 1).tobytes())
    (folder / "train_y.bin").write_bytes(bytes([10, 1, 2, 3, 1]))
    (folder / "test_y.bin").write_bytes(bytes([1, 5, 10]))
    return written


@pytest.mark.parametrize("unlabelled", [True, False])
def test_stl10_is_read_as_torchvision_reads_it(
    tmp_path: Path, unlabelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import STL10

    written = write_stl10(tmp_path)
    monkeypatch.setattr("trainers.datasets.stl10.CHUNK", 2)
    dataset = open_dataset({"name": "stl10", "root": str(tmp_path), "unlabelled": unlabelled})
    images = dataset.images()
    expected = np.concatenate([written["train"], *([written["unlabeled"]] if unlabelled else [])])
    np.testing.assert_array_equal(images.train, expected)
    np.testing.assert_array_equal(images.test, written["test"])
    assert dataset.shape("train") == images.train.shape
    assert dataset.labels("train").tolist() == [9, 0, 1, 2, 0] + 7 * unlabelled * [-1]
    assert dataset.labels("test").tolist() == [0, 4, 9]
    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    theirs = STL10(str(tmp_path), split="train+unlabeled" if unlabelled else "train")
    np.testing.assert_array_equal(images.train.transpose(0, 3, 1, 2), theirs.data)
    assert dataset.labels("train").tolist() == theirs.labels.tolist()


def test_the_oracles_read_the_labelled_images_of_stl10_alone(tmp_path: Path) -> None:
    write_stl10(tmp_path)
    stl10 = {"name": "stl10", "root": str(tmp_path)}
    assert has_labels(stl10)
    found = {}
    for unlabelled in (True, False):
        about = {"batch_size": 2, "criteria_sample": {"images": 4, "views": 2}, "oracle": "knn"}
        config = small_config(tmp_path, dataset={**stl10, "unlabelled": unlabelled}, **about)
        found[unlabelled] = probe_pixels(make_trial_config(config, 0, {}))["knn"]
    assert found[True].n == 3
    assert (found[True].accuracy, found[True].further) == (found[False].accuracy, found[False].further)


def test_stl10_says_what_is_missing_or_cut_short(tmp_path: Path) -> None:
    write_stl10(tmp_path)
    folder = tmp_path / "stl10_binary"
    (folder / "train_y.bin").write_bytes(bytes([1, 2]))
    with pytest.raises(ValueError, match="must have one label for each image, but has 2 for 5"):
        open_dataset({"name": "stl10", "root": str(tmp_path)}).labels("train")
    (folder / "test_X.bin").write_bytes(b"abc")
    with pytest.raises(ValueError, match="cut short"):
        open_dataset({"name": "stl10", "root": str(tmp_path)}).images()
    whole = tmp_path / "without"
    write_stl10(whole)
    (whole / "stl10_binary" / "unlabeled_X.bin").unlink()
    assert "must hold stl10_binary/unlabeled_X.bin" in refusal(name="stl10", root=str(whole))
    assert open_dataset({"name": "stl10", "root": str(whole), "unlabelled": False}).shape("train")[0] == 5


# tiny_imagenet


def write_tiny(root: Path) -> dict[str, dict[int, int]]:
    """Three classes; the labels by gray level."""
    folder, truth = root / "tiny-imagenet-200", {"train": {}, "test": {}}  # type: ignore[var-annotated]
    lines = []
    for label, wnid in enumerate(["n01", "n02", "n03"]):
        for index in range(3):
            level = 60 * label + 10 * index
            write_plain(folder / "train" / wnid / "images" / f"{wnid}_{index}.JPEG", level, (64, 64))
            truth["train"][level] = label
        level = 60 * label + 40
        write_plain(folder / "val" / "images" / f"val_{label}.JPEG", level, (64, 64))
        lines.append(f"val_{label}.JPEG\t{wnid}\t0\t0\t62\t62\n")
        truth["test"][level] = label
        (folder / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    write_plain(folder / "test" / "images" / "test_0.JPEG", 255, (64, 64))
    return truth


def test_tiny_imagenet_is_read_as_it_is_unpacked_or_sorted_by_class(tmp_path: Path) -> None:
    truth = write_tiny(tmp_path)
    folder = tmp_path / "tiny-imagenet-200"
    for root in (tmp_path, folder):
        dataset = open_dataset({"name": "tiny_imagenet", "root": str(root)})
        assert (dataset.shape("train"), dataset.shape("test")) == ((9, 64, 64, 3), (3, 64, 64, 3))
        for split in ("train", "test"):
            assert as_written(levels(dataset, split), truth[split])
    for label in range(3):
        place = folder / "val" / f"n0{label + 1}"
        place.mkdir()
        (folder / "val" / "images" / f"val_{label}.JPEG").rename(place / "a.JPEG")
    (folder / "val" / "val_annotations.txt").unlink()
    assert as_written(levels(open_dataset({"name": "tiny_imagenet", "root": str(tmp_path)}), "test"), truth["test"])


def test_tiny_imagenet_says_what_is_missing(tmp_path: Path) -> None:
    assert "unpack tiny-imagenet-200.zip" in refusal(name="tiny_imagenet", root=str(tmp_path))
    write_tiny(tmp_path)
    folder = tmp_path / "tiny-imagenet-200"
    named = folder / "val" / "val_annotations.txt"
    named.write_text("val_0.JPEG\tn01\n")
    assert "lacks 2 such as val/images/val_1.JPEG" in refusal(name="tiny_imagenet", root=str(tmp_path))
    named.unlink()
    assert "must hold val/val_annotations.txt" in refusal(name="tiny_imagenet", root=str(tmp_path))
    write_plain(folder / "val" / "n77" / "b.JPEG", 3)
    assert "must have the test classes in its training images too, but n77" in refusal(
        name="tiny_imagenet", root=str(tmp_path)
    )


# imagenet

SYNSETS = ("n01440764", "n01443537", "n01484850")


def write_imagenet(root: Path) -> None:
    """Three synsets, two training images each, and a flat folder of three validation images, the last class first."""
    for label, synset in enumerate(SYNSETS):
        for index in range(2):
            write_plain(root / "train" / synset / f"{synset}_{index}.JPEG", 60 * label + 10 * index, (30, 20))
        write_plain(root / "val" / f"ILSVRC2012_val_{3 - label:08d}.JPEG", 60 * label + 40, (20, 30))


TRAIN = {60 * label + 10 * index: label for label in range(3) for index in range(2)}
VAL = {60 * label + 40: label for label in range(3)}


def write_devkit(folder: Path) -> None:
    """meta.mat and the ground truth as in the devkit: numbers of classes, with one that has classes below it."""
    (folder / "data").mkdir(parents=True)
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(7, SYNSETS[0], "tench", "", 0), (5, SYNSETS[1], "goldfish", "", 0), (9, SYNSETS[2], "shark", "", 0)]
    table = np.array([*rows, (11, "n00001740", "entity", "", 3)], dtype=kinds)
    savemat(folder / "data" / "meta.mat", {"synsets": table.reshape(-1, 1)})
    (folder / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text("9\n5\n7\n")


def sort_val(root: Path) -> None:
    for label, synset in enumerate(SYNSETS):
        (root / "val" / synset).mkdir()
        (root / "val" / f"ILSVRC2012_val_{3 - label:08d}.JPEG").rename(root / "val" / synset / "a.JPEG")


def write_solution(root: Path) -> None:
    lines = [
        f"ILSVRC2012_val_{3 - label:08d},{synset} 1 2 3 4 {synset} 5 6 7 8" for label, synset in enumerate(SYNSETS)
    ]
    (root / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "\n".join(lines) + "\n")


def test_imagenet_is_read_with_the_layouts_of_the_devkit_torchvision_and_kaggle(tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("devkit", "sorted", "kaggle")}
    write_imagenet(places["devkit"])
    write_devkit(places["devkit"] / "ILSVRC2012_devkit_t12")
    write_imagenet(places["sorted"])
    sort_val(places["sorted"])
    write_imagenet(places["kaggle"] / "ILSVRC" / "Data" / "CLS-LOC")
    write_solution(places["kaggle"])
    for root in places.values():
        dataset = open_dataset({"name": "imagenet", "root": str(root), "size": 16})
        assert (dataset.shape("train"), dataset.shape("test")) == ((6, 16, 16, 3), (3, 16, 16, 3))
        assert as_written(levels(dataset, "train"), TRAIN)
        assert as_written(levels(dataset, "test"), VAL)
    assert open_dataset({"name": "imagenet", "root": str(root)}).shape("train")[1:] == (224, 224, 3)


def test_imagenet_says_what_is_missing(tmp_path: Path) -> None:
    assert "unpack ILSVRC2012_img_train.tar" in refusal(name="imagenet", root=str(tmp_path))
    write_imagenet(tmp_path)
    assert "unpack ILSVRC2012_devkit_t12.tar.gz" in refusal(name="imagenet", root=str(tmp_path))
    write_devkit(tmp_path / "ILSVRC2012_devkit_t12")
    truth = tmp_path / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("9\n5\n")
    assert "lacks 1 such as val/ILSVRC2012_val_00000003.JPEG" in refusal(name="imagenet", root=str(tmp_path))
    for synset in SYNSETS:
        shutil.rmtree(tmp_path / "train" / synset)
        (tmp_path / "train" / f"{synset}.tar").write_bytes(b"")
    assert "holds 3 archives of synsets" in refusal(name="imagenet", root=str(tmp_path))
    shutil.rmtree(tmp_path / "val")
    assert "unpack ILSVRC2012_img_val.tar" in refusal(name="imagenet", root=str(tmp_path))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    write_imagenet(tmp_path)
    sort_val(tmp_path)
    (tmp_path / "train" / SYNSETS[0] / "bad.JPEG").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(ValueError, match=r"bad.JPEG cannot be read as an image"):
        open_dataset({"name": "imagenet", "root": str(tmp_path), "size": 8}).images()


# huggingface

FEATURES = {"image": {"_type": "Image"}, "kind": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def encoded(level: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (12, 9), (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


def table(start: int, count: int, *, declared: bool = False, plain: bool = False, text: bool = False) -> pa.Table:
    """Rows of one gray level each, the class is its last bit, as the library writes them."""
    rows = range(start, start + count)
    images = [encoded(row) for row in rows]
    column = pa.array(images) if plain else pa.array([{"bytes": one, "path": None} for one in images])
    classes = pa.array([("dog" if row % 2 else "cat") if text else row % 2 for row in rows])
    name = "kind" if declared else "label"
    found = pa.table({"id": pa.array(list(rows)), "image": column, name: classes})
    info = json.dumps({"info": {"features": FEATURES}})
    return found.replace_schema_metadata({"huggingface": info}) if declared else found


def write_arrow(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=3)


def write_parquet(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=2)


def saved_to_disk(root: Path) -> None:
    (root / "train").mkdir(parents=True)
    (root / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    write_arrow(root / "train" / "data-00000-of-00002.arrow", table(0, 7, declared=True))
    write_arrow(root / "train" / "data-00001-of-00002.arrow", table(7, 4, declared=True))
    write_arrow(root / "train" / "cache-0123.arrow", table(90, 5))
    write_arrow(root / "test" / "data-00000-of-00001.arrow", table(11, 4, declared=True))


def of_the_hub(root: Path) -> None:
    write_parquet(root / "data" / "train-00000-of-00002.parquet", table(0, 6, text=True))
    write_parquet(root / "data" / "train-00001-of-00002.parquet", table(6, 5, text=True))
    write_parquet(root / "data" / "validation-00000-of-00001.parquet", table(11, 4, text=True))
    write_parquet(root / "data" / "test-00000-of-00001.parquet", table(200, 4, text=True))


def of_the_cache(root: Path) -> None:
    write_arrow(root / "0.0.0" / "abc" / "toys-train.arrow", table(0, 11, plain=True))
    write_arrow(root / "0.0.0" / "abc" / "toys-test.arrow", table(11, 4, plain=True))


@pytest.mark.parametrize("write", [saved_to_disk, of_the_hub, of_the_cache])
def test_huggingface_reads_what_the_library_and_the_hub_write(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    dataset = open_dataset({"name": "huggingface", "root": str(tmp_path), "size": 8})
    assert (dataset.shape("train"), dataset.shape("test")) == ((11, 8, 8, 3), (4, 8, 8, 3))
    assert levels(dataset, "train") == {row: row % 2 for row in range(11)}
    assert levels(dataset, "test") == {row: row % 2 for row in range(11, 15)}


def test_huggingface_divides_one_split_and_takes_named_ones(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", table(0, 10))
    alone = open_dataset({"name": "huggingface", "root": str(tmp_path), "size": 8, "test_share": 0.3, "channels": 1})
    assert (alone.shape("train"), alone.shape("test")) == ((7, 8, 8, 1), (3, 8, 8, 1))
    found = {**levels(alone, "train"), **levels(alone, "test")}
    assert found == {row: row % 2 for row in range(10)}
    unlabelled = open_dataset({"name": "huggingface", "root": str(tmp_path), "size": 8, "labels": False})
    assert unlabelled.labels("train") is None
    of_the_hub(tmp_path / "hub")
    named = open_dataset({"name": "huggingface", "root": str(tmp_path / "hub"), "size": 8, "test": "test"})
    assert set(levels(named, "test")) == {200, 201, 202, 203}


def test_huggingface_leaves_unknown_classes_without_a_label(tmp_path: Path) -> None:
    rows = table(0, 6)
    classes = pa.array([0, 1, None, -1, 4, 1])
    write_parquet(tmp_path / "train.parquet", rows.set_column(2, "label", classes))
    write_parquet(tmp_path / "test.parquet", table(6, 4))
    dataset = open_dataset({"name": "huggingface", "root": str(tmp_path), "size": 8})
    assert levels(dataset, "train") == {0: 0, 1: 1, 2: -1, 3: -1, 4: 4, 5: 1}


def test_huggingface_says_what_is_missing_or_damaged(tmp_path: Path) -> None:
    def refused(**options: object) -> str:
        return refusal(name="huggingface", root=str(tmp_path), **options)

    assert "`dataset.root` must be a folder of parquet" in refusal(name="huggingface")
    assert "must hold parquet or Arrow files, but got none" in refused()
    write_parquet(tmp_path / "test.parquet", table(0, 4))
    assert "must hold a split to train on" in refused()
    write_parquet(tmp_path / "train.parquet", table(4, 4))
    assert "`dataset.test` must be a split" in refused(test="dev")
    assert "`dataset.image` must be a column of encoded images, but" in refused(image="id")
    assert "`dataset.label` must be a column of" in refused(label="kind")
    broken = table(4, 4).set_column(1, "image", pa.array([encoded(1), b"no image", encoded(2), encoded(3)]))
    write_parquet(tmp_path / "train.parquet", broken)
    with pytest.raises(ValueError, match=r"row 1 of the train split in .* cannot be read as an image"):
        open_dataset({"name": "huggingface", "root": str(tmp_path), "size": 8}).images()
    write_parquet(tmp_path / "train.parquet", table(4, 4))
    write_parquet(tmp_path / "test.parquet", table(0, 4).drop_columns("label"))
    with pytest.raises(ValueError, match=r"test.parquet must have the column label, but has id, image"):
        has_labels({"name": "huggingface", "root": str(tmp_path), "size": 9})
    (tmp_path / "train-2.parquet").write_bytes(b"PAR1 torn")
    assert "train-2.parquet cannot be read" in refused(channels=1)
    (tmp_path / "train-2.parquet").unlink()
    (tmp_path / "train.parquet").write_bytes(b"PAR1 torn")
    assert "train.parquet cannot be read" in refused()
