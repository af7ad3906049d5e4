"""Selection by a criterion: the accuracy of the selected trial, and its regret against the best trial."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import (
    Criteria,
    ScoreColumn,
    check_directed,
    configuration_of,
    make_score_column,
    parse_criteria,
)
from analysis.data.headings import NAME
from analysis.stats.bootstrap import CHUNK, Floats, Integers, draw_counts
from trainers.records import COMPLETED

SWEEPS = 2_000
"""Resampled sweeps: the standard error of the mean regret is then 1/45 of the regret's standard deviation."""


def best_trial(trials: DataFrame, criterion: str | ScoreColumn) -> Series:
    """The completed trial that the criterion selects; among equal trials, the one with the lowest number.

    `criterion` is a column or its name, with the prefix `-` if less is better or `+` if more is better.

    Raises:
        ValueError: no completed trial has a finite value of the criterion, or an unknown criterion has no sign.

    >>> table = DataFrame({"trial": [0, 1, 2], "lidar": [3.0, 7.0, 7.0]})
    >>> int(best_trial(table, "lidar")["trial"])
    1
    """
    chosen = make_score_column(criterion)
    if chosen.name not in trials:
        raise ValueError(f"`criterion` must be a column of the trials, but got {chosen.name!r}")
    check_directed(criterion)
    found = order_by(completed(trials), chosen)
    if found.empty:
        raise ValueError(
            f"`{chosen.name}` must be finite for a completed trial, but it is finite for none of {len(trials)} trials"
        )
    return found.iloc[0]


def select(
    trials: DataFrame,
    criteria: Criteria = None,
    *,
    oracle: str = "oracle",
    resamples: int = SWEEPS,
    seed: int = 0,
) -> DataFrame:
    """One row per sweep and criterion: the selected completed trial, its oracle, the best oracle, and the regret.

    `top1`, `top3` and `top5` say whether the best trial is among the criterion's first 1, 3 and 5. `expected_regret`
    (with its 95% range) and `hit1`, `hit3`, `hit5` are means over sweeps resampled from these trials with replacement.

    >>> table = DataFrame({"lidar": [1.0, 3.0, 2.0], "oracle": [0.5, 0.7, 0.9]})
    >>> select(table)[["criterion", "trial", "oracle", "best_oracle"]].values.tolist()
    [['lidar', 1, 0.7, 0.9]]
    """
    chosen = parse_criteria(trials.columns, criteria)
    table = trials if "sweep" in trials else trials.assign(sweep="")
    table = table if "trial" in table else table.assign(trial=range(len(table)))
    read = {"trial", NAME, "configuration", oracle, *(criterion.name for criterion in chosen)}
    columns = [name for name in table if name in read]
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        done = completed(part)[columns]
        for criterion in chosen:
            ordered = order_by(done, criterion)
            row = select_one(done, ordered, criterion, oracle)
            rows.append({"sweep": sweep, **row, **select_again(done, ordered, oracle, resamples, seed)})
    return DataFrame(rows)


def select_one(done: DataFrame, ordered: DataFrame, criterion: ScoreColumn, oracle: str) -> dict[str, object]:
    """One row of selection.csv, from the completed trials, also in the criterion's order."""
    truth = ScoreColumn(oracle).scores(done)
    best = order_by(done, ScoreColumn(oracle))
    scores = criterion.scores(ordered)
    chosen = float(truth.loc[ordered.index[0]]) if len(ordered) else math.nan
    top = float(truth.max()) if len(best) else math.nan
    middle = float(truth.mean()) if len(best) else math.nan
    return {
        "criterion": criterion.name,
        "n": len(ordered),
        "trial": ordered["trial"].iloc[0] if len(ordered) else pd.NA,
        "oracle": chosen,
        "best_trial": best["trial"].iloc[0] if len(best) else pd.NA,
        "best_oracle": top,
        "regret": top - chosen,
        "normalised_regret": (top - chosen) / (top - middle) if top > middle else math.nan,
        "random_oracle": middle,
        "rank": int((truth > chosen).sum()) + 1 if math.isfinite(chosen) else pd.NA,
        "ties": int((scores == scores.iloc[0]).sum()) - 1 if len(ordered) else 0,
        **{f"top{k}": in_top(ordered, truth, k) for k in (1, 3, 5)},
        **({"trial_name": first_name(ordered), "best_trial_name": first_name(best)} if NAME in done else {}),
    }


def first_name(trials: DataFrame) -> object:
    """The name of the first run."""
    return trials[NAME].iloc[0] if len(trials) else pd.NA


def in_top(ordered: DataFrame, truth: Series[float], k: int) -> float:
    """1 if one of the first k trials is as good as the best, 0 if not, NaN if that is unknown."""
    first = truth.loc[ordered.index[:k]]
    if truth.notna().sum() == 0 or first.isna().all():
        return math.nan
    return float(first.max() >= truth.max())


def select_again(done: DataFrame, ordered: DataFrame, oracle: str, resamples: int, seed: int) -> dict[str, float]:
    """Expected regret and hit rates of selection, over sweeps resampled from these trials with replacement."""
    truth = np.asarray(ScoreColumn(oracle).scores(ordered), dtype=np.float64)
    names = ("expected_regret", "regret_low", "regret_high", "hit1", "hit3", "hit5")
    if len(ordered) < 2 or not np.isfinite(truth).all():
        return dict.fromkeys(names, math.nan)
    groups = np.asarray(configuration_of(done).loc[ordered.index], dtype=np.int64)
    regret, position = redrawn(truth, groups, resamples, seed)
    low, high = np.quantile(regret, [0.025, 0.975])
    hits = [float((position < k).mean()) for k in (1, 3, 5)]
    return dict(zip(names, (float(regret.mean()), float(low), float(high), *hits), strict=True))


def redrawn(truth: Floats, groups: Integers, resamples: int, seed: int) -> tuple[Floats, Integers]:
    """For each resample, the regret and the number of trials that the criterion ranks above the best trial drawn.

    `truth` (n,) is the oracle in the criterion's order, best first.
    """
    generator = np.random.default_rng(seed)
    regret, position = np.empty(resamples), np.empty(resamples, dtype=np.int64)
    rows = max(1, CHUNK // len(truth))
    for start in range(0, resamples, rows):
        there = draw_counts(groups, min(rows, resamples - start), generator) > 0
        values = np.where(there, truth, -np.inf)
        best = values.max(axis=1)
        regret[start : start + rows] = best - truth[there.argmax(axis=1)]
        at = (values == best[:, None]).argmax(axis=1)
        before = np.cumsum(there, axis=1, dtype=np.int32)
        position[start : start + rows] = before[np.arange(len(at)), at] - 1
    return regret, position


def completed(trials: DataFrame) -> DataFrame:
    """The completed trials; all trials if the table has no status."""
    return trials[trials["status"] == COMPLETED] if "status" in trials else trials


def order_by(trials: DataFrame, criterion: ScoreColumn) -> DataFrame:
    """The trials with a finite score, best first; equal scores are in the order of the trial numbers."""
    scores = criterion.scores(trials)
    order = np.lexsort((trials["trial"].to_numpy(), -scores.to_numpy()))
    return trials.iloc[order[: int(scores.notna().sum())]]
