"""When is it known? What the criterion at epoch e says of the oracle at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from pandas import DataFrame

from analysis.columns import Criterion, configuration_of, parse_criteria
from analysis.ranking import estimate
from analysis.selection import completed, order_by


def by_epoch(
    trials: DataFrame, reports: DataFrame, criteria: Sequence[str] | None = None, *, oracle: str = "oracle"
) -> DataFrame:
    """One row per sweep, criterion and epoch: τ with the final oracle, with interval, and the regret of choosing then.

    τ is over the completed trials, so that every epoch is judged on the same ones.
    """
    if reports.empty or "epoch" not in reports:
        return DataFrame()
    chosen = [c for c in parse_criteria(trials.columns, criteria) if not c.layer and c.name in reports]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        done = completed(part).assign(truth=lambda one: Criterion(oracle).scores(one)).dropna(subset=["truth"])
        known = done[["trial", "truth"]].assign(configuration=configuration_of(done), weight=done.get("weight", 1.0))
        own = reports[reports["sweep"] == sweep] if "sweep" in reports else reports
        merged = own.merge(known, on="trial", suffixes=("", "_of_trial"))
        for epoch, then in merged.groupby("epoch"):
            rows += [{"sweep": sweep, **one_epoch(then, criterion, int(str(epoch)))} for criterion in chosen]
    return DataFrame(rows).sort_values(["sweep", "criterion", "epoch"], ignore_index=True) if rows else DataFrame()


def one_epoch(then: DataFrame, criterion: Criterion, epoch: int) -> dict[str, object]:
    """One row of by_epoch.csv."""
    scored = then.assign(score=criterion.scores(then)).dropna(subset=["score"])
    weights = scored["weight"].to_numpy(dtype=float) if scored["weight"].nunique() > 1 else None
    found = estimate(
        scored["score"].to_numpy(),
        scored["truth"].to_numpy(),
        weights=weights,
        groups=scored["configuration"].to_numpy(),
    )
    ordered = order_by(then, criterion)
    kept = float(ordered["truth"].iloc[0]) if len(ordered) else math.nan
    best = float(then["truth"].max())
    return {
        "criterion": criterion.name,
        "epoch": epoch,
        "n": found.n,
        "tau": found.tau,
        "tau_low": found.low,
        "tau_high": found.high,
        "trial": ordered["trial"].iloc[0] if len(ordered) else pd.NA,
        "oracle": kept,
        "best_oracle": best,
        "regret": best - kept,
    }


def known_from(epochs: DataFrame) -> DataFrame:
    """For each sweep and criterion the first epoch from which τ's interval stays above 0 to the end; NA if never.

    >>> table = DataFrame({"sweep": "s", "criterion": "lidar", "epoch": [1, 2, 3], "tau_low": [0.1, -0.1, 0.2]})
    >>> known_from(table).values.tolist()
    [['s', 'lidar', 3]]
    """
    rows = []
    for (sweep, criterion), part in epochs.groupby(["sweep", "criterion"], sort=False):
        above = part.sort_values("epoch").set_index("epoch")["tau_low"] > 0
        held = above[::-1].cummin()[::-1]
        first = int(str(held.idxmax())) if held.any() else pd.NA
        rows.append({"sweep": sweep, "criterion": criterion, "known_from": first})
    return DataFrame(rows, columns=["sweep", "criterion", "known_from"])
