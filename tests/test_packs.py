"""Packs: their pixels against Pillow, torchvision and arrays; resumed, damaged, changed and moved ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional

from trainers.augment import Augmentation, make_views
from trainers.datasets import open_dataset
from trainers.datasets.base import Dataset, Images
from trainers.datasets.folder import Folder
from trainers.host import OnHost
from trainers.images import read_images
from trainers.originals import Originals
from trainers.packs.cache import cache_folder, pack_folder
from trainers.packs.images import PackedImages
from trainers.packs.index import check_digests, read_index
from trainers.packs.sources import PackError, Sources
from trainers.packs.write import write_pack
from trainers.probe import store_labels
from trainers.splits import Data, InMemory, fits, pixel_statistics
from trainers.transforms import random_boxes

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make_pictures(root: Path, count: int = 40, *, square: int | None = None, ending: str = "jpg") -> Path:
    """Smooth colour images of mixed sizes, in two folders."""
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = (square, square) if square else rng.integers(20, 60, 2).tolist()
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        folder = root / ("one" if number % 2 else "other")
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:03d}.{ending}", **({"quality": 92} if ending == "jpg" else {}))
    return root


def folder_of(root: Path, **options: Any) -> dict[str, Any]:
    return {"name": "folder", "root": str(root), "size": 16, "pack": 32, "test_share": 0.25, **options}


def sources_of(dataset: dict[str, Any]) -> Sources:
    return open_dataset(dataset).sources(dataset["name"])


def pack(dataset: dict[str, Any], **options: Any) -> Path:
    sources = sources_of(dataset)
    return write_pack(sources, pack_folder(sources), **options).folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a pack, but the times of the source files."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_raw_images_are_those_of_pillow_with_a_shorter_side(tmp_path: Path) -> None:
    dataset = folder_of(make_pictures(tmp_path / "pictures", ending="png"))
    train = read_images(dataset).train
    assert isinstance(train, PackedImages)
    assert train.index.plan.encoding == "raw"
    files = open_dataset(dataset).sources("folder").files["train"]
    assert len(train) == len(files) == 30
    for position, file in enumerate(files):
        picture = Image.open(tmp_path / "pictures" / file).convert("RGB")
        if (short := min(picture.size)) > 32:
            size = [32 if side == short else round(32 * side / short) for side in picture.size]
            picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        assert train.sides(position) == (picture.height, picture.width)
        np.testing.assert_array_equal(train.data(position).reshape(*train.sides(position), 3), np.asarray(picture))


def test_mean_and_deviation_are_those_of_all_training_pixels(tmp_path: Path) -> None:
    images = read_images(folder_of(make_pictures(tmp_path / "pictures", ending="png")))
    assert isinstance(images.train, PackedImages)
    pixels = np.concatenate([images.train.data(position).reshape(-1, 3) for position in range(len(images.train))]) / 255
    mean, deviation = images.train.index.mean_and_deviation
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, pixels.std(0, ddof=1), rtol=1e-12)
    data = Data(images, "cpu")
    np.testing.assert_allclose(data.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(data.std.numpy(), deviation, rtol=1e-6)


def test_jpegs_keep_their_own_bytes_if_they_are_small_enough(tmp_path: Path) -> None:
    dataset = folder_of(make_pictures(tmp_path / "pictures"))
    folder = pack(dataset, encoding="jpeg")
    train = read_images(dataset).train
    assert isinstance(train, PackedImages)
    assert train.folder == folder
    kept = 0
    for position, file in enumerate(open_dataset(dataset).sources("folder").files["train"]):
        with Image.open(tmp_path / "pictures" / file) as picture:
            same = train.data(position).tobytes() == (tmp_path / "pictures" / file).read_bytes()
            assert same == (min(picture.size) <= 32)
        kept += same
    assert 0 < kept < len(train)


class Squares(Dataset):
    """Noise in memory."""

    def images(self) -> Images:
        rng = np.random.default_rng(0)
        train, test = (rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8) for count in (50, 9))
        return Images(train, test)

    def shape(self, split: str) -> tuple[int, ...]:
        return {"train": 50, "test": 9}[split], 12, 12, 3

    def labels(self, split: str) -> NDArray[np.int64] | None:
        return None


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> tuple[Images, Images]:
    """The same squares in memory and packed."""
    monkeypatch.setitem(__import__("trainers.datasets").datasets.DATASETS, "squares", Squares)
    monkeypatch.setattr("trainers.packs.write.SHARD_IMAGES", 7)
    in_memory = read_images({"name": "squares"})
    monkeypatch.setattr("trainers.datasets.base.PACK_BYTES", 1000)
    return in_memory, read_images({"name": "squares"})


def test_packed_squares_give_what_arrays_give(arrays: tuple[Images, Images]) -> None:
    """To the bit: statistics, images, and the views drawn from them."""
    in_memory, packed = arrays
    assert isinstance(in_memory.train, np.ndarray)
    assert isinstance(packed.train, PackedImages)
    assert packed.train.is_array
    one, other = Data(in_memory, "cpu"), Data(packed, "cpu")
    assert isinstance(one.train, InMemory)
    assert isinstance(other.train, OnHost)
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.std, other.std)
    assert one.train.shape == other.train.shape
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.train.take(order), other.train.take(order))
    streams = [list(data.train.stream(order, 16)) for data in (one, other)]
    for batches in zip(*streams, strict=True):
        views = [make_views(batch, Augmentation(), torch.Generator().manual_seed(1)) for batch in batches]
        assert all(torch.equal(a, b) for a, b in zip(*views, strict=True))
    assert [len(batch) for batch in streams[1]] == [16, 16, 16, 2]


def test_arrays_too_large_for_the_device_stay_on_the_host(arrays: tuple[Images, Images]) -> None:
    in_memory, _ = arrays
    assert isinstance(in_memory.train, np.ndarray)
    on_host = OnHost(in_memory.train, CPU)
    chosen = torch.tensor([3, 0, 3])
    np.testing.assert_array_equal(on_host.take(chosen).numpy(), in_memory.train[[3, 0, 3]])
    assert on_host.fingerprint == InMemory(in_memory.train, CPU).fingerprint
    expected, found = pixel_statistics(InMemory(in_memory.train, CPU)), pixel_statistics(on_host)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_the_device_takes_what_fits_an_eighth_of_it(arrays: tuple[Images, Images]) -> None:
    for images in arrays:
        bytes_needed = 59 * 12 * 12 * 3
        assert fits(images, 8 * bytes_needed)
        assert not fits(images, 8 * bytes_needed - 1)


def test_the_first_images_of_a_pack_are_a_part_of_it(arrays: tuple[Images, Images]) -> None:
    _, packed = arrays
    part = packed.train[:20]
    assert len(part) == 20
    assert isinstance(part, PackedImages)
    assert part.fingerprint != packed.train.fingerprint  # type: ignore[union-attr]
    with pytest.raises(IndexError, match="first images"):
        packed.train[5:]


def originals() -> Originals:
    rng = np.random.default_rng(0)
    sides = [(40, 30), (30, 64), (32, 32), (200, 31)]
    return Originals([torch.from_numpy(rng.integers(0, 256, (*one, 3), dtype=np.uint8)) for one in sides], 24, CPU)


def test_crops_are_torchvisions_of_the_image_at_its_own_resolution() -> None:
    images = originals()
    boxes = random_boxes(4, *images.sides(), (0.08, 1.0), torch.Generator().manual_seed(0))
    found = images.cut(boxes, (24, 20))
    for image, box, view in zip(images.images, boxes.int().tolist(), found, strict=True):
        top, left, height, width = box
        expected = functional.resized_crop(image.permute(2, 0, 1), top, left, height, width, [24, 20], antialias=True)
        assert torch.equal(view, expected.float() / 255)


@pytest.mark.parametrize(("height", "width"), [(40, 30), (30, 64), (200, 31), (31, 200)])
def test_boxes_of_one_size_and_of_each_size_are_the_same(height: int, width: int) -> None:
    """Also where no box fits, as in the long ones, and within the image."""
    for scale in ((0.08, 1.0), (0.9, 1.0)):
        one = random_boxes(64, height, width, scale, torch.Generator().manual_seed(0))
        sides = torch.full((64,), float(height)), torch.full((64,), float(width))
        assert torch.equal(one, random_boxes(64, *sides, scale, torch.Generator().manual_seed(0)))
        assert (one[:, 0] + one[:, 2] <= height).all()
        assert (one[:, 1] + one[:, 3] <= width).all()
        assert (one[:, :2] >= 0).all()


def test_a_crop_shows_more_than_the_enlarged_thumbnail() -> None:
    """A checkerboard of 1-pixel squares: gray in a small middle square, whole in a crop of the packed image."""
    board = torch.from_numpy((np.indices((96, 96)).sum(0) % 2 * 255).astype(np.uint8))[..., None]
    images = Originals([board], 24, CPU)
    box = torch.tensor([[36.0, 36.0, 24.0, 24.0]])
    assert images.cut(box, (24, 24)).std() > 0.49
    assert images.squares().float().div(255).std() < 0.05


def test_views_of_packed_images_have_the_training_size_and_are_drawn_anew(tmp_path: Path) -> None:
    data = Data(read_images(folder_of(make_pictures(tmp_path / "pictures"), size=24)), "cpu")
    (batch, *_) = data.train.stream(torch.arange(10), 10)
    assert isinstance(batch, Originals)
    views = make_views(batch, Augmentation(local_crops=1), torch.Generator().manual_seed(0))
    assert [tuple(view.shape) for view in views] == [(10, 3, 24, 24), (10, 3, 24, 24), (10, 3, 10, 10)]
    assert not torch.equal(views[0], views[1])
    again = make_views(data.train.originals(torch.arange(10)), Augmentation(), torch.Generator().manual_seed(0))
    assert torch.equal(views[0], again[0])
    assert data.train.take(torch.arange(3)).shape == (3, 24, 24, 3)


def test_the_middle_square_is_close_to_that_of_a_folder_in_memory(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures", ending="png")
    packed = Data(read_images(folder_of(root, pack=64)), "cpu").test.take(torch.arange(10))
    whole = Data(read_images(folder_of(root, pack=0)), "cpu").test.take(torch.arange(10))
    assert (packed.int() - whole.int()).abs().float().mean() < 2


def test_labels_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    dataset = folder_of(make_pictures(tmp_path / "pictures"))
    folder = pack(dataset)
    store_labels(dataset, folder)
    names = [b"other", b"one", str(tmp_path / "pictures").encode()]
    assert [name for name, content in files_of(folder).items() if any(one in content for one in names)] == [
        "labels.safetensors"
    ]
    expected = {split: open_dataset(dataset).labels(split) for split in ("train", "test")}
    moved = {"name": "packed", "root": str(shutil.copytree(folder, tmp_path / "moved")), "size": 16}
    for split, labels in expected.items():
        np.testing.assert_array_equal(open_dataset(moved).labels(split), labels)
    assert open_dataset(moved).images().fingerprint == read_images(dataset).fingerprint


def test_left_out_files_are_listed_and_their_labels_are_too(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures")
    (root / "one" / "001.jpg").write_bytes(b"no picture")
    with pytest.raises(PackError, match=r"one/001.jpg.*cannot be packed; repair it .*skip_unreadable=N"):
        pack(folder_of(root))
    dataset = folder_of(root, skip_unreadable=1)
    images = read_images(dataset)
    assert len(images.train) + len(images.test) == 39
    assert images.unreadable == ("one/001.jpg (no image format that this Pillow knows)",)
    index = read_index(pack_folder(sources_of(dataset)))
    store_labels(dataset, index.folder)
    moved = open_dataset({"name": "packed", "root": str(index.folder), "size": 16})
    for split in ("train", "test"):
        files = open_dataset(dataset).sources("folder").files[split]
        kept = [files[position] for position in index.places[split].position]
        classes = [path.parts[0] for path in kept]
        np.testing.assert_array_equal(moved.labels(split), [int(name == "other") for name in classes])


def test_the_bytes_depend_neither_on_the_workers_nor_on_a_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.packs.write.SHARD_IMAGES", 8)
    sources = sources_of(folder_of(make_pictures(tmp_path / "pictures")))
    unbroken = write_pack(sources, tmp_path / "unbroken", workers=2).folder

    class BreakError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 16:
            raise BreakError

    with pytest.raises(BreakError):
        write_pack(sources, tmp_path / "broken", tell=stop)
    shards = len(list((tmp_path / "broken" / "shards").glob("*.safetensors")))
    assert 2 <= shards < 6
    (tmp_path / "broken" / "shards" / "train-00003.safetensors.1.tmp").write_bytes(b"torn")
    with pytest.raises(PackError, match="was begun and is not whole"):
        read_index(tmp_path / "broken")
    told: list[int] = []
    write_pack(sources, tmp_path / "broken", tell=lambda done, total: told.append(done))
    assert told[0] >= 16
    assert files_of(tmp_path / "broken") == files_of(unbroken)


KILLED = """
import sys
from pathlib import Path
import trainers.packs.write as write
from trainers.datasets import open_dataset

write.SHARD_IMAGES = 4
dataset = {"name": "folder", "root": sys.argv[1], "size": 16, "pack": 32}
write.write_pack(open_dataset(dataset).sources("folder"), Path(sys.argv[2]), workers=2)
"""


@pytest.mark.kill
def test_a_killed_pack_is_continued_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies with its workers at work; a new one in another process goes on."""
    root, killed = make_pictures(tmp_path / "pictures", 400, square=48), tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(root), str(killed)], env=environment)
    deadline = time.monotonic() + 120
    while len(list((killed / "shards").glob("*.safetensors"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "index.json").exists()
    monkeypatch.setattr("trainers.packs.write.SHARD_IMAGES", 4)
    sources = open_dataset({"name": "folder", "root": str(root), "size": 16, "pack": 32}).sources("folder")
    for name in ("killed", "unbroken"):
        write_pack(sources, tmp_path / name, workers=2)
    assert files_of(killed) == files_of(tmp_path / "unbroken")


Spoil = Callable[[Path, Path], None]


def shorten(folder: Path, root: Path) -> None:
    shard = folder / "shards" / "test-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])


def lose(folder: Path, root: Path) -> None:
    (folder / "shards" / "test-00000.safetensors").unlink()


def touch(folder: Path, root: Path) -> None:
    os.utime(root / "one" / "001.jpg", ns=(1, 1))


def add(folder: Path, root: Path) -> None:
    shutil.copy(root / "one" / "001.jpg", root / "one" / "new.jpg")


def rename(folder: Path, root: Path) -> None:
    (root / "one" / "001.jpg").rename(root / "one" / "new.jpg")


def other_version(folder: Path, root: Path) -> None:
    content = json.loads((folder / "index.json").read_text())
    content["plan"]["version"] = 0
    (folder / "index.json").write_text(json.dumps(content))


def garbage(folder: Path, root: Path) -> None:
    (folder / "index.safetensors").write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shorten, r"is damaged: shards/test-00000.safetensors has [\d,]+ bytes, and had [\d,]+; .*--again"),
        (lose, "is damaged: shards/test-00000.safetensors is missing"),
        (touch, r"one/001.jpg changed since folder was packed; put it back, or .*--again"),
        (add, "30 and 10 then, 31 and 10 now"),
        (rename, "have changed since they were packed: other names"),
        (other_version, "is of version 0, and this sweeper reads 1; .*--again"),
        (garbage, "is damaged"),
    ],
)
def test_a_spoilt_pack_is_named_before_anything_is_trained(tmp_path: Path, spoil: Spoil, message: str) -> None:
    root = make_pictures(tmp_path / "pictures")
    dataset = folder_of(root, test_share=0.245)
    folder = pack(dataset)
    spoil(folder, root)
    read_index.cache_clear()
    with pytest.raises(PackError, match=message):
        read_images(dataset)


def test_a_process_sees_that_another_one_packed_anew(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures", square=32, ending="png")
    dataset, every = folder_of(root, size=32), torch.arange(30)
    folder = pack(dataset)
    packed = {"name": "packed", "root": str(folder), "size": 32}
    before = [read_images(one) for one in (dataset, packed)]
    digests = [one.fingerprint for one in before]
    assert all(Data(one, "cpu").train.take(every).any() for one in before)
    for path in root.rglob("*.png"):
        Image.new("RGB", (32, 32)).save(path)
    script = (
        "import sys; from pathlib import Path; from trainers.datasets import open_dataset; "
        "from trainers.packs.write import write_pack; "
        f"write_pack(open_dataset({dataset!r}).sources('folder'), Path({str(folder)!r}), workers=1)"
    )
    shutil.rmtree(folder)
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    for digest, one in zip(digests, (dataset, packed), strict=True):
        images = read_images(one)
        assert images.fingerprint != digest
        assert not Data(images, "cpu").train.take(every).any()


def test_verify_reads_every_byte(tmp_path: Path) -> None:
    index = read_index(pack(folder_of(make_pictures(tmp_path / "pictures"))))
    check_digests(index)
    shard = index.folder / index.shards[0].name
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(PackError, match=r"the bytes of shards/train-00000.safetensors have changed"):
        check_digests(index)


def test_a_pack_without_room_is_refused_before_it_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = sources_of(folder_of(make_pictures(tmp_path / "pictures")))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(PackError, match=r"the pack needs about 0.0 GB, but .* has 0.0 GB free; .*SWEEPER_CACHE"):
        write_pack(sources, tmp_path / "pack")
    assert not list((tmp_path / "pack").glob("*.json"))


def test_a_pack_of_no_image_is_refused(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures", count=8)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(PackError, match=r"none of the 6 train images can be read, such as o.*\.jpg \(no image format"):
        read_images(folder_of(root, skip_unreadable=8))


def test_a_pack_of_16_bit_files_says_what_to_do(tmp_path: Path) -> None:
    root = make_pictures(tmp_path / "pictures")
    Image.fromarray(np.full((40, 40), 40000, dtype=np.uint16)).save(root / "one" / "deep.png")
    with pytest.raises(PackError, match=r"one/deep.png \(more than 8 bits a pixel.*dataset.pack=0"):
        pack(folder_of(root))


@pytest.mark.parametrize(("asked", "message"), [(8, "at least the size 16, but got 8"), (-1, "but got -1")])
def test_a_pack_smaller_than_the_images_is_refused(tmp_path: Path, asked: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset(folder_of(make_pictures(tmp_path / "pictures"), pack=asked))


def test_large_folders_are_packed_and_small_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = folder_of(make_pictures(tmp_path / "pictures"), pack=None)
    opened = open_dataset(dataset)
    assert isinstance(opened, Folder)
    assert not opened.packs
    monkeypatch.setattr("trainers.datasets.base.PACK_BYTES", 1000)
    assert opened.packs
    assert opened.sources("folder").side == 256


def test_the_place_of_the_cache_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SWEEPER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sweeper"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "sweeper"


def test_a_pack_is_known_by_what_it_is_made_of(tmp_path: Path) -> None:
    sources = sources_of(folder_of(make_pictures(tmp_path / "pictures")))
    names = {sources.identity(), replace(sources, side=48).identity()}
    names |= {sources_of(folder_of(tmp_path / "pictures", test_share=0.5)).identity()}
    assert len(names) == 3
    assert sources_of(folder_of(tmp_path / "pictures", size=20)).identity() in names  # the training size does not count
