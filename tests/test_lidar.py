"""LiDAR against SciPy's generalised eigenvalues in float64, against closed forms, and in known difficult cases."""

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
from trainers.criteria.base import CHUNK_ROWS, Features
from trainers.criteria.lidar import lidar
from trainers.records import TRIAL_COLUMNS, names_of

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def reference(embeddings: Tensor, delta: float = 1e-4, epsilon: float = 1e-8) -> float:
    """The definition, from generalised eigenvalues Σ_b v = λ Σ_w v in float64."""
    views: NDArray[np.float64] = embeddings.double().numpy()
    n, q, d = views.shape
    views = views - views[0, 0]
    means = views.mean(axis=1)
    rows = (views - means[:, None]).reshape(-1, d)
    within = rows.T @ rows / (n * (q - 1)) + delta * np.eye(d)
    centred = means - means.mean(axis=0)
    eigenvalues = linalg.eigh(centred.T @ centred / (n - 1), within, eigvals_only=True).clip(0)
    p = eigenvalues / eigenvalues.sum() + epsilon
    return float(np.exp(-(p[p > 0] * np.log(p[p > 0])).sum()))


def rotation(d: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return linalg.qr(rng.normal(size=(d, d)))[0]


def views_of(
    n: int,
    q: int,
    d: int,
    *,
    between: float = 0.0,
    within: float = 0.0,
    noise: float = 0.3,
    rank: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Gaussian classes, float64; variances fall as k^-between and k^-within along unlike axes, or stop after `rank`."""
    rng = np.random.default_rng(seed)
    k = np.arange(1, d + 1)
    centres = rng.normal(size=(n, 1, d)) * np.where(k <= (rank or d), k ** (-between / 2), 0) @ rotation(d, rng)
    spread = noise * rng.normal(size=(n, q, d)) * k ** (-within / 2) @ rotation(d, rng)
    return torch.from_numpy(centres + spread)


# exactness


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("n", "q", "d"), [(200, 10, 32), (1000, 10, 128), (300, 2, 64), (50, 5, 200), (33, 4, 32), (32, 4, 32), (2, 2, 3)]
)
def test_exact_for_every_shape_and_dtype(n: int, q: int, d: int, dtype: torch.dtype, device: str) -> None:
    embeddings = views_of(n, q, d, between=1.0).to(dtype)
    assert lidar(embeddings.to(device)) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("within", [1.0, 2.0, 3.0, 4.0, 6.0])
@pytest.mark.parametrize(("n", "q", "d"), [(300, 10, 64), (60, 10, 160)])
def test_exact_where_the_within_class_spectrum_falls(
    n: int, q: int, d: int, within: float, scale: float, device: str
) -> None:
    embeddings = (views_of(n, q, d, between=within, within=within) * scale).float()
    assert lidar(embeddings.to(device)) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("seed", range(100))
def test_exact_for_random_shapes_spectra_and_scales(seed: int) -> None:
    # most of these are near the condition number up to which products are in float32
    rng = np.random.default_rng(seed)
    n, q, d = int(rng.integers(2, 300)), int(rng.integers(2, 12)), int(rng.integers(1, 100))
    falls = {"between": rng.uniform(0, 4), "within": rng.uniform(0, 1.5), "noise": 10 ** rng.uniform(-3, 1)}
    embeddings = (views_of(n, q, d, **falls, seed=seed) * 10 ** rng.uniform(-2, 3)).float()
    assert lidar(embeddings) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("rank", [1, 4, 16])
@pytest.mark.parametrize("noise", [1e-6, 1e-3, 0.3])
def test_exact_when_classes_have_collapsed_onto_few_dimensions(rank: int, noise: float) -> None:
    embeddings = views_of(200, 8, 48, rank=rank, noise=noise).float()
    assert lidar(embeddings) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_exact_when_views_and_classes_share_one_subspace(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(0)
    inside = views_of(100, 6, 5).numpy() @ rng.normal(size=(5, 40))
    embeddings = torch.from_numpy(inside).to(dtype)
    assert lidar(embeddings) == pytest.approx(reference(embeddings), rel=2e-5)


@pytest.mark.parametrize("offset", [1.0, 1e2, 1e4])
def test_a_common_offset_costs_no_exactness(offset: float) -> None:
    embeddings = (views_of(200, 10, 32, between=1.0) + offset).float()
    assert lidar(embeddings) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-14, 1e14, 1e18])
def test_extreme_scales_neither_overflow_nor_vanish(scale: float) -> None:
    embeddings = (views_of(100, 5, 12) * scale).float()
    delta = 1e-4 * scale**2
    assert lidar(embeddings, delta=delta) == pytest.approx(reference(embeddings, delta), rel=1e-6)


@pytest.mark.parametrize(("n", "q"), [(3, CHUNK_ROWS + 5), (CHUNK_ROWS // 10 + 1, 10), (CHUNK_ROWS * 2, 2)])
def test_chunks_hold_whole_classes_and_add_up(n: int, q: int) -> None:
    embeddings = views_of(n, q, 6).float()
    assert lidar(embeddings) == pytest.approx(reference(embeddings), rel=1e-6)


@pytest.mark.parametrize("delta", [0.0, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("epsilon", [0.0, 1e-8, 1e-3])
@pytest.mark.parametrize(("n", "d"), [(80, 20), (20, 80)])
def test_settings_mean_what_they_say(delta: float, epsilon: float, n: int, d: int) -> None:
    # with fewer classes than dimensions, each eigenvalue that is not computed still has p = epsilon
    embeddings = views_of(n, 6, d, within=2.0).float()
    ours = lidar(embeddings, delta=delta, epsilon=epsilon)
    assert ours == pytest.approx(reference(embeddings, delta, epsilon), rel=1e-6)


# closed forms and properties


def crossed(d: int, within: float) -> Tensor:
    """2d classes on the axes, whose views spread alike in all directions: every eigenvalue is the same."""
    centres = torch.cat((torch.eye(d), -torch.eye(d))).double()
    spread = torch.cat((torch.eye(d), -torch.eye(d))).double() * within
    return centres[:, None] + spread


@pytest.mark.parametrize("d", [2, 7, 30])
def test_equal_eigenvalues_score_the_dimension(d: int) -> None:
    assert lidar(crossed(d, 0.1), epsilon=0.0) == pytest.approx(d, rel=1e-12)
    p = 1 / d + 1e-3  # epsilon is added after the division and nothing is divided again
    assert lidar(crossed(d, 0.1), epsilon=1e-3) == pytest.approx(math.exp(-d * p * math.log(p)), rel=1e-12)


def test_delta_regularises_within_classes_only() -> None:
    # Σ_b is diag(2, 8)/3 and Σ_w isotropic: the eigenvalues are as 1 to 4, however large the isotropic δI
    centres = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]).double()
    views = centres[:, None] + 0.1 * torch.cat((torch.eye(2), -torch.eye(2)))
    expected = math.exp(-(0.2 * math.log(0.2) + 0.8 * math.log(0.8)))
    for delta in (0.0, 1e-4, 10.0):
        assert lidar(views, delta=delta, epsilon=0.0) == pytest.approx(expected, rel=1e-9)


def test_at_most_the_number_of_classes_less_one() -> None:
    assert lidar(views_of(5, 4, 40), epsilon=0.0) < 4
    assert lidar(views_of(2, 4, 40), epsilon=0.0) == pytest.approx(1, rel=1e-9)


def test_without_delta_no_linear_map_changes_it() -> None:
    embeddings = views_of(150, 6, 20, between=1.0)
    mixed = embeddings @ torch.from_numpy(np.random.default_rng(1).normal(size=(20, 20))) + 3
    assert lidar(mixed, delta=0.0) == pytest.approx(lidar(embeddings, delta=0.0), rel=1e-8)


def test_rotations_and_offsets_do_not_change_it() -> None:
    embeddings = views_of(150, 6, 20, between=1.0)
    turned = embeddings @ torch.from_numpy(rotation(20, np.random.default_rng(1))) - 5
    assert lidar(turned) == pytest.approx(lidar(embeddings), rel=1e-9)


def test_the_order_of_images_and_views_does_not_matter_but_their_grouping_does() -> None:
    embeddings = views_of(200, 6, 32, rank=4, noise=0.1).float()
    images, views = torch.randperm(200), torch.randperm(6)
    assert lidar(embeddings[images][:, views]) == pytest.approx(lidar(embeddings), rel=1e-6)
    shuffled = embeddings.flatten(0, 1)[torch.randperm(1200)].view(200, 6, 32)
    assert lidar(shuffled) > 2 * lidar(embeddings)


@pytest.mark.parametrize("rank", [2, 8, 24])
def test_it_sees_the_rank_of_the_classes(rank: int) -> None:
    assert lidar(views_of(1000, 10, 64, rank=rank, noise=0.02)) == pytest.approx(rank, rel=0.05)


def test_it_is_blind_to_a_collapse_onto_a_point() -> None:
    cloud = 1 + 1e-4 * torch.randn(1000, 10, 64, generator=torch.Generator().manual_seed(0))
    assert lidar(cloud) > 55


# what cannot be computed, and what is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_not_finite_in_is_nan_out(bad: float, dtype: torch.dtype) -> None:
    embeddings = views_of(20, 4, 6).to(dtype)
    embeddings[13, 2, 5] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(lidar(embeddings))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e4])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_one_point_has_no_value(value: float, dtype: torch.dtype) -> None:
    assert math.isnan(lidar(torch.full((30, 7, 5), value, dtype=dtype)))


def test_without_delta_dead_dimensions_have_no_value() -> None:
    embeddings = views_of(30, 4, 6)
    embeddings[..., 2] = 1.0
    assert math.isnan(lidar(embeddings, delta=0.0))
    assert math.isfinite(lidar(embeddings))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10, 4), r"must have shape \(n, q, d\), but got \(10, 4\)"),
        ((2, 10, 4, 1), r"must have shape \(n, q, d\)"),
        ((1, 4, 6), "must have n >= 2, but got 1"),
        ((10, 1, 6), "must have q >= 2, but got 1"),
        ((10, 4, 0), "must have d >= 1, but got 0"),
    ],
)
def test_wrong_shapes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lidar(torch.zeros(shape))


def test_wrong_types_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be floating-point, but got torch.int64"):
        lidar(torch.zeros(4, 4, 4, dtype=torch.int64))
    for setting in ("delta", "epsilon"):
        for value in (-1e-9, math.nan):
            with pytest.raises(ValueError, match=f"`{setting}` must be at least 0, but got"):
                lidar(torch.rand(4, 4, 4), **{setting: value})


def test_the_embeddings_are_left_alone_and_need_no_gradient() -> None:
    embeddings = views_of(20, 4, 6).float()
    before = embeddings.clone()
    value = lidar(embeddings)
    assert torch.equal(embeddings, before)
    assert lidar(embeddings.clone().requires_grad_()) == value
    with torch.inference_mode():
        assert lidar(embeddings * 1) == value
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert lidar(embeddings) == value
    strided = torch.stack((embeddings, embeddings), dim=-1)[..., 0]
    assert lidar(strided) == value


# the catalogue


def test_the_catalogue_measures_the_views_and_records_the_settings() -> None:
    criterion = CRITERIA["lidar"]
    views = views_of(40, 5, 8)
    clean = torch.zeros(40, 8, dtype=torch.float64)
    assert criterion.function is not None
    assert criterion.function(Features(views=views, clean=clean)) == lidar(views, delta=1e-4, epsilon=1e-8)
    recorded = criterion.record(40, 5)
    assert recorded == {"lidar_n": 40, "lidar_q": 5, "lidar_delta": 1e-4, "lidar_epsilon": 1e-8}


def test_every_criterion_says_what_it_is() -> None:
    for name, criterion in CRITERIA.items():
        assert criterion.name == name
        assert criterion.label
        assert isinstance(criterion.higher_is_better, bool)
        recorded = criterion.record(2, 2)
        assert all(column.startswith(f"{name}_") for column in recorded)
        assert not set(recorded) & set(names_of(TRIAL_COLUMNS))


@pytest.mark.parametrize(
    ("method", "lidar_layer", "rankme_layer"),
    [
        ("simclr", "embedding", "embedding"),
        ("dino", "embedding", "embedding"),
        ("ijepa", "representation", "representation"),
        ("data2vec", "representation", "representation"),
        ("vicreg", "representation", "embedding"),
        ("vicreg_logdet", "representation", "embedding"),
        ("vicreg_pairdist", "representation", "embedding"),
        ("byol_logdet", "embedding", "embedding"),
    ],
)
def test_the_plain_column_repeats_the_layer_of_the_method(method: str, lidar_layer: str, rankme_layer: str) -> None:
    assert CRITERIA["lidar"].layer_of(method) == lidar_layer
    assert CRITERIA["rankme"].layer_of(method) == rankme_layer
