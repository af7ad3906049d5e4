"""The trials of a sweep in a table, and one of them with its epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.cli.screens.cells import add_row, literal, make_table, number
from sweeper.cli.screens.search_space import yaml_lines
from sweeper.errors import ResultsError
from sweeper.run.observers.live import STATUS_STYLES
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import Listing, hyperparameters_of
from trainers.formats import accuracy, one_line
from trainers.records import LAYERS, NULL, ORACLE_PREFIX


def trials_table(listing: Listing) -> Table:
    """One row per trial: status, criteria, oracles, and the swept hyperparameters."""
    criteria = ["loss", *(listing.settings.get("criteria") or ())]
    oracles = oracle_columns(listing.trials)
    swept = list(listing.settings.get("space") or ())
    table = make_table(
        "trial", "status", "epochs", *criteria, *(name.removeprefix(ORACLE_PREFIX) for name in oracles), *swept
    )
    for row in listing.trials:
        values = hyperparameters_of(row)
        add_row(
            table,
            str(row["trial"]),
            Text(row["status"], style=STATUS_STYLES[row["status"]]),
            str(row.get("epochs", row.get("epoch", 0))),
            *(number(row.get(name)) for name in criteria),
            *(accuracy(row.get(name)) for name in oracles),
            *(number(values.get(name)) for name in swept),
        )
    for row in listing.baselines:
        cells = [*(number(row.get(name)) for name in criteria), *(accuracy(row.get(name)) for name in oracles)]
        add_row(table, "–", str(row["baseline"]).replace("_", " "), "0", *cells, *("–" for _ in swept), style="dim")
    return table


def oracle_columns(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    """The oracle columns in which any trial has a value."""
    names = dict.fromkeys(key for row in trials for key in row if key == "oracle" or key.startswith(ORACLE_PREFIX))
    named = [key for key in names if key.startswith(ORACLE_PREFIX)]
    return [key for key in named or names if any(row.get(key) is not None for row in trials)]


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
    log = SweepFolder(listing.folder).log(trial)
    return {**rows[0], "log": str(log) if log.is_file() else None, "reports": epochs}


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
    table = make_table(*names)
    for row in reports:
        add_row(table, *(number(row.get(name)) for name in names))
    return [head, Text("\n".join(lines)), table if reports else Text("no epoch has been reported")]
