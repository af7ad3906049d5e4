"""Several sweeps and single axes: means and intervals over sweeps, τ along one hyperparameter, failures left out."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import stats

from analysis.data.methods import moves_loss
from analysis.report.write import analyze
from analysis.stats.across import across_sweeps, mean_interval, sound_trials
from analysis.stats.axes import by_axis, partial_of_matrix, tau_matrix
from analysis.stats.bootstrap import make_pairs, standard_error, tau_and_influence
from analysis.stats.hyperparameters import partial_tau
from analysis.stats.ranking import kendall
from analysis.text.cautions import cautions
from trainers.methods import METHODS

Floats = NDArray[np.float64]


def test_the_interval_of_the_mean_is_scipys() -> None:
    values = [0.3, -0.1, 0.5, 0.2]
    known = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    mean, low, high = mean_interval(values)
    assert (mean, low, high) == pytest.approx((np.mean(values), known.low, known.high), abs=1e-12)
    assert math.isnan(mean_interval([0.3])[1])
    assert mean_interval([1.0, -1.0])[1:] == (-1.0, 1.0)
    assert math.isnan(mean_interval([])[0])


@pytest.mark.slow
def test_the_interval_over_three_sweeps_covers_the_mean_and_resampled_sweeps_do_not() -> None:
    generator = np.random.default_rng(0)
    drawn = 0.1 + 0.2 * generator.standard_normal((4000, 3))
    covered = np.mean([low <= 0.1 <= high for _, low, high in map(mean_interval, drawn.tolist())])
    means = np.array(list(itertools.product(range(3), repeat=3)))  # every resample of three sweeps
    low, high = np.quantile(drawn[:, means].mean(axis=2), [0.025, 0.975], axis=1, method="inverted_cdf")
    resampled = ((low <= 0.1) & (high >= 0.1)).mean()
    assert covered == pytest.approx(0.95, abs=0.015)
    assert resampled == pytest.approx(0.75, abs=0.03)


def sweeps(n: int = 8) -> DataFrame:
    generator = np.random.default_rng(3)
    rows = [
        DataFrame({"sweep": name, "lidar": generator.uniform(size=n), "oracle": generator.uniform(size=n)})
        for name in ("a", "b", "c")
    ]
    return pd.concat(rows, ignore_index=True).assign(status="completed")


def test_no_number_changes_with_the_scale_of_a_sweep_so_nothing_is_pooled() -> None:
    trials = sweeps()
    found = across_sweeps(kendall(trials))
    far = trials.assign(
        lidar=trials["lidar"] + 100 * (trials["sweep"] == "b"), oracle=trials["oracle"] - 5 * (trials["sweep"] == "a")
    )
    pd.testing.assert_frame_equal(across_sweeps(kendall(far)), found)
    taus = [stats.kendalltau(part["lidar"], part["oracle"]).statistic for _, part in trials.groupby("sweep")]
    row = found.iloc[0]
    assert [row["tau.a"], row["tau.b"], row["tau.c"]] == pytest.approx(taus)
    assert row["mean"] == pytest.approx(np.mean(taus))
    assert (row["sweeps"], row["positive"]) == (3, sum(tau > 0 for tau in taus))


def test_a_sweep_without_a_tau_is_not_counted_and_one_sweep_has_no_table() -> None:
    trials = sweeps()
    trials.loc[trials["sweep"] == "c", "oracle"] = math.nan
    row = across_sweeps(kendall(trials)).iloc[0]
    assert row["sweeps"] == 2
    assert math.isnan(row["tau.c"])
    assert across_sweeps(kendall(trials[trials["sweep"] == "a"])).empty


def test_the_mean_without_failures_is_over_the_other_trials() -> None:
    trials = sweeps()
    trials.loc[::4, "status"] = "collapsed"
    trials.loc[1::8, "status"] = "diverged"
    sound = kendall(trials[trials["status"] == "completed"])
    row = across_sweeps(kendall(trials), kendall(sound_trials(trials))).iloc[0]
    assert row["mean_sound"] == pytest.approx(sound["tau"].mean())
    assert row["mean_sound"] != pytest.approx(row["mean"])
    assert row["mean_sound_low"] < row["mean_sound"] < row["mean_sound_high"]


def axes_table() -> DataFrame:
    lr = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, *[0.3] * 4]
    decay = [*[1.0] * 6, 2.0, 3.0, 4.0, 5.0]
    generator = np.random.default_rng(5)
    table = DataFrame({"config.lr": lr, "config.decay": decay})
    return table.assign(lidar=generator.uniform(size=10), oracle=generator.uniform(size=10), status="completed")


@pytest.mark.parametrize(("name", "places"), [("lr", range(6)), ("decay", [2, 6, 7, 8, 9])])
def test_along_an_axis_tau_is_over_the_trials_that_differ_in_it_alone(name: str, places: list[int]) -> None:
    table = axes_table()
    row = by_axis(table).set_index("hyperparameter").loc[name]
    part = table.iloc[list(places)]
    assert row["design"] == "alone"
    assert row["n"] == len(part)
    assert row["tau"] == pytest.approx(stats.kendalltau(part["lidar"], part["oracle"]).statistic)


def test_an_axis_without_its_collapsed_trials_is_over_the_others() -> None:
    table = axes_table()
    table.loc[[0, 1], "status"] = ["collapsed", "diverged"]
    row = by_axis(table).set_index("hyperparameter").loc["lr"]
    part = table.iloc[2:6]
    assert (row["n"], row["n_sound"]) == (6, 4)
    assert row["tau_sound"] == pytest.approx(stats.kendalltau(part["lidar"], part["oracle"]).statistic)


def test_elsewhere_tau_is_the_partial_one_given_all_other_hyperparameters() -> None:
    generator = np.random.default_rng(6)
    a, b, c, x, y = generator.standard_normal((5, 30))
    table = DataFrame({"config.a": a, "config.b": b, "config.c": c, "lidar": x + b, "oracle": y + b + c})
    row = by_axis(table).set_index("hyperparameter").loc["a"]
    names = ["lidar", "oracle", "config.b", "config.c"]
    inverse = np.linalg.inv(table[names].corr(method="kendall").to_numpy())
    assert row["design"] == "given the others"
    assert row["tau"] == pytest.approx(-inverse[0, 1] / math.sqrt(inverse[0, 0] * inverse[1, 1]))
    assert row["tau_low"] < row["tau"] < row["tau_high"]


def test_given_one_hyperparameter_the_matrix_is_kendalls_formula_with_its_influence() -> None:
    generator = np.random.default_rng(7)
    z, x, y = generator.standard_normal((3, 25)).round(1)
    columns = [x + z, y + z, z]
    found = partial_of_matrix(*tau_matrix(columns, None))
    pairs = [tau_and_influence(make_pairs(columns[i], columns[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
    known = partial_tau(*pairs)
    assert found[0] == pytest.approx(known[0], abs=1e-12)
    np.testing.assert_allclose(found[1], known[1], atol=1e-12)


def test_the_influence_given_several_hyperparameters_is_the_jackknife() -> None:
    generator = np.random.default_rng(8)
    columns = list(generator.standard_normal((4, 60)))
    columns = [columns[0] + columns[2], columns[1] + columns[2] - columns[3], *columns[2:]]
    influence = partial_of_matrix(*tau_matrix(columns, None))[1]
    left = np.array(
        [partial_of_matrix(*tau_matrix([np.delete(one, i) for one in columns], None))[0] for i in range(60)]
    )
    jackknife = math.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
    assert standard_error(influence) == pytest.approx(jackknife, rel=0.04)


def test_a_hyperparameter_that_the_criterion_follows_exactly_leaves_no_partial_tau() -> None:
    values = np.arange(12.0)
    table = DataFrame({"config.a": values, "config.b": values[::-1] ** 2, "lidar": values, "oracle": values % 5})
    rows = by_axis(table).set_index("hyperparameter")
    assert math.isnan(rows.loc["a", "tau"])
    assert rows.loc["overall", "tau"] == pytest.approx(stats.kendalltau(values, values % 5).statistic)


def swept_table(method: str, **columns: object) -> DataFrame:
    values = np.arange(6.0)
    table = DataFrame({"sweep": "s", "method": method, "loss": values, "oracle": values % 4, "status": "completed"})
    return table.assign(trial=range(6), **columns)


@pytest.mark.parametrize(
    ("method", "column", "said"),
    [
        ("simclr", "config.temperature", True),
        ("vicreg", "config.variance_weight", True),
        ("dino", "config.student_temperature", True),
        ("simclr", "config.lr", False),
        ("mine", "config.temperature", False),
    ],
)
def test_a_swept_hyperparameter_in_the_formula_of_the_loss_is_named(method: str, column: str, said: bool) -> None:
    table = swept_table(method, **{column: np.arange(6.0)})
    found = cautions(table, DataFrame(), kendall(table), DataFrame())
    texts = found.loc[found["kind"] == "moved by a hyperparameter", "text"]
    assert len(texts) == said
    assert all(column.removeprefix("config.").capitalize() in text for text in texts)


def test_a_fixed_temperature_or_a_table_without_the_loss_has_no_such_caution() -> None:
    fixed = swept_table("simclr", **{"config.temperature": 0.1})
    other = swept_table("simclr", **{"config.temperature": np.arange(6.0)}).rename(columns={"loss": "rankme"})
    for table in (fixed, other):
        found = cautions(table, DataFrame(), kendall(table), DataFrame())
        assert "moved by a hyperparameter" not in set(found["kind"])


def test_what_the_sweep_recorded_of_its_method_comes_first() -> None:
    table = swept_table("mine", **{"config.scale": np.arange(6.0)})
    settings = {"provenance": {"moves_loss": ["scale"]}}
    sweeps = dict.fromkeys(table["sweep"], settings)
    found = cautions(table, DataFrame(), kendall(table), DataFrame(), sweeps)
    assert found[found["kind"] == "moved by a hyperparameter"]["text"].str.startswith("Scale is in the formula").all()
    assert "moved by a hyperparameter" in set(found["kind"])


@pytest.mark.parametrize("method", METHODS)
def test_a_method_declares_hyperparameters_that_it_has(method: str) -> None:
    assert moves_loss(method) == METHODS[method].moves_loss
    assert set(moves_loss(method)) <= {field.name for field in fields(METHODS[method].Params)}


def test_what_a_table_of_runs_cannot_say_is_cautioned() -> None:
    """A criterion with one value, a row that stands twice, and no command for a sweep where there is none."""
    rows = [{"sweep": "runs", "trial": k, "name": f"run{k}", "rankme": 1.0, "oracle": k / 10} for k in range(5)]
    table = DataFrame([*rows, rows[0] | {"trial": 5}]).assign(status="completed", weight=1.0)
    found = cautions(table, DataFrame(), kendall(table), DataFrame())
    kinds = dict(zip(found["kind"], found["text"], strict=True))
    assert kinds["constant"].startswith("RankMe has one value in all trials")
    assert "several rows named run0." in kinds["repeated names"]
    assert not found["text"].str.contains("`sweeper ").any()
    unmeasured = table.assign(oracle=math.nan)
    found = cautions(unmeasured, DataFrame(), kendall(unmeasured), DataFrame())
    assert "`--oracle COLUMN`" in dict(zip(found["kind"], found["text"], strict=True))["no oracle"]
    swept = unmeasured.assign(configuration=range(6), sweep="my sweep")
    found = cautions(swept, DataFrame(), kendall(swept), DataFrame())
    assert "`sweeper probe 'my sweep' --oracle" in dict(zip(found["kind"], found["text"], strict=True))["no oracle"]


def test_the_report_of_a_sweep_has_no_criteria_of_the_other_sweeps(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name, criteria in (("first", ["lidar"]), ("second", ["lidar", "clid"])):
        table = DataFrame({"trial": range(12), "oracle": draw.uniform(0.3, 0.9, 12), "oracle_n": 1000})
        table.assign(**{one: draw.uniform(1, 20, 12) for one in criteria}).to_csv(tmp_path / f"{name}.csv", index=False)
    analyze([tmp_path / "first.csv", tmp_path / "second.csv"], out=tmp_path / "both")
    assert "CLID" not in (tmp_path / "both" / "first" / "report.md").read_text(encoding="utf-8")
    assert set(pd.read_csv(tmp_path / "both" / "first" / "ranking.csv")["criterion"]) == {"lidar"}
    assert "CLID" in (tmp_path / "both" / "second" / "report.md").read_text(encoding="utf-8")
    assert len(pd.read_csv(tmp_path / "both" / "ranking.csv")) == 4
