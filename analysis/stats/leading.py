"""The criteria of a sweep by their τ, and their mean τ over several sweeps; fast, without p-values and resamples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pandas import DataFrame

from analysis.data.clean import audit_weights, without_failed
from analysis.data.columns import ScoreColumn
from analysis.stats.ranking import estimate, judged_trials
from trainers.records import STATUSES

FEWEST: Final = 3
"""Trials below which there is no τ: of two trials, every criterion ranks all pairs right or wrong."""


@dataclass(frozen=True)
class Ranked:
    """The τ of a criterion with the oracle over n trials, and its 95% interval, as in ranking.csv."""

    criterion: str
    n: int
    tau: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanTau:
    """The mean τ of a criterion over sweeps, and its range."""

    criterion: str
    mean: float
    least: float
    greatest: float
    sweeps: tuple[str, ...]


def rank_criteria(
    rows: Sequence[Mapping[str, Any]], criteria: Sequence[ScoreColumn], settings: Mapping[str, Any]
) -> list[Ranked]:
    """The criteria with a τ, the greatest first; equal ones in the order of `criteria`.

    Args:
        rows: of trials.parquet.
        criteria: the columns to rank.
        settings: sweep.yaml, for the share of audited trials.

    >>> rows = [{"status": "completed", "lidar": float(n), "loss": 2.0, "oracle": 0.1 * n} for n in range(4)]
    >>> found = rank_criteria(rows, [ScoreColumn("lidar"), ScoreColumn("loss")], {})
    >>> [(one.criterion, one.n, one.tau) for one in found]
    [('lidar', 4, 1.0)]
    """
    ended = [row for row in rows if row["status"] in STATUSES]
    if not any(row.get("oracle") is not None for row in ended):
        return []
    table = DataFrame(ended)
    trials, _ = without_failed(table.assign(oracle=table["oracle"].astype(float)), "")
    trials["weight"] = audit_weights(trials, settings)
    found = [_rank(trials, criterion) for criterion in criteria]
    return sorted((one for one in found if math.isfinite(one.tau)), key=lambda one: -one.tau)


def _rank(trials: DataFrame, criterion: ScoreColumn) -> Ranked:
    judged = judged_trials(trials, criterion)
    if len(judged) < FEWEST:
        return Ranked(criterion.name, len(judged), *[math.nan] * 3)
    weights = judged["weight"].to_numpy() if judged["weight"].nunique() > 1 else None
    groups = judged["configuration"].to_numpy()
    found = estimate(
        judged["score"].to_numpy(), judged["truth"].to_numpy(), weights=weights, groups=groups, with_p=False
    )
    return Ranked(criterion.name, found.n, found.tau, found.low, found.high)


def mean_taus(by_sweep: Mapping[str, Sequence[Ranked]]) -> list[MeanTau]:
    """The mean τ of each criterion over the sweeps, the greatest first; every sweep has the same weight.

    Only the criteria that have a τ in the most sweeps are compared, because a mean over fewer is of other sweeps.

    >>> one, two = Ranked("lidar", 8, 0.2, 0.0, 0.4), Ranked("rankme", 8, 0.6, 0.4, 0.8)
    >>> [(found.criterion, found.mean) for found in mean_taus({"a": [one, two], "b": [two]})]
    [('rankme', 0.6)]
    """
    taus: dict[str, dict[str, float]] = {}
    for sweep, found in by_sweep.items():
        for one in found:
            taus.setdefault(one.criterion, {})[sweep] = one.tau
    most = max(map(len, taus.values()), default=0)
    means = [
        MeanTau(name, sum(known.values()) / most, min(known.values()), max(known.values()), tuple(known))
        for name, known in taus.items()
        if len(known) == most
    ]
    return sorted(means, key=lambda one: -one.mean)
