"""The columns of the report's tables: the headings, and the functions that format a row's cells."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pandas import DataFrame

from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.stats.cost import WORK
from analysis.text.numbers import label_of, number, points, probability
from trainers.formats import accuracy, percent, plain, seconds


def text(name: str) -> TextColumn:
    """A column that shows the table's text unchanged."""
    return TextColumn(name, lambda row: "" if pd.isna(row.get(name)) else str(row[name]), is_text=True)


def tau_with_interval(row: Row, name: str = "tau") -> str:
    """τ [low, high], or a dash."""
    middle = number(row.get(name))
    return middle if middle == "–" else f"{middle} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


SWEEP = text("sweep")
CRITERION = TextColumn("criterion", lambda row: label_of(str(row["criterion"])), is_text=True)

RANKING = (
    SWEEP,
    CRITERION,
    TextColumn("n", lambda row: number(row["n"], 0)),
    TextColumn("τ [95% CI]", tau_with_interval),
    TextColumn("p", lambda row: probability(row["tau_p"])),
    TextColumn("p (Holm)", lambda row: probability(row["tau_p_holm"])),
    TextColumn("ρ", lambda row: number(row["rho"])),
    TextColumn("p of ρ", lambda row: probability(row["rho_p"])),
    TextColumn("known from epoch", lambda row: number(row.get("known_from"), 0)),
)

SELECTION = (
    SWEEP,
    CRITERION,
    TextColumn("accuracy", lambda row: accuracy(row["oracle"])),
    TextColumn("regret", lambda row: points(row["regret"], row["best_oracle"])),
    TextColumn("normalised regret", lambda row: number(row["normalised_regret"])),
    TextColumn("rank", lambda row: number(row["rank"], 0)),
    TextColumn("best in top 3", lambda row: yes(row["top3"])),
    TextColumn("best in top 5", lambda row: yes(row["top5"])),
    TextColumn("expected regret [95% range]", lambda row: expected(row)),
    TextColumn("hit@1", lambda row: percent(row["hit1"])),
    TextColumn("hit@3", lambda row: percent(row["hit3"])),
    TextColumn("hit@5", lambda row: percent(row["hit5"])),
)


def yes(value: object) -> str:
    """Format 1 as yes and 0 as no."""
    return "–" if pd.isna(value) else "yes" if value else "no"  # type: ignore[call-overload]


def expected(row: Row) -> str:
    """Expected regret and its 95% range."""
    middle, low, high = (
        points(row[name], row["best_oracle"]) for name in ("expected_regret", "regret_low", "regret_high")
    )
    return middle if middle == "–" else f"{middle} [{low}, {high}]".replace(" pp,", ",")


COMPARISON = (
    SWEEP,
    TextColumn("first", lambda row: label_of(str(row["first"])), is_text=True),
    TextColumn("second", lambda row: label_of(str(row["second"])), is_text=True),
    TextColumn("n", lambda row: number(row["n"], 0)),
    TextColumn("τ first − τ second [95% CI]", lambda row: tau_with_interval(row, "difference")),
    TextColumn("P(first better)", lambda row: number(row["probability"])),
    TextColumn("ranks better", lambda row: label_of(str(row["verdict"])) or "not clear", is_text=True),
)

PARTIAL = (
    SWEEP,
    CRITERION,
    text("hyperparameter"),
    TextColumn("n", lambda row: number(row["n"], 0)),
    TextColumn("τ with accuracy", lambda row: number(row["tau"])),
    TextColumn("given the hyperparameter [95% CI]", lambda row: tau_with_interval(row, "tau_given")),
    TextColumn("τ criterion, hyperparameter", lambda row: number(row["tau_criterion"])),
    TextColumn("τ accuracy, hyperparameter", lambda row: number(row["tau_oracle"])),
)

CEILING = (
    SWEEP,
    TextColumn("configurations", lambda row: number(row["configurations"], 0)),
    TextColumn("seeds", lambda row: number(row["seeds"], 0)),
    TextColumn("τ of the oracle with itself [95% CI]", tau_with_interval),
    TextColumn("spread between seeds", lambda row: points(row["noise"], row["best_oracle"])),
    TextColumn("range of the oracle", lambda row: points(row["range"], row["best_oracle"])),
)

NOISE = (
    SWEEP,
    CRITERION,
    TextColumn("n", lambda row: number(row["n"], 0)),
    TextColumn("median of the trials", lambda row: plain(row["value"])),
    TextColumn("on shuffled views", lambda row: plain(row["null"])),
    TextColumn("trials better than on shuffled views", lambda row: percent(row["above_null"])),
    TextColumn("untrained encoder", lambda row: plain(row["untrained"])),
    TextColumn("trials better than the untrained encoder", lambda row: percent(row["above_untrained"])),
)

AUDIT = (
    SWEEP,
    text("pruner"),
    TextColumn("trials", lambda row: number(row["trials"], 0)),
    TextColumn("pruned", lambda row: number(row["pruned"], 0)),
    TextColumn("epochs saved", lambda row: percent(row["epochs_saved"])),
    TextColumn("accuracy", lambda row: accuracy(row["oracle"])),
    TextColumn("regret", lambda row: points(row["regret"], row["best_oracle"])),
    TextColumn("audited", lambda row: number(row["audited"], 0)),
    TextColumn("false prunes", lambda row: number(row["false_prunes"], 0) if row["measured"] else "–"),
    TextColumn("false-prune rate [95% CI]", lambda row: false_rate(row)),
)


def false_rate(row: Row) -> str:
    """The false-prune rate with Wilson's interval."""
    middle = percent(row["rate"])
    return middle if middle == "–" else f"{middle} [{percent(row['rate_low'])}, {percent(row['rate_high'])}]"


def work(name: str) -> str:
    """The name of a kind of work.

    >>> work("lidar"), work("criteria")
    ('LiDAR alone', 'criteria')
    """
    return name if name in WORK else f"{label_of(name)} alone"


COST = (
    SWEEP,
    TextColumn("work", lambda row: work(str(row["work"])), is_text=True),
    TextColumn("per epoch", lambda row: seconds(row["seconds_per_epoch"])),
    TextColumn("per trial", lambda row: seconds(row["seconds_per_trial"])),
    TextColumn("in all", lambda row: seconds(row["seconds"])),
    TextColumn("of training", lambda row: percent(row["share_of_training"])),
)


def optional_table(
    title: str, table: DataFrame, columns: Sequence[TextColumn], note: str = ""
) -> tuple[TextTable, ...]:
    """The table of a section, without the column `sweep` if there is only one sweep; none if it has no rows."""
    if table.empty:
        return ()
    single = table["sweep"].nunique() == 1
    shown = [column for column in columns if not (single and column is SWEEP)]
    return (format_table(title, table, shown, note, "sweep"),)
