"""The cells of a sweep's tables are what their columns say: numbers, whole numbers, moments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import ResultsUnreadable, numbers, place_of
from trainers.records import Column

LAST_EPOCH: Final = 2**53
"""Above it, floats do not hold every whole number."""
LAST_SECOND: Final = 9e9
"""The year 2255; pandas counts nanoseconds to 2262."""
LONGEST: Final = 1e12
"""Seconds, 30,000 years: more is no time that anything took."""


def typed(table: DataFrame, columns: Iterable[Column], criteria: Iterable[str], path: Path) -> DataFrame:
    """The table with its known columns as numbers; those of text and those that nobody knows stay as they are.

    Raises:
        ResultsUnreadable: a cell is no number or moment where its column has those, or no time that anything took.
    """
    kinds = {column.name: column.kind for column in columns} | dict.fromkeys(criteria, "number")
    for name in map(str, table.columns):
        kind = "number" if name.endswith("_seconds") else kinds.get(name)
        if kind == "moment":
            check_moments(table[name], name, path)
        elif kind in ("number", "whole"):
            found = numbers(table[name], name, path)
            strange = found[found.notna() & ~found.between(0, LONGEST)]
            if name.endswith("seconds") and len(strange):
                what = f"seconds from 0 to {LONGEST:g}, but got {strange.iloc[0]:g} in {place_of(strange)}"
                raise ResultsUnreadable(f"`{name}` in `{path}` must be {what}")
            table = table.assign(**{name: found}) if table[name].dtype.kind not in "iuf" else table
    return table


def check_moments(values: Series[Any], name: str, path: Path) -> None:
    """Raises: ResultsUnreadable, if a cell is neither a time as ISO 8601 writes it nor seconds since 1970."""
    if pd.api.types.is_numeric_dtype(values):
        strange = values[values.notna() & ~values.astype(float).between(0, LAST_SECOND)]
    else:
        strange = values[pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce").isna() & values.notna()]
    if len(strange):
        raise ResultsUnreadable(
            f"`{name}` in `{path}` must be moments, but got {str(strange.iloc[0])[:40]!r} in {place_of(strange)}"
        )


def check_epochs(reports: DataFrame, path: Path) -> DataFrame:
    """The reports with whole epochs, where they have any.

    Raises:
        ResultsUnreadable: an epoch is no whole number from 0, or two rows are of one epoch of a trial, so that it is
            unknown which of them holds.
    """
    if "epoch" not in reports:
        return reports
    found = numbers(reports["epoch"], "epoch", path)
    strange = found[~(found.between(0, LAST_EPOCH) & (found % 1 == 0))]
    if len(strange):
        raise ResultsUnreadable(
            f"`epoch` in `{path}` must be whole numbers from 0, but got {strange.iloc[0]:g} in {place_of(strange)}"
        )
    reports = reports.assign(epoch=found.astype(int))
    twice = reports[reports.duplicated(["sweep", "trial", "epoch"])]
    if len(twice):
        epoch, trial = twice.iloc[0][["epoch", "trial"]]
        raise ResultsUnreadable(
            f"`{path}` must have each epoch of a trial once, but epoch {epoch} of trial {trial} is there twice, the "
            f"second time in {place_of(twice)}"
        )
    return reports
