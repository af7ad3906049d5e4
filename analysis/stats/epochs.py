"""How early a criterion predicts: the criterion at epoch e against the oracle at the end."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from pandas import DataFrame

from analysis.data.columns import Criteria, ScoreColumn, configuration_of, parse_criteria
from analysis.data.measured import known_reports
from analysis.stats.ranking import estimate
from analysis.stats.selection import completed


def by_epoch(trials: DataFrame, reports: DataFrame, criteria: Criteria = None, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep, criterion and epoch: τ with the final oracle, its interval, and the regret of selecting then.

    τ is over the completed trials only, so that all epochs are judged on the same trials. Epochs at which a criterion
    was not measured have no row.
    """
    if reports.empty or "epoch" not in reports:
        return DataFrame()
    chosen = [c for c in parse_criteria(trials.columns, criteria) if not c.layer and c.name in reports]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows: list[dict[str, object]] = []
    for sweep, part in table.groupby("sweep", sort=False):
        own = reports[reports["sweep"] == sweep] if "sweep" in reports else reports
        known = known_trials(part, oracle)
        for criterion in chosen:
            having = known_reports(own, criterion.name)
            scored = having[["trial", "epoch"]].assign(score=criterion.scores(having)).merge(known, on="trial")
            for epoch, then in scored.sort_values("trial").groupby("epoch"):
                rows.append({"sweep": sweep, "criterion": criterion.name, "epoch": epoch, **one_epoch(then)})
    return DataFrame(rows)


def known_trials(trials: DataFrame, oracle: str) -> DataFrame:
    """The columns trial, truth, configuration and weight of the completed trials with an oracle."""
    done = completed(trials)
    known = done[["trial"]].assign(
        truth=ScoreColumn(oracle).scores(done), configuration=configuration_of(done), weight=done.get("weight", 1.0)
    )
    return known.dropna(subset=["truth"])


def one_epoch(then: DataFrame) -> dict[str, object]:
    """One row of by_epoch.csv, from the columns trial (sorted), score, truth, configuration and weight."""
    scores, truth, weights = (then[name].to_numpy(dtype=float) for name in ("score", "truth", "weight"))
    finite = np.isfinite(scores)
    several = len(np.unique(weights[finite])) > 1
    found = estimate(
        scores[finite],
        truth[finite],
        weights=weights[finite] if several else None,
        groups=then["configuration"].to_numpy()[finite],
        with_p=False,
    )
    best = float(truth.max())
    first = int(np.nanargmax(scores)) if finite.any() else -1  # the first of equal scores, which is the lowest trial
    kept = float(truth[first]) if finite.any() else math.nan
    return {
        "n": found.n,
        "tau": found.tau,
        "tau_low": found.low,
        "tau_high": found.high,
        "trial": then["trial"].iloc[first] if finite.any() else pd.NA,
        "oracle": kept,
        "best_oracle": best,
        "regret": best - kept,
    }


def known_from(epochs: DataFrame) -> DataFrame:
    """For each sweep and criterion, the first epoch from which τ's interval stays above 0; NA if there is none.

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
