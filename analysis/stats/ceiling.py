"""The τ of the oracle with itself, between runs of the same configurations with other seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from pandas import DataFrame

from analysis.data.columns import ScoreColumn, configuration_of
from analysis.stats.bootstrap import make_pairs, standard_error, tau_and_influence
from analysis.stats.ranking import interval, is_constant


def ceiling(trials: DataFrame, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep with several seeds per configuration: the τ of the oracle with itself.

    It is the τ between the oracles of two seeds, averaged over all pairs of seeds. A criterion as noisy as the oracle
    cannot exceed it on average; a criterion without noise can, because here both sides are noisy. `noise` is the
    oracle's standard deviation between the seeds of a configuration.
    """
    table = trials if "sweep" in trials else trials.assign(sweep="")
    if "seed" not in table or "configuration" not in table:
        return DataFrame()
    rows = [
        {"sweep": sweep, **found}
        for sweep, part in table.groupby("sweep", sort=False)
        if (found := ceiling_of(part, oracle)) is not None
    ]
    return DataFrame(rows)


def ceiling_of(trials: DataFrame, oracle: str) -> dict[str, object] | None:
    """One row of ceiling.csv; None if no configuration ran twice."""
    known = trials.assign(truth=ScoreColumn(oracle).scores(trials), configuration=configuration_of(trials)).dropna(
        subset=["truth"]
    )
    run = known.groupby("configuration").cumcount()  # numbers the runs of each configuration
    wide = known.assign(run=run).pivot(index="configuration", columns="run", values="truth")
    full = wide.dropna()
    if wide.shape[1] < 2 or len(full) < 3:
        return None
    values = [full[column].to_numpy() for column in full]
    if any(is_constant(one) for one in values):
        return None
    found = [tau_and_influence(make_pairs(one, other)) for one, other in itertools.combinations(values, 2)]
    tau = float(np.mean([tau for tau, _ in found]))
    error = standard_error(np.mean([influence for _, influence in found], axis=0))
    low, high = interval(tau, error, len(full))
    return {
        "configurations": len(full),
        "seeds": wide.shape[1],
        "tau": tau,
        "tau_low": low,
        "tau_high": high,
        "noise": float(np.sqrt(pd.Series(wide.var(axis=1, ddof=1)).mean())),
        "range": float(known["truth"].max() - known["truth"].min()),
        "best_oracle": float(known["truth"].max()),
    }
