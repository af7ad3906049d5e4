"""LiDAR's family without its noise floor, against NumPy and SciPy in float64, closed forms and simulated noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.criteria.lidar import DELTA, lda_information, lda_trace, lidar, lidar_debiased

CORRECTED = (lidar_debiased, lda_information, lda_trace)


def simulated(n: int, q: int, d: int, rank: int, noise: float = 1.0, seed: int = 0) -> Tensor:
    """(n, q, d), float64: class means in `rank` random directions, and noise of standard deviation `noise`."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q[:rank]
    means = torch.randn(n, 1, rank, generator=generator, dtype=torch.float64) @ directions
    return means + noise * torch.randn(n, q, d, generator=generator, dtype=torch.float64)


def reference(embeddings: Tensor, delta: float) -> NDArray[np.float64]:
    """The corrected eigenvalues, from SciPy's inverse square root and loops over classes."""
    array = embeddings.double().numpy()
    n, q, d = array.shape
    means = array.mean(axis=1)
    between = np.cov(means.T).reshape(d, d)
    within = sum((row - mean).T @ (row - mean) for row, mean in zip(array, means, strict=True)) / (n * (q - 1))
    root = np.linalg.inv(scipy.linalg.sqrtm(within + delta * np.eye(d)).real)
    eigenvalues: NDArray[np.float64] = np.linalg.eigvalsh(root @ (between - within / q) @ root).clip(min=0)
    return eigenvalues


@pytest.mark.parametrize("shape", [(60, 5, 12, 4), (20, 3, 32, 6), (200, 10, 8, 8)], ids=str)
@pytest.mark.parametrize("delta", [DELTA, 0.3])
def test_they_equal_scipy(shape: tuple[int, int, int, int], delta: float) -> None:
    embeddings = simulated(*shape)
    values = reference(embeddings, delta)
    p = values / values.sum() + 1e-8
    assert lidar_debiased(embeddings, delta=delta) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-9)
    assert lda_information(embeddings, delta=delta) == pytest.approx(np.log1p(values).sum() / 2, rel=1e-9)
    assert lda_trace(embeddings, delta=delta) == pytest.approx(values.sum(), rel=1e-9)


@pytest.mark.parametrize("function", CORRECTED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_precision_of_the_input_is_that_of_its_numbers(function: Callable[..., float], dtype: torch.dtype) -> None:
    embeddings = simulated(100, 6, 16, 5).to(dtype)
    assert function(embeddings) == pytest.approx(function(embeddings.double()), rel=1e-5)


@pytest.mark.parametrize("function", CORRECTED)
def test_they_do_not_depend_on_offset_or_rotation(function: Callable[..., float]) -> None:
    embeddings = simulated(100, 6, 16, 5)
    rotation = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q
    assert function(embeddings @ rotation + 3.0) == pytest.approx(function(embeddings), rel=1e-9)


def test_without_correction_the_rank_depends_on_the_number_of_views() -> None:
    """True rank 4 in 64 dimensions: LiDAR counts the noise, the corrected one comes near 4."""
    plain = [lidar(simulated(1000, q, 64, rank=4, noise=0.3)) for q in (5, 50)]
    corrected = [lidar_debiased(simulated(1000, q, 64, rank=4, noise=0.3)) for q in (5, 50)]
    assert plain[0] > 1.5 * plain[1]
    assert corrected == pytest.approx([4.0, 4.0], abs=1.0)
    assert abs(corrected[0] - corrected[1]) < 0.3 * (plain[0] - plain[1])


def test_views_without_information_have_almost_none() -> None:
    noise = simulated(500, 10, 64, rank=0)
    assert lidar(noise) == pytest.approx(59, abs=2)
    assert lidar_debiased(noise) == pytest.approx(24, abs=4)
    assert lda_information(noise) == pytest.approx(0.5, abs=0.15)
    assert lda_information(simulated(500, 10, 64, rank=16)) > 10 * lda_information(noise)


def test_the_information_is_that_of_a_gaussian_channel() -> None:
    """Of a scalar with signal variance s and noise variance 1: ½ ln(1 + s)."""
    embeddings = simulated(20_000, 4, 1, rank=1)
    assert lda_information(embeddings) == pytest.approx(math.log(2) / 2, abs=0.02)
    assert lda_trace(embeddings) == pytest.approx(1.0, abs=0.05)


def test_a_point_has_no_information_and_no_rank() -> None:
    point = torch.full((10, 4, 3), 0.25)
    assert lda_information(point) == 0.0
    assert lda_trace(point) == 0.0
    assert math.isnan(lidar_debiased(point))


@pytest.mark.parametrize("function", CORRECTED)
def test_what_cannot_be_computed_is_nan(function: Callable[..., float]) -> None:
    embeddings = simulated(10, 4, 3, rank=2)
    embeddings[0, 0, 0] = math.inf
    assert math.isnan(function(embeddings))
    with pytest.raises(ValueError, match=r"must have shape \(n, q, d\)"):
        function(torch.ones(3, 4))
    with pytest.raises(ValueError, match="`delta` must be at least 0"):
        function(torch.ones(3, 2, 2), delta=-1.0)
