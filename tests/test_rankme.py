"""RankMe against SciPy's singular values in float64, against closed forms, and in known difficult cases."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.base import CHUNK_ROWS, Features, effective_rank
from trainers.criteria.rankme import rankme

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def reference(embeddings: Tensor, epsilon: float = 1e-7) -> float:
    """The definition, from singular values in float64."""
    singular = linalg.svdvals(embeddings.double().numpy())
    p = singular / singular.sum() + epsilon
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


def rotation(d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return linalg.qr(rng.normal(size=(d, d)))[0]


def embeddings_of(n: int, d: int, *, falling: float = 0.0, rank: int | None = None, seed: int = 0) -> Tensor:
    """Gaussian rows, float64, whose deviations fall as k^-falling along random axes, or stop after `rank`."""
    rng = np.random.default_rng(seed)
    k = np.arange(1, d + 1)
    scale = np.where(k <= (rank or d), 1.0 * k**-falling, 0)
    return torch.from_numpy(rng.normal(size=(n, d)) * scale @ rotation(d, rng))


# exactness


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "d"), [(1000, 64), (200, 200), (50, 300), (CHUNK_ROWS + 3, 20), (1, 5), (5, 1)])
def test_exact_for_every_shape_and_dtype(n: int, d: int, dtype: torch.dtype, device: str) -> None:
    embeddings = embeddings_of(n, d, falling=0.5).to(dtype)
    assert rankme(embeddings.to(device)) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [2.0**-1022, 2.0**-1030, 2.0**-1074, 1e-300, 1e300])
def test_the_smallest_and_the_largest_numbers_of_float64_have_the_same_value(scale: float, device: str) -> None:
    whole = torch.arange(1, 13, dtype=torch.float64).reshape(4, 3) ** 2
    assert rankme((whole * scale).to(device)) == pytest.approx(rankme(whole), rel=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("falling", [1.0, 2.0, 3.0, 5.0, 8.0])
@pytest.mark.parametrize(("n", "d"), [(500, 120), (80, 160)])
def test_exact_for_ill_conditioned_embeddings(n: int, d: int, falling: float, device: str) -> None:
    for embeddings in (embeddings_of(n, d, falling=falling), embeddings_of(n, d, falling=falling).float()):
        assert rankme(embeddings.to(device)) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rank", [1, 3, 8, 40])
@pytest.mark.parametrize(("n", "d"), [(300, 128), (100, 256), (CHUNK_ROWS + 300, 64)])
def test_exact_for_exactly_rank_deficient_embeddings(n: int, d: int, rank: int, device: str) -> None:
    for embeddings in (embeddings_of(n, d, rank=rank), embeddings_of(n, d, rank=rank).float()):
        assert rankme(embeddings.to(device)) == pytest.approx(reference(embeddings), rel=1e-6)


def test_exact_for_copied_and_dead_dimensions() -> None:
    embeddings = embeddings_of(300, 40).float()
    doubled = torch.cat((embeddings, embeddings, torch.zeros(300, 30)), dim=1)
    assert rankme(doubled) == pytest.approx(reference(doubled), rel=1e-6)
    assert rankme(doubled, epsilon=0.0) == pytest.approx(rankme(embeddings, epsilon=0.0), rel=1e-6)


@pytest.mark.parametrize("offset", [1.0, 1e2, 1e4])
def test_exact_with_an_offset(offset: float) -> None:
    embeddings = (embeddings_of(400, 50) + offset).float()
    assert rankme(embeddings) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-38, 1e-20, 1e20, 1e38, 1e300])
def test_the_scale_does_not_matter(scale: float) -> None:
    embeddings = embeddings_of(100, 10, falling=1.0)
    assert rankme(embeddings * scale) == pytest.approx(rankme(embeddings), rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 1e-7, 1e-5, 1e-2])
def test_epsilon_means_what_it_says(epsilon: float) -> None:
    for embeddings in (embeddings_of(100, 30, falling=1.0), embeddings_of(30, 100, rank=5)):
        assert rankme(embeddings, epsilon=epsilon) == pytest.approx(reference(embeddings, epsilon), rel=1e-6)


# closed forms and known traps


def test_singular_values_are_neither_squared_nor_centred() -> None:
    assert rankme(torch.diag(torch.tensor([2.0, 1.0, 1.0])), epsilon=0.0) == pytest.approx(2 * math.sqrt(2), rel=1e-12)
    offset = torch.tensor([[3.0, 4.0]]).repeat(10, 1)
    assert rankme(offset, epsilon=0.0) == pytest.approx(1, rel=1e-7)
    crossed = torch.cat((torch.eye(5), -torch.eye(5))).double()
    assert rankme(crossed, epsilon=0.0) == pytest.approx(5, rel=1e-12)


def test_epsilon_comes_after_the_division_and_nothing_is_divided_again() -> None:
    p = 1 / 6 + 1e-3
    assert rankme(torch.eye(6), epsilon=1e-3) == pytest.approx(math.exp(-6 * p * math.log(p)), rel=1e-9)


def test_a_low_rank_in_a_wide_space_keeps_its_value() -> None:
    embeddings = torch.zeros(600, 512)
    embeddings[:8, :8] = torch.eye(8)
    for epsilon in (1e-7, 1e-5):
        p, rest = 1 / 8 + epsilon, epsilon
        expected = math.exp(-8 * p * math.log(p) - 504 * rest * math.log(rest))
        assert rankme(embeddings, epsilon=epsilon) == pytest.approx(expected, rel=1e-9)
    # with a larger epsilon the empty dimensions of a wide space count for two
    assert effective_rank(torch.ones(8), size=2048, epsilon=1e-7) == pytest.approx(8.0, abs=0.03)
    assert effective_rank(torch.ones(8), size=2048, epsilon=1e-5) == pytest.approx(10.1, abs=0.05)


def test_the_value_of_a_spectrum_that_falls_as_one_over_the_rank() -> None:
    rng = np.random.default_rng(0)
    embeddings = torch.from_numpy(rng.normal(size=(10_000, 256)) * np.arange(1, 257) ** -0.5)
    assert rankme(embeddings, epsilon=0.0) == pytest.approx(208.05, abs=0.2)
    assert rankme(embeddings) == pytest.approx(208.08, abs=0.2)
    assert rankme(embeddings, epsilon=1e-5) == pytest.approx(210.57, abs=0.2)


def test_rotations_and_the_order_of_rows_do_not_change_it() -> None:
    embeddings = embeddings_of(200, 30, falling=1.0)
    turned = embeddings[torch.randperm(200)] @ torch.from_numpy(rotation(30, np.random.default_rng(1)))
    assert rankme(turned) == pytest.approx(rankme(embeddings), rel=1e-9)


def test_it_sees_a_collapse_onto_a_point() -> None:
    cloud = 1 + 1e-4 * torch.randn(1000, 64, generator=torch.Generator().manual_seed(0))
    assert rankme(cloud) == pytest.approx(1.01, abs=0.02)


# what cannot be computed, and what is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_not_finite_in_is_nan_out(bad: float, dtype: torch.dtype) -> None:
    embeddings = embeddings_of(20, 6).to(dtype)
    embeddings[13, 5] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(rankme(embeddings))


def test_all_zero_has_no_value_and_one_point_scores_one() -> None:
    assert math.isnan(rankme(torch.zeros(10, 4)))
    assert rankme(torch.full((10, 4), 0.3), epsilon=0.0) == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10,), r"must have shape \(n, d\), but got \(10,\)"),
        ((2, 3, 4), r"must have shape \(n, d\)"),
        ((4, 0), "d >= 1"),
    ],
)
def test_wrong_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rankme(torch.zeros(shape))


def test_wrong_types_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be floating-point, but got torch.int32"):
        rankme(torch.zeros(4, 4, dtype=torch.int32))
    with pytest.raises(ValueError, match=r"`epsilon` must be at least 0, but got -0.1"):
        rankme(torch.rand(4, 4), epsilon=-0.1)


def test_the_embeddings_are_left_alone_and_need_no_gradient() -> None:
    embeddings = embeddings_of(20, 6).float()
    before = embeddings.clone()
    value = rankme(embeddings)
    assert torch.equal(embeddings, before)
    assert rankme(embeddings.clone().requires_grad_()) == value
    with torch.inference_mode():
        assert rankme(embeddings * 1) == value
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rankme(embeddings) == value


def test_the_catalogue_measures_the_clean_images_and_records_how_many() -> None:
    criterion = CRITERIA["rankme"]
    clean = embeddings_of(40, 8)
    views = torch.zeros(40, 5, 8, dtype=torch.float64)
    assert criterion.function is not None
    assert criterion.function(Features(views=views, clean=clean)) == rankme(clean, epsilon=1e-7)
    assert criterion.record(40, 5) == {"rankme_n": 40}
