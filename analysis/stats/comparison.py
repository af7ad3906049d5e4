"""Comparison of two criteria on the same trials and resamples."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from pandas import DataFrame

from analysis.data.columns import Criteria, parse_criteria
from analysis.stats.bootstrap import (
    DENSE,
    RESAMPLES,
    Counts,
    Floats,
    Integers,
    Pairs,
    draw_counts,
    make_pairs,
    standard_error,
    tau_and_influence,
    tau_of_counts,
)
from analysis.stats.ranking import NORMAL, is_constant, judged_trials


def compare(
    trials: DataFrame,
    criteria: Criteria = None,
    *,
    oracle: str = "oracle",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DataFrame:
    """One row per sweep and pair of criteria: the difference of τ with its interval, P(first > second), the verdict.

    Both criteria are judged on the trials that have both values, and on the same resamples. The interval is the
    difference ± 1.96 standard errors of the delete-one jackknife. Above DENSE trials, P is from the normal distribution
    with this standard error, and no resample is drawn. `verdict` is the better criterion, or "" if the interval
    includes 0.

    >>> table = DataFrame({"lidar": [1.0, 2.0, 3.0, 4.0], "loss": [1.0, 2.0, 3.0, 4.0], "oracle": [0.1, 0.2, 0.3, 0.4]})
    >>> compare(table)[["first", "second", "difference"]].values.tolist()
    [['lidar', 'loss', 2.0]]
    """
    chosen = [criterion for criterion in parse_criteria(trials.columns, criteria) if not criterion.layer]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        draw = Draw(resamples, seed)
        judged = {criterion.name: judged_trials(part, criterion, oracle) for criterion in chosen}
        for first, second in itertools.combinations(judged, 2):
            found = compare_two(judged[first], judged[second], (first, second), draw)
            rows.append({"sweep": sweep, "first": first, "second": second, **found})
    return DataFrame(rows)


class Draw:
    """τ of every resample; resamples already drawn for the same trials are reused."""

    def __init__(self, resamples: int, seed: int) -> None:
        self.resamples, self.seed = resamples, seed
        self.counts: dict[bytes, Counts] = {}
        self.taus: dict[tuple[bytes, bytes], Floats] = {}

    def tau(self, pairs: Pairs, groups: Integers, weights: Floats | None) -> Floats:
        """τ (resamples,), when whole `groups` (n,) of trials are drawn."""
        drawn = groups.tobytes()
        if drawn not in self.counts:
            self.counts[drawn] = draw_counts(groups, self.resamples, np.random.default_rng(self.seed))
        key = (drawn, pairs.first.tobytes() + pairs.second.tobytes())
        if key not in self.taus:
            self.taus[key] = tau_of_counts(pairs, self.counts[drawn], weights=weights)
        return self.taus[key]

    def share_above(self, pairs: Sequence[Pairs], groups: Integers, weights: Floats | None) -> float:
        """The share of resamples in which the first of two τ is higher."""
        first, second = (self.tau(pair, groups, weights) for pair in pairs)
        return share_above(first - second)


def compare_two(first: DataFrame, second: DataFrame, names: tuple[str, str], draw: Draw) -> dict[str, object]:
    """One row of comparison.csv, from the trials as judged by each criterion."""
    both = first.join(second["score"].rename("other"), how="inner")
    n = len(both)
    row: dict[str, object] = {"n": n}
    scores = [both[name].to_numpy() for name in ("score", "other")]
    truth, groups = both["truth"].to_numpy(), both["configuration"].to_numpy()
    if n < 3 or any(is_constant(values) for values in (*scores, truth)):
        nothing = ("tau_first", "tau_second", "difference", "difference_low", "difference_high", "probability")
        return {**row, **dict.fromkeys(nothing, math.nan), "verdict": ""}
    weights = both["weight"].to_numpy() if both["weight"].nunique() > 1 else None
    pairs = [make_pairs(values, truth) for values in scores]
    (tau, influence), (other, other_influence) = (tau_and_influence(pair, weights) for pair in pairs)
    error = standard_error(influence - other_influence, groups)
    half, difference = NORMAL * error, tau - other
    return {
        **row,
        "tau_first": tau,
        "tau_second": other,
        "difference": difference,
        "difference_low": difference - half,
        "difference_high": difference + half,
        "probability": draw.share_above(pairs, groups, weights) if n <= DENSE else normal_share(difference, error),
        "verdict": better_of(*names, difference, half),
    }


def share_above(drawn: Floats) -> float:
    """The share of resamples in which the first is higher; ties count half, and resamples without a τ are left out."""
    known = drawn[np.isfinite(drawn)]
    return float(((known > 0) + 0.5 * (known == 0)).mean()) if len(known) else math.nan


def normal_share(difference: float, error: float) -> float:
    """The same for many trials, of which the resamples' differences are normal.

    >>> round(normal_share(0.1, 0.1), 3), normal_share(0.0, 0.0)
    (0.841, 0.5)
    """
    if error > 0:
        return NormalDist(0.0, error).cdf(difference)
    return share_above(np.array([difference]))


def better_of(first: str, second: str, difference: float, half: float) -> str:
    """The criterion with the clearly higher τ, or "" if the interval `difference` ± `half` includes 0.

    >>> better_of("lidar", "rankme", 0.2, 0.3), better_of("lidar", "rankme", 0.4, 0.3)
    ('', 'lidar')
    """
    if not math.isfinite(half) or half <= 0 or abs(difference) <= half:
        return ""
    return first if difference > 0 else second
