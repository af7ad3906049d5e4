"""The tables of a sweep as DataFrames to look at: short columns in a good order, an index, and one type a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd
from pandas import DataFrame

from sweeper.store.listing import INTERRUPTED, RUNNING, Listing, settings_criteria
from trainers.records import (
    BASELINE_COLUMNS,
    CONFIG_PREFIX,
    EPOCH_COLUMNS,
    ORACLE_PREFIX,
    STATUSES,
    TRIAL_COLUMNS,
    oracle_names,
)

KINDS: Final = {column.name: column.kind for column in (*TRIAL_COLUMNS, *EPOCH_COLUMNS, *BASELINE_COLUMNS)}
"""Column -> what its cells are; every other column holds numbers or hyperparameters."""
STATES: Final = (*STATUSES, RUNNING, INTERRUPTED)


def trials_frame(listing: Listing) -> DataFrame:
    """One row per trial that started, by its number.

    Status, the hyperparameters that the sweep varied, the objective and the other criteria, the accuracies, then the
    rest. A hyperparameter is called by its name alone, unless another column has it. The layers of a criterion, its
    conditions and what the sweep held fixed are in the full table, `Sweep.results.trials`.
    """
    swept = list(listing.settings.get("space") or ())
    criteria = settings_criteria(listing.settings)
    measured = dict.fromkeys([listing.objective, *criteria])
    given = _columns(listing.trials)
    named = [f"{ORACLE_PREFIX}{name}" for name in oracle_names(given)]
    oracles = ["oracle", *(named if len(named) > 1 else [])]  # the plain column repeats the first one
    last = ("loss", "epochs", "configuration", "seed", "seconds", "started_at", "reason", "checkpoint")
    seeds = int(listing.settings["seeds"]) > 1
    names = [
        "status",
        *(f"{CONFIG_PREFIX}{name}" for name in swept),
        *measured,
        *oracles,
        *(name for name in last if seeds or name != "configuration"),
    ]
    short = {f"{CONFIG_PREFIX}{name}": name for name in swept if name not in {*KINDS, *measured, "trial"}}
    return _frame(listing.trials, ["trial"], [name for name in names if name in given]).rename(columns=short)


def reports_frame(listing: Listing) -> DataFrame:
    """One row per trial and epoch, by both: the loss, the criteria, and the seconds of training and of criteria."""
    measured = dict.fromkeys([listing.objective, *settings_criteria(listing.settings)])
    names = ["loss", *measured, "step", "spread", "train_seconds", "criteria_seconds", "images_per_second"]
    given = _columns(listing.reports)
    rows = sorted(listing.reports, key=lambda row: (row["trial"], row["epoch"]))
    return _frame(rows, ["trial", "epoch"], [name for name in names if name in given])


def baselines_frame(listing: Listing) -> DataFrame:
    """The untrained encoder and raw pixels, by name: criteria and accuracies."""
    given = _columns(listing.baselines)
    measured = dict.fromkeys([listing.objective, *settings_criteria(listing.settings), "oracle"])
    return _frame(listing.baselines, ["baseline"], [name for name in measured if name in given])


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(key for row in rows for key in row)


def _frame(rows: Sequence[Mapping[str, Any]], index: list[str], names: Sequence[str]) -> DataFrame:
    """The rows as a table with those columns, by `index`."""
    cells = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in [*index, *names]}
    return DataFrame({name: _typed(name, column) for name, column in cells.items()}).set_index(index)


def _typed(name: str, column: pd.Series[Any]) -> pd.Series[Any]:
    """A column in its type: a whole number stays one, where none is missing; a status is one of a few."""
    if name == "status":
        return pd.Series(pd.Categorical(column, categories=list(STATES)))
    if name.endswith("_at"):
        return pd.to_datetime(column, utc=True)
    kind = KINDS.get(name, "value" if name.startswith(CONFIG_PREFIX) else "number")
    if kind == "number" or (kind == "whole" and column.isna().any()):
        return column.astype("float64")
    if kind == "whole":
        return column.astype("int64")
    return column.infer_objects()
