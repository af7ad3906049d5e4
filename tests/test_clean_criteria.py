"""The criteria without a discriminant analysis against NumPy, SciPy or scikit-learn in float64, and its properties."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors
from test_lidar import rotation, views_of
from test_rankme import embeddings_of
from torch import Tensor

from trainers.criteria import CRITERIA
from trainers.criteria.alignment import alignment
from trainers.criteria.alpha_req import alpha_req, decay
from trainers.criteria.base import Features
from trainers.criteria.clid import clid, parts
from trainers.criteria.epps_pulley import epps_pulley, random_directions
from trainers.criteria.idest import idest
from trainers.criteria.instance_knn import instance_knn
from trainers.criteria.nesum import nesum
from trainers.criteria.normalized_std import normalized_std
from trainers.criteria.participation_ratio import participation_ratio
from trainers.criteria.rankme_aug import rankme_aug
from trainers.criteria.self_cluster import self_cluster
from trainers.criteria.stable_rank import stable_rank
from trainers.criteria.uniformity import uniformity

Array = NDArray[np.float64]


def eigenvalues(x: Array) -> Array:
    """Of the covariance, falling, by singular values of the centred rows."""
    return np.asarray(linalg.svdvals(x - x.mean(0)) ** 2 / (len(x) - 1))


def directions(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def decay_reference(x: Array) -> float:
    ranks = np.arange(4, min(100, x.shape[1], len(x) - 1) + 1)
    falling = np.log(eigenvalues(x)[ranks - 1])
    return float(-np.polyfit(np.log(ranks), falling, 1, w=ranks**-0.5)[0])


def participation_reference(x: Array) -> float:
    """The unbiased estimates of Srivastava, written out for n - 1 degrees of freedom."""
    f, values = len(x) - 1, eigenvalues(x)
    squares = f**2 / ((f - 1) * (f + 2)) * ((values**2).sum() - values.sum() ** 2 / f)
    return float((values.sum() ** 2 - 2 * squares / f) / squares)


def self_cluster_reference(x: Array) -> float:
    n, d = x.shape
    cosines = directions(x) @ directions(x).T
    expected = n + n * (n - 1) / d
    return float(((cosines**2).sum() - expected) / (n**2 - expected))


def epps_pulley_reference(x: Array) -> float:
    spread = x.std(0, ddof=1)
    along = (x - x.mean(0)) / np.where(spread > 0, spread, 1) @ random_directions(x.shape[1], 256).numpy()
    t = np.linspace(-3, 3, 33)
    gaussian = np.exp(-(t**2) / 2)
    of_each = [
        np.trapezoid(abs(np.exp(1j * np.outer(t, column)).mean(1) - gaussian) ** 2 * gaussian, t) for column in along.T
    ]
    return float(np.mean(of_each))


def idest_reference(x: Array) -> float:
    sizes = [len(x) // 2**halving for halving in range(4)]
    lengths = []
    for size in sizes:
        blocks = [x[at : at + size] for at in range(0, len(x) - size + 1, size)]
        lengths.append(np.mean([minimum_spanning_tree(squareform(pdist(block))).sum() for block in blocks]))
    return float(1 / (1 - np.polyfit(np.log(sizes), np.log(lengths), 1)[0]))


def clid_reference(x: Array) -> float:
    clusters = min(32, len(x) // 2)
    labels = KMeans(clusters, init=x[:clusters], n_init=1, max_iter=50, tol=0, algorithm="lloyd").fit_predict(x)
    far, near = NearestNeighbors(n_neighbors=3).fit(x).kneighbors(x)
    dimension = (len(x) - 1) / np.log(far[:, 2] / far[:, 1]).sum()
    return float((labels == labels[near[:, 1]]).mean() + dimension / 20)


CLEAN: dict[str, tuple[Callable[[Tensor], float], Callable[[Array], float]]] = {
    "alpha_req": (alpha_req, lambda x: -abs(decay_reference(x) - 1)),
    "nesum": (nesum, lambda x: float(eigenvalues(x).sum() / eigenvalues(x)[0])),
    "stable_rank": (stable_rank, lambda x: float((np.linalg.norm(x) / np.linalg.norm(x, 2)) ** 2)),
    "participation_ratio": (participation_ratio, participation_reference),
    "self_cluster": (self_cluster, self_cluster_reference),
    "uniformity": (uniformity, lambda x: math.log(np.exp(-2 * pdist(directions(x), "sqeuclidean")).mean())),
    "normalized_std": (normalized_std, lambda x: float(directions(x).std(0, ddof=1).mean())),
    "clid": (clid, clid_reference),
    "epps_pulley": (epps_pulley, epps_pulley_reference),
    "idest": (idest, idest_reference),
}
"""Criterion of clean images -> its function and an independent one."""


def rankme_reference(x: Array) -> float:
    p = linalg.svdvals(x.reshape(-1, x.shape[2]))
    p = p / p.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))


def alignment_reference(x: Array) -> float:
    u = directions(x)
    pairs = combinations(range(x.shape[1]), 2)
    return float(np.mean([((u[:, i] - u[:, j]) ** 2).sum(1) for i, j in pairs]))


def knn_reference(x: Array) -> float:
    n, q, d = x.shape
    near = NearestNeighbors(n_neighbors=2).fit(directions(x).reshape(-1, d)).kneighbors(return_distance=False)
    return float((near[:, 0] // q == np.arange(n * q) // q).mean())


VIEWS: dict[str, tuple[Callable[[Tensor], float], Callable[[Array], float]]] = {
    "rankme_aug": (rankme_aug, rankme_reference),
    "alignment": (alignment, alignment_reference),
    "instance_knn": (instance_knn, knn_reference),
}
"""Criterion of views -> its function and an independent one."""


def clean_of(n: int, d: int) -> Tensor:
    return embeddings_of(n, d, falling=0.7) + 0.1


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "d"), [(300, 40), (64, 150), (500, 7)])
def test_criteria_of_images_are_exact(name: str, dtype: torch.dtype, n: int, d: int) -> None:
    ours, reference = CLEAN[name]
    embeddings = clean_of(n, d).to(dtype)
    assert ours(embeddings) == pytest.approx(reference(embeddings.double().numpy()), rel=1e-7, abs=1e-10)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("n", "q", "d"), [(60, 5, 20), (20, 2, 50), (150, 10, 8)])
def test_criteria_of_views_are_exact(name: str, dtype: torch.dtype, n: int, q: int, d: int) -> None:
    ours, reference = VIEWS[name]
    embeddings = views_of(n, q, d, between=1.0, noise=0.5).to(dtype)
    assert ours(embeddings) == pytest.approx(reference(embeddings.double().numpy()), rel=1e-7, abs=1e-10)


def test_chunks_of_pairs_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    images, views = clean_of(101, 12), views_of(31, 4, 9, noise=0.5)
    expected = [ours(images) for ours, _ in CLEAN.values()] + [ours(views) for ours, _ in VIEWS.values()]
    monkeypatch.setattr("trainers.criteria.points.CHUNK_PAIRS", 700)
    monkeypatch.setattr("trainers.criteria.alignment.CHUNK", 30)
    found = [ours(images) for ours, _ in CLEAN.values()] + [ours(views) for ours, _ in VIEWS.values()]
    assert found == pytest.approx(expected, rel=1e-12)


# closed forms


def test_closed_forms() -> None:
    cross = torch.cat((torch.eye(6), -torch.eye(6))).double()
    assert nesum(cross) == stable_rank(cross) == pytest.approx(6, rel=1e-12)
    assert self_cluster(cross) == pytest.approx((12 * 2 - 34) / (144 - 34), rel=1e-12)
    assert normalized_std(cross) == pytest.approx(math.sqrt(2 / 11), rel=1e-12)
    # of the 66 pairs of unit vectors, 6 are opposite (‖x - y‖² = 4) and 60 at right angles (2)
    assert uniformity(cross) == pytest.approx(math.log((6 * math.exp(-8) + 60 * math.exp(-4)) / 66), rel=1e-12)
    assert alignment(torch.eye(2).double()[None]) == pytest.approx(2, rel=1e-12)
    assert alignment(torch.tensor([[[1.0, 0.0], [-3.0, 0.0]]])) == pytest.approx(4, rel=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_a_power_law_has_its_exponent(alpha: float) -> None:
    k = np.arange(1, 121)
    basis = linalg.qr(np.random.default_rng(0).normal(size=(400, 121)), mode="economic")[0]
    basis = basis - basis.mean(0)
    rows = torch.from_numpy(linalg.qr(basis, mode="economic")[0][:, :120] * k ** (-alpha / 2))
    assert decay(rows) == pytest.approx(alpha, rel=1e-9)
    assert alpha_req(rows) == pytest.approx(-abs(alpha - 1), abs=1e-9)
    assert decay(rows, first=11) == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize("n", [20, 60, 400])
def test_the_participation_ratio_does_not_depend_on_the_number_of_images(n: int) -> None:
    found = [participation_ratio(embeddings_of(n, 30, rank=16, seed=seed)) for seed in range(40)]
    assert float(np.median(found)) == pytest.approx(16, rel=0.1)  # that of the sample is 8.7 at n = 20


@pytest.mark.slow
def test_dimensions_of_manifolds_are_found() -> None:
    rng = np.random.default_rng(0)
    for dimension in (1, 2, 4):
        flat = torch.from_numpy(rng.uniform(size=(1000, dimension)) @ rng.normal(size=(dimension, 30)))
        assert parts(flat)[1] == pytest.approx(dimension, rel=0.15)
        assert idest(flat) == pytest.approx(dimension, rel=0.25)


@pytest.mark.slow
def test_epps_pulley_is_of_order_1_over_n_for_a_gaussian_and_large_for_others() -> None:
    rng = np.random.default_rng(0)
    gaussian = [epps_pulley(torch.from_numpy(rng.normal(size=(n, 20)))) for n in (500, 4000)]
    assert gaussian[0] == pytest.approx(8 * gaussian[1], rel=0.5)
    clusters = torch.from_numpy(rng.normal(size=(4000, 1)) * np.ones(20) + 0.1 * rng.normal(size=(4000, 20)))
    assert epps_pulley(clusters) > 50 * gaussian[1]


def test_views_of_distinct_images_are_found_and_shuffled_views_are_not() -> None:
    views = views_of(50, 6, 16, noise=0.05)
    assert instance_knn(views) == 1
    shuffled = views.flatten(0, 1)[torch.randperm(300, generator=torch.Generator().manual_seed(0))].view(50, 6, 16)
    assert instance_knn(shuffled) < 0.1


# properties


@pytest.mark.parametrize("name", [*CLEAN, *VIEWS])
def test_a_rotation_and_the_scale_do_not_change_it(name: str) -> None:
    ours = (CLEAN | VIEWS)[name][0]
    embeddings = clean_of(200, 16) if name in CLEAN else views_of(40, 5, 16, between=1.0, noise=0.5) + 0.1
    value = ours(embeddings)
    for scale in (1e-300, 1e-30, 3.0, 1e30, 1e300):
        assert ours(embeddings * scale) == pytest.approx(value, rel=1e-8)
    turned = embeddings @ torch.from_numpy(rotation(16, np.random.default_rng(1)))
    if name not in ("epps_pulley", "normalized_std"):  # they look at dimensions or at fixed directions
        assert ours(turned) == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("name", [name for name in (*CLEAN, *VIEWS) if name not in ("clid", "idest")])
def test_the_order_of_images_does_not_change_it(name: str) -> None:
    ours = (CLEAN | VIEWS)[name][0]
    embeddings = clean_of(200, 16) if name in CLEAN else views_of(40, 5, 16, noise=0.5)
    assert ours(embeddings.flip(0)) == pytest.approx(ours(embeddings), rel=1e-9)


POINT = {
    "alpha_req": math.nan,
    "nesum": math.nan,
    "stable_rank": 1,
    "participation_ratio": math.nan,
    "self_cluster": 1,
    "uniformity": 0,
    "normalized_std": 0,
    "clid": math.nan,
    "epps_pulley": math.nan,
    "idest": math.nan,
    "rankme_aug": 1,
    "alignment": 0,
    "instance_knn": 0,
}
"""Criterion -> its value if all embeddings are the same."""
LINE = {
    "alpha_req": math.nan,
    "nesum": 1,
    "stable_rank": 1,
    "participation_ratio": 1,
    "self_cluster": 1,
    "uniformity": -0.69,
    "normalized_std": math.sqrt(1 / 12),
    "clid": 1.05,
    "idest": 1.2,  # the tails of a Gaussian still grow with n
    "rankme_aug": 1,
}
"""Criterion -> about its value if all embeddings are on a line through the origin."""


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*CLEAN, *VIEWS])
def test_a_collapse_onto_a_point(name: str, dtype: torch.dtype) -> None:
    point = torch.full((200, 12) if name in CLEAN else (40, 5, 12), 0.3, dtype=dtype)
    assert (CLEAN | VIEWS)[name][0](point) == pytest.approx(POINT[name], abs=1e-3, nan_ok=True)


@pytest.mark.parametrize("name", LINE)
def test_a_collapse_onto_a_line(name: str) -> None:
    shape = (400, 1) if name in CLEAN else (40, 5, 1)
    line = torch.from_numpy(np.random.default_rng(0).normal(size=shape)) * torch.ones(12, dtype=torch.float64)
    assert (CLEAN | VIEWS)[name][0](line) == pytest.approx(LINE[name], rel=0.1, nan_ok=True)


def test_a_small_cloud_around_a_point_is_seen_by_some() -> None:
    cloud = 1 + 1e-4 * torch.randn(300, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert normalized_std(cloud) < 1e-4
    assert abs(uniformity(cloud)) < 1e-4
    assert stable_rank(cloud) == pytest.approx(1, abs=1e-4)
    assert self_cluster(cloud) == pytest.approx(1, abs=1e-4)
    for blind in (nesum, participation_ratio, epps_pulley, clid, idest):
        assert blind(cloud) == pytest.approx(blind(cloud - 1), rel=1e-6)


# what cannot be computed, and what is refused


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [*CLEAN, *VIEWS])
def test_not_finite_in_is_nan_out(name: str, bad: float) -> None:
    embeddings = (clean_of(40, 8) if name in CLEAN else views_of(20, 4, 8)).float()
    embeddings[13, ..., 3] = bad
    assert math.isnan((CLEAN | VIEWS)[name][0](embeddings))
    assert math.isnan((CLEAN | VIEWS)[name][0](torch.zeros_like(embeddings)))


@pytest.mark.parametrize("name", ["self_cluster", "uniformity", "normalized_std", "alignment", "instance_knn"])
def test_a_zero_embedding_has_no_direction(name: str) -> None:
    embeddings = clean_of(40, 8) if name in CLEAN else views_of(20, 4, 8)
    embeddings[3] = 0
    assert math.isnan((CLEAN | VIEWS)[name][0](embeddings))


@pytest.mark.parametrize("name", [*CLEAN, *VIEWS])
def test_wrong_shapes_and_types_are_refused(name: str) -> None:
    ours, shape = (CLEAN | VIEWS)[name][0], r"\(n, d\)" if name in CLEAN else r"\(n, q, d\)"
    for wrong in ((8,), (2, 3, 4, 5), (2, 3, 4) if name in CLEAN else (3, 4)):
        with pytest.raises(ValueError, match=f"`embeddings` must have shape {shape}"):
            ours(torch.ones(wrong))
    with pytest.raises(ValueError, match=r"must be floating-point, but got torch\.int64"):
        ours(torch.ones((4, 4) if name in CLEAN else (4, 4, 4), dtype=torch.int64))


@pytest.mark.parametrize("name", CLEAN)
def test_a_few_embeddings_have_a_value_or_none_but_do_not_fail(name: str) -> None:
    for shape in ((2, 1), (2, 5), (3, 3), (5, 1)):
        value = CLEAN[name][0](embeddings_of(*shape))
        assert math.isnan(value) or math.isfinite(value)


@pytest.mark.parametrize("name", [*CLEAN, *VIEWS])
def test_the_catalogue_reads_what_the_function_reads(name: str) -> None:
    views = views_of(30, 5, 8)
    layers = {layer: Features(views, views.mean(1)) for layer in ("representation", "embedding")}
    criterion = CRITERIA[name]
    expected = (CLEAN | VIEWS)[name][0](views if name in VIEWS else views.mean(1))
    measured = criterion.measure(layers, "simclr")
    assert measured[name] == pytest.approx(expected, nan_ok=True)
    assert tuple(measured) == criterion.columns
    assert criterion.reads_views == (name in VIEWS)


def test_what_is_recorded_beside_a_criterion() -> None:
    views = views_of(60, 3, 20)
    layers = {layer: Features(views, views.mean(1)) for layer in ("representation", "embedding")}
    assert CRITERIA["alpha_req"].measure(layers, "simclr")["alpha_req_alpha"] == decay(views.mean(1))
    measured = CRITERIA["clid"].measure(layers, "simclr")
    assert (measured["clid_learnability"], measured["clid_dimension"]) == parts(views.mean(1))
    for name in ("uniformity", "instance_knn", "clid", "idest"):
        assert CRITERIA[name].images(9000, 10) == (500 if CRITERIA[name].reads_views else 5000)


LOWER_IS_BETTER = {"self_cluster", "alignment", "uniformity", "epps_pulley", "idest"}


def test_directions_and_layers() -> None:
    assert {name for name, criterion in CRITERIA.items() if not criterion.higher_is_better} == LOWER_IS_BETTER
    on_representation = {"lda_information", "lda_trace", "idest"}
    assert {
        name for name, found in CRITERIA.items() if found.layer_of("simclr") == "representation"
    } == on_representation
    assert all(criterion.layer_of("ijepa") == "representation" for criterion in CRITERIA.values())
