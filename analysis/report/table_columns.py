"""The tables that people read: which columns, in which words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import find_criteria, is_layer
from analysis.data.load import Results
from analysis.figures.build import baseline_rows
from analysis.report.judgement import Judgement, rows_of
from analysis.report.tables import Column, Printed, Row, print_table
from analysis.stats.audit import WORK
from analysis.text.cautions import layers_of
from analysis.text.numbers import accuracy, label_of, number, percent, points, probability, seconds


def text(name: str) -> Column:
    """A column of words."""
    return Column(name, lambda row: "" if pd.isna(row.get(name)) else str(row[name]), words=True)


def tau_with_interval(row: Row, name: str = "tau") -> str:
    """τ [low, high], or a dash."""
    middle = number(row.get(name))
    return middle if middle == "–" else f"{middle} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


SWEEP = text("sweep")
CRITERION = Column("criterion", lambda row: label_of(str(row["criterion"])), words=True)

SUMMARY = (
    Column("chosen by", lambda row: str(row["choice"]), words=True),
    Column("τ [95%]", tau_with_interval, always=True),
    Column("n", lambda row: number(row.get("n") or None, 0), always=True),
    Column("p", lambda row: probability(row.get("tau_p"))),
    Column("ρ", lambda row: number(row.get("rho"))),
    Column("accuracy kept", lambda row: accuracy(row.get("oracle"))),
    Column("best", lambda row: accuracy(row.get("best_oracle"))),
    Column("regret", lambda row: points(row.get("regret"), row.get("best_oracle"))),
    Column("trial", lambda row: number(row.get("trial"), 0)),
    Column("ties", lambda row: number(row["ties"], 0) if as_count(row.get("ties")) else ""),
    Column("τ covers", lambda row: covered(row), words=True),
)


def covered(row: Row) -> str:
    """The states that a τ covers, the configurations where each ran several times, and whether trials weigh more."""
    runs = row.get("configurations") not in (None, row.get("n"))
    parts = [str(row.get("states") or ""), f"{row['configurations']} configurations" if runs else ""]
    return ", ".join(part for part in (*parts, "weighted" if row.get("weighted") is True else "") if part)


def as_count(value: object) -> int:
    """A count, 0 where there is none."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def summary(results: Results, judgement: Judgement) -> Printed:
    """The table that everyone asks for first: every criterion, and what no criterion is worth."""
    several = judgement.ranking["sweep"].nunique() > 1
    columns = (SWEEP, *SUMMARY) if several else SUMMARY
    rows = summary_rows(results, judgement)
    return print_table("How far can each criterion be trusted?", rows, columns, summary_note(results), "sweep")


def summary_rows(results: Results, judgement: Judgement) -> list[Row]:
    """The plain criteria of each sweep, then chance and the baselines."""
    merged = judgement.ranking.merge(judgement.selection.drop(columns="n"), on=["sweep", "criterion"])
    plain = merged[~merged["criterion"].map(is_layer)]
    rows: list[Row] = []
    for sweep, part in (plain if len(plain) else merged).groupby("sweep", sort=False):
        records = [{str(key): value for key, value in row.items()} for row in part.to_dict("records")]
        rows += [{**row, "choice": label_of(str(row["criterion"]))} for row in records]
        best, chance = records[0]["best_oracle"], records[0]["random_oracle"]
        others = [("random choice", chance), *baseline_rows(rows_of(results.baselines, str(sweep)))]
        rows += [
            {"sweep": sweep, "choice": name, "oracle": value, "best_oracle": best, "regret": difference(best, value)}
            for name, value in others
            if not pd.isna(value)
        ]
    return rows


def difference(best: object, value: object) -> float:
    """Regret of a reference."""
    return float(str(best)) - float(str(value))


def summary_note(results: Results) -> str:
    """Which layer the plain columns are."""
    layers = layers_of(results.trials, find_criteria(results.trials.columns))
    if results.trials["sweep"].nunique() > 1 or not layers:
        return ""
    return "Layers: " + ", ".join(f"{label_of(name)} of the {layer}" for name, layer in layers.items()) + "."


RANKING = (
    SWEEP,
    CRITERION,
    Column("n", lambda row: number(row["n"], 0)),
    Column("τ [95%]", tau_with_interval),
    Column("p", lambda row: probability(row["tau_p"])),
    Column("p (Holm)", lambda row: probability(row["tau_p_holm"])),
    Column("ρ", lambda row: number(row["rho"])),
    Column("p of ρ", lambda row: probability(row["rho_p"])),
    Column("known from epoch", lambda row: number(row.get("known_from"), 0)),
)

SELECTION = (
    SWEEP,
    CRITERION,
    Column("accuracy kept", lambda row: accuracy(row["oracle"])),
    Column("regret", lambda row: points(row["regret"], row["best_oracle"])),
    Column("normalised", lambda row: number(row["normalised_regret"])),
    Column("rank", lambda row: number(row["rank"], 0)),
    Column("best in top 3", lambda row: yes(row["top3"])),
    Column("in top 5", lambda row: yes(row["top5"])),
    Column("expected regret [95%]", lambda row: expected(row)),
    Column("hit@1", lambda row: percent(row["hit1"])),
    Column("hit@3", lambda row: percent(row["hit3"])),
    Column("hit@5", lambda row: percent(row["hit5"])),
)


def yes(value: object) -> str:
    """1 is yes, 0 is no."""
    return "–" if pd.isna(value) else "yes" if value else "no"  # type: ignore[call-overload]


def expected(row: Row) -> str:
    """Expected regret and its range."""
    middle, low, high = (
        points(row[name], row["best_oracle"]) for name in ("expected_regret", "regret_low", "regret_high")
    )
    return middle if middle == "–" else f"{middle} [{low}, {high}]".replace(" pp,", ",")


COMPARISON = (
    SWEEP,
    Column("first", lambda row: label_of(str(row["first"])), words=True),
    Column("second", lambda row: label_of(str(row["second"])), words=True),
    Column("n", lambda row: number(row["n"], 0)),
    Column("τ first − τ second [95%]", lambda row: tau_with_interval(row, "difference")),
    Column("P(first better)", lambda row: number(row["probability"])),
    Column("verdict", lambda row: label_of(str(row["verdict"])), words=True),
)

PARTIAL = (
    SWEEP,
    CRITERION,
    text("hyperparameter"),
    Column("n", lambda row: number(row["n"], 0)),
    Column("τ with the oracle", lambda row: number(row["tau"])),
    Column("given it [95%]", lambda row: tau_with_interval(row, "tau_given")),
    Column("τ criterion, it", lambda row: number(row["tau_criterion"])),
    Column("τ oracle, it", lambda row: number(row["tau_oracle"])),
)

CEILING = (
    SWEEP,
    Column("configurations", lambda row: number(row["configurations"], 0)),
    Column("seeds", lambda row: number(row["seeds"], 0)),
    Column("τ of the oracle with itself [95%]", tau_with_interval),
    Column("spread between seeds", lambda row: points(row["noise"], row["best_oracle"])),
    Column("range of the oracle", lambda row: points(row["range"], row["best_oracle"])),
)

AUDIT = (
    SWEEP,
    text("pruner"),
    Column("trials", lambda row: number(row["trials"], 0)),
    Column("pruned", lambda row: number(row["pruned"], 0)),
    Column("epochs saved", lambda row: percent(row["epochs_saved"])),
    Column("accuracy kept", lambda row: accuracy(row["oracle"])),
    Column("regret", lambda row: points(row["regret"], row["best_oracle"])),
    Column("audited", lambda row: number(row["audited"], 0)),
    Column("false prunes", lambda row: number(row["false_prunes"], 0) if row["measured"] else "–"),
    Column("false-prune rate [95%]", lambda row: false_rate(row)),
)


def false_rate(row: Row) -> str:
    """The false-prune rate with Wilson's interval."""
    middle = percent(row["rate"])
    return middle if middle == "–" else f"{middle} [{percent(row['rate_low'])}, {percent(row['rate_high'])}]"


def work(name: str) -> str:
    """What was timed, in words.

    >>> work("lidar"), work("criteria")
    ('LiDAR alone', 'criteria')
    """
    return name if name in WORK else f"{label_of(name)} alone"


COST = (
    SWEEP,
    Column("work", lambda row: work(str(row["work"])), words=True),
    Column("per epoch", lambda row: seconds(row["seconds_per_epoch"])),
    Column("per trial", lambda row: seconds(row["seconds_per_trial"])),
    Column("in all", lambda row: seconds(row["seconds"])),
    Column("of training", lambda row: percent(row["share_of_training"])),
)


def of(title: str, table: DataFrame, columns: Sequence[Column], note: str = "") -> tuple[Printed, ...]:
    """A table as a section takes it: none where it is empty, without `sweep` where there is but one."""
    if table.empty:
        return ()
    single = table["sweep"].nunique() == 1
    shown = [column for column in columns if not (single and column is SWEEP)]
    return (print_table(title, table, shown, note, "sweep"),)
