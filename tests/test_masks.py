"""Masking: the number of kept patches, their choice, and the image without the others."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from trainers.masks import fill_masked, keep_random


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("patches", "mask_ratio", "kept"), [(16, 0.0, 16), (16, 0.75, 4), (16, 0.99, 1), (64, 0.6, 26), (1, 0.5, 1)]
)
def test_the_kept_are_as_many_as_the_ratio_says(patches: int, mask_ratio: float, kept: int) -> None:
    indices = keep_random(5, patches, mask_ratio, seeded())
    assert indices.shape == (5, kept)
    assert indices.dtype == torch.int64
    assert ((indices >= 0) & (indices < patches)).all()
    assert (indices[:, 1:] > indices[:, :-1]).all()  # rising, so none twice


def test_every_subset_is_as_likely() -> None:
    indices = keep_random(6000, 5, 0.6, seeded())
    _, counts = indices.unique(dim=0, return_counts=True)
    assert len(counts) == 10  # 5 choose 2
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_the_same_seed_keeps_the_same() -> None:
    assert torch.equal(keep_random(8, 49, 0.5, seeded()), keep_random(8, 49, 0.5, seeded()))
    assert not torch.equal(keep_random(8, 49, 0.5, seeded()), keep_random(8, 49, 0.5, seeded(1)))


@pytest.mark.parametrize("mask_ratio", [1.0, -0.1, float("nan")])
def test_impossible_ratios_are_refused(mask_ratio: float) -> None:
    with pytest.raises(ValueError, match=r"`mask_ratio` must be in \[0, 1\), but got"):
        keep_random(2, 4, mask_ratio, seeded())


def test_no_patches_are_refused() -> None:
    with pytest.raises(ValueError, match="`patches` must be at least 1, but got 0"):
        keep_random(2, 0, 0.5, seeded())


def test_filling_leaves_kept_patches_and_nothing_else() -> None:
    images = torch.rand(6, 3, 12, 20, generator=seeded())
    kept = keep_random(6, 15, 0.4, seeded())
    filled = fill_masked(images, kept, patch=4, value=-7.0)
    for image, original, indices in zip(filled, images, kept.tolist(), strict=True):
        for patch in range(15):
            rows, columns = slice(patch // 5 * 4, patch // 5 * 4 + 4), slice(patch % 5 * 4, patch % 5 * 4 + 4)
            if patch in indices:
                assert torch.equal(image[:, rows, columns], original[:, rows, columns])
            else:
                assert (image[:, rows, columns] == -7.0).all()


def test_keeping_all_changes_nothing() -> None:
    images = torch.rand(2, 1, 8, 8, generator=seeded())
    assert torch.equal(fill_masked(images, keep_random(2, 16, 0.0, seeded()), patch=2), images)


def test_gradients_flow_through_kept_pixels_only() -> None:
    images = torch.rand(1, 1, 4, 4, requires_grad=True)
    fill_masked(images, torch.tensor([[0]]), patch=2).sum().backward()
    assert images.grad is not None
    assert images.grad[0, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_patches_that_do_not_divide_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="`patch` must divide the image's 28×28 pixels, but got 8"):
        fill_masked(torch.rand(1, 1, 28, 28), torch.tensor([[0]]), patch=8)
