"""How well a criterion ranks trials: Kendall τ-b and Spearman ρ with the oracle, and confidence intervals.

The interval uses Fisher's z of τ and the delete-one jackknife's standard error s: tanh(artanh τ ± 1.96·s/(1−τ²)).
Simulated sweeps compare it with the percentile and the studentised bootstrap (see tests/test_ranking.py).
Sources: Fieller, Hartley & Pearson 1957, Biometrika 44 (z for τ); Long & Cliff 1997, British Journal of Mathematical
and Statistical Psychology 50 (jackknife error in place of a constant one); Arvesen 1969 (jackknife of pairs).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import pandas as pd
from pandas import DataFrame

from analysis.data.columns import Criteria, ScoreColumn, configuration_of, parse_criteria
from analysis.stats.bootstrap import Floats, Integers, make_pairs, standard_error, tau_and_influence
from trainers.records import COMPLETED, STATUSES

LEVEL = 0.95
SHUFFLES = 2_000
SHUFFLED = 100
"""Up to this many trials, the p of a weighted τ comes from shuffles; above it, the asymptotic p is as good."""
NORMAL = NormalDist().inv_cdf(0.5 + LEVEL / 2)


@dataclass(frozen=True)
class Estimate:
    """A τ, its 95% interval, its p-value, and the number of trials n."""

    n: int
    tau: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def kendall(trials: DataFrame, criteria: Criteria = None, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep and criterion: n, τ-b with interval and p, ρ. Trials without criterion or oracle are left out.

    `trials` is `load(...).trials`, or any table with these columns. In an audited sweep, the audited trials stand for
    the pruned ones: they have weight 1/audit (column `weight`), and the pruned trials are left out.

    >>> table = DataFrame({"lidar": [1.0, 2.0, 3.0, 4.0], "oracle": [0.1, 0.3, 0.2, 0.4]})
    >>> kendall(table)[["criterion", "n", "tau"]].round(3).values.tolist()
    [['lidar', 4, 0.667]]
    """
    chosen = parse_criteria(trials.columns, criteria)
    table = trials if "sweep" in trials else trials.assign(sweep="")
    parts = [rank_sweep(part, str(sweep), chosen, oracle) for sweep, part in table.groupby("sweep", sort=False)]
    return pd.concat(parts, ignore_index=True)


def rank_sweep(trials: DataFrame, sweep: str, criteria: Sequence[ScoreColumn], oracle: str) -> DataFrame:
    """The rows of one sweep, with p-values corrected for the number of criteria (Holm 1979)."""
    rows = DataFrame([rank_one(trials, criterion, oracle) for criterion in criteria])
    for column in ("dataset", "method"):
        rows.insert(0, column, trials[column].iloc[0] if column in trials else "")
    rows.insert(0, "sweep", sweep)
    rows["tau_p_holm"] = holm_of_distinct(rows["tau_p"].to_numpy(dtype=float), repeats(trials, criteria))
    return rows


def rank_one(trials: DataFrame, criterion: ScoreColumn, oracle: str) -> dict[str, object]:
    """One row of ranking.csv."""
    judged = judged_trials(trials, criterion, oracle)
    scores, truth = judged["score"].to_numpy(), judged["truth"].to_numpy()
    weights = judged["weight"].to_numpy() if judged["weight"].nunique() > 1 else None
    found = estimate(scores, truth, weights=weights, groups=judged["configuration"].to_numpy())
    rho, rho_p = spearman(scores, truth)
    return {
        "criterion": criterion.name,
        "higher_is_better": criterion.higher_is_better,
        "n": found.n,
        "configurations": judged["configuration"].nunique(),
        "states": states_of(judged),
        "weighted": weights is not None,
        "tau": found.tau,
        "tau_low": found.low,
        "tau_high": found.high,
        "tau_p": found.p,
        "rho": rho,
        "rho_p": rho_p,
    }


def judged_trials(trials: DataFrame, criterion: ScoreColumn, oracle: str = "oracle") -> DataFrame:
    """The columns score, truth, weight, configuration and status of the trials with both a score and an oracle."""
    score, truth = (column.scores(trials).to_numpy() for column in (criterion, ScoreColumn(oracle)))
    known = ~(np.isnan(score) | np.isnan(truth))
    part = trials.loc[known, [name for name in ("weight", "status") if name in trials]]
    table = DataFrame(
        {
            "score": score[known],
            "truth": truth[known],
            "weight": part["weight"].to_numpy(dtype=float) if "weight" in part else 1.0,
            "configuration": configuration_of(trials).to_numpy()[known],
            "status": part["status"].astype(str).array if "status" in part else COMPLETED,
        },
        index=part.index,
    )
    if (table["weight"] != 1).any():  # the audited trials stand for the pruned ones
        table = table[table["status"] != "pruned"]
    return table


def states_of(judged: DataFrame) -> str:
    """The states that a τ covers, with their counts, as text.

    >>> states_of(DataFrame({"status": ["completed", "pruned", "completed"]}))
    'completed 2, pruned 1'
    """
    counts = judged["status"].value_counts()
    return ", ".join(f"{status} {counts[status]}" for status in STATUSES if status in counts)


def estimate(
    first: Floats,
    second: Floats,
    *,
    weights: Floats | None = None,
    groups: Integers | None = None,
    with_p: bool = True,
) -> Estimate:
    """τ-b of two finite (n,) variables, its interval and p; trials of the same group (`groups`) are not independent.

    p is SciPy's: exact without ties up to about n = 50, otherwise asymptotic. SciPy has neither weights nor groups.
    With few weighted trials p comes from shuffles, in the other cases from the interval's standard error. All values
    are NaN if n < 2 or a variable is constant.
    """
    n = len(first)
    if n < 2 or is_constant(first) or is_constant(second):
        return Estimate(n)
    tau, influence = tau_and_influence(make_pairs(first, second), weights)
    error = standard_error(influence, groups)
    units = n if groups is None else len(np.unique(groups))
    low, high = interval(tau, error, units)
    if not with_p:
        return Estimate(n, tau, low, high)
    if weights is None and units == n:
        from scipy import stats  # imported late: it takes half a second, and not every use needs it

        return Estimate(n, tau, low, high, float(stats.kendalltau(first, second).pvalue))
    if weights is not None and units == n <= SHUFFLED:
        return Estimate(n, tau, low, high, shuffled_p(first, second, weights))
    return Estimate(n, tau, low, high, wald_p(tau, error, units))


def is_constant(values: Floats) -> bool:
    """Whether all values are equal, so that they give no ranking."""
    return bool((values == values[0]).all()) if len(values) else True


def interval(tau: float, error: float, n: int) -> tuple[float, float]:
    """The 95% interval of a τ with this standard error, over n independent trials.

    The standard error of a perfect τ is 0. Its interval is therefore that of an order with one pair of neighbours
    swapped, extended to 1.

    >>> [round(end, 3) for end in interval(0.5, 0.1, 30)]
    [0.28, 0.67]
    >>> interval(1.0, 0.0, 2)
    (-1.0, 1.0)
    """
    if n <= 2 or not math.isfinite(error):
        return -1.0, 1.0
    almost = 1 - 4 / (n * (n - 1))
    # The influences of few trials may cancel although τ is uncertain, so the error
    # of an almost perfect order is the smallest that is used.
    error = swapped_error(n) if abs(tau) > almost else max(error, swapped_error(n))
    centre = min(max(tau, -almost), almost)
    half = NORMAL * error / (1 - centre**2)
    low, high = math.tanh(math.atanh(centre) - half), math.tanh(math.atanh(centre) + half)
    return (-1.0 if tau < -almost else low), (1.0 if tau > almost else high)


@lru_cache
def swapped_error(n: int) -> float:
    """The standard error of the τ of n trials in perfect order, except for two swapped neighbours."""
    order = np.arange(n, dtype=float)
    other = order.copy()
    other[[0, 1]] = other[[1, 0]]
    return standard_error(tau_and_influence(make_pairs(order, other))[1])


def shuffled_p(first: Floats, second: Floats, weights: Floats, *, seed: int = 0) -> float:
    """Two-sided p of the weighted τ: the share of shuffles of the second variable with a τ at least as far from 0.

    The weights stay with the first variable. The test is exact if the weights depend only on it, as they do for the
    criterion that the pruner watched, and approximate for other criteria. The observed order counts as one shuffle
    (Phipson & Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9).
    """
    generator = np.random.default_rng(seed)
    observed = abs(tau_and_influence(make_pairs(first, second), weights)[0])
    taus = [
        abs(tau_and_influence(make_pairs(first, generator.permutation(second)), weights)[0]) for _ in range(SHUFFLES)
    ]
    return (1 + sum(tau >= observed - 1e-9 for tau in taus)) / (1 + SHUFFLES)


def wald_p(tau: float, error: float, n: int) -> float:
    """Two-sided p of τ = 0, from the same z and standard error as the interval."""
    if n <= 2 or not math.isfinite(error) or abs(tau) >= 1 or error <= 0:
        return math.nan
    return 2 * NormalDist().cdf(-abs(math.atanh(tau)) * (1 - tau**2) / error)


def spearman(first: Floats, second: Floats) -> tuple[float, float]:
    """Spearman's ρ and its p; NaN if it is not defined."""
    if len(first) < 2 or is_constant(first) or is_constant(second):
        return math.nan, math.nan
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # at n = 2, p is 0/0, which gives NaN
        found = stats.spearmanr(first, second)
    return float(found.statistic), float(found.pvalue)


def repeats(trials: DataFrame, criteria: Sequence[ScoreColumn]) -> list[int]:
    """For each criterion, the first one with the same scores: a layer that repeats the plain column is no new test."""
    scores = [criterion.scores(trials).to_numpy().tobytes() for criterion in criteria]
    return [scores.index(values) for values in scores]


def holm_of_distinct(p: Floats, first: Sequence[int]) -> Floats:
    """Holm's correction over the distinct tests; a repeated test has the corrected p of its `first` occurrence."""
    places = sorted(set(first))
    corrected = dict(zip(places, holm(p[places]), strict=True))
    return np.array([corrected[place] for place in first])


def holm(p: Floats) -> Floats:
    """p-values corrected for the number of tests (Holm 1979, Scandinavian Journal of Statistics 6); NaN stays NaN.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
