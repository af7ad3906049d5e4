"""LiDAR's relatives against SciPy in float64, against closed forms, and on simulated noise and ranks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import linalg
from test_lidar import crossed, rotation, views_of
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.criteria.discriminant import Discriminant, discriminant
from trainers.criteria.lidar import lda_information, lda_trace, lidar, lidar_debiased, noise

FAMILY = ("lidar", "lidar_debiased", "lda_information", "lda_trace")
CORRECTED = (lidar_debiased, lda_information, lda_trace)


def corrected(embeddings: Tensor, delta: float = 1e-4) -> NDArray[np.float64]:
    """λ′ from symmetric square roots in float64; the within-class covariance is summed class by class."""
    views: NDArray[np.float64] = embeddings.double().numpy()
    _, q, d = views.shape
    views = views - views[0, 0]
    within = np.mean([np.cov(of_class.T, ddof=1).reshape(d, d) for of_class in views], axis=0)
    between = np.cov(views.mean(axis=1).T, ddof=1).reshape(d, d) - within / q
    values, vectors = linalg.eigh(within + delta * np.eye(d))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    return np.asarray(linalg.eigvalsh(root @ between @ root).clip(0))


def debiased_of(values: NDArray[np.float64], epsilon: float = 1e-8) -> float:
    p = values / values.sum() + epsilon
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("n", "q", "d"), [(200, 10, 32), (900, 10, 64), (300, 2, 20), (40, 5, 90), (32, 4, 32), (4, 2, 1)]
)
def test_exact_for_every_shape_and_dtype(n: int, q: int, d: int, dtype: torch.dtype) -> None:
    embeddings = views_of(n, q, d, between=1.0).to(dtype)
    expected = corrected(embeddings)
    assert lidar_debiased(embeddings) == pytest.approx(debiased_of(expected), rel=1e-5)
    assert lda_information(embeddings) == pytest.approx(np.log1p(expected).sum() / 2, rel=1e-6)
    assert lda_trace(embeddings) == pytest.approx(expected.sum(), rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_exact_for_random_shapes_spectra_and_scales(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, q, d = int(rng.integers(3, 200)), int(rng.integers(2, 12)), int(rng.integers(1, 60))
    between, within, noise = rng.uniform(0, 4), rng.uniform(0, 3), 10 ** rng.uniform(-3, 1)
    embeddings = views_of(n, q, d, between=between, within=within, noise=noise, seed=seed)
    embeddings = (embeddings * 10 ** rng.uniform(-2, 3)).float()
    delta = float(10 ** rng.uniform(-6, 0))
    expected = corrected(embeddings, delta)
    assert lidar_debiased(embeddings, delta=delta) == pytest.approx(debiased_of(expected), rel=1e-5)
    assert lda_information(embeddings, delta=delta) == pytest.approx(np.log1p(expected).sum() / 2, rel=1e-5, abs=1e-9)
    assert lda_trace(embeddings, delta=delta) == pytest.approx(expected.sum(), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("d", [2, 7, 30])
def test_closed_form_where_all_eigenvalues_are_the_same(d: int) -> None:
    # 2d classes on the axes with views at ±0.1: Σ_b = 2/(2d - 1)·I and Σ_w = 0.02·2d/(2d(2d - 1))·I, of q = 2d views
    embeddings = crossed(d, 0.1)
    within, q = 0.02 / (2 * d - 1), 2 * d
    value = (2 / (2 * d - 1) - within / q) / within
    assert lidar_debiased(embeddings, delta=0.0, epsilon=0.0) == pytest.approx(d, rel=1e-12)
    assert lda_information(embeddings, delta=0.0) == pytest.approx(d / 2 * math.log1p(value), rel=1e-9)
    assert lda_trace(embeddings, delta=0.0) == pytest.approx(d * value, rel=1e-9)
    assert noise(discriminant(embeddings, delta=0.0)) == pytest.approx(1 / q / (value + 1 / q), rel=1e-9)


def test_two_views_of_one_dimension_are_the_one_way_analysis_of_variance() -> None:
    embeddings = torch.tensor([[[0.0], [2.0]], [[10.0], [12.0]], [[20.0], [22.0]]]).double()
    # Σ_b = 100, Σ_w = 2, so λ′ = (100 - 2/2)/2
    assert lda_trace(embeddings, delta=0.0) == pytest.approx(49.5, rel=1e-12)
    assert lda_information(embeddings, delta=0.0) == pytest.approx(math.log(50.5) / 2, rel=1e-12)


def test_rotations_offsets_and_orders_do_not_change_them() -> None:
    embeddings = views_of(150, 6, 20, between=1.0)
    turned = embeddings @ torch.from_numpy(rotation(20, np.random.default_rng(1))) - 5
    turned = turned[torch.randperm(150)][:, torch.randperm(6)]
    for function in CORRECTED:
        assert function(turned) == pytest.approx(function(embeddings), rel=1e-9)


def test_without_delta_no_linear_map_changes_them() -> None:
    embeddings = views_of(150, 6, 20, between=1.0)
    mixed = embeddings @ torch.from_numpy(np.random.default_rng(1).normal(size=(20, 20))) + 3
    for function in CORRECTED:
        assert function(mixed, delta=0.0) == pytest.approx(function(embeddings, delta=0.0), rel=1e-8)


# simulated figures


def test_pure_noise_scores_almost_the_width_and_the_corrected_criteria_have_a_floor_of_their_own() -> None:
    embeddings = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 10, 64)))
    assert lidar(embeddings) == pytest.approx(59.5, abs=1)
    assert lidar_debiased(embeddings) == pytest.approx(24, abs=1.5)
    assert lda_information(embeddings) == pytest.approx(0.5, abs=0.1)
    assert noise(discriminant(embeddings)) == pytest.approx(0.83, abs=0.05)


@pytest.mark.parametrize(
    ("rank", "noise", "q", "plain", "debiased"),
    [
        (4, 1 / 2.9, 5, 13.5, 5.4),
        (4, 1 / 2.9, 10, 9.0, 4.7),
        (4, 1 / 2.9, 50, 5.0, 4.1),
        (16, 2.0, 5, 55, 25),
        (16, 2.0, 10, 50, 22),
        (16, 2.0, 50, 30, 18),
    ],
)
def test_a_true_rank_is_found_with_fewer_views(rank: int, noise: float, q: int, plain: float, debiased: float) -> None:
    embeddings = views_of(500, q, 64, rank=rank, noise=noise)
    assert lidar(embeddings) == pytest.approx(plain, rel=0.05)
    assert lidar_debiased(embeddings) == pytest.approx(debiased, rel=0.05)


def test_the_trace_and_the_information_approach_those_of_the_simulation() -> None:
    # between classes 1 in 4 dimensions, within them 0.3² in all: λ = 1/0.09 four times
    embeddings = views_of(4000, 50, 16, rank=4, noise=0.3)
    assert lda_trace(embeddings) == pytest.approx(4 / 0.09, rel=0.06)
    assert lda_information(embeddings) == pytest.approx(2 * math.log(1 + 1 / 0.09), rel=0.03)


def test_the_information_is_that_of_a_gaussian_channel() -> None:
    # of a scalar with signal variance 1 and noise variance 1: ½ ln 2
    embeddings = views_of(20_000, 4, 1, noise=1.0)
    assert lda_information(embeddings) == pytest.approx(math.log(2) / 2, abs=0.02)
    assert lda_trace(embeddings) == pytest.approx(1.0, abs=0.05)


# collapse, and what cannot be computed


def test_a_collapse_onto_a_point() -> None:
    cloud = views_of(300, 10, 32, rank=4)
    for scale, share in ((1e-1, 0.9), (1e-6, 1e-6)):  # above √delta the point is not seen, far below it is
        assert lda_information(1 + scale * cloud) == pytest.approx(share * lda_information(cloud), rel=0.3, abs=1e-4)
    assert lidar_debiased(1 + 1e-6 * cloud) > 3
    point = torch.full((30, 7, 5), 0.1)
    assert lda_information(point) == lda_trace(point) == 0
    assert math.isnan(lidar_debiased(point))
    assert math.isnan(noise(discriminant(point)))


def test_a_collapse_onto_a_line() -> None:
    line = views_of(300, 10, 1) * torch.ones(32, dtype=torch.float64)
    assert lidar_debiased(line) == pytest.approx(1, abs=1e-3)
    value = corrected(line).max()
    assert lda_trace(line) == pytest.approx(value, rel=1e-9)
    assert lda_information(line) == pytest.approx(math.log1p(value) / 2, rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_in_is_nan_out(bad: float) -> None:
    embeddings = views_of(20, 4, 6).float()
    embeddings[13, 2, 5] = bad
    for function in CORRECTED:
        assert math.isnan(function(embeddings))
    assert math.isnan(noise(discriminant(embeddings)))


def test_wrong_shapes_and_settings_are_refused() -> None:
    for function in CORRECTED:
        with pytest.raises(ValueError, match=r"must have shape \(n, q, d\), but got \(10, 4\)"):
            function(torch.zeros(10, 4))
        with pytest.raises(ValueError, match="must have q >= 2, but got 1"):
            function(torch.zeros(10, 1, 4))
        with pytest.raises(ValueError, match="`delta` must be at least 0, but got -1"):
            function(torch.rand(4, 4, 4), delta=-1)
    with pytest.raises(ValueError, match="`epsilon` must be at least 0, but got -1"):
        lidar_debiased(torch.rand(4, 4, 4), epsilon=-1)


# the catalogue


def test_the_family_shares_one_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    views = views_of(40, 5, 8)
    functions = dict(zip(FAMILY, (lidar, *CORRECTED), strict=True))
    expected = {name: function(views) for name, function in functions.items()}
    calls: list[Tensor] = []

    def counted(embeddings: Tensor) -> Discriminant | None:
        calls.append(embeddings)
        return discriminant(embeddings)

    monkeypatch.setattr("trainers.criteria.discriminant.discriminant", counted)
    layers = {layer: Features(views, views.mean(1)) for layer in ("representation", "embedding")}
    for name in FAMILY:
        measured = CRITERIA[name].measure(layers, "simclr")
        assert measured[name] == measured[f"{name}.embedding"] == expected[name]
        assert ("lidar_noise" in measured) == (name == "lidar")
    assert len(calls) == 2


@pytest.mark.parametrize("method", ["simclr", "dino", "vicreg", "ijepa"])
def test_the_layers_of_the_family(method: str) -> None:
    assert CRITERIA["lidar_debiased"].layer_of(method) == CRITERIA["lidar"].layer_of(method)
    assert CRITERIA["lda_information"].layer_of(method) == CRITERIA["lda_trace"].layer_of(method) == "representation"
