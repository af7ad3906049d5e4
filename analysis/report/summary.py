"""The first table of a report: each criterion and its selected trial, with a random choice and the baselines."""

from __future__ import annotations

import math
from numbers import Real

import pandas as pd

from analysis.data.columns import find_criteria, swept
from analysis.data.results import Results
from analysis.figures.build import baseline_rows
from analysis.report.table_columns import CRITERION, SWEEP, tau_with_interval
from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.stats.judgement import Judgement, rows_of, without_layers
from analysis.stats.layers import layers_of
from analysis.text import captions
from analysis.text.numbers import label_of, number, points, probability, trial_of
from trainers.formats import accuracy, plain
from trainers.records import CONFIG_PREFIX

TITLE = "Ranking and selection by each criterion"

COLUMNS = (
    TextColumn("selected by", lambda row: str(row["choice"]), is_text=True),
    TextColumn("τ [95% CI]", tau_with_interval, always=True),
    TextColumn("n", lambda row: number(row.get("n") or None, 0), always=True),
    TextColumn("p", lambda row: probability(row.get("tau_p"))),
    TextColumn("ρ", lambda row: number(row.get("rho"))),
    TextColumn("accuracy", lambda row: accuracy(row.get("oracle"))),
    TextColumn("best", lambda row: accuracy(row.get("best_oracle"))),
    TextColumn("regret", lambda row: points(row.get("regret"), row.get("best_oracle"))),
    TextColumn("trial", trial_of),
    TextColumn("ties", lambda row: number(row["ties"], 0) if as_count(row.get("ties")) else ""),
    TextColumn("τ covers", lambda row: covered(row), is_text=True),
)

NARROW = tuple(column for column in COLUMNS if column.heading not in ("best", "ties", "τ covers"))
"""The columns that fit on a terminal."""

WITHOUT_ORACLE = (
    CRITERION,
    TextColumn("trial", trial_of),
    TextColumn("its value", lambda row: plain(row["value"])),
    TextColumn("ties", lambda row: number(row["ties"], 0) if row["ties"] else ""),
)


def covered(row: Row) -> str:
    """The states that a τ covers, the configurations where each ran several times, and whether trials have weights."""
    several = row.get("configurations") not in (None, row.get("n"))
    parts = [str(row.get("states") or ""), f"{row['configurations']} configurations" if several else ""]
    return ", ".join(part for part in (*parts, "weighted" if row.get("weighted") is True else "") if part)


def as_count(value: object) -> int:
    """The count as an integer; 0 if it is missing."""
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def summary(results: Results, judgement: Judgement) -> TextTable:
    """The first table, for one sweep or several."""
    several = judgement.ranking["sweep"].nunique() > 1
    layers = layers_of(results.trials, find_criteria(results.trials.columns))
    where = captions.layers({label_of(name): layer for name, layer in layers.items()}) if layers and not several else ""
    note = f"{captions.COVERS} {where}".strip()
    columns = (SWEEP, *COLUMNS) if several else COLUMNS
    return format_table(TITLE, summary_rows(results, judgement), columns, note, "sweep")


def summary_rows(results: Results, judgement: Judgement) -> list[Row]:
    """The plain criteria of each sweep, then a random choice and the baselines."""
    merged = judgement.ranking.merge(judgement.selection.drop(columns="n"), on=["sweep", "criterion"])
    rows: list[Row] = []
    for sweep, part in without_layers(merged).groupby("sweep", sort=False):
        records = [{str(key): value for key, value in row.items()} for row in part.to_dict("records")]
        rows += [{**row, "choice": label_of(str(row["criterion"]))} for row in records]
        best, random = records[0]["best_oracle"], records[0]["random_oracle"]
        references = [("random choice", random), *baseline_rows(rows_of(results.baselines, str(sweep)))]
        rows += [
            {"sweep": sweep, "choice": name, "oracle": value, "best_oracle": best, "regret": float(best) - float(value)}
            for name, value in references
            if not pd.isna(value)
        ]
    return rows


def selected_trials(results: Results, judgement: Judgement) -> list[Row]:
    """The trial that each plain criterion selects, with its value and hyperparameters."""
    rows: list[Row] = []
    for row in without_layers(judgement.selection.dropna(subset=["trial"])).to_dict("records"):
        trial = results.trials[results.trials["trial"] == row["trial"]].to_dict("records")[0]
        rows.append({str(name): cell for name, cell in {"value": trial[row["criterion"]], **trial, **row}.items()})
    return rows


def selected_without_oracle(results: Results, judgement: Judgement) -> tuple[TextTable, ...]:
    """The table of the selected trials, for a sweep without an oracle; none if no trial is selected."""
    rows = selected_trials(results, judgement)
    columns = [*WITHOUT_ORACLE, *map(hyperparameter, swept(results.trials))]
    return (format_table("The trial that each criterion selects", rows, columns),) if rows else ()


def hyperparameter(name: str) -> TextColumn:
    """The column of one hyperparameter.

    >>> hyperparameter("config.lr").cell({"config.lr": 0.00123456}), hyperparameter("config.x").cell({"config.x": True})
    ('0.001235', 'True')
    """

    def cell(row: Row) -> str:
        value = row[name]
        return plain(value) if isinstance(value, Real) and not isinstance(value, bool) else str(value)

    return TextColumn(name.removeprefix(CONFIG_PREFIX), cell)
