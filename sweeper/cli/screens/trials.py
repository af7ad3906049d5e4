"""The trials of a sweep in a table, and one of them with its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from sweeper.cli.order import is_oracle, oracle_columns, score_columns
from sweeper.cli.screens.cells import literal, number
from sweeper.cli.screens.search_space import yaml_lines
from sweeper.cli.screens.wide import WideTable
from sweeper.errors import ResultsError
from sweeper.run.rows import STATUS_STYLES
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import Listing, hyperparameters_of
from trainers.formats import accuracy, one_line
from trainers.records import LAYERS, NULL, ORACLE_PREFIX

MARK: Final = "*"
NO_CHOICE: Final[Mapping[str, int]] = MappingProxyType({})


def trials_table(listing: Listing, chosen: Mapping[str, int] = NO_CHOICE) -> WideTable:
    """One row per trial: status, criteria, oracles, and the swept hyperparameters.

    `chosen` is the trial that each column selects: its cell has a mark there, and its number for the objective.
    """
    scores = score_columns(listing)
    swept = list(listing.settings.get("space") or ())
    rows: list[tuple[list[str | Text], str | None]] = []
    for row in listing.trials:
        values = hyperparameters_of(row)
        marks = {name: MARK for name, trial in chosen.items() if trial == row["trial"]}
        cells: list[str | Text] = [
            f"{row['trial']}{marks.get(listing.objective, '')}",
            Text(row["status"], style=STATUS_STYLES[row["status"]]),
            str(row.get("epochs", row.get("epoch", 0))),
            *(_score(row, name) + marks.get(name, "") for name in scores),
            *(number(values.get(name)) for name in swept),
        ]
        rows.append((cells, None))
    for row in listing.baselines:
        name = str(row["baseline"]).replace("_", " ")
        rows.append((["–", name, "0", *(_score(row, name) for name in scores), *("–" for _ in swept)], "dim"))
    headings = ("trial", "status", "epochs", *(name.removeprefix(ORACLE_PREFIX) for name in scores), *swept)
    return WideTable(headings, rows)


def _score(row: Mapping[str, Any], column: str) -> str:
    return accuracy(row.get(column)) if is_oracle(column) else number(row.get(column))


def legend(listing: Listing, chosen: Mapping[str, int]) -> list[Text]:
    """What the marks mean, if there are any."""
    if not chosen:
        return []
    lines = [f"{MARK} the completed trial that the column selects (an oracle: its best trial)"]
    if listing.objective in chosen:
        lines.append(f"{MARK} beside a number: the trial that the objective, {listing.objective}, selects")
    return [literal(line) for line in lines]


def trial_data(listing: Listing, trial: int) -> dict[str, Any]:
    """One trial with its reports.

    Raises:
        ResultsError: the sweep has no such trial.
    """
    rows = [row for row in listing.trials if row["trial"] == trial]
    if not rows:
        last = max((row["trial"] for row in listing.trials), default=None)
        there = f"its trials are 0 to {last}" if last is not None else "no trial has started"
        raise ResultsError(f"{listing.name} has no trial {trial}: {there}")
    epochs = sorted((row for row in listing.reports if row["trial"] == trial), key=lambda row: row["epoch"])
    sweep = SweepFolder(listing.folder)
    log, checkpoint = sweep.log(trial), sweep.checkpoint(trial)
    kept: dict[str, Any] = {"checkpoint": str(checkpoint)} if checkpoint.is_file() else {}
    return {**rows[0], **kept, "log": str(log) if log.is_file() else None, "reports": epochs}


def trial_parts(data: Mapping[str, Any]) -> list[RenderableType]:
    """The output for one trial: its status, its hyperparameters, and its criteria by epoch."""
    head = Text(f"trial {data['trial']}: ") + Text(data["status"], style=STATUS_STYLES[data["status"]])
    if data.get("reason"):
        head += literal(f" ({data['reason']})")
    if data.get("audited"):
        head += Text(f"; audited: the pruner would have stopped it at epoch {data['would_prune_epoch']}")
    lines = [one_line(f"{key}: {data[key]}") for key in ("seed", "checkpoint", "log") if data.get(key) is not None]
    lines += [one_line(f"{key}: {accuracy(data[key])}") for key in oracle_columns([data])]
    values = hyperparameters_of(data)
    if values:
        lines.append(yaml_lines({"hyperparameters": values}).rstrip())
    reports = data["reports"]
    known = dict.fromkeys(key for row in reports for key in row)
    criteria = [key for key in known if f"{key}.{LAYERS[0]}" in known and not key.endswith(NULL)]
    names = ["epoch", "step", "loss", *criteria, "spread", "train_seconds", "criteria_seconds"]
    table = WideTable(names, [([number(row.get(name)) for name in names], None) for row in reports])
    return [head, Text("\n".join(lines)), table if reports else Text("no epoch has been reported")]
