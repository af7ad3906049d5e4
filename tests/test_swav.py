"""SwAV: Sinkhorn and the loss against lightly's and NumPy's, its prototypes, its queue, and what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp
from torch import Tensor
from torch.nn import functional as F

from trainers.encoders import build_encoder
from trainers.methods.base import Batch
from trainers.methods.swav import SwAV, SwAVParams, sinkhorn
from trainers.multi_crop import distillation_loss
from trainers.optim import Optimizer, build_optimizer
from trainers.records import Scalar

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lightly's own imports warn
    from lightly.loss import SwaVLoss
    from lightly.loss.swav_loss import sinkhorn as lightlys_sinkhorn

SMALL: dict[str, Scalar] = {"prototypes": 6, "projector_hidden_dim": 24, "projection_dim": 12, "freeze_prototypes": 0.1}


def small_swav(**overrides: Scalar) -> SwAV:
    torch.manual_seed(0)
    encoder = build_encoder({"name": "resnet", "width": 8, "blocks": 1, "stages": 2, "stem_stride": 2}, 16, 3)
    method = SwAV(encoder, SwAVParams(**SMALL | overrides))  # type: ignore[arg-type]
    method.progress = 0.5
    return method


def batch(local: int = 0, seed: int = 1) -> Batch:
    torch.manual_seed(seed)
    views = [torch.randn(8, 3, 16, 16) for _ in range(2)] + [torch.randn(8, 3, 8, 8) for _ in range(local)]
    return Batch(tuple(views), (None,) * len(views))


def scores_of(method: SwAV, views: tuple[Tensor, ...]) -> list[Tensor]:
    prototypes = F.normalize(method.prototypes, dim=1)
    return [F.normalize(method.embed(view), dim=1) @ prototypes.T for view in views]


def cosines(count: int, prototypes: int) -> Tensor:
    """Scores of random unit vectors."""
    torch.manual_seed(2)
    return F.normalize(torch.randn(count, 10), dim=1) @ F.normalize(torch.randn(prototypes, 10), dim=1).T


def exact_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> NDArray[np.float64]:
    """By scaling two vectors, in float64."""
    kernel = scores.double().numpy() / epsilon
    rows, columns = np.zeros((len(kernel), 1)), np.zeros((1, kernel.shape[1]))
    for _ in range(iterations):
        columns = -logsumexp(kernel + rows, axis=0, keepdims=True)
        rows = -logsumexp(kernel + columns, axis=1, keepdims=True)
    return np.exp(kernel + rows + columns)


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_is_lightlys(epsilon: float, iterations: int) -> None:
    scores = cosines(32, 7)
    theirs = lightlys_sinkhorn(scores, iterations=iterations, epsilon=epsilon)
    torch.testing.assert_close(sinkhorn(scores, epsilon, iterations), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.002, 0.01, 0.05, 1.0])
def test_sinkhorn_is_exact_at_every_temperature(epsilon: float) -> None:
    """exp(1 / 0.01) overflows float32, and exp(-1 / 0.01) is 0 there."""
    ours = sinkhorn(cosines(24, 5), epsilon, 3)
    np.testing.assert_allclose(ours.numpy(), exact_sinkhorn(cosines(24, 5), epsilon, 3), atol=2e-5)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_sinkhorn_of_half_precision_scores_is_float32(kind: torch.dtype) -> None:
    scores = cosines(24, 5).to(kind)
    ours = sinkhorn(scores, 0.05, 3)
    assert ours.dtype is torch.float32
    np.testing.assert_allclose(ours.numpy(), exact_sinkhorn(scores, 0.05, 3), atol=2e-5)
    trap = lightlys_sinkhorn(scores.clone(), iterations=3, epsilon=0.05)
    assert not np.allclose(trap.double().numpy(), exact_sinkhorn(scores, 0.05, 3), atol=2e-3)  # or NaN


def test_assignments_are_spread_evenly() -> None:
    assignments = sinkhorn(cosines(40, 5).double(), 0.1, 200)
    torch.testing.assert_close(assignments.sum(1), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(assignments.sum(0), torch.full((5,), 8.0, dtype=torch.float64))


@pytest.mark.parametrize("local", [0, 3])
@pytest.mark.parametrize("temperature", [0.1, 0.4])
def test_loss_and_gradients_are_lightlys(local: int, temperature: float) -> None:
    method, data = small_swav(temperature=temperature).eval(), batch(local)
    reference = SwaVLoss(temperature=temperature)
    scores = scores_of(method, data.views)
    theirs = reference(scores[:2], scores[2:])
    loss = method.loss(data)
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
    networks = [*method.encoder.parameters(), *method.projector.parameters()]
    for mine, other in zip(torch.autograd.grad(loss, networks), torch.autograd.grad(theirs, networks), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_loss_and_gradients_in_the_scores_are_lightlys() -> None:
    torch.manual_seed(3)
    ours, theirs = ([(cosines(16, 7) + 0.1 * k).requires_grad_() for k in range(3)] for _ in range(2))
    targets = [sinkhorn(scores.detach(), 0.05, 3) for scores in ours[:2]]
    loss, reference = distillation_loss(ours, targets, 0.1), SwaVLoss()(theirs[:2], theirs[2:])
    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    for mine, other in zip(torch.autograd.grad(loss, ours), torch.autograd.grad(reference, theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_prototypes_are_normalised_before_every_forward_pass() -> None:
    method = small_swav().eval()
    expected = method.loss(batch()).item()
    with torch.no_grad():
        method.prototypes.mul_(torch.linspace(0.2, 5, 6)[:, None])
        raw = method.prototypes.clone()
    assert method.loss(batch()).item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(method.prototypes.norm(dim=1), torch.ones(6))
    embeddings = [F.normalize(method.embed(view), dim=1) for view in batch().views]
    trap = SwaVLoss()([rows @ raw.T for rows in embeddings], [])
    assert trap.item() != pytest.approx(expected, rel=1e-2)


def test_the_gradient_of_a_prototype_is_not_told_of_its_norm() -> None:
    method = small_swav().eval()
    method.loss(batch()).backward()
    prototypes = F.normalize(method.prototypes.detach(), dim=1).requires_grad_()
    scores = [F.normalize(method.embed(view), dim=1) @ prototypes.T for view in batch().views]
    (expected,) = torch.autograd.grad(SwaVLoss()(scores, []), prototypes)
    torch.testing.assert_close(method.prototypes.grad, expected, rtol=1e-4, atol=1e-6)


def test_frozen_prototypes_do_not_move_under_momentum_and_decay() -> None:
    method = small_swav()
    optimizer = build_optimizer(method, Optimizer(optimizer="sgd", lr=0.5, weight_decay=0.1))
    method.normalize_prototypes()
    first = method.prototypes.detach().clone()
    moved = []
    for progress in (0.0, 0.05, 0.1):
        method.progress = progress
        optimizer.zero_grad()
        method.loss(batch()).backward()
        optimizer.step()
        moved.append(float((F.normalize(method.prototypes.detach(), dim=1) - first).abs().max()))
    assert max(moved[:2]) < 1e-6
    assert moved[2] > 1e-3


def test_the_assignments_are_taken_in_float32_where_networks_run_in_bfloat16() -> None:
    method = small_swav().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        embeddings = [F.normalize(method.embed(view).float(), dim=1) for view in batch().views]
        low = method.loss(batch())
    scores = [rows @ F.normalize(method.prototypes, dim=1).T for rows in embeddings]
    assert low.item() == pytest.approx(SwaVLoss()(scores, []).item(), rel=1e-5)


def test_the_queue_is_filled_from_its_start_on_and_used_once_it_is_full() -> None:
    method = small_swav(queue_size=16, queue_start=0.3).eval()
    method.progress = 0.2
    plain = method.loss(batch()).item()
    assert [int(queue.pushed) for queue in method.queues] == [0, 0]  # type: ignore[union-attr,arg-type]
    method.progress = 0.3
    assert method.loss(batch(seed=3)).isfinite()
    assert method.loss(batch()).item() == pytest.approx(plain, rel=1e-6)  # half full
    with torch.no_grad():
        past = [batch(seed=3).views, batch().views]
        queued = [torch.cat([scores_of(method, views)[index] for views in past]) for index in range(2)]
        scores = scores_of(method, batch(seed=4).views)
        expected = SwaVLoss()(scores, [], queued).item()
        assert method.loss(batch(seed=4)).item() == pytest.approx(expected, rel=1e-5)
        assert SwaVLoss()(scores, []).item() != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"prototypes": 33}, "`prototypes` must be at most 32, because the batch of 32 and the queue of 0 images must"),
        ({"prototypes": 65, "queue_size": 32}, "`prototypes` must be at most 64, because .*; but got 65"),
        ({"queue_size": 40}, "`queue_size` must be a multiple of the batch of 32 images, but got 40"),
        ({"queue_size": 128}, "`queue_size` must be less than the 100 training images"),
    ],
)
def test_prototypes_that_cannot_be_filled_are_refused(params: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SwAV.check_data(SwAVParams(**{"prototypes": 16} | params), 32, 100)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["epsilon", "sinkhorn_iterations", "prototypes", "queue_size", "queue_start"])
def test_a_value_outside_its_range_is_said(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be .*, but got -1"):
        SwAVParams(**{name: -1})  # type: ignore[arg-type]
