"""Each criterion over several sweeps: τ of every sweep, and the mean τ with its interval over sweeps.

A sweep is one observation, and every sweep has the same weight; no trials of different sweeps are compared. The
interval is Student's (1908, Biometrika 6) of the mean: mean ± t·s/√k over k sweeps, cut at −1 and 1. It holds for
further sweeps of the same kind. Resampling few sweeps would give intervals that are too narrow: at k = 3, the
percentile bootstrap covers the mean in about 75% of the cases, not in 95% (tests/test_across.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas import DataFrame

from analysis.stats.ranking import LEVEL
from trainers.records import COLLAPSED, DIVERGED

FAILED_TRAINING = (COLLAPSED, DIVERGED)
"""The states of trials that did not train."""
PREFIX = "tau."
"""Before the name of a sweep: the column with its τ."""


def across_sweeps(ranking: DataFrame, sound: DataFrame | None = None) -> DataFrame:
    """One row per criterion: its τ in every sweep (`tau.<sweep>`), and their mean with its 95% interval.

    `ranking` is `kendall(trials)`, and `sound` the same without collapsed and diverged trials, for `mean_sound`.
    `sweeps` counts those with a τ, `positive` those with a τ above 0. No rows if there are fewer than two sweeps.

    >>> table = DataFrame({"sweep": ["a", "b"], "criterion": ["lidar", "lidar"], "tau": [0.2, 0.4]})
    >>> across_sweeps(table)[["criterion", "sweeps", "positive", "mean", "tau.a"]].round(3).values.tolist()
    [['lidar', 2, 2, 0.3, 0.2]]
    """
    if ranking["sweep"].nunique() < 2:
        return DataFrame()
    names = list(dict.fromkeys(ranking["sweep"]))
    return DataFrame(
        [
            {
                "criterion": criterion,
                **summary_of(part["tau"].tolist()),
                **means_of(sound, str(criterion), "_sound"),
                **{f"{PREFIX}{name}": tau_of(part, name) for name in names},
            }
            for criterion, part in ranking.groupby("criterion", sort=False)
        ]
    )


def summary_of(taus: Sequence[float]) -> dict[str, float]:
    """The number of sweeps with a τ, of those with a positive one, and the mean with its interval."""
    known = [tau for tau in taus if math.isfinite(tau)]
    mean, low, high = mean_interval(known)
    counts = {"sweeps": len(known), "positive": sum(tau > 0 for tau in known)}
    return {**counts, "mean": mean, "mean_low": low, "mean_high": high}


def means_of(ranking: DataFrame | None, criterion: str, suffix: str) -> dict[str, float]:
    """The mean with its interval over another ranking, as columns with a suffix; none without that ranking."""
    if ranking is None:
        return {}
    taus = ranking.loc[ranking["criterion"] == criterion, "tau"]
    found = mean_interval([tau for tau in taus if math.isfinite(tau)])
    names = (f"mean{suffix}", f"mean{suffix}_low", f"mean{suffix}_high")
    return dict(zip(names, found, strict=True))


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean of several τ and its 95% interval over them; the interval is NaN below two values.

    >>> [round(value, 3) for value in mean_interval([0.1, 0.2, 0.3])]
    [0.2, -0.048, 0.448]
    """
    if not values:
        return math.nan, math.nan, math.nan
    mean, k = float(np.mean(values)), len(values)
    if k < 2:
        return mean, math.nan, math.nan
    from scipy import stats

    half = float(stats.t.ppf(0.5 + LEVEL / 2, k - 1) * np.std(values, ddof=1) / math.sqrt(k))
    return mean, max(-1.0, mean - half), min(1.0, mean + half)


def tau_of(rows: DataFrame, sweep: str) -> float:
    """The τ of one sweep; NaN if it has none."""
    found = rows.loc[rows["sweep"] == sweep, "tau"]
    return float(found.iloc[0]) if len(found) else math.nan


def sound_trials(trials: DataFrame) -> DataFrame:
    """The trials without the collapsed and the diverged ones."""
    return trials[~trials["status"].isin(FAILED_TRAINING)] if "status" in trials else trials


def failed_with_oracle(trials: DataFrame) -> bool:
    """Whether any collapsed or diverged trial has an oracle, so that leaving it out can change a τ."""
    failed = trials["status"].isin(FAILED_TRAINING) if "status" in trials else pd.Series(False, index=trials.index)
    return bool(trials.loc[failed, "oracle"].notna().any())
