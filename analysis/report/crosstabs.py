"""Tables with one column per hyperparameter or per criterion, pivoted from the long tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pandas import DataFrame

from analysis.data.columns import is_layer
from analysis.report.table_columns import CRITERION, SWEEP, tau_with_interval, text
from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.stats.across import PREFIX
from analysis.text import captions
from analysis.text.numbers import label_of, number, points
from trainers.formats import accuracy, percent


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


def by_axis(table: DataFrame) -> tuple[TextTable, ...]:
    """One row per criterion, and one without collapsed and diverged trials where that differs; τ per hyperparameter."""
    if table.empty or table["tau"].isna().all() or table["hyperparameter"].nunique() < 2:
        return ()
    rows = []
    for criterion, part in table.groupby("criterion", sort=False):
        cells = {row["hyperparameter"]: row for row in part.to_dict("records")}
        rows.append({"criterion": criterion, "suffix": "", **cells})
        if (part["n_sound"] < part["n"]).any():
            rows.append({"criterion": criterion, "suffix": "_sound", **cells})
    columns = [TextColumn("criterion", axis_label, is_text=True)]
    for name, part in table.groupby("hyperparameter", sort=False):
        columns.append(axis_column(str(name), str(part["design"].iloc[0]), int(part["n"].max())))
    return (format_table("τ along each hyperparameter", rows, columns, captions.BY_AXIS),)


def axis_label(row: Row) -> str:
    """The criterion of a row, and whether collapsed and diverged trials are left out."""
    return label_of(str(row["criterion"])) + (", without collapsed and diverged" if row["suffix"] else "")


def axis_column(name: str, design: str, n: int) -> TextColumn:
    """The column of one hyperparameter, with τ and its interval in each cell."""

    def cell(row: Row) -> str:
        found = row.get(name)
        return tau_with_interval(found, f"tau{row['suffix']}") if isinstance(found, dict) else "–"

    return TextColumn(name if design == name else f"{name} ({design}, n = {n})", cell)


def importance(table: DataFrame) -> tuple[TextTable, ...]:
    """One row per hyperparameter, one column for accuracy and one per criterion; none if nothing is known."""
    if table.empty or table["hyperparameter"].nunique() < 2:
        return ()
    rows = []
    for name, part in table.groupby("hyperparameter", sort=False):
        shares = dict(zip(part["score"], part["importance"], strict=True))
        rows.append({"hyperparameter": name, "shares": shares})
    scores = [str(score) for score in dict.fromkeys(table["score"])]
    columns = [text("hyperparameter"), *map(share_column, scores)]
    return (format_table("Importance of each hyperparameter", rows, columns, captions.IMPORTANCE),)


def share_column(score: str) -> TextColumn:
    """The column of the oracle or of one criterion."""
    heading = "accuracy" if score == "oracle" else label_of(score)
    return TextColumn(heading, lambda row: percent(row["shares"].get(score)))


def across_sweeps(table: DataFrame, *, layers: bool = False) -> tuple[TextTable, ...]:
    """One row per criterion, one column per sweep, and the mean τ; of the plain criteria, or of those on one layer."""
    rows = table[table["criterion"].map(is_layer) == layers] if len(table) else table
    if rows.empty or rows["mean"].isna().all():
        return ()
    columns = [
        CRITERION,
        *(sweep_column(name) for name in rows.columns if name.startswith(PREFIX)),
        MEAN,
        TextColumn("τ > 0", lambda row: f"{row['positive']} of {row['sweeps']} sweeps"),
        TextColumn("mean without collapsed and diverged", lambda row: tau_with_interval(row, "mean_sound")),
    ]
    title = "τ of each layer in each sweep" if layers else "τ of each criterion in each sweep"
    return (format_table(title, rows, columns, captions.ACROSS),)


MEAN = TextColumn("mean τ [95% CI over sweeps]", lambda row: mean_with_interval(row))
"""The mean over sweeps with its interval."""


def mean_with_interval(row: Row) -> str:
    """The mean τ; without an interval if only one sweep has a τ."""
    return tau_with_interval(row, "mean") if math.isfinite(row["mean_low"]) else number(row["mean"])


def sweep_column(name: str) -> TextColumn:
    """The column with the τ of one sweep."""
    return TextColumn(name.removeprefix(PREFIX), lambda row: number(row[name]))


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
