"""The converged oracle: its optimum against scikit-learn's, its choice of the penalty, and its scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression as Reference
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainers.oracles import ORACLES
from trainers.oracles.base import standardised
from trainers.oracles.lbfgs import LBFGS, LogisticRegression, fits


def mixture(n: int, seed: int, *, d: int = 12, classes: int = 5, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Correlated features around class means that depend on no seed; float64, standardised."""
    fixed, draws = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    means = torch.randn(classes, d, generator=fixed, dtype=torch.float64)
    mixing = torch.randn(d, d, generator=fixed, dtype=torch.float64)
    labels = torch.arange(n) % classes
    features = means[labels] + noise * torch.randn(n, d, generator=draws, dtype=torch.float64) @ mixing / d**0.5
    return features, labels


def objective(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, penalty: float) -> float:
    loss = cross_entropy(features @ weight + bias, labels)
    return float(loss + penalty / 2 * weight.square().sum())


def scikit_learn(features: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    fitted = Reference(C=1 / (penalty * len(features)), solver="newton-cg", tol=1e-12, max_iter=10_000)
    fitted.fit(features.numpy(), labels.numpy())
    return torch.from_numpy(fitted.coef_.T), torch.from_numpy(fitted.intercept_)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_the_optimum_is_scikit_learns(noise: float) -> None:
    features, labels = mixture(400, seed=0, noise=noise)
    features, _ = standardised(features, features)
    features += 0.5  # the fit centres the features itself
    for penalty, ours in zip(LBFGS.penalties, fits(features, labels, 5, LBFGS.penalties, LBFGS), strict=True):
        weight, bias = scikit_learn(features, labels, penalty)
        theirs = objective(features, labels, weight, bias, penalty)
        assert objective(features, labels, ours.weight, ours.bias, penalty) == pytest.approx(ours.objective, abs=1e-9)
        assert ours.objective == pytest.approx(theirs, abs=1e-6)
        gap = (ours.logits(features).softmax(1) - (features @ weight + bias).softmax(1)).abs().max()
        assert gap < 2e-3


def test_a_penalty_without_a_warm_start_has_the_same_optimum() -> None:
    features, labels = mixture(300, seed=1)
    *_, warm = fits(features, labels, 5, LBFGS.penalties, LBFGS)
    (cold,) = fits(features, labels, 5, LBFGS.penalties[-1:], LBFGS)
    assert warm.objective == pytest.approx(cold.objective, abs=1e-7)


def test_more_features_than_images_and_constant_ones_can_be_fitted() -> None:
    features = torch.randn(30, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[:, :5] = 0
    labels = torch.arange(30) % 3
    (ours,) = fits(features, labels, 3, (1e-3,), LBFGS)
    weight, bias = scikit_learn(features, labels, 1e-3)
    assert ours.objective == pytest.approx(objective(features, labels, weight, bias, 1e-3), abs=1e-6)
    assert ours.weight[:5].abs().max() < 1e-6


def test_the_score_is_scikit_learns_on_standardised_features() -> None:
    train, labels = mixture(500, seed=0, noise=2.0)
    test, test_labels = mixture(1000, seed=1, noise=2.0)
    moved = torch.logspace(-3, 3, 12, dtype=torch.float64)
    found = LBFGS.score(train * moved + 7, labels, test * moved + 7, test_labels)
    standard, standard_test = standardised(train, test)
    penalty = LBFGS.choose(standard.float(), labels, 5, 0)
    weight, bias = scikit_learn(standard, labels, penalty)
    expected = ((standard_test @ weight + bias).argmax(1) == test_labels).double().mean()
    assert 0.4 < found.accuracy < 0.95
    assert found.accuracy == pytest.approx(float(expected), abs=0.0021)
    assert found.n == 1000
    assert found.seconds > 0


@pytest.mark.slow
def test_the_penalty_is_the_one_that_names_most_of_the_held_out_images() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(300) % 5
    signal = torch.eye(5)[labels]
    assert LBFGS.choose(5 * signal, labels, 5, 0) == LBFGS.penalties[0]  # all are right: the first of equals
    noisy = torch.cat([signal, 3 * torch.randn(300, 120, generator=generator)], dim=1)
    scores = {}
    for penalty in LBFGS.penalties:
        order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
        weight, bias = scikit_learn(noisy[order[60:]].double(), labels[order[60:]], penalty)
        held = noisy[order[:60]].double() @ weight + bias
        scores[penalty] = int((held.argmax(1) == labels[order[:60]]).sum())
    assert scores[LBFGS.choose(noisy, labels, 5, 0)] >= max(scores.values()) - 1


def test_the_score_does_not_depend_on_the_test_split() -> None:
    train, labels = mixture(200, seed=0)
    test, test_labels = mixture(400, seed=1)
    whole = LBFGS.score(train, labels, test, test_labels).accuracy
    halves = [
        LBFGS.score(train, labels, test[part], test_labels[part]).accuracy for part in (slice(200), slice(200, 400))
    ]
    assert np.mean(halves) == pytest.approx(whole)


def test_it_leaves_the_global_generator_and_modes_alone() -> None:
    train, labels = mixture(100, seed=0)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = LBFGS.score(train, labels, train, labels)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert LBFGS.score(train, labels, train, labels).accuracy == one.accuracy


def test_unknown_test_classes_are_mistakes_and_few_images_are_enough() -> None:
    train, labels = mixture(100, seed=0, noise=0.1)
    found = LBFGS.score(train, 10 * labels, train, torch.where(labels == 0, 7, 10 * labels))
    assert found.accuracy == pytest.approx(0.8)
    assert LBFGS.score(train[:2], labels[:2], train[:2], labels[:2]).accuracy == 1.0
    assert LBFGS.score(train[:3], labels[:3] * 0, train[:3], labels[:3] * 0).accuracy == 1.0


def test_features_that_are_not_finite_are_refused() -> None:
    train, labels = mixture(20, seed=0)
    train[3, 3] = torch.inf
    with pytest.raises(ValueError, match="the representations must be finite"):
        LBFGS.score(train, labels, train, labels)


def test_the_catalogue_has_it() -> None:
    assert ORACLES["lbfgs"] is LBFGS
    assert dataclasses.replace(LBFGS) == LogisticRegression(penalties=(1e-1, 1e-2, 1e-3, 1e-4))
