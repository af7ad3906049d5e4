"""Selection: the best completed trial by a criterion, its regret, and the expected regret over resampled sweeps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from simulated import World, simulate

from analysis.report.write import analyze
from analysis.stats.bootstrap import draw_counts
from analysis.stats.selection import best_trial, redrawn, select

TABLE = DataFrame(
    {
        "trial": [0, 1, 2, 3, 4],
        "status": ["completed", "completed", "completed", "collapsed", "completed"],
        "lidar": [10.0, 30.0, 30.0, 99.0, np.nan],
        "loss": [3.0, 2.0, 1.0, 0.1, 4.0],
        "oracle": [0.9, 0.6, 0.7, 0.95, 0.5],
    }
)


def test_the_highest_completed_trial_is_selected_and_of_equals_the_lowest_number() -> None:
    assert best_trial(TABLE, "lidar")["trial"] == 1
    assert best_trial(TABLE.iloc[::-1], "lidar")["trial"] == 1
    assert best_trial(TABLE, "loss")["trial"] == 2
    assert best_trial(TABLE, "-loss")["trial"] == 2
    assert best_trial(TABLE, "+loss")["trial"] == 4
    assert best_trial(TABLE, "-lidar")["trial"] == 0


def test_what_cannot_be_selected_says_why() -> None:
    with pytest.raises(ValueError, match="must be a column of the trials, but got 'nesum'"):
        best_trial(TABLE, "nesum")
    with pytest.raises(ValueError, match="must be finite for a completed trial"):
        best_trial(TABLE.assign(lidar=np.nan), "lidar")
    with pytest.raises(ValueError, match="finite for a completed trial"):
        best_trial(TABLE.assign(status="failed"), "lidar")


def test_the_row_of_a_selection_is_what_the_table_shows() -> None:
    row = select(TABLE, ["lidar"]).iloc[0]
    assert row[["trial", "oracle", "best_trial", "best_oracle", "n", "ties", "rank"]].tolist() == [
        1,
        0.6,
        0,
        0.9,
        3,
        1,
        3,
    ]
    assert row["regret"] == pytest.approx(0.3)
    middle = (0.9 + 0.6 + 0.7 + 0.5) / 4
    assert row["random_oracle"] == pytest.approx(middle)
    assert row["normalised_regret"] == pytest.approx(0.3 / (0.9 - middle))
    assert row[["top1", "top3"]].tolist() == [0, 1]


def test_there_is_exactly_one_row_per_sweep_and_criterion() -> None:
    trials = pd.concat([simulate(World(name=name, trials=6))[0] for name in ("a", "b")])
    rows = select(trials, resamples=10)
    assert len(rows) == 2 * 7
    assert not rows.duplicated(["sweep", "criterion"]).any()


def test_without_an_oracle_a_trial_is_selected_all_the_same() -> None:
    row = select(TABLE.assign(oracle=np.nan), ["lidar"]).iloc[0]
    assert row["trial"] == 1
    assert row[["oracle", "best_oracle", "regret", "top1", "expected_regret"]].isna().all()
    assert row["best_trial"] is pd.NA


def test_a_criterion_that_is_nowhere_finite_selects_nothing() -> None:
    row = select(TABLE.assign(lidar=np.nan), ["lidar"]).iloc[0]
    assert row["trial"] is pd.NA
    assert math.isnan(row["oracle"])
    assert (row["n"], row["ties"]) == (0, 0)


def test_a_sweep_of_failures_and_a_sweep_of_one() -> None:
    assert select(TABLE.assign(status="failed"), ["lidar"]).iloc[0]["trial"] is pd.NA
    row = select(TABLE.head(1), ["lidar"]).iloc[0]
    assert (row["regret"], row["top1"]) == (0, 1)
    assert math.isnan(row["expected_regret"])


def test_equal_oracles_are_equally_best() -> None:
    row = select(DataFrame({"lidar": [1.0, 2.0], "oracle": [0.5, 0.5]})).iloc[0]
    assert (row["trial"], row["regret"], row["top1"]) == (1, 0, 1)
    assert math.isnan(row["normalised_regret"])


def test_sweeps_drawn_again_are_selected_from_as_one_would_by_hand() -> None:
    generator = np.random.default_rng(0)
    truth = np.round(generator.uniform(size=9), 1)  # with ties
    groups = np.array([0, 0, 1, 2, 3, 4, 4, 5, 6])
    regret, position = redrawn(truth, groups, 200, seed=3)
    counts = draw_counts(groups, 200, np.random.default_rng(3))
    for drawn, found, before in zip(counts, regret, position, strict=True):
        there = truth[drawn > 0]
        assert found == pytest.approx(there.max() - there[0])
        assert before == int(np.argmax(there == there.max()))


def test_expected_regret_and_hits_are_over_the_sweeps_drawn_again() -> None:
    table = DataFrame({"lidar": [4.0, 3.0, 2.0, 1.0], "oracle": [0.4, 0.8, 0.2, 0.6]})
    row = select(table, resamples=500, seed=1).iloc[0]
    regret, position = redrawn(np.array([0.4, 0.8, 0.2, 0.6]), np.arange(4), 500, 1)
    assert row["expected_regret"] == pytest.approx(regret.mean())
    assert row[["hit1", "hit3", "hit5"]].tolist() == pytest.approx([(position < k).mean() for k in (1, 3, 5)])
    assert row["regret_low"] <= row["expected_regret"] <= row["regret_high"]


def test_a_perfect_criterion_has_no_regret_in_any_sweep() -> None:
    row = select(DataFrame({"lidar": [1.0, 2.0, 3.0], "oracle": [0.1, 0.2, 0.3]})).iloc[0]
    assert row[["regret", "expected_regret", "regret_high", "normalised_regret"]].tolist() == [0, 0, 0, 0]
    assert row[["hit1", "hit3", "hit5"]].tolist() == [1, 1, 1]


@pytest.mark.slow
def test_a_report_on_minus_loss_selects_the_lowest_loss(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    DataFrame({"loss": [3.0, 1.0, 2.0, 4.0], "oracle": [0.3, 0.8, 0.6, 0.1]}).to_csv(path, index=False)
    for name, trial, tau in (("-loss", 1, 1.0), ("loss", 1, 1.0), ("+loss", 3, -1.0)):
        report = analyze([path], criteria=[name])
        assert report.selection["trial"].tolist() == [trial]
        assert report.ranking["tau"].tolist() == [tau]


def test_an_unknown_criterion_needs_a_direction() -> None:
    table = DataFrame({"trial": [0, 1], "mine": [1.0, 2.0]})
    assert best_trial(table, "-mine")["trial"] == 0
    assert best_trial(table, "+mine")["trial"] == 1
    with pytest.raises(ValueError, match="must be -mine"):
        best_trial(table, "mine")
