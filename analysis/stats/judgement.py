"""All results of the analysis as tables, one CSV file each; text, figures and reports are made from them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from pandas import DataFrame

from analysis.data.columns import is_layer


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


def of_sweep(judgement: Judgement, sweep: str) -> Judgement:
    """The tables of one sweep."""
    own = Judgement(**{name: rows_of(table, sweep) for name, table in tables(judgement).items()})
    return replace(own, across_sweeps=DataFrame())


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
