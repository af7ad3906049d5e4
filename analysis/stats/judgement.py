"""All results of the analysis as tables, one CSV file each; text, figures and reports are made from them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Final

from pandas import DataFrame

from analysis.data.columns import is_layer

NAMING: Final = ("criterion", "first", "second", "score")
"""The columns that name a criterion."""


@dataclass(frozen=True)
class Judgement:
    """The tables, with a column `sweep` except in `across_sweeps`; a table that does not apply is empty."""

    ranking: DataFrame
    selection: DataFrame
    selection_by_hyperparameter: DataFrame
    comparison: DataFrame
    partial: DataFrame
    by_axis: DataFrame
    importance: DataFrame
    ceiling: DataFrame
    noise: DataFrame
    by_epoch: DataFrame
    pruning: DataFrame
    audit: DataFrame
    cost: DataFrame
    cautions: DataFrame
    across_sweeps: DataFrame


def tables(judgement: Judgement) -> dict[str, DataFrame]:
    """File name -> table."""
    return {field.name: getattr(judgement, field.name) for field in fields(judgement)}


def of_sweep(judgement: Judgement, sweep: str, absent: Collection[str] = ()) -> Judgement:
    """The tables of one sweep, without the rows of criteria that are `absent` from it."""
    own = {name: without_rows(rows_of(table, sweep), absent) for name, table in tables(judgement).items()}
    return replace(Judgement(**own), across_sweeps=DataFrame())


def without_rows(table: DataFrame, absent: Collection[str]) -> DataFrame:
    """The rows that name none of these criteria.

    >>> without_rows(DataFrame({"criterion": ["lidar", "clid"], "tau": [0.1, 0.2]}), {"clid"})["criterion"].to_list()
    ['lidar']
    """
    named = table[[column for column in NAMING if column in table]].isin(list(absent)).any(axis=1)
    return table[~named].reset_index(drop=True) if named.any() else table


def rows_of(table: DataFrame, sweep: str) -> DataFrame:
    """The rows of one sweep; an empty table stays as it is."""
    return table[table["sweep"] == sweep].reset_index(drop=True) if "sweep" in table else table


def rows_with(table: DataFrame, column: str) -> DataFrame:
    """The rows with a value in the column; no rows if the table lacks the column."""
    return table.dropna(subset=[column]) if column in table else table.head(0)


def without_layers(table: DataFrame) -> DataFrame:
    """The rows of plain criteria, or all rows if all are of single layers."""
    plain = table[~table["criterion"].map(is_layer)]
    return plain if len(plain) else table
