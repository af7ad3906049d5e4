"""Ranking: equality with SciPy, coverage of intervals, error rates of comparisons, and undefined cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import stats
from simulated import World, simulate

from analysis.stats import bootstrap, comparison
from analysis.stats.bootstrap import (
    DENSE,
    compare_all,
    compare_by_halves,
    draw_counts,
    make_pairs,
    standard_error,
    tau_and_influence,
    tau_of_counts,
)
from analysis.stats.ceiling import ceiling
from analysis.stats.comparison import compare
from analysis.stats.epochs import by_epoch, known_from
from analysis.stats.hyperparameters import partial, partial_tau, select_by_hyperparameter
from analysis.stats.ranking import estimate, holm, interval, kendall, states_of

Floats = NDArray[np.float64]
SIMULATED = 500
few = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=25)


def table_of(score: Floats, truth: Floats, **columns: object) -> DataFrame:
    return DataFrame({"lidar": score, "oracle": truth, **columns})


@settings(max_examples=80, deadline=None)
@given(few)
@pytest.mark.slow
def test_tau_and_rho_are_scipys_with_any_ties(values: list[tuple[int, int]]) -> None:
    score, truth = np.array(values, dtype=float).T
    row = kendall(table_of(score, truth)).iloc[0]
    if len(set(score)) < 2 or len(set(truth)) < 2:
        assert math.isnan(row["tau"])
        assert math.isnan(row["rho"])
        return
    tau, rho = stats.kendalltau(score, truth), stats.spearmanr(score, truth) if len(score) > 2 else None
    assert row["tau"] == pytest.approx(tau.statistic, abs=1e-12)
    assert row["tau_p"] == pytest.approx(tau.pvalue, abs=1e-12)
    if rho is not None:
        assert row["rho"] == pytest.approx(rho.statistic, abs=1e-12)
    assert -1 <= row["tau_low"] <= row["tau"] + 1e-12
    assert row["tau"] - 1e-12 <= row["tau_high"] <= 1


@pytest.mark.parametrize(("n", "levels"), [(5, 0), (12, 0), (50, 6), (200, 0), (300, 20)])
def test_tau_of_every_resample_is_scipys_on_the_same_resample(n: int, levels: int) -> None:
    generator = np.random.default_rng(n)
    score = generator.standard_normal(n)
    truth = score + generator.standard_normal(n)
    if levels:
        score, truth = np.round(score * levels / 4), np.round(truth * levels / 4)
    counts = draw_counts(np.arange(n), 200, generator)
    found = tau_of_counts(make_pairs(score, truth), counts)
    times = counts.astype(int)
    known = [stats.kendalltau(np.repeat(score, w), np.repeat(truth, w)).statistic for w in times]
    np.testing.assert_allclose(found, known, atol=1e-6)
    assert (times.sum(axis=1) == n).all()


@pytest.mark.parametrize("levels", [0, 4])
def test_the_error_is_the_delete_one_jackknifes(levels: int) -> None:
    generator = np.random.default_rng(1)
    score = generator.standard_normal(40)
    truth = score + generator.standard_normal(40)
    if levels:
        score, truth = np.round(score * levels), np.round(truth * levels)
    tau, influence = tau_and_influence(make_pairs(score, truth))
    left = [stats.kendalltau(np.delete(score, i), np.delete(truth, i)).statistic for i in range(40)]
    jackknife = math.sqrt(39 / 40 * ((left - np.mean(left)) ** 2).sum())
    assert standard_error(influence) == pytest.approx(jackknife, rel=0.02)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    assert tau == pytest.approx(stats.kendalltau(score, truth).statistic)


@pytest.mark.parametrize("levels", [0, 2, 20])
@pytest.mark.parametrize("n", [2, 3, 16, 17, 300])
def test_sorting_counts_the_same_pairs_as_the_matrix(n: int, levels: int) -> None:
    generator = np.random.default_rng(n)
    score = generator.standard_normal(n)
    truth = score + generator.standard_normal(n)
    if levels:
        score, truth = np.round(score * levels / 4), np.round(truth * levels / 4)
    pairs, weights = make_pairs(score, truth), generator.integers(1, 9, n).astype(float)
    assert compare_by_halves(pairs.first, pairs.second, np.ones(n)).tolist() == compare_all(pairs, None).tolist()
    assert compare_by_halves(pairs.first, pairs.second, weights).tolist() == compare_all(pairs, weights).tolist()


def test_many_trials_have_scipys_tau_and_the_same_influence_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    score, noise = generator.standard_normal((2, 20_000)).round(3)
    tau, influence = tau_and_influence(make_pairs(score, score + noise))
    assert tau == pytest.approx(stats.kendalltau(score, score + noise).statistic, abs=1e-12)
    assert influence.sum() == pytest.approx(0, abs=1e-9)

    pairs = make_pairs(score[:300], noise[:300])
    dense = tau_and_influence(pairs)
    monkeypatch.setattr(bootstrap, "DENSE", 100)
    sparse = tau_and_influence(pairs)
    assert dense[0] == sparse[0]
    assert dense[1].tolist() == sparse[1].tolist()


def test_many_trials_are_compared_without_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    table = two_criteria(1.0, 1.2, 200, np.random.default_rng(3))
    few = compare(table, ["a", "b"]).iloc[0]
    monkeypatch.setattr(comparison, "DENSE", 100)
    many = compare(table, ["a", "b"]).iloc[0]
    assert many["probability"] == pytest.approx(few["probability"], abs=0.02)
    assert many.drop("probability").tolist() == few.drop("probability").tolist()
    large = two_criteria(1.0, 1.2, DENSE + 1, np.random.default_rng(4))
    assert compare(large, ["a", "b"])["verdict"].iloc[0] == "a"


def test_a_weight_is_that_many_equal_trials() -> None:
    generator = np.random.default_rng(2)
    score, truth = generator.standard_normal((2, 15))
    times = generator.integers(1, 5, 15)
    known = stats.kendalltau(np.repeat(score, times), np.repeat(truth, times)).statistic
    assert tau_and_influence(make_pairs(score, truth), times.astype(float))[0] == pytest.approx(known, abs=1e-6)
    counts = np.ones((1, 15), dtype=np.float32)
    assert tau_of_counts(make_pairs(score, truth), counts, weights=times.astype(float))[0] == pytest.approx(known)


@pytest.mark.slow
def test_audited_trials_stand_for_the_pruned_ones() -> None:
    table = table_of(
        np.arange(6.0),
        np.array([3.0, 1, 4, 2, 5, 9]),
        weight=[1.0, 1, 5, 1, 5, 1],
        status=["completed"] * 5 + ["pruned"],
    )
    row = kendall(table).iloc[0]
    times = [1, 1, 5, 1, 5]
    known = stats.kendalltau(np.repeat(table["lidar"][:5], times), np.repeat(table["oracle"][:5], times)).statistic
    assert row["tau"] == pytest.approx(known)
    assert row["n"] == 5
    assert row["weighted"]
    assert row["states"] == "completed 5"


@pytest.mark.slow
def test_the_interval_covers_where_audited_trials_stand_for_pruned_ones() -> None:
    generator = np.random.default_rng(21)
    truth, covered = 0.5, 0  # of a pair of normals with ρ = sin(π/4)
    for _ in range(SIMULATED):
        score, oracle = normal(truth)(64, generator)
        early = score + generator.standard_normal(64)
        pruned = early < np.median(early)
        audited = pruned & (generator.uniform(size=64) < 0.5)
        kept = ~pruned | audited
        found = estimate(score[kept], oracle[kept], weights=np.where(audited, 2.0, 1.0)[kept])
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / SIMULATED <= 0.97


def normal(tau: float) -> Callable[[int, np.random.Generator], tuple[Floats, Floats]]:
    """Both normal with this τ: ρ = sin(πτ/2)."""

    def draw(n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        rho = math.sin(math.pi / 2 * tau)
        score, noise = generator.standard_normal((2, n))
        return score, rho * score + math.sqrt(1 - rho**2) * noise

    return draw


def heavy(n: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """τ = 0.4 with joint heavy tails, for which an interval with constant variance of z covers too little."""
    score, truth = normal(0.4)(n, generator)
    scale = np.sqrt(generator.chisquare(2, n) / 2)
    return score / scale, truth / scale


WORLDS = [(0.0, normal(0.0)), (0.4, normal(0.4)), (0.7, normal(0.7)), (0.4, heavy)]


def coverage(truth: float, draw: Callable[[int, np.random.Generator], tuple[Floats, Floats]], n: int) -> float:
    generator = np.random.default_rng(20)
    covered = 0
    for _ in range(SIMULATED):
        tau, influence = tau_and_influence(make_pairs(*draw(n, generator)))
        low, high = interval(tau, standard_error(influence), n)
        covered += low <= truth <= high
    return covered / SIMULATED


@pytest.mark.parametrize("n", [30, 64])
@pytest.mark.parametrize(("truth", "draw"), WORLDS, ids=["0", "0.4", "0.7", "heavy"])
def test_the_interval_of_tau_covers_the_truth(
    truth: float, draw: Callable[[int, np.random.Generator], tuple[Floats, Floats]], n: int
) -> None:
    assert 0.93 <= coverage(truth, draw, n) <= 0.97


@pytest.mark.parametrize(("truth", "draw"), [*WORLDS, (0.9, normal(0.9))])
def test_at_a_dozen_trials_the_interval_errs_on_the_wide_side(
    truth: float, draw: Callable[[int, np.random.Generator], tuple[Floats, Floats]]
) -> None:
    assert 0.93 <= coverage(truth, draw, 12) <= 1.0


def test_kendall_and_estimate_give_the_same_interval() -> None:
    score, truth = normal(0.4)(30, np.random.default_rng(3))
    found, row = estimate(score, truth), kendall(table_of(score, truth)).iloc[0]
    assert (found.low, found.high, found.n) == (row["tau_low"], row["tau_high"], row["n"])


def test_a_perfect_tau_has_an_interval_that_shrinks_with_n() -> None:
    lows = [interval(1.0, 0.0, n)[0] for n in (2, 3, 5, 12, 30, 100)]
    assert lows == sorted(lows)
    assert lows[0] == -1
    assert all(interval(1.0, 0.0, n)[1] == 1 for n in (2, 3, 30))
    order = np.arange(12.0)
    swapped = order.copy()
    swapped[[4, 5]] = 5, 4
    almost = estimate(swapped, order)
    assert interval(1.0, 0.0, 12)[0] == pytest.approx(almost.low)
    assert almost.low < 0.6
    assert interval(-1.0, 0.0, 12) == tuple(-end for end in reversed(interval(1.0, 0.0, 12)))


def test_the_order_of_the_trials_changes_nothing() -> None:
    trials, _, _ = simulate(World(trials=20))
    one, other = kendall(trials), kendall(trials.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(one, other)


def test_reversing_a_criterion_reverses_tau_and_its_interval() -> None:
    score, truth = normal(0.4)(25, np.random.default_rng(4))
    one = kendall(table_of(score, truth), ["lidar"]).iloc[0]
    other = kendall(table_of(score, truth), ["-lidar"]).iloc[0]
    assert other["tau"] == pytest.approx(-one["tau"])
    assert (other["tau_low"], other["tau_high"]) == pytest.approx((-one["tau_high"], -one["tau_low"]))


def test_the_loss_is_judged_as_lower_is_better() -> None:
    row = kendall(DataFrame({"loss": [3.0, 2.0, 1.0], "oracle": [0.1, 0.2, 0.3]})).iloc[0]
    assert row["tau"] == pytest.approx(1)
    assert not row["higher_is_better"]


@pytest.mark.parametrize(
    ("score", "truth", "n"),
    [
        ([1.0, 1.0, 1.0], [0.1, 0.2, 0.3], 3),
        ([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], 3),
        ([1.0], [0.1], 1),
        ([np.nan, np.nan], [0.1, 0.2], 0),
        ([1.0, np.inf, 2.0], [0.1, 0.2, np.nan], 1),
    ],
)
def test_where_tau_is_not_defined_it_is_nan_and_n_says_what_there_was(
    score: list[float], truth: list[float], n: int
) -> None:
    row = kendall(DataFrame({"lidar": score, "oracle": truth})).iloc[0]
    assert row["n"] == n
    assert row[["tau", "tau_low", "tau_high", "tau_p", "rho", "rho_p"]].isna().all()


def test_two_trials_have_a_tau_that_says_nothing() -> None:
    row = kendall(DataFrame({"lidar": [1.0, 2.0], "oracle": [0.1, 0.2]})).iloc[0]
    assert (row["tau"], row["tau_low"], row["tau_high"], row["tau_p"]) == (1, -1, 1, 1)


def test_missing_values_are_left_out_criterion_by_criterion() -> None:
    table = DataFrame({"lidar": [1.0, 2, 3, np.nan], "rankme": [1.0, 2, 3, 4], "oracle": [0.1, 0.2, 0.3, 0.0]})
    ranks = kendall(table).set_index("criterion")
    assert ranks["n"].to_dict() == {"lidar": 3, "rankme": 4}
    assert ranks.loc["lidar", "tau"] == pytest.approx(1)
    assert ranks.loc["rankme", "tau"] == pytest.approx(0)


def test_the_states_covered_are_said() -> None:
    trials, _, _ = simulate(World(trials=10))
    trials.loc[:2, "status"] = "pruned"
    assert kendall(trials, ["lidar"])["states"].iloc[0] == "completed 7, pruned 3"
    assert states_of(DataFrame({"status": ["collapsed"] * 3})) == "collapsed 3"


def test_sweeps_are_never_pooled() -> None:
    up, down = ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3]), ([11.0, 12.0, 13.0], [0.9, 0.8, 0.7])
    table = pd.concat([table_of(*map(np.array, up), sweep="a"), table_of(*map(np.array, down), sweep="b")])
    assert kendall(table)["tau"].tolist() == pytest.approx([1, -1])


def test_runs_of_one_configuration_are_drawn_together_and_count_as_one() -> None:
    score, truth = normal(0.4)(20, np.random.default_rng(5))
    once = kendall(table_of(score, truth)).iloc[0]
    thrice = table_of(np.repeat(score, 3), np.repeat(truth, 3), configuration=np.arange(20).repeat(3))
    row = kendall(thrice).iloc[0]
    assert (row["n"], row["configurations"]) == (60, 20)
    assert row["tau"] == pytest.approx(once["tau"])
    assert row["tau_high"] - row["tau_low"] == pytest.approx(once["tau_high"] - once["tau_low"], rel=1e-6)
    assert row["tau_p"] > 10 * stats.kendalltau(thrice["lidar"], thrice["oracle"]).pvalue


def test_whole_configurations_are_drawn() -> None:
    groups = np.array([3, 3, 1, 0, 1, 3])
    counts = draw_counts(groups, 50, np.random.default_rng(0))
    for label in groups:
        assert (counts[:, groups == label] == counts[:, groups == label][:, :1]).all()
    first = [int(np.flatnonzero(groups == label)[0]) for label in np.unique(groups)]
    assert (counts[:, first].sum(axis=1) == 3).all()
    assert counts.std() > 0


def test_holms_correction_counts_each_test_once() -> None:
    assert holm(np.array([0.01, np.nan, 0.04, 0.03])).tolist() == pytest.approx(
        [0.03, math.nan, 0.06, 0.06], nan_ok=True
    )
    trials, _, _ = simulate(World(trials=20))
    ranks = kendall(trials).set_index("criterion")
    assert ranks.loc["lidar", "tau_p_holm"] == ranks.loc["lidar.embedding", "tau_p_holm"]
    distinct = ranks.drop(["lidar.embedding", "rankme.embedding"])  # these repeat the plain columns
    assert distinct["tau_p_holm"].to_numpy() == pytest.approx(holm(distinct["tau_p"].to_numpy()))


def two_criteria(first: float, second: float, n: int, generator: np.random.Generator) -> DataFrame:
    """Two criteria that are the quality plus independent noise."""
    quality = generator.standard_normal(n)
    seen = {name: quality + size * generator.standard_normal(n) for name, size in (("a", first), ("b", second))}
    return DataFrame({"oracle": quality, **seen})


@pytest.mark.parametrize("n", [12, 30])
@pytest.mark.slow
def test_equal_criteria_are_called_unequal_no_more_often_than_said(n: int) -> None:
    generator = np.random.default_rng(6)
    tables = [two_criteria(1, 1, n, generator) for _ in range(300)]
    decided = sum(compare(t, ["a", "b"], resamples=2)["verdict"].iloc[0] != "" for t in tables)
    assert decided / len(tables) <= 0.07


def test_unequal_criteria_are_told_apart_with_enough_trials() -> None:
    generator = np.random.default_rng(7)
    row = compare(two_criteria(0.3, 2.0, 60, generator), ["a", "b"]).iloc[0]
    assert row["verdict"] == "a"
    assert row["probability"] > 0.99
    assert row["difference"] == pytest.approx(row["tau_first"] - row["tau_second"])
    assert row["difference_low"] > 0


@pytest.mark.slow
def test_the_probability_is_that_of_resamples_judged_by_scipy() -> None:
    table = two_criteria(1, 1, 12, np.random.default_rng(8))
    row = compare(table, ["a", "b"], resamples=300, seed=5).iloc[0]
    counts = draw_counts(np.arange(12), 300, np.random.default_rng(5)).astype(int)
    drawn = [table.loc[np.repeat(np.arange(12), times)] for times in counts]
    ahead = [stats.kendalltau(d["a"], d["oracle"])[0] - stats.kendalltau(d["b"], d["oracle"])[0] for d in drawn]
    known = np.mean([1.0 if x > 1e-9 else 0.5 if abs(x) <= 1e-9 else 0.0 for x in ahead])
    assert row["probability"] == pytest.approx(known, abs=0.01)


def test_a_criterion_against_itself_and_too_few_trials_have_no_verdict() -> None:
    table = two_criteria(1, 1, 20, np.random.default_rng(9)).assign(b=lambda t: t["a"])
    row = compare(table, ["a", "b"]).iloc[0]
    assert (row["verdict"], row["probability"]) == ("", 0.5)
    assert compare(table.head(2), ["a", "b"])["verdict"].iloc[0] == ""
    assert compare(table.assign(oracle=np.nan), ["a", "b"])["verdict"].iloc[0] == ""


def test_partial_tau_is_kendalls_formula() -> None:
    generator = np.random.default_rng(10)
    lr = generator.uniform(size=30)
    table = DataFrame(
        {"lidar": lr + generator.uniform(size=30), "oracle": lr + generator.uniform(size=30), "config.lr": lr}
    )
    row = partial(table).iloc[0]
    a, b, c = (
        stats.kendalltau(table[x], table[y])[0]
        for x, y in (("lidar", "oracle"), ("lidar", "config.lr"), ("oracle", "config.lr"))
    )
    assert row["tau_given"] == pytest.approx((a - b * c) / math.sqrt((1 - b**2) * (1 - c**2)))
    assert (row["tau_criterion"], row["tau_oracle"]) == pytest.approx((b, c))


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 5, 6])
def test_no_order_of_a_few_trials_has_an_interval_of_no_width(n: int) -> None:
    places = np.arange(n, dtype=float)
    for order in itertools.permutations(places):
        found = estimate(places, np.array(order))
        assert found.high - found.low > 0.25


@pytest.mark.slow
def test_weights_reach_every_tau() -> None:
    generator = np.random.default_rng(1)
    names = ("lidar", "rankme", "oracle", "config.lr")
    table = DataFrame({name: generator.uniform(size=12) for name in names}).assign(trial=range(12))
    heavy = table.assign(weight=np.where(np.arange(12) % 3, 1.0, 5.0))
    reports = table.assign(epoch=1)
    chosen = ["lidar", "rankme"]
    for judge, column in (
        (lambda trials: kendall(trials, chosen), "tau"),
        (lambda trials: partial(trials, chosen), "tau_given"),
        (lambda trials: compare(trials, chosen), "difference"),
        (lambda trials: by_epoch(trials, reports, chosen), "tau"),
    ):
        assert abs(float(judge(table)[column].iloc[0]) - float(judge(heavy)[column].iloc[0])) > 1e-3


def test_a_partial_tau_of_few_trials_has_no_interval() -> None:
    generator = np.random.default_rng(0)
    table = DataFrame({name: generator.uniform(size=10) for name in ("lidar", "oracle", "config.lr")})
    assert partial(table)[["tau_given", "tau_given_low", "tau_given_high"]].notna().all(axis=None)
    few = partial(table.head(9)).iloc[0]
    assert np.isfinite(few["tau_given"])
    assert np.isnan(few["tau_given_low"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_the_p_of_few_weighted_trials_is_that_of_every_order(seed: int) -> None:
    generator = np.random.default_rng(seed)
    score, truth = generator.uniform(size=6), generator.uniform(size=6).round(1)
    weights = np.array([1.0, 4.0, 1.0, 1.0, 4.0, 1.0])
    ones = np.ones((1, 6), dtype=np.float32)
    taus = [
        abs(tau_of_counts(make_pairs(score, truth[list(order)]), ones, weights=weights)[0])
        for order in itertools.permutations(range(6))
    ]
    known = float(np.mean([tau >= taus[0] - 1e-9 for tau in taus]))
    found = estimate(score, truth, weights=weights).p
    assert found == pytest.approx(known, abs=3 * np.sqrt(known * (1 - known) / 2000) + 1 / 2000)


def test_the_influence_of_partial_tau_is_its_jackknife() -> None:
    generator = np.random.default_rng(11)
    x, y, z = generator.standard_normal((3, 60))
    x, y = x + z, y + z

    def of(keep: NDArray[np.bool_]) -> float:
        parts = [tau_and_influence(make_pairs(u[keep], v[keep])) for u, v in ((x, y), (x, z), (y, z))]
        return partial_tau(*parts)[0]

    whole = [tau_and_influence(make_pairs(u, v)) for u, v in ((x, y), (x, z), (y, z))]
    left = np.array([of(np.arange(60) != i) for i in range(60)])
    jackknife = math.sqrt(59 / 60 * ((left - left.mean()) ** 2).sum())
    assert standard_error(partial_tau(*whole)[1]) == pytest.approx(jackknife, rel=0.03)


def test_a_criterion_that_only_follows_the_learning_rate_has_nothing_left_given_it() -> None:
    generator = np.random.default_rng(12)
    lr, noise, luck = generator.uniform(size=(3, 40))
    table = DataFrame({"lidar": lr + 0.05 * noise, "oracle": lr + luck, "config.lr": lr})
    row = partial(table).iloc[0]
    assert row["tau"] > 0.3
    assert row["tau_given"] < row["tau"] / 2
    assert row["tau_given_low"] < 0 < row["tau_given_high"]


def test_a_loss_that_falls_with_the_learning_rate_is_said_to_fall() -> None:
    table = DataFrame({"loss": [5.0, 4, 3, 1, 2], "oracle": [0.1, 0.2, 0.3, 0.4, 0.5], "config.lr": [1.0, 2, 3, 4, 5]})
    row = partial(table).iloc[0]
    assert row["tau"] > 0 > row["tau_criterion"]


def test_the_ceiling_is_the_tau_of_one_seed_with_another() -> None:
    generator = np.random.default_rng(13)
    first, second = generator.uniform(size=(2, 15))
    table = DataFrame(
        {
            "configuration": np.tile(np.arange(15), 2),
            "seed": np.repeat([0, 1], 15),
            "oracle": np.concatenate([first, second]),
        }
    )
    row = ceiling(table).iloc[0]
    assert row["tau"] == pytest.approx(stats.kendalltau(first, second).statistic)
    assert (row["configurations"], row["seeds"]) == (15, 2)
    assert row["noise"] == pytest.approx(math.sqrt(np.mean((first - second) ** 2 / 2)))
    assert ceiling(table[table["seed"] == 0]).empty


def test_the_sweep_along_one_axis_at_a_time_is_selected_axis_by_axis() -> None:
    table = DataFrame(
        {
            "config.lr": [2, 1, 3, 2, 2],
            "config.wd": [20, 20, 20, 10, 30],
            "lidar": [5.0, 1.0, 6.0, 7.0, 2.0],
            "oracle": [0.5, 0.9, 0.7, 0.4, 0.8],
        }
    )
    cells = select_by_hyperparameter(table).set_index(["criterion", "hyperparameter"])
    assert cells.loc[("lidar", "lr"), ["oracle", "best_oracle", "n"]].tolist() == [0.7, 0.9, 3]
    assert cells.loc[("lidar", "wd"), ["oracle", "best_oracle", "n"]].tolist() == [0.4, 0.8, 3]
    assert cells.loc[("lidar", "overall"), "oracle"] == 0.4
    assert cells.loc[("random", "wd"), "oracle"] == pytest.approx((0.5 + 0.4 + 0.8) / 3)
    assert cells.loc[("oracle", "lr"), "design"] == "alone"


def test_other_sweeps_are_selected_within_bins() -> None:
    generator = np.random.default_rng(14)
    table = DataFrame(generator.uniform(size=(12, 4)), columns=["config.a", "config.b", "lidar", "oracle"])
    cells = select_by_hyperparameter(table).set_index(["criterion", "hyperparameter"])
    thirds = [part for _, part in table.groupby(pd.qcut(table["config.a"], 3, labels=False))]
    kept = [part.loc[part["lidar"].idxmax(), "oracle"] for part in thirds]
    assert cells.loc[("lidar", "a"), "oracle"] == pytest.approx(np.mean(kept))
    assert cells.loc[("oracle", "a"), "oracle"] == pytest.approx(np.mean([part["oracle"].max() for part in thirds]))
    assert cells.loc[("lidar", "a"), "bins"] == 3


def test_each_epoch_is_judged_against_the_final_oracle() -> None:
    trials, reports, _ = simulate(World(name="s", trials=15, epochs=4, collapsed=2))
    done = trials[trials["status"] == "completed"].set_index("trial")
    reports.loc[(reports["trial"] == done.index[0]) & (reports["epoch"] == 2), "lidar"] = np.nan
    table = by_epoch(trials, reports).set_index(["criterion", "epoch"])
    for (criterion, epoch), row in table.iterrows():
        then = reports[reports["epoch"] == epoch].set_index("trial").loc[done.index, criterion].dropna()
        signed = -then if criterion == "loss" else then
        assert row["tau"] == pytest.approx(stats.kendalltau(signed, done.loc[then.index, "oracle"]).statistic)
        assert row["n"] == len(then)
        assert row["trial"] == signed.idxmax()
        assert row["regret"] == pytest.approx(done["oracle"].max() - done.loc[signed.idxmax(), "oracle"])
    assert table.loc[("lidar", 2), "n"] == 12
    assert set(table.index.get_level_values(0)) == {"lidar", "rankme", "loss"}


def test_of_equals_at_an_epoch_the_lowest_trial_is_selected() -> None:
    trials = DataFrame({"trial": [2, 0, 1], "lidar": [1.0, 1, 1], "oracle": [0.9, 0.1, 0.5]})
    reports = DataFrame({"trial": [1, 2, 0], "epoch": 1, "lidar": [7.0, 7.0, 3.0]})
    row = by_epoch(trials, reports).iloc[0]
    assert (row["trial"], row["regret"]) == (1, pytest.approx(0.4))


def test_an_epoch_counts_as_known_only_if_it_stays_so() -> None:
    def known(*lows: float) -> object:
        table = DataFrame({"sweep": "s", "criterion": "lidar", "epoch": range(1, len(lows) + 1), "tau_low": lows})
        return known_from(table)["known_from"].iloc[0]

    assert known(0.1, 0.2) == 1
    assert known(0.1, -0.2, 0.1) == 3
    assert known(0.1, 0.2, math.nan) is pd.NA
    assert known(-0.1, -0.2) is pd.NA
