"""Tables with one column per hyperparameter, or per criterion: what was long on disk is wide on paper."""

from __future__ import annotations

from collections.abc import Sequence

from pandas import DataFrame

from analysis.report.table_columns import CRITERION, SWEEP, text
from analysis.report.tables import Column, Printed, Row, print_table
from analysis.text.numbers import accuracy, label_of, percent, points


def by_hyperparameter(table: DataFrame) -> Printed:
    """As in the papers: one row per chooser, one column per hyperparameter, cells with the regret."""
    names = list(dict.fromkeys(table["hyperparameter"]))
    rows = []
    for (sweep, chooser), part in table.groupby(["sweep", "criterion"], sort=False):
        cells = {row["hyperparameter"]: row for row in part.to_dict("records")}
        rows.append({"sweep": sweep, "criterion": chooser, **cells})

    def cell(name: str) -> Column:
        return Column(name, lambda row: accuracy_and_regret(row.get(name)))

    binned = (table["design"] == "binned").any()
    note = (
        "A hyperparameter's cell is the mean over thirds of its range, one trial selected in each; "
        if binned
        else "A hyperparameter's cell is over the trials in which it alone moves; "
    ) + "in brackets the regret, in points."
    several = table["sweep"].nunique() > 1
    columns: Sequence[Column] = [*([SWEEP] if several else []), CRITERION, *(cell(name) for name in names)]
    return print_table("Accuracy kept, by hyperparameter", rows, columns, note, "sweep")


def pruning(table: DataFrame) -> tuple[Printed, ...]:
    """One row per pruner, and for each criterion what is saved and what is lost by it."""
    if table.empty:
        return ()
    names = list(dict.fromkeys(table["criterion"]))
    rows = []
    for pruner, part in table.groupby("pruner", sort=False):
        rows.append({"pruner": pruner, **{row["criterion"]: row for row in part.to_dict("records")}})
    columns = [text("pruner"), *(column for name in names for column in saved_and_regret(str(name)))]
    note = "Saved: the share of epochs that need not have been run."
    if table["regret"].notna().any():
        note += " Regret: of the trial selected among those left."
    return (print_table("Replayed over the full curves", rows, columns, note),)


def saved_and_regret(criterion: str) -> tuple[Column, Column]:
    """What pruning by a criterion saves, and what it loses."""

    def saved(row: Row) -> str:
        return percent(cell_of(row, criterion, "epochs_saved"))

    def regret(row: Row) -> str:
        return points(cell_of(row, criterion, "regret"), cell_of(row, criterion, "best_oracle"))

    return Column(f"{label_of(criterion)}: saved", saved), Column("regret", regret)


def cell_of(row: Row, criterion: str, name: str) -> object:
    """One number of one criterion in a row of several."""
    found = row.get(criterion)
    return found.get(name) if isinstance(found, dict) else None


def accuracy_and_regret(row: object) -> str:
    """A cell: what is kept, and what that costs."""
    if not isinstance(row, dict):
        return "–"
    kept = accuracy(row["oracle"])
    regret = points(row["regret"], row["best_oracle"]).removesuffix(" pp")
    return kept if row["criterion"] == "oracle" or kept == "–" else f"{kept} ({regret})"
