"""The rules of divergence and collapse, and the random draw of the audit."""

from __future__ import annotations

import math

import pytest

from sweeper.config.model import CollapseRule
from sweeper.search.stopping import collapse_reason, divergence_reason, is_audited
from trainers.records import EpochReport

EPOCHS = 10


def history(*epochs: dict[str, float]) -> list[EpochReport]:
    """A healthy trial, apart from the given values of each epoch."""
    made = []
    for index, said in enumerate(epochs, start=1):
        values = {"loss": 1.0, "spread": 0.1, "lidar": 20.0, "rankme.embedding": 9.0} | said
        criteria = {name: value for name, value in values.items() if name not in ("loss", "spread")}
        made.append(
            EpochReport(0, index, index, values["loss"], criteria, values["spread"], {"train": 1.0, "criteria": 1.0}, 1)
        )
    return made


RULE = CollapseRule()


def judged(*epochs: dict[str, float], rule: CollapseRule = RULE, maximize: bool = True) -> str:
    return collapse_reason(history(*epochs), rule, objective="lidar", epochs=EPOCHS, maximize=maximize)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_or_an_embedding_that_is_not_finite_is_a_divergence_at_once(value: float) -> None:
    assert divergence_reason(history({"loss": value})[0]) == f"loss is {value} at epoch 1"
    assert divergence_reason(history({"spread": value})[0]) == "the embeddings are not finite at epoch 1"
    assert divergence_reason(history({"lidar": value})[0]) == ""


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_objective_of_finite_embeddings_that_is_not_finite_is_a_collapse_at_once(value: float) -> None:
    assert judged({"lidar": value}) == f"lidar is {value} at epoch 1"


@pytest.mark.parametrize(("name", "low"), [("rankme.embedding", 1.4), ("spread", 1e-4)])
def test_a_threshold_counts_in_two_consecutive_epochs_after_the_warm_up(name: str, low: float) -> None:
    healthy, bad = {}, {name: low}
    assert judged(healthy, healthy, bad) == ""
    assert judged(healthy, healthy, bad, healthy, bad) == ""
    assert "at epochs 3 and 4" in judged(healthy, healthy, bad, bad)


def test_slow_starters_live() -> None:
    """The warm-up of 0.2 of 10 epochs is epochs 1 and 2."""
    bad = {"rankme.embedding": 1.0}
    assert judged(bad, bad) == ""
    assert judged(bad, bad, bad) == ""
    assert judged(bad, bad, bad, bad) != ""


def test_two_different_thresholds_are_no_repetition() -> None:
    assert judged({}, {}, {"rankme.embedding": 1.0}, {"spread": 1e-5}) == ""


def test_lidar_alone_clears_nobody() -> None:
    """A cloud around a point keeps a high LiDAR."""
    assert "RankMe" in judged({}, {}, *[{"lidar": 62.0, "rankme.embedding": 1.01}] * 2)


def test_the_rule_on_the_own_peak_is_off_unless_asked_for() -> None:
    fallen = [{"lidar": 60.0}, {}, {}, {"lidar": 5.0}, {"lidar": 5.0}]
    assert judged(*fallen) == ""
    rule = CollapseRule(peak_share=0.1)
    assert "of its peak 60" in judged(*fallen, rule=rule)
    assert judged(*fallen, rule=rule, maximize=False) == ""


def test_without_rankme_the_spread_still_judges() -> None:
    reports = history({}, {}, {"spread": 1e-9}, {"spread": 1e-9})
    for report in reports:
        del report.criteria["rankme.embedding"]  # type: ignore[attr-defined]
    assert "spread" in collapse_reason(reports, CollapseRule(), objective="lidar", epochs=EPOCHS)


def test_the_audit_is_drawn_by_seed_and_number() -> None:
    draws = [is_audited(1, number, 0.3) for number in range(2000)]
    assert draws == [is_audited(1, number, 0.3) for number in range(2000)]
    assert draws != [is_audited(2, number, 0.3) for number in range(2000)]
    assert abs(sum(draws) / 2000 - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    assert not any(is_audited(1, number, 0.0) for number in range(100))
    assert all(is_audited(1, number, 1.0) for number in range(100))
