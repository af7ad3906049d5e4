"""The seconds that training, criteria and oracles took."""

from __future__ import annotations

import math

from pandas import DataFrame

PROBE, PROBE_EVERY_EPOCH = "probe", "probe every epoch"


WORK = ("training", "criteria", PROBE, PROBE_EVERY_EPOCH)
"""The kinds of work that are timed, besides each single criterion."""


def cost(trials: DataFrame, reports: DataFrame) -> DataFrame:
    """One row per sweep and kind of work: seconds per epoch, per trial and in total, and the share of training time.

    The kinds are training, criteria (all together), each criterion that has a column <criterion>_seconds, probe, and
    `probe every epoch`: the estimated time to run the oracle after every epoch.
    """
    rows = []
    for sweep, part in trials.groupby("sweep", sort=False):
        own = reports[reports["sweep"] == sweep] if "sweep" in reports else reports
        seconds = {name: own[column].astype(float) for name, column in kinds_of(own).items()}
        training = float(seconds["training"].sum()) if "training" in seconds else math.nan
        epochs, ran = len(own), max(1, own["trial"].nunique() if len(own) else 1)
        for name, values in seconds.items():
            rows.append(cost_row(str(sweep), name, float(values.sum()), epochs, ran, training))
        if "oracle_seconds" in part and part["oracle_seconds"].notna().any():
            probe = part["oracle_seconds"].dropna().astype(float)
            rows.append({**cost_row(str(sweep), PROBE, float(probe.sum()), 0, len(probe), training)})
            if epochs:
                every = float(probe.mean()) * epochs
                rows.append({**cost_row(str(sweep), PROBE_EVERY_EPOCH, every, epochs, ran, training)})
    return DataFrame(rows)


def kinds_of(reports: DataFrame) -> dict[str, str]:
    """Kind of work -> the column with its seconds."""
    named = {"training": "train_seconds", "criteria": "criteria_seconds"}
    others = {
        str(column).removesuffix("_seconds"): str(column)
        for column in reports.columns
        if str(column).endswith("_seconds") and str(column) not in named.values()
    }
    found = {**named, **others}
    return {name: column for name, column in found.items() if column in reports and reports[column].notna().any()}


def cost_row(sweep: str, name: str, total: float, epochs: int, trials: int, training: float) -> dict[str, object]:
    """One row of cost.csv."""
    return {
        "sweep": sweep,
        "work": name,
        "seconds_per_epoch": total / epochs if epochs else math.nan,
        "seconds_per_trial": total / trials,
        "seconds": total,
        "share_of_training": total / training if training > 0 else math.nan,
    }
