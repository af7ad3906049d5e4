"""Splits: exact statistics, and equal images from every kind of storage."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.datasets.base import Images
from trainers.loop import train
from trainers.records import CriteriaSample, TrialConfig
from trainers.splits import Data, InMemory, in_order, pixel_statistics


@pytest.fixture
def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(
        train=rng.integers(0, 256, (64, 12, 12, 3), dtype=np.uint8),
        test=rng.integers(0, 256, (5, 12, 12, 3), dtype=np.uint8),
    )


def test_images_are_taken_by_their_indices(images: Images) -> None:
    split = InMemory(images.train, torch.device("cpu"))
    assert len(split) == 64
    assert split.shape == (64, 12, 12, 3)
    chosen = torch.tensor([9, 0, 9])
    np.testing.assert_array_equal(split.take(chosen).numpy(), images.train[[9, 0, 9]])
    assert [len(batch) for batch in in_order(split, 30)] == [30, 30, 4]
    np.testing.assert_array_equal(torch.cat(list(in_order(split, 30))).numpy(), images.train)


def test_statistics_are_exact_and_do_not_depend_on_the_batch(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    split = InMemory(images.train, torch.device("cpu"))
    whole = pixel_statistics(split)
    pixels = images.train.reshape(-1, 3).astype(np.float64) / 255
    torch.testing.assert_close(whole[0], torch.from_numpy(pixels.mean(0)).float(), rtol=1e-7, atol=0)
    torch.testing.assert_close(whole[1], torch.from_numpy(pixels.std(0, ddof=1)).float(), rtol=1e-7, atol=0)
    monkeypatch.setattr("trainers.splits.STATISTICS_BATCH", 7)
    assert all(torch.equal(a, b) for a, b in zip(whole, pixel_statistics(split), strict=True))


def test_the_fingerprint_is_of_every_pixel(images: Images) -> None:
    data = Data(images, "cpu")
    assert data.train.fingerprint == hashlib.blake2b(images.train.tobytes(), digest_size=16).hexdigest()
    both = images.train.tobytes() + images.test.tobytes()
    assert images.fingerprint == hashlib.blake2b(both, digest_size=16).hexdigest()
    other = images.test.copy()
    other[-1, -1, -1, -1] ^= 1
    assert Images(images.train, other).fingerprint != images.fingerprint


class OnDisk(InMemory):
    """A split that reads every image from a file when it is asked for."""

    root: Path

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self.file = self.root / f"{len(images)}.npy"
        np.save(self.file, images)
        self.device = device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return np.load(self.file, mmap_mode="r").shape  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.shape[0]

    def take(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.load(self.file, mmap_mode="r")[indices.cpu().numpy()]).to(self.device)


def test_training_does_not_ask_where_the_images_are(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrialConfig(
        method="simclr",
        dataset={"name": "given"},
        encoder={"name": "resnet", "width": 8, "blocks": 1, "stages": 1},
        epochs=1,
        batch_size=16,
        hyperparameters={"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd", "mask_ratio": 0.3},
        criteria_sample=CriteriaSample(images=16, views=2),
    )
    (expected,) = train(config, images=images)
    monkeypatch.setattr(OnDisk, "root", tmp_path, raising=False)
    monkeypatch.setattr("trainers.splits.InMemory", OnDisk)
    (report,) = train(config, images=images)
    assert (report.loss, report.criteria) == (expected.loss, expected.criteria)
