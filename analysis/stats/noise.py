"""Each criterion beside its value without information, and beside that of the untrained encoder."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from pandas import DataFrame, Series

from analysis.data.columns import Criteria, ScoreColumn, is_layer, parse_criteria
from analysis.stats.selection import completed
from trainers.records import NULL, UNTRAINED

SAME: Final = 1e-4
"""The relative difference up to which two values of a criterion, from the same rows in another order, are equal."""


def noise(trials: DataFrame, baselines: DataFrame, criteria: Criteria = None) -> DataFrame:
    """One row per sweep and criterion, over the completed trials, in the criterion's own unit.

    `value` is the median over the trials, `null` the median on views that are shuffled between images (NaN for a
    criterion that reads no views), `untrained` the value of the untrained encoder. `above_null` and `above_untrained`
    are the shares of the trials that are better than their own null, and better than the untrained encoder.

    >>> trials = DataFrame({"lidar": [9.0, 7.0, 5.0], "lidar_null": [8.0, 8.0, 8.0]})
    >>> found = noise(trials, DataFrame({"baseline": ["untrained"], "lidar": [6.0]}))
    >>> found[["value", "null", "untrained", "above_null", "above_untrained"]].round(2).values.tolist()
    [[7.0, 8.0, 6.0, 0.33, 0.67]]
    """
    table = trials if "sweep" in trials else trials.assign(sweep="")
    base = baselines if "sweep" in baselines else baselines.assign(sweep="")
    chosen = parse_criteria(trials.columns, criteria)
    rows = [
        {"sweep": sweep, **noise_of(completed(part), base[base["sweep"] == sweep], criterion)}
        for sweep, part in table.groupby("sweep", sort=False)
        for criterion in chosen
    ]
    found = DataFrame(rows)
    return found[found["null"].notna() | found["untrained"].notna()].reset_index(drop=True)


def noise_of(trials: DataFrame, baselines: DataFrame, criterion: ScoreColumn) -> dict[str, object]:
    """One row of noise.csv."""
    values = values_of(trials, criterion.name)
    nulls = values_of(trials, null_of(criterion.name))
    if np.allclose(values, nulls, rtol=SAME, equal_nan=True):
        nulls = nulls * math.nan  # it reads no pairs of views, so shuffled views give the same value
    start = values_of(untrained(baselines), criterion.name).median()
    return {
        "criterion": criterion.name,
        "n": int(values.notna().sum()),
        "value": values.median(),
        "null": nulls.median(),
        "untrained": start,
        "above_null": share_better(values - nulls, criterion),
        "above_untrained": share_better(values - start, criterion),
    }


def null_of(column: str) -> str:
    """The column of a criterion on shuffled views.

    >>> null_of("lidar"), null_of("lidar.embedding")
    ('lidar_null', 'lidar_null.embedding')
    """
    name, _, layer = column.rpartition(".") if is_layer(column) else (column, "", "")
    return f"{name}{NULL}" + (f".{layer}" if layer else "")


def untrained(baselines: DataFrame) -> DataFrame:
    """The row of the untrained encoder, if there is one."""
    return baselines[baselines["baseline"] == UNTRAINED] if "baseline" in baselines else baselines.head(0)


def values_of(table: DataFrame, column: str) -> Series[float]:
    """A column as numbers without infinities; all NaN if it is missing."""
    if column not in table:
        return Series(math.nan, index=table.index, dtype=float)
    return table[column].astype(float).replace([np.inf, -np.inf], math.nan)


def share_better(differences: Series[float], criterion: ScoreColumn) -> float:
    """The share of the known differences that are on the better side of 0; NaN without any."""
    known = differences.dropna()
    return float((known > 0 if criterion.higher_is_better else known < 0).mean()) if len(known) else math.nan
