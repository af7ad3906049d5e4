"""The data set `photos`: its crops, their places, and what it says without its packages."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainers.datasets import open_dataset
from trainers.datasets import photos as photos_module
from trainers.datasets.base import SPLITS
from trainers.datasets.photos import CROPS, PHOTOGRAPHS, Box, Photos, PhotosOptions, crops, find_photograph, tiles

PHOTOS = {"name": "photos"}


def size(name: str) -> tuple[int, int]:
    with Image.open(find_photograph(name)) as photograph:
        return photograph.size


def drawn(boxes: list[Box], width: int, height: int) -> np.ndarray:
    """How many boxes cover each pixel."""
    cover = np.zeros((height, width), dtype=np.int64)
    for box in boxes:
        cover[box.upper : box.lower, box.left : box.right] += 1
    return cover


@pytest.mark.slow
def test_both_splits_have_4000_images_and_the_shape_is_known_before() -> None:
    dataset = open_dataset(PHOTOS)
    images = dataset.images()
    for split, pixels in zip(SPLITS, (images.train, images.test), strict=True):
        assert pixels.shape == dataset.shape(split) == (4000, 32, 32, 1)
        assert pixels.dtype == np.uint8


def test_the_classes_are_balanced_and_mixed() -> None:
    dataset = open_dataset(PHOTOS)
    for split in SPLITS:
        labels = dataset.labels(split)
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [200] * 20
        # in class order, 3,980 of 3,999 neighbours would have the same class
        assert (labels[1:] == labels[:-1]).mean() < 0.07


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_no_pixel_is_in_crops_of_both_splits(name: str) -> None:
    width, height = size(name)
    train, test = (drawn(list(crops(name, width, height, split, 0)), width, height) for split in SPLITS)
    assert train.sum() > 0
    assert test.sum() > 0
    assert not ((train > 0) & (test > 0)).any()


@pytest.mark.slow
@given(st.integers(96, 900), st.integers(192, 900), st.integers(0, 2**40))
def test_tiles_cover_a_photograph_once_and_crops_stay_within_them(short: int, long: int, seed: int) -> None:
    for width, height in ((short, long), (long, short)):
        assert (drawn([*tiles(width, height, "train"), *tiles(width, height, "test")], width, height) == 1).all()
        for split in SPLITS:
            of_split = tiles(width, height, split)
            found = list(crops("any", width, height, split, seed))
            assert len(found) == CROPS
            for box in found:
                side = box.right - box.left
                assert side == box.lower - box.upper
                assert 32 <= side <= 96
                assert any(
                    tile.left <= box.left and box.right <= tile.right and tile.upper <= box.upper <= box.lower
                    and box.lower <= tile.lower
                    for tile in of_split
                )  # fmt: skip


def test_sides_are_log_uniform() -> None:
    sides = np.array([box.right - box.left for seed in range(20) for box in crops("any", 400, 400, "train", seed)])
    shares = np.histogram(np.log(sides / 32) / np.log(3), bins=4, range=(0, 1))[0] / len(sides)
    np.testing.assert_allclose(shares, 0.25, atol=0.04)


def test_the_places_are_fixed() -> None:
    # they must not depend on the version of sweeper, NumPy or Python
    text = repr([tuple(box) for split in SPLITS for box in crops("coins.png", 384, 303, split, 0)])
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "f010a1a9d35abca030dd6d3151652c29b02fcc44c227e37a1b1eb2b60bcf1b0d"
    )


def test_an_image_is_the_mean_over_the_area_of_its_crop() -> None:
    name = "coins.png"
    images, labels = open_dataset(PHOTOS).images(), open_dataset(PHOTOS).labels("test")
    with Image.open(find_photograph(name)) as photograph:
        pixels = np.asarray(photograph.convert("L"), dtype=np.float64)
    box = next(box for box in crops(name, 384, 303, "test", 0) if box.right - box.left == 64)
    crop = pixels[box.upper : box.lower, box.left : box.right]
    expected = crop.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    ours = images.test[labels == list(PHOTOGRAPHS).index(name), :, :, 0]
    # Pillow rounds after each of its two passes, by at most 0.5
    assert np.abs(ours - expected).max(axis=(1, 2)).min() <= 1


@pytest.mark.slow
def test_the_images_depend_on_the_seed_alone() -> None:
    fingerprint = Photos(PhotosOptions()).images().fingerprint
    photos_module._pixels.cache_clear()
    assert Photos(PhotosOptions()).images().fingerprint == fingerprint
    other = open_dataset({**PHOTOS, "seed": 1})
    assert other.images().fingerprint != fingerprint
    assert (other.labels("train") == open_dataset(PHOTOS).labels("train")).all()


@pytest.mark.slow
def test_in_color_the_same_places_have_three_channels() -> None:
    gray, color = open_dataset(PHOTOS), open_dataset({**PHOTOS, "color": True})
    assert color.images().test.shape == color.shape("test") == (4000, 32, 32, 3)
    # the luma of ITU-R 601, up to the rounding of both
    luma = color.images().test @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - gray.images().test[..., 0]).max() < 2.5
    of_gray = color.labels("test") == list(PHOTOGRAPHS).index("brick.png")
    assert (np.ptp(color.images().test[of_gray], axis=-1) == 0).all()
    assert np.ptp(color.images().test[~of_gray], axis=-1).max() > 100


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="of scikit-image, but that is not installed; `pip install scikit-image`"):
        Photos(PhotosOptions())


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(photos_module, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=r"that has no data/astronaut\.png; `pip install scikit-image`"):
        Photos(PhotosOptions())


@pytest.mark.parametrize("options", [{"color": 3}, {"seed": -1}, {"sead": 1}])
def test_wrong_options_are_one_line(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^`dataset\.") as caught:
        open_dataset({**PHOTOS, **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
