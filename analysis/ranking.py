"""How well a criterion ranks trials: Kendall τ-b and Spearman ρ against the oracle, with intervals that cover.

The interval is Fisher's z of τ with the delete-one jackknife's error: tanh(artanh τ ± 1.96·s/(1−τ²)). The plain
percentile bootstrap and the studentised one were tried on simulated sweeps beside it (see tests/test_ranking.py).
Sources: Fieller, Hartley & Pearson 1957, Biometrika 44 (z for τ); Long & Cliff 1997, British Journal of Mathematical
and Statistical Psychology 50 (the jackknife's error instead of a constant one); Arvesen 1969 (jackknife of pairs).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy import stats

from analysis.bootstrap import Floats, Integers, influence_of_counts, make_pairs, spread_of_influence
from analysis.columns import Criterion, configuration_of, parse_criteria
from trainers.records import STATUSES

LEVEL = 0.95
NORMAL = float(stats.norm.ppf(0.5 + LEVEL / 2))


@dataclass(frozen=True)
class Estimate:
    """A τ, its 95% interval, its p-value, and the n trials that it rests on."""

    n: int
    tau: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan


def kendall(trials: DataFrame, criteria: Sequence[str] | None = None, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep and criterion: n, τ-b with interval and p, ρ; rows with a NaN on either side are left out.

    `trials` is `load(...).trials`, or any table with the columns named. Where a sweep was audited, the audited trials
    stand for the pruned ones: they weigh 1/audit (column `weight`), and the pruned ones are left out.

    >>> table = DataFrame({"lidar": [1.0, 2.0, 3.0, 4.0], "oracle": [0.1, 0.3, 0.2, 0.4]})
    >>> kendall(table)[["criterion", "n", "tau"]].round(3).values.tolist()
    [['lidar', 4, 0.667]]
    """
    chosen = parse_criteria(trials.columns, criteria)
    table = trials if "sweep" in trials else trials.assign(sweep="")
    parts = [rank_sweep(part, str(sweep), chosen, oracle) for sweep, part in table.groupby("sweep", sort=False)]
    return pd.concat(parts, ignore_index=True)


def rank_sweep(trials: DataFrame, sweep: str, criteria: Sequence[Criterion], oracle: str) -> DataFrame:
    """The rows of one sweep, with p-values corrected for the criteria that were tried (Holm 1979)."""
    rows = DataFrame([rank_one(trials, criterion, oracle) for criterion in criteria])
    for column in ("dataset", "method"):
        rows.insert(0, column, trials[column].iloc[0] if column in trials else "")
    rows.insert(0, "sweep", sweep)
    rows["tau_p_holm"] = holm(rows["tau_p"].to_numpy(dtype=float))
    return rows


def rank_one(trials: DataFrame, criterion: Criterion, oracle: str) -> dict[str, object]:
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


def judged_trials(trials: DataFrame, criterion: Criterion, oracle: str = "oracle") -> DataFrame:
    """score, truth, weight, configuration, status of the trials that have both a score and an oracle."""
    weights = trials["weight"] if "weight" in trials else pd.Series(1.0, index=trials.index)
    table = DataFrame(
        {
            "score": criterion.scores(trials),
            "truth": Criterion(oracle).scores(trials),
            "weight": weights.astype(float),
            "configuration": configuration_of(trials),
            "status": trials["status"].astype(str) if "status" in trials else "completed",
        }
    ).dropna(subset=["score", "truth"])
    if (table["weight"] != 1).any():  # the audited trials stand for those that pruning stopped
        table = table[table["status"] != "pruned"]
    return table


def states_of(judged: DataFrame) -> str:
    """The states that a τ covers, in words.

    >>> states_of(DataFrame({"status": ["completed", "pruned", "completed"]}))
    'completed 2, pruned 1'
    """
    counts = judged["status"].value_counts()
    return ", ".join(f"{status} {counts[status]}" for status in STATUSES if status in counts)


def estimate(
    first: Floats, second: Floats, *, weights: Floats | None = None, groups: Integers | None = None
) -> Estimate:
    """τ-b of two finite (n,) variables, its interval and p; trials in one of `groups` are not independent.

    p is SciPy's, exact without ties up to n = 50 or so and asymptotic else; with weights or groups, which SciPy does
    not know, it is the interval's own. n < 2 or a constant side give NaN.
    """
    n = len(first)
    if n < 2 or len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return Estimate(n)
    tau, error, _ = tau_with_influence(first, second, weights=weights, groups=groups)
    units = n if groups is None else len(np.unique(groups))
    low, high = interval(tau, error, units)
    if weights is None and units == n:
        return Estimate(n, tau, low, high, float(stats.kendalltau(first, second).pvalue))
    return Estimate(n, tau, low, high, wald_p(tau, error, units))


def tau_with_influence(
    first: Floats, second: Floats, *, weights: Floats | None = None, groups: Integers | None = None
) -> tuple[float, float, Floats]:
    """τ-b, its standard error, and the influence of each trial (n,)."""
    once = np.ones((1, len(first)), dtype=np.float32)
    tau, influence = influence_of_counts(make_pairs(first, second), once, weights=weights)
    return float(tau[0]), float(spread_of_influence(influence, once, groups)[0]), influence[0]


def interval(tau: float, error: float, n: int) -> tuple[float, float]:
    """The 95% interval of a τ with its standard error, over n independent trials.

    A perfect τ has no error to measure: its interval is that of the τ with two neighbours swapped, up to 1.

    >>> interval(1.0, 0.0, 2)
    (-1.0, 1.0)
    """
    if n <= 2 or not math.isfinite(error):
        return -1.0, 1.0
    swapped = 1 - 4 / (n * (n - 1))
    centre = math.copysign(min(abs(tau), swapped), tau)
    if 1 - abs(tau) < 1e-12:
        order = np.arange(n, dtype=float)
        other = order.copy()
        other[[n // 2 - 1, n // 2]] = other[[n // 2, n // 2 - 1]]
        error = tau_with_influence(order, other)[1]
    if abs(centre) < 1e-12 and n == 3:
        return -1.0, 1.0
    half = NORMAL * error / (1 - centre**2)
    low, high = math.tanh(math.atanh(centre) - half), math.tanh(math.atanh(centre) + half)
    return (low if tau > -1 else -1.0), (high if tau < 1 else 1.0)


def wald_p(tau: float, error: float, n: int) -> float:
    """Two-sided p of τ = 0 from the same z and error as the interval."""
    if n <= 2 or not math.isfinite(error) or abs(tau) >= 1 or error <= 0:
        return math.nan
    return float(2 * stats.norm.sf(abs(math.atanh(tau)) * (1 - tau**2) / error))


def spearman(first: Floats, second: Floats) -> tuple[float, float]:
    """Spearman's ρ and its p; NaN where it is not defined."""
    if len(first) < 2 or len(np.unique(first)) < 2 or len(np.unique(second)) < 2:
        return math.nan, math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # n = 2 divides 0 by 0 for its p, which is then NaN
        found = stats.spearmanr(first, second)
    return float(found.statistic), float(found.pvalue)


def holm(p: Floats) -> Floats:
    """p-values corrected for having tried them all (Holm 1979, Scandinavian Journal of Statistics 6); NaN stays NaN.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
