"""Tables with one column per hyperparameter or per criterion, pivoted from the long tables."""

from __future__ import annotations

from collections.abc import Sequence

from pandas import DataFrame

from analysis.report.table_columns import CRITERION, SWEEP, text
from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.text import captions
from analysis.text.numbers import accuracy, label_of, percent, points


def by_hyperparameter(table: DataFrame) -> TextTable:
    """One row per criterion and one column per hyperparameter, with accuracy and regret in each cell."""
    names = list(dict.fromkeys(table["hyperparameter"]))
    rows = []
    for (sweep, criterion), part in table.groupby(["sweep", "criterion"], sort=False):
        cells = {row["hyperparameter"]: row for row in part.to_dict("records")}
        rows.append({"sweep": sweep, "criterion": criterion, **cells})

    def cell(name: str) -> TextColumn:
        return TextColumn(name, lambda row: accuracy_and_regret(row.get(name)))

    binned = (table["design"] == "binned").any()
    note = captions.BINNED if binned else captions.ONE_AT_A_TIME
    several = table["sweep"].nunique() > 1
    columns: Sequence[TextColumn] = [*([SWEEP] if several else []), CRITERION, *(cell(name) for name in names)]
    return format_table("Accuracy of the selected trial, by hyperparameter", rows, columns, note, "sweep")


def pruning(table: DataFrame) -> tuple[TextTable, ...]:
    """One row per pruner, and two columns per criterion: the epochs saved and the regret."""
    if table.empty:
        return ()
    names = list(dict.fromkeys(table["criterion"]))
    rows = []
    for pruner, part in table.groupby("pruner", sort=False):
        rows.append({"pruner": pruner, **{row["criterion"]: row for row in part.to_dict("records")}})
    columns = [text("pruner"), *(column for name in names for column in saved_and_regret(str(name)))]
    note = f"{captions.SAVED} {captions.REGRET_AFTER_PRUNING}" if table["regret"].notna().any() else captions.SAVED
    return (format_table("Pruners replayed on the full curves", rows, columns, note),)


def saved_and_regret(criterion: str) -> tuple[TextColumn, TextColumn]:
    """The columns of one criterion: the epochs saved, and the regret."""

    def saved(row: Row) -> str:
        return percent(cell_of(row, criterion, "epochs_saved"))

    def regret(row: Row) -> str:
        return points(cell_of(row, criterion, "regret"), cell_of(row, criterion, "best_oracle"))

    return TextColumn(f"{label_of(criterion)}: saved", saved), TextColumn("regret", regret)


def cell_of(row: Row, criterion: str, name: str) -> object:
    """One value of one criterion, from a row with several criteria."""
    found = row.get(criterion)
    return found.get(name) if isinstance(found, dict) else None


def accuracy_and_regret(row: object) -> str:
    """A cell with the accuracy of the selected trial and the regret."""
    if not isinstance(row, dict):
        return "–"
    kept = accuracy(row["oracle"])
    regret = points(row["regret"], row["best_oracle"]).removesuffix(" pp")
    return kept if row["criterion"] == "oracle" or kept == "–" else f"{kept} ({regret})"
