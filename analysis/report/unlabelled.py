"""A sweep without an oracle: what each criterion selects, though not whether it chose well."""

from __future__ import annotations

from numbers import Real

from analysis.data.columns import is_layer, swept
from analysis.data.load import Results
from analysis.report.judgement import Judgement
from analysis.report.tables import Column, Printed, Row, print_table
from analysis.text.numbers import label_of, listed, number, plain
from trainers.records import COMPLETED, CONFIG_PREFIX

CHOSEN = (
    Column("chosen by", lambda row: label_of(str(row["criterion"])), words=True),
    Column("trial", lambda row: number(row["trial"], 0)),
    Column("its value", lambda row: plain(row["value"])),
    Column("ties", lambda row: number(row["ties"], 0) if row["ties"] else ""),
)


def has_oracle(results: Results) -> bool:
    """Was any trial measured?"""
    return bool(results.trials["oracle"].notna().any())


def chosen_rows(results: Results, judgement: Judgement) -> list[Row]:
    """The trial that each plain criterion selects, with its value and hyperparameters."""
    known = judgement.selection.dropna(subset=["trial"])
    plain_rows = known[~known["criterion"].map(is_layer)]
    rows: list[Row] = []
    for row in (plain_rows if len(plain_rows) else known).to_dict("records"):
        trial = results.trials[results.trials["trial"] == row["trial"]].to_dict("records")[0]
        rows.append({str(name): cell for name, cell in {"value": trial[row["criterion"]], **trial, **row}.items()})
    return rows


def chosen(results: Results, judgement: Judgement) -> tuple[Printed, ...]:
    """The table of what is selected; none where nothing is."""
    rows = chosen_rows(results, judgement)
    columns = [*CHOSEN, *map(hyperparameter, swept(results.trials))]
    return (print_table("The trial that each criterion selects", rows, columns),) if rows else ()


def hyperparameter(name: str) -> Column:
    """The column of one hyperparameter.

    >>> hyperparameter("config.lr").cell({"config.lr": 0.00123456}), hyperparameter("config.x").cell({"config.x": True})
    ('0.001235', 'True')
    """

    def cell(row: Row) -> str:
        value = row[name]
        return plain(value) if isinstance(value, Real) and not isinstance(value, bool) else str(value)

    return Column(name.removeprefix(CONFIG_PREFIX), cell)


def chosen_words(results: Results, judgement: Judgement) -> str:
    """Which criteria select which trial."""
    said: dict[str, list[str]] = {}
    for row in chosen_rows(results, judgement):
        name = str(row["criterion"])
        said.setdefault(number(row["trial"], 0), []).append("the loss" if name == "loss" else label_of(name))
    if not said:
        return "No completed trial has a value of any criterion, so nothing is selected."
    count = int((results.trials["status"] == COMPLETED).sum())
    parts = [f"{listed(names)} select{'s' * (len(names) == 1)} trial {trial}" for trial, names in said.items()]
    return f"Of {count} completed trials, {', '.join(parts)}."
