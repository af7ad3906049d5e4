"""LogDet and PairDist against their formulas in NumPy float64 and lightly's coding rate; the losses built on them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy import special
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.nn import functional as F

from trainers.encoders import build_encoder
from trainers.entropy import PairDistance, logdet_entropy, pairdist_entropy
from trainers.methods import METHODS
from trainers.methods.base import Batch, Method
from trainers.methods.byol import BYOL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lightly's own imports warn
    from lightly.loss.emp_ssl_loss import tcr_loss

SHAPES = [(5, 12), (12, 12), (40, 12)]
"""N < d, N = d, N > d."""
NETWORKS: Mapping[str, Mapping[str, int]] = {
    "byol": {"projector_hidden_dim": 24, "projection_dim": 12},
    "vicreg": {"expander_dim": 12},
}


def rows(count: int, dim: int, *, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(count * dim)
    return torch.randn(count, dim, generator=generator, dtype=torch.float64) + shift


def logdet_formula(embeddings: np.ndarray, beta: float, *, centered: bool = False) -> float:
    """By the d × d matrix, whatever N is."""
    if centered:
        embeddings = embeddings - embeddings.mean(0)
    second_moments = embeddings.T @ embeddings / len(embeddings)
    return 0.5 * float(np.linalg.slogdet(second_moments + beta * np.eye(embeddings.shape[1])).logabsdet)


def pairdist_formula(embeddings: np.ndarray, variance: float, divisor: float) -> float:
    exponents = -cdist(embeddings, embeddings, "sqeuclidean") / (divisor * variance)
    return -float((special.logsumexp(exponents, axis=1) - math.log(len(embeddings))).mean())


@pytest.mark.parametrize(("count", "dim"), SHAPES)
@pytest.mark.parametrize("beta", [1e-6, 1e-3, 0.3])
@pytest.mark.parametrize("centered", [False, True])
def test_logdet_is_its_formula(count: int, dim: int, beta: float, centered: bool) -> None:
    embeddings = rows(count, dim, shift=0.7)
    expected = logdet_formula(embeddings.numpy(), beta, centered=centered)
    assert logdet_entropy(embeddings, beta, centered=centered).item() == pytest.approx(expected, rel=1e-8)
    single = logdet_entropy(embeddings.float(), beta, centered=centered)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("count", "dim"), SHAPES)
def test_logdet_and_its_gradient_are_those_of_lightlys_coding_rate(count: int, dim: int) -> None:
    """With eps = d·β, ½ logdet(ZᵀZ/N + βI) = tcr + (d/2) ln β."""
    beta = 1e-3
    ours, theirs = (rows(count, dim).requires_grad_() for _ in range(2))
    entropy, rate = logdet_entropy(ours, beta), tcr_loss(theirs[None], eps=dim * beta)
    assert entropy.item() == pytest.approx(rate.item() + dim / 2 * math.log(beta), rel=1e-5)
    gradients = torch.autograd.grad(entropy, ours)[0], torch.autograd.grad(rate, theirs)[0]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_fewer_embeddings_than_dimensions_have_the_constant_of_the_missing_ones() -> None:
    """The N × N determinant alone, without (d − N) / 2 · ln β, would be 24 nats off."""
    embeddings, beta = rows(5, 12), 1e-3
    inner = 0.5 * torch.logdet(embeddings @ embeddings.T / 5 + beta * torch.eye(5, dtype=torch.float64))
    assert logdet_entropy(embeddings, beta).item() == pytest.approx(inner.item() + 7 / 2 * math.log(beta), rel=1e-10)
    padded = F.pad(embeddings, (0, 4))  # four dimensions of zeros: each has the entropy of the noise alone
    gained = logdet_entropy(padded, beta) - logdet_entropy(embeddings, beta)
    assert gained.item() == pytest.approx(4 / 2 * math.log(beta), rel=1e-8)


@pytest.mark.parametrize(("count", "dim"), SHAPES)
@pytest.mark.parametrize("variance", [0.1, 3.0])
@pytest.mark.parametrize(("distance", "divisor"), [("kl", 2.0), ("bhattacharyya", 8.0)])
def test_pairdist_is_its_formula(count: int, dim: int, variance: float, distance: PairDistance, divisor: float) -> None:
    embeddings = rows(count, dim, shift=100.0)
    expected = pairdist_formula(embeddings.numpy(), variance, divisor)
    assert pairdist_entropy(embeddings, variance, distance).item() == pytest.approx(expected, rel=1e-8)


def test_the_gradients_are_those_of_finite_differences() -> None:
    embeddings = (0.4 * rows(5, 3)).requires_grad_()
    wide = (0.4 * rows(3, 5)).requires_grad_()
    for points in (embeddings, wide):
        assert torch.autograd.gradcheck(lambda z: logdet_entropy(z, 1e-2), (points,))
        assert torch.autograd.gradcheck(lambda z: logdet_entropy(z, 1e-2, centered=True), (points,))
        assert torch.autograd.gradcheck(lambda z: pairdist_entropy(z, 0.3), (points,))
        assert torch.autograd.gradcheck(lambda z: pairdist_entropy(z, 0.3, "bhattacharyya"), (points,))


def test_the_two_distances_bound_the_entropy_of_a_mixture() -> None:
    """Two Gaussians on a line, whose entropy is integrated; the estimates leave out that of one, ½ ln 2πe."""
    for gap in (0.5, 2.0, 5.0):
        places = np.linspace(-12, 12 + gap, 20_001)
        density = sum(np.exp(-((places - at) ** 2) / 2) / math.sqrt(2 * math.pi) / 2 for at in (0.0, gap))
        entropy = float(np.trapezoid(-special.xlogy(density, density), places)) - 0.5 * math.log(2 * math.pi * math.e)
        points = torch.tensor([[0.0], [gap]], dtype=torch.float64)
        low, high = (pairdist_entropy(points, 1.0, name).item() for name in ("bhattacharyya", "kl"))
        assert low < entropy < high


@pytest.mark.parametrize("value", [0.0, 1.0, 300.0])
@pytest.mark.parametrize(("count", "dim"), SHAPES)
def test_collapsed_embeddings_have_finite_entropies_and_gradients(value: float, count: int, dim: int) -> None:
    """In float32, the second moments 90,000 of equal embeddings would swallow β."""
    embeddings = torch.full((count, dim), value, requires_grad=True)
    beta = 1e-3
    logdet = logdet_entropy(embeddings, beta)
    expected = 0.5 * (math.log(dim * value**2 + beta) + (dim - 1) * math.log(beta))
    assert logdet.item() == pytest.approx(expected, rel=1e-5)
    centred = logdet_entropy(embeddings, beta, centered=True)
    assert centred.item() == pytest.approx(dim / 2 * math.log(beta), rel=1e-5)
    pairdist = pairdist_entropy(embeddings, 0.1)
    assert pairdist.item() == pytest.approx(0.0, abs=1e-6)
    for entropy in (logdet, centred, pairdist):
        assert torch.autograd.grad(entropy, embeddings)[0].isfinite().all()


def test_far_embeddings_have_the_entropy_of_their_number() -> None:
    assert pairdist_entropy(1e4 * torch.eye(6), 0.1).item() == pytest.approx(math.log(6), rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_embeddings_that_are_not_finite_have_none(value: float) -> None:
    for count, dim in SHAPES:
        embeddings = rows(count, dim)
        embeddings[1, 2] = value
        assert math.isnan(logdet_entropy(embeddings, 1e-3))
        assert math.isnan(pairdist_entropy(embeddings, 1.0))


def build(name: str, **params: object) -> Method:
    torch.manual_seed(0)
    encoder = build_encoder({"name": "resnet", "width": 8, "blocks": 1, "stages": 1, "stem_stride": 2}, 8, 3)
    kind = METHODS[name]
    return kind(encoder, kind.Params(**NETWORKS[name.partition("_")[0]], **params)).double().eval()  # type: ignore[arg-type]


def batch() -> Batch:
    generator = torch.Generator().manual_seed(1)
    views = tuple(torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    return Batch(views, (None, None))


def entropy_formula(name: str, views: list[Tensor], **params: object) -> float:
    """Mean over the views, by NumPy, with the constants of `params`."""
    every = [view.detach().double().numpy() for view in views]
    if name.endswith("logdet"):
        return sum(logdet_formula(one, float(params["beta"])) for one in every) / 2  # type: ignore[arg-type]
    return sum(pairdist_formula(one, float(params["kernel_variance"]), 2.0) for one in every) / 2  # type: ignore[arg-type]


CONSTANTS: Mapping[str, Mapping[str, float]] = {"logdet": {"beta": 0.02}, "pairdist": {"kernel_variance": 0.4}}


@pytest.mark.parametrize("estimator", CONSTANTS)
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_vicreg_with_an_entropy_is_its_formula(estimator: str, weight: float) -> None:
    name, constants = f"vicreg_{estimator}", CONSTANTS[estimator]
    method = build(name, invariance_weight=3.0, entropy_weight=weight, **constants)
    views = [method.embed(view) for view in batch().views]
    invariance = (views[0] - views[1]).square().mean().item()
    expected = 3.0 * invariance - weight * entropy_formula(name, views, **constants)
    assert method.loss(batch()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("estimator", CONSTANTS)
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_byol_with_an_entropy_is_its_formula(estimator: str, weight: float) -> None:
    """The invariance is the loss of BYOL with the same networks; the entropy is that of the normalised embeddings."""
    name, constants = f"byol_{estimator}", CONSTANTS[estimator]
    method = build(name, invariance_weight=3.0, entropy_weight=weight, **constants)
    views = [F.normalize(method.embed(view), dim=-1) for view in batch().views]
    expected = 3.0 * BYOL.loss(build("byol"), batch()).item()
    expected -= weight * entropy_formula(name, views, **constants)
    assert method.loss(batch()).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["vicreg_logdet", "vicreg_pairdist", "byol_logdet", "byol_pairdist"])
def test_the_default_weights_are_those_of_the_width(name: str) -> None:
    """LogDet: the weight of the invariance over the width; PairDist of VICReg: v is an eighth of the width."""
    family, _, estimator = name.partition("_")
    invariance = 25.0 if family == "vicreg" else 1.0
    given: dict[str, float] = {"invariance_weight": invariance}
    if estimator == "logdet":
        given |= {"entropy_weight": invariance / 12, "beta": 1e-3}
    else:
        given |= {"entropy_weight": invariance, "kernel_variance": 12 / 8 if family == "vicreg" else 0.25}
    assert build(name).loss(batch()).item() == build(name, **given).loss(batch()).item()


@pytest.mark.parametrize("name", ["byol_logdet", "byol_pairdist"])
def test_the_length_of_byols_embeddings_does_not_change_the_entropy(name: str) -> None:
    """Otherwise the loss would fall without end while the embeddings only grow."""
    method = build(name)
    views = [method.embed(view) for view in batch().views]
    zero = torch.zeros(())
    losses = [method.regularized(zero, [scale * view for view in views]).item() for scale in (1.0, 50.0)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_losses_take_entropies_in_float32_where_networks_run_in_bfloat16() -> None:
    method = build("vicreg_logdet").float()
    data = Batch(tuple(view.float() for view in batch().views), (None, None))
    with torch.autocast("cpu", torch.bfloat16):
        views = [method.embed(view).float() for view in data.views]
        low = method.loss(data)
    expected = 25 * F.mse_loss(*views).item() - 25 / 12 * entropy_formula("vicreg_logdet", views, beta=1e-3)
    assert low.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("vicreg_logdet", {"beta": 0.0}, "`beta` must be above 0, but got 0.0"),
        ("byol_logdet", {"beta": -1.0}, "`beta` must be above 0, but got -1.0"),
        ("vicreg_logdet", {"entropy_weight": -0.1}, "`entropy_weight` must be at least 0, but got -0.1"),
        ("vicreg_pairdist", {"entropy_weight": -2.0}, "`entropy_weight` must be at least 0, but got -2.0"),
        ("byol_pairdist", {"invariance_weight": -1.0}, "`invariance_weight` must be at least 0, but got -1.0"),
        ("vicreg_pairdist", {"kernel_variance": 0.0}, "`kernel_variance` must be above 0, but got 0.0"),
        ("byol_pairdist", {"pair_distance": "l2"}, "`pair_distance` must be one of kl, bhattacharyya, but got 'l2'"),
        ("vicreg_logdet", {"beta": math.nan}, "`beta` must be above 0, but got nan"),
        ("vicreg_logdet", {"expander_dim": 0}, "`expander_dim` must be above 0, but got 0"),
        ("byol_logdet", {"teacher_momentum": 1.5}, r"`teacher_momentum` must be in \[0, 1\], but got 1.5"),
        ("byol_pairdist", {"mask_ratio": 1.0}, r"`mask_ratio` must be in \[0, 1\), but got 1.0"),
    ],
)
def test_impossible_numbers_are_refused(name: str, params: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        METHODS[name].Params(**params)  # type: ignore[arg-type]
