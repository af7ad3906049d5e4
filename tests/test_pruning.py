"""The replay stops the same trials as a live sweep, at the same epochs; and the numbers of an audit are correct."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray
from pandas import DataFrame
from simulated import World, simulate
from small_sweeps import make_images, small_config

from analysis import load, replay
from analysis.stats.audit import audit, clearly_above
from analysis.stats.cost import cost
from analysis.stats.frontier import efficient, frontier
from analysis.stats.pruning import default_pruners
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep

EPOCHS = 16
Curves = NDArray[np.float64]


@pytest.fixture
def _quiet_optuna() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def make_curves(trials: int = 30, seed: int = 0) -> Curves:
    """(trials, epochs) of curves that rise, fall and cross."""
    generator = np.random.default_rng(seed)
    level, slope = generator.standard_normal((2, trials, 1))
    steps = generator.standard_normal((trials, EPOCHS)).cumsum(axis=1)
    return 20 + 5 * level + slope * np.arange(EPOCHS) + steps


def as_reports(curves: Curves, *, side_by_side: bool = False) -> DataFrame:
    trials, epochs = curves.shape
    table = DataFrame(
        {
            "trial": np.arange(trials).repeat(epochs),
            "epoch": np.tile(np.arange(1, epochs + 1), trials),
            "lidar": curves.ravel(),
        }
    )
    order = ["epoch", "trial"] if side_by_side else ["trial", "epoch"]
    table = table.sort_values(order, ignore_index=True)
    return table.assign(sequence=range(len(table))).sample(frac=1, random_state=0)


def live(curves: Curves, pruner: optuna.pruners.BasePruner, name: str, *, side_by_side: bool) -> dict[int, int | None]:
    """trial -> epoch at which Optuna prunes it while it runs, one trial after another or all at once."""
    study = optuna.create_study(direction="maximize", pruner=copy.deepcopy(pruner), study_name=name)
    running = {number: study.ask() for number in range(len(curves))} if side_by_side else {}
    stopped: dict[int, int | None] = {}

    def epoch(number: int, at: int) -> None:
        trial = running[number]
        trial.report(curves[number, at - 1], at)
        if at == EPOCHS:
            study.tell(trial, curves[number, at - 1])
            stopped[number] = None
        elif trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            stopped[number] = at

    if side_by_side:
        for at in range(1, EPOCHS + 1):
            for number in range(len(curves)):
                if number not in stopped:
                    epoch(number, at)
        return stopped
    for number in range(len(curves)):
        running[number] = study.ask()
        for at in range(1, EPOCHS + 1):
            if number not in stopped:
                epoch(number, at)
    return stopped


@pytest.mark.usefixtures("_quiet_optuna")
@pytest.mark.parametrize("side_by_side", [False, True], ids=["one by one", "side by side"])
@pytest.mark.parametrize("name", [*default_pruners(EPOCHS), "threshold", "interval"])
def test_the_replay_stops_each_trial_where_a_live_study_does(name: str, side_by_side: bool) -> None:
    pruners = default_pruners(EPOCHS) | {
        "threshold": optuna.pruners.ThresholdPruner(lower=12.0),
        "interval": optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=3, interval_steps=4),
    }
    curves = make_curves()
    known = live(curves, pruners[name], "a name", side_by_side=side_by_side)
    reports = as_reports(curves, side_by_side=side_by_side)
    played = replay(reports, pruners[name], study_name="a name")
    found = {row["trial"]: row["pruned_epoch"] for row in played.to_dict("records")}
    assert {trial: None if pd.isna(epoch) else epoch for trial, epoch in found.items()} == known
    if name != "none" and "n_warmup_steps" not in name and not side_by_side:
        assert any(known.values())  # otherwise the test has no power


@pytest.mark.slow
def test_the_replay_stops_each_trial_where_a_live_sweep_did(tmp_path: Path) -> None:
    images = make_images(tmp_path / "images")
    for name, pruner in {"full": {"name": "none"}, "live": {"name": "median", "n_startup_trials": 2}}.items():
        config = small_config(images, trials=7, pruner=pruner, search={"sampler": "random", "seed": 1}, oracle="none")
        run_sweep(config, tmp_path / name, RunOptions(local=True, device="cpu"))
    full, lived = load(tmp_path / "full"), load(tmp_path / "live")
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2)
    played = replay(full.reports, pruner, trials=full.trials, epochs=3).set_index("trial")
    known = lived.trials.set_index("trial")
    assert played["status"].to_dict() == known["status"].to_dict()
    assert played["epochs"].to_dict() == known["epochs"].to_dict()
    assert (known["status"] == "pruned").any()


def test_the_pruner_given_is_left_as_it_was() -> None:
    pruner = optuna.pruners.SuccessiveHalvingPruner()  # it keeps state: its first resource
    before = copy.deepcopy(pruner.__dict__)
    one, other = (replay(as_reports(make_curves()), pruner) for _ in range(2))
    assert pruner.__dict__ == before
    pd.testing.assert_frame_equal(one, other)


def test_the_loss_is_replayed_downwards() -> None:
    reports = as_reports(make_curves()).assign(loss=lambda table: -table["lidar"])
    pruner = optuna.pruners.MedianPruner()
    up, down = (replay(reports, pruner, criterion=name) for name in ("lidar", "loss"))
    pd.testing.assert_frame_equal(up, down)
    assert not replay(reports, pruner, criterion="+loss").equals(down)
    pd.testing.assert_frame_equal(replay(reports, pruner, criterion="-loss"), down)


def test_nobody_is_asked_at_the_last_epoch() -> None:
    reports = DataFrame({"trial": [0, 0], "epoch": [1, 2], "lidar": [5.0, 1.0]})
    pruner = optuna.pruners.ThresholdPruner(lower=3.0)
    assert replay(reports, pruner)["status"].tolist() == ["completed"]
    assert replay(reports, pruner, epochs=3)["status"].tolist() == ["pruned"]


def test_collapse_is_judged_before_the_pruner() -> None:
    reports = DataFrame({"trial": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "lidar": [5.0, 6.0, math.nan, 6.0]})
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    played = replay(reports, pruner, epochs=3)
    assert played["status"].tolist() == ["completed", "collapsed"]
    assert played["epochs"].tolist() == [2, 1]
    trials = DataFrame({"trial": [0, 1], "status": ["completed", "collapsed"]})
    low = reports.assign(lidar=[5.0, 6.0, 5.5, 1.0])
    strict = optuna.pruners.ThresholdPruner(lower=3.0)
    assert replay(low, strict, trials=trials, epochs=3)["status"].tolist() == ["completed", "collapsed"]
    assert replay(low, strict, epochs=3)["status"].tolist() == ["completed", "pruned"]


def test_a_collapsed_or_failed_trial_is_no_peer_and_a_pruned_one_has_no_full_curve() -> None:
    reports = as_reports(make_curves(8))
    trials = DataFrame({"trial": range(8), "status": ["collapsed", "failed", "pruned", *["completed"] * 5]})
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1)
    played = replay(reports, pruner, trials=trials).set_index("trial")
    assert 2 not in played.index
    assert played.loc[[0, 1], "status"].tolist() == ["collapsed", "failed"]
    alone = replay(reports[reports["trial"] >= 3], pruner).set_index("trial")
    assert played.loc[3:, "pruned_epoch"].equals(alone["pruned_epoch"])


def test_a_trial_counts_as_a_peer_from_when_it_ended_on() -> None:
    reports = DataFrame(
        {
            "trial": [0, 1, 1, 0, 1],
            "epoch": [1, 1, 2, 2, 3],
            "lidar": [5.0, 1.0, 1.0, 5.0, 1.0],
            "sequence": range(5),
            "reported_at": pd.to_datetime([10, 20, 30, 40, 60], unit="s", utc=True),
        }
    )
    pruner = optuna.pruners.PercentilePruner(50.0, n_startup_trials=1)
    ended = {late: pd.to_datetime([late, 90], unit="s", utc=True) for late in (50, 70)}
    for late, status in ((50, "pruned"), (70, "completed")):
        trials = DataFrame({"trial": [0, 1], "status": "completed", "finished_at": ended[late]})
        # Trial 0 has no value at epoch 3, so its last value is at epoch 3.
        later = reports.assign(epoch=[1, 1, 2, 3, 3])
        assert replay(later, pruner, trials=trials, epochs=4)["status"].tolist() == ["completed", status]


def test_times_may_be_text_or_seconds() -> None:
    reports = as_reports(make_curves(6)).assign(reported_at=lambda table: 1e9 + table["sequence"])
    trials = DataFrame({"trial": range(6), "status": "completed", "finished_at": 1e9 + 16 * np.arange(1, 7)})
    one = replay(reports, optuna.pruners.MedianPruner(n_startup_trials=1), trials=trials)
    text = [
        pd.to_datetime(column, unit="s", utc=True).map(lambda t: t.isoformat())
        for column in (reports["reported_at"], trials["finished_at"])
    ]
    other = replay(
        reports.assign(reported_at=text[0]),
        optuna.pruners.MedianPruner(n_startup_trials=1),
        trials=trials.assign(finished_at=text[1]),
    )
    pd.testing.assert_frame_equal(one, other)


def test_a_criterion_that_was_not_reported_is_named() -> None:
    with pytest.raises(ValueError, match="must be a column of the reports, but got 'nesum'"):
        replay(as_reports(make_curves(2)), optuna.pruners.NopPruner(), criterion="nesum")


@pytest.mark.slow
def test_the_frontier_says_what_each_pruner_saves_and_loses() -> None:
    curves = make_curves(20)
    trials = DataFrame({"trial": range(20), "status": "completed", "lidar": curves[:, -1]})
    played = replay(as_reports(curves), optuna.pruners.MedianPruner(), trials=trials)
    pruned = played["status"] == "pruned"
    trials["oracle"] = np.linspace(0.4, 0.8, 20)
    trials.loc[pruned.to_numpy().argmax(), "oracle"] = 0.9  # the best is among the pruned
    table = frontier(trials, as_reports(curves), ["lidar"]).set_index("pruner")
    assert table.loc["none", ["pruned", "epochs_saved", "lost"]].tolist() == [0, 0, 0]
    left = trials[~pruned]
    assert left["oracle"].max() < 0.9
    row = table.loc["median"]
    assert row["pruned"] == 20 - len(left)
    assert row["epochs_saved"] == pytest.approx(1 - played["epochs"].sum() / (20 * EPOCHS))
    assert row["oracle"] == left.loc[left["lidar"].idxmax(), "oracle"]
    assert row["regret"] == pytest.approx(0.9 - row["oracle"])
    assert row["lost"] == pytest.approx(0.9 - left["oracle"].max())


def test_a_frontier_takes_ones_own_pruners_and_needs_no_oracle() -> None:
    trials, reports, _ = simulate(World(trials=8, epochs=6))
    mine = {"mine": optuna.pruners.ThresholdPruner(lower=0.0)}
    table = frontier(trials.drop(columns="oracle"), reports, pruners=mine)
    assert table["pruner"].unique().tolist() == ["mine"]
    assert table["regret"].isna().all()
    assert (table["epochs_saved"] == 0).all()


def test_what_no_other_beats_is_efficient() -> None:
    table = DataFrame(
        {"sweep": "s", "criterion": "a", "epochs_saved": [0.0, 0.5, 0.5, 0.8], "regret": [0.1, 0.1, 0.2, 0.3]}
    )
    assert efficient(table) == [False, True, False, True]


def audited_sweep() -> DataFrame:
    """Ten trials: six unpruned, two pruned, two audited, of which one beats the selected."""
    return DataFrame(
        {
            "sweep": "s",
            "trial": range(10),
            "status": ["completed"] * 8 + ["pruned"] * 2,
            "audited": [False] * 6 + [True] * 2 + [False] * 2,
            "epochs": [10] * 8 + [2, 4],
            "lidar": [1.0, 2, 3, 4, 5, 6, 9, 0, 0, 0],
            "oracle": [0.5, 0.5, 0.5, 0.5, 0.5, 0.7, 0.8, 0.71, math.nan, math.nan],
            "oracle_n": 1000,
        }
    )


def test_the_audit_counts_false_prunes_with_wilsons_interval() -> None:
    settings = {"s": {"objective": "lidar", "epochs": 10, "pruner": {"name": "median", "audit": 0.5}}}
    row = audit(audited_sweep(), settings).iloc[0]
    assert row[["pruned", "audited", "false_prunes"]].tolist() == [2, 2, 1]
    assert row["rate"] == 0.5
    z, n = 1.959964, 2  # Wilson 1927: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    half = z * math.sqrt(0.25 / n + z**2 / (4 * n**2))
    assert row["rate_low"] == pytest.approx((0.5 + z**2 / (2 * n) - half) / (1 + z**2 / n), abs=1e-6)
    assert row["rate_high"] == pytest.approx((0.5 + z**2 / (2 * n) + half) / (1 + z**2 / n), abs=1e-6)
    assert row["epochs_saved"] == pytest.approx((8 + 6) / 100)
    assert row["oracle"] == 0.7
    assert row["regret"] == pytest.approx(0.1)


def test_without_an_audit_the_rate_is_not_known_and_without_a_pruner_there_is_no_row() -> None:
    table = audited_sweep().assign(audited=False)
    row = audit(table, {"s": {"pruner": {"name": "median"}, "objective": "lidar"}}).iloc[0]
    assert math.isnan(row["rate"])
    assert row["false_prunes"] == 0
    full = table.assign(status="completed")
    assert audit(full, {"s": {"pruner": {"name": "none"}}}).empty
    assert audit(full, {}).empty


def test_two_binomial_errors_are_what_is_clear() -> None:
    error = math.sqrt((0.8 * 0.2 + 0.84 * 0.16) / 1000)
    assert not clearly_above(0.8 + 1.9 * error, 0.8, 1000)
    assert clearly_above(0.8 + 2.1 * error, 0.8, 1000)


def test_costs_add_up() -> None:
    trials, reports, _ = simulate(World(name="s", trials=4, epochs=5))
    table = cost(trials, reports).set_index("work")
    assert table.loc["training", "seconds"] == pytest.approx(reports["train_seconds"].sum())
    assert table.loc["criteria", "share_of_training"] == pytest.approx(
        reports["criteria_seconds"].sum() / reports["train_seconds"].sum()
    )
    assert table.loc["probe", "seconds_per_trial"] == pytest.approx(2.5)
    assert table.loc["probe every epoch", "seconds"] == pytest.approx(2.5 * 20)
    split = cost(trials, reports.assign(lidar_seconds=0.1))
    assert "lidar" in set(split["work"])
