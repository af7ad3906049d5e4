"""The oracles knn, vicreg_paper and few_label and the metrics beside accuracy, against written-out references."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from trainers.oracles import ORACLES
from trainers.oracles.base import judged, standardised
from trainers.oracles.few_label import FEW_LABEL, FewLabels
from trainers.oracles.knn import KNN, NearestNeighbours, votes
from trainers.oracles.vicreg_paper import VICREG_PAPER, CosineProbe, fit
from trainers.records import OracleScore

QUICK = {"vicreg_paper": dataclasses.replace(VICREG_PAPER, epochs=3), "knn": KNN, "few_label": FEW_LABEL}
"""The protocols, with few epochs."""


def blobs(n: int, seed: int, *, d: int = 10, classes: int = 7, noise: float = 0.6) -> tuple[Tensor, Tensor]:
    """Gaussian classes of unequal size around the first axes, of distinct images."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes * (classes + 1) // 2, (n,), generator=draws)
    labels = torch.bucketize(labels, torch.arange(1, classes + 1).cumsum(0), right=True)
    return torch.eye(d)[labels] + noise * torch.randn(n, d, generator=draws), labels


# knn


def brute_force(
    train: NDArray[np.float64], labels: NDArray[np.int64], test: NDArray[np.float64], k: int, temperature: float
) -> NDArray[np.float64]:
    """The votes of Wu et al., image by image, in float64."""
    unit, units = (x / np.sqrt((x**2).sum(1, keepdims=True)) for x in (test, train))
    found = np.zeros((len(test), labels.max() + 1))
    for row, image in enumerate(unit):
        similarity = units @ image
        for neighbour in np.argsort(-similarity, kind="stable")[:k]:
            found[row, labels[neighbour]] += np.exp(similarity[neighbour] / temperature)
    return found


def test_the_votes_are_those_of_a_brute_force_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.oracles.knn.CELLS", 300 * 7)  # blocks of seven test images
    train, labels = blobs(300, 0)
    test, truth = blobs(100, 1)
    unit, units = (nn.functional.normalize(one.double(), dim=1) for one in (test, train))
    found = votes(units, labels, unit, 7, KNN)
    score = KNN.score(train, labels, test, truth)
    accuracies = []
    for ours, k in zip(found, (200, 20), strict=True):
        theirs = brute_force(train.double().numpy(), labels.numpy(), test.double().numpy(), k, 0.07)
        shares = ours.clamp_min(0) / ours.clamp_min(0).sum(1, keepdim=True)
        np.testing.assert_allclose(shares.numpy(), theirs / theirs.sum(1, keepdims=True), rtol=1e-9, atol=1e-12)
        accuracies.append(float((theirs.argmax(1) == truth.numpy()).mean()))
    assert [score.accuracy, score.further["k20"]] == accuracies
    assert 0.3 < score.accuracy < 0.9
    assert (score.n, score.further["top5"] > score.accuracy) == (100, True)


@pytest.mark.parametrize("k", [1, 20, 200])
def test_the_votes_name_the_classes_of_scikit_learn(k: int) -> None:
    train, labels = blobs(400, 2)
    test, truth = blobs(300, 3)

    def weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp((1 - distances) / 0.07)

    reference = KNeighborsClassifier(k, weights=weights, metric="cosine", algorithm="brute")
    reference.fit(train.double().numpy(), labels.numpy())
    theirs = float(reference.score(test.double().numpy(), truth.numpy()))
    assert NearestNeighbours(k=k, further_k=1, temperature=0.07).score(train, labels, test, truth).accuracy == theirs


def test_a_small_training_split_votes_as_a_whole_and_a_class_without_votes_is_never_named() -> None:
    train, labels = torch.eye(6).repeat(2, 1), torch.arange(6).repeat(2)
    score = dataclasses.replace(KNN, k=2, further_k=500).score(train, labels, torch.eye(6), torch.arange(6))
    assert (score.accuracy, score.further["k500"]) == (1.0, 1.0)
    wrong = dataclasses.replace(KNN, k=2).score(train, labels, torch.eye(6), torch.arange(6).roll(1))
    assert wrong.further["top5"] == 0.0  # both neighbours are of one class


def test_the_nearest_votes_at_a_low_temperature_however_far_it_is() -> None:
    train = torch.tensor([[1.0, 0.0], [-1.0, 0.1]])
    far = dataclasses.replace(KNN, k=2, temperature=1e-3)
    assert far.score(train, torch.tensor([0, 1]), torch.tensor([[0.0, 1.0]]), torch.tensor([1])).accuracy == 1.0


# vicreg_paper


def test_the_protocol_is_that_of_the_information_theory_paper() -> None:
    paper = CosineProbe(epochs=100, batch_size=256, momentum=0.9, lr=0.2, last_lr=2e-4)
    assert paper == VICREG_PAPER
    assert ORACLES["vicreg_paper"] is VICREG_PAPER


def test_the_layer_is_that_of_a_plain_loop_of_torch() -> None:
    features, labels = blobs(300, 0)
    protocol = dataclasses.replace(VICREG_PAPER, epochs=7, batch_size=64)
    torch.manual_seed(3)
    layer = nn.Linear(10, 7)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.2, momentum=0.9, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7, eta_min=2e-4)
    generator = torch.Generator().manual_seed(3)
    for _ in range(7):
        for batch in torch.randperm(300, generator=generator).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(features[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    ours = fit(features, labels, 7, protocol, seed=3)
    torch.testing.assert_close(ours.weight, layer.weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.bias, layer.bias, rtol=1e-5, atol=1e-6)


# few_label


def test_every_draw_is_at_the_optimum_of_scikit_learn() -> None:
    train, labels = blobs(500, 0)
    test, truth = blobs(400, 1)
    standard, standard_test = standardised(train.double(), test.double())
    accuracies = []
    for chosen in FEW_LABEL.drawn(labels, 7, seed=0):
        assert labels[chosen].bincount().tolist() == [10] * 7
        assert len(set(chosen.tolist())) == 70
        rows, targets = standard[chosen], labels[chosen]
        reference = Reference(C=1.0, solver="newton-cg", tol=1e-12, max_iter=10_000).fit(rows.numpy(), targets.numpy())
        weight, bias = torch.from_numpy(reference.coef_.T), torch.from_numpy(reference.intercept_)
        loss = nn.functional.cross_entropy(rows @ weight + bias, targets) + weight.square().sum() / 140
        assert FEW_LABEL.fit(rows, targets, 7).objective == pytest.approx(float(loss), abs=1e-6)
        accuracies.append(reference.score(standard_test.numpy(), truth.numpy()))
    score = FEW_LABEL.score(train, labels, test, truth)
    assert len(accuracies) == 10
    assert score.accuracy == pytest.approx(np.mean(accuracies), abs=5e-4)  # one image of 400 in two draws of ten
    assert score.further["se"] == pytest.approx(np.std(accuracies, ddof=1) / 10**0.5, abs=5e-4)
    assert score.n == 400


def test_more_features_than_images_have_the_optimum_of_scikit_learn() -> None:
    features, labels = blobs(60, 0, d=90)
    rows = features.double() + 3
    ours = FEW_LABEL.fit(rows, labels, 7)
    reference = Reference(C=1.0, solver="newton-cg", tol=1e-12, max_iter=10_000).fit(rows.numpy(), labels.numpy())
    weight, bias = torch.from_numpy(reference.coef_.T), torch.from_numpy(reference.intercept_)
    loss = nn.functional.cross_entropy(rows @ weight + bias, labels) + weight.square().sum() / 120
    own = nn.functional.cross_entropy(ours.logits(rows), labels) + ours.weight.square().sum() / 120
    assert ours.objective == pytest.approx(float(loss), abs=1e-6)
    assert float(own) == pytest.approx(ours.objective, abs=1e-9)


def test_a_class_gives_all_the_images_that_it_has_and_one_draw_has_no_error() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    (chosen,) = FewLabels(images=2, draws=1).drawn(labels, 3, seed=0)
    assert labels[chosen].bincount().tolist() == [2, 1, 2]
    features = torch.eye(3)[labels]
    assert "se" not in FewLabels(images=2, draws=1).score(features, labels, features, labels).further


# all of them


@pytest.mark.parametrize("name", QUICK)
def test_scores_depend_on_the_arguments_alone(name: str) -> None:
    train, labels = blobs(300, 0)
    test, truth = blobs(200, 1)
    before = torch.get_rng_state()
    with torch.no_grad():
        one = QUICK[name].score(train, labels, test, truth, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    names = torch.tensor([-3, 7, 8, 10, 11, 20, 21])
    again = QUICK[name].score(train, names[labels], test, names[truth], seed=1)
    assert (one.accuracy, one.further) == (again.accuracy, again.further)
    seen = labels != 6
    unseen = QUICK[name].score(train[seen], labels[seen], test, torch.full_like(truth, 6))
    assert (unseen.accuracy, unseen.further["balanced"], unseen.further["top5"]) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="must be finite to be probed"):
        QUICK[name].score(train * torch.nan, labels, test, truth)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
def test_the_metrics_are_those_of_scikit_learn() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 9, generator=draws)
    truth = torch.randint(0, 9, (500,), generator=draws) // 2 * 2  # classes 0, 2, 4, 6 and 8
    score = judged(logits, torch.arange(9), truth, start=0.0)
    assert score.accuracy == float((logits.argmax(1) == truth).double().mean())
    assert score.further["balanced"] == pytest.approx(balanced_accuracy_score(truth, logits.argmax(1)))
    top5 = partial(top_k_accuracy_score, k=5, labels=np.arange(9))
    assert score.further["top5"] == pytest.approx(top5(truth.numpy(), logits.numpy()))
    assert "top5" not in judged(logits[:, :5], torch.arange(5), truth % 5, start=0.0).further
    assert score == OracleScore(score.accuracy, 500, score.seconds, score.further)
