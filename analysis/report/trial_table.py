"""The table of all trials of a sweep, and the hyperparameters of one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import ScoreColumn, swept
from analysis.data.headings import NAME
from analysis.data.results import Results
from analysis.report.summary import hyperparameter
from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.stats.judgement import Judgement, without_layers
from analysis.text.numbers import label_of, number, trial_of
from trainers.formats import accuracy, plain
from trainers.records import COMPLETED, ORACLE_PREFIX, oracle_names

TITLE: Final = "All trials"
ROWS: Final = 200
"""The most trials in the table; of more trials, the best are shown."""
COPIED: Final = 60
"""The most rows that the page also offers as LaTeX and Markdown."""


def trial_table(
    results: Results,
    judgement: Judgement,
    criteria: Sequence[ScoreColumn],
    chosen: str,
    address: Callable[[int], str] = lambda _: "",
) -> TextTable:
    """Every trial with its accuracy, criteria and hyperparameters, the best first.

    The trial that the criterion `chosen` selects stands out. `address`: trial -> the address of its files, or "".
    """
    picks = selected_by(judgement.selection)
    rows: list[Row] = [
        {**{str(name): value for name, value in row.items()}, "selected by": picks.get(int(row["trial"]), "")}
        for row in in_order(results.trials, chosen, criteria).to_dict("records")
    ]
    shown = rows[:ROWS]
    left = f" The {len(rows) - ROWS} others are in trials.parquet." if len(rows) > ROWS else ""
    note = f"The trial that {label_of(chosen)} selects stands out.{left}" if chosen else left.strip()
    table = format_table(TITLE, shown, columns_of(results.trials, criteria), note)
    pick = judgement.selection.loc[judgement.selection["criterion"] == chosen, "trial"].dropna()
    return replace(
        table,
        marked=tuple(place for place, row in enumerate(shown) if row["trial"] in set(pick)),
        addresses=tuple(address(int(row["trial"])) for row in shown),
        trials=tuple(int(row["trial"]) for row in shown),
        sortable=True,
        copies=len(shown) <= COPIED,
    )


def in_order(trials: DataFrame, chosen: str, criteria: Sequence[ScoreColumn]) -> DataFrame:
    """The trials by accuracy, or without an oracle by the chosen criterion; completed ones first."""
    known = {criterion.name: criterion for criterion in criteria}
    by = ScoreColumn("oracle") if trials["oracle"].notna().any() else known.get(chosen, ScoreColumn("oracle"))
    keys = DataFrame({"done": trials["status"] == COMPLETED, "score": by.scores(trials), "trial": -trials["trial"]})
    return trials.loc[keys.sort_values(["done", "score", "trial"], ascending=False, na_position="last").index]


def selected_by(selection: DataFrame) -> dict[int, str]:
    """Trial -> the criteria that select it."""
    found: dict[int, list[str]] = {}
    for row in without_layers(selection).dropna(subset=["trial"]).to_dict("records"):
        found.setdefault(int(row["trial"]), []).append(label_of(str(row["criterion"])))
    return {trial: ", ".join(names) for trial, names in found.items()}


def columns_of(trials: DataFrame, criteria: Sequence[ScoreColumn]) -> list[TextColumn]:
    """Trial, selection, accuracies, criteria, hyperparameters, and how it ended."""
    further = [f"{ORACLE_PREFIX}{name}" for name in oracle_names(map(str, trials.columns))]
    repeated = [name for name in further if trials[name].equals(trials["oracle"])]
    return [
        TextColumn("trial", lambda row: trial_of({"trial": row["trial"], "trial_name": row.get(NAME)})),
        TextColumn("selected by", lambda row: row["selected by"], is_text=True),
        TextColumn("accuracy", lambda row: accuracy(row["oracle"])),
        *(oracle(name) for name in further if name not in repeated),
        *(value(criterion.name) for criterion in criteria),
        *map(hyperparameter, swept(trials)),
        TextColumn("epochs", lambda row: number(row.get("epochs"), 0)),
        TextColumn("status", lambda row: str(row["status"]), is_text=True),
        TextColumn("reason", lambda row: "" if pd.isna(row.get("reason")) else str(row["reason"]), is_text=True),
    ]


def oracle(name: str) -> TextColumn:
    """The column of a further oracle.

    >>> oracle("oracle.lbfgs").cell({"oracle.lbfgs": 0.5})
    '50.0%'
    """
    return TextColumn(name.removeprefix(ORACLE_PREFIX), lambda row: accuracy(row[name]))


def value(name: str) -> TextColumn:
    """The column of a criterion."""
    return TextColumn(label_of(name), lambda row: plain(row[name]) if pd.notna(row[name]) else "–")


def hyperparameters_of(trials: DataFrame, trial: object) -> tuple[tuple[str, str], ...]:
    """Name and value of each swept hyperparameter of a trial."""
    found = trials[trials["trial"] == trial].to_dict("records")
    row = {str(name): value for name, value in found[0].items()} if found else {}
    return tuple((column.heading, column.cell(row)) for column in map(hyperparameter, swept(trials)) if row)
