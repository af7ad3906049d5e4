"""Tables of other tools are read for what they are: Optuna, optuna-dashboard, Ray Tune, Weights & Biases."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import ColumnUnknown, ResultsUnreadable, place_of
from analysis.data.headings import NAME
from trainers.formats import counted, listed
from trainers.names import did_you_mean
from trainers.records import COMPLETED, CONFIG_PREFIX, FAILED, PRUNED, STATUSES


@dataclass(frozen=True)
class Tool:
    """A tool, and the names of the columns that it writes."""

    needs: frozenset[str]
    """The columns by which its tables are known."""
    hyperparameters: str = ""
    """The prefix of hyperparameters; "" if they have none."""
    values: str = ""
    """The prefix of what a trial was told to keep, such as a criterion."""
    number: str = ""
    """The column of the trial's number."""


TOOLS: Final = {
    "Optuna": Tool(frozenset({"number", "state"}), "params_", "user_attrs_", "number"),
    "optuna-dashboard": Tool(frozenset({"Number", "State"}), "Param ", "UserAttribute ", "Number"),
    "Ray Tune": Tool(frozenset({"trial_id", "training_iteration"}), "config/"),
    "Weights & Biases": Tool(frozenset({"Name", "State"})),
    "Weights & Biases (API)": Tool(frozenset({"name", "config", "summary"})),
}
PREFIXES: Final = tuple(tool.hyperparameters for tool in TOOLS.values() if tool.hyperparameters)

NAMES: Final = (NAME, "Name", "run", "Run", "run_name", "Run name", "trial_name", "trial_id", "ID")
"""The columns in which tools and people write the names of runs."""
OF_TOOLS: Final = re.compile(
    r"system_attrs_.*|_(runtime|step|timestamp|wandb)|Runtime|timestamp|pid|done|training_iteration"
    r"|time_(this_iter|total)_s|time_since_restore|iterations_since_restore|number|Number"
)
"""Columns that are no criterion."""

STATES: Final = {
    **{status: status for status in STATUSES},
    **dict.fromkeys(("complete", "finished", "terminated"), COMPLETED),
    "pruned": PRUNED,
    **dict.fromkeys(("fail", "crashed", "killed", "error", "errored", "preempted"), FAILED),
}
"""What tools call a state, in small letters -> status."""
UNFINISHED: Final = ("running", "waiting", "pending", "paused", "queued", "preempting")
LONGEST_CELL: Final = 100_000
"""Letters of a dictionary in a cell; Python's parser takes too much memory for longer ones."""


def read_export(
    table: DataFrame, path: Path, hyperparameters: Sequence[str] = (), asked: Collection[str] = ()
) -> tuple[DataFrame, tuple[str, ...]]:
    """The table with the names of a results folder, and one note on what was recognised.

    `hyperparameters` are further columns that are hyperparameters. Columns that are `asked` for by name keep it.

    Raises:
        ResultsUnreadable: a state is unknown, no trial ended, or a hyperparameter is not a column.
    """
    if table.empty:
        return table, ()
    tool = next((name for name, tool in TOOLS.items() if tool.needs <= set(table.columns)), "")
    table = unpacked(table)
    renamed = named_values(table, TOOLS.get(tool)) | named_hyperparameters(table, path, hyperparameters, asked)
    kept = table[[name for name in renamed if name in asked]]
    table = pd.concat([table.rename(columns=renamed), kept], axis=1)
    number = TOOLS[tool].number if tool else ""
    if number and "trial" not in table:
        table["trial"] = table[number]
    table, said = with_status(with_names(table), path)
    config = [name.removeprefix(CONFIG_PREFIX) for name in table.columns if name.startswith(CONFIG_PREFIX)]
    if not tool and not said and not hyperparameters:
        return table, ()
    parts = [f"hyperparameters {', '.join(config)}" if config else "no hyperparameter (name them: --hyperparameters)"]
    if not said and "status" not in table:
        said = [f"no states, so all {counted(len(table), 'trial')} count as completed"]
    source = f"an export of {tool}" if tool else "a table"
    return table, (f"{path.name} was read as {source}: {'; '.join([*parts, *said])}",)


def unpacked(table: DataFrame) -> DataFrame:
    """The table with the entries of the dictionaries in `config` and `summary`, as W&B's API gives them, as columns."""
    for column, prefix in (("config", CONFIG_PREFIX), ("summary", "")):
        cells = [as_dictionary(cell) for cell in table[column]] if column in table else []
        if cells and all(cell is not None for cell in cells):
            entries = DataFrame(
                [{f"{prefix}{name}": value for name, value in (cell or {}).items()} for cell in cells], table.index
            )
            plain = [name for name in entries if name not in table and not entries[name].map(is_nested).any()]
            table = pd.concat([table.drop(columns=column), entries[plain].infer_objects()], axis=1)
    return table


def is_nested(value: object) -> bool:
    """Whether a value is a list or a dictionary."""
    return isinstance(value, dict | list | tuple)


def as_dictionary(cell: Any) -> dict[str, Any] | None:
    """A cell that is a dictionary, or one as text; None if it is neither.

    >>> as_dictionary("{'lr': 0.1, 'loss': nan}"), as_dictionary('{"a": true}'), as_dictionary("3")
    ({'lr': 0.1, 'loss': None}, {'a': True}, None)
    """
    if isinstance(cell, str) and cell.strip().startswith("{") and len(cell) <= LONGEST_CELL:
        finite = re.sub(r"(?<=: )(nan|-?inf)(?=[,}])", "None", cell)
        for read in (json.loads, ast.literal_eval):
            try:
                cell = read(finite)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return {str(name): value for name, value in cell.items()} if isinstance(cell, dict) else None


def named_values(table: DataFrame, tool: Tool | None) -> dict[str, str]:
    """Column -> its name without the tool's prefix, where no other column has that name."""
    prefix = tool.values if tool else ""
    names = [name for name in table.columns if prefix and name.startswith(prefix)]
    return {name: plain for name in names if (plain := name.removeprefix(prefix)) not in table}


def named_hyperparameters(
    table: DataFrame, path: Path, chosen: Sequence[str], asked: Collection[str]
) -> dict[str, str]:
    """Column -> config.<name>, for columns with a prefix of hyperparameters and for the chosen ones."""
    names = {
        name: CONFIG_PREFIX + name.removeprefix(prefix).replace("/", ".")
        for prefix in PREFIXES
        for name in table.columns
        if name.startswith(prefix) and name != prefix
    }
    both = next((name for name in chosen if name in asked), None)
    if both is not None:
        raise ResultsUnreadable(f"`--hyperparameters` must not name a criterion or the oracle, but got {both}")
    check_hyperparameters([*table.columns, *names.values()], path, chosen)
    names |= {name: CONFIG_PREFIX + name for name in chosen if name in table and not name.startswith(CONFIG_PREFIX)}
    first = {new: name for name, new in reversed(names.items())}  # of two columns for one name, the first has it
    return {name: new for new, name in first.items() if new not in table}


def check_hyperparameters(columns: Sequence[str], path: Path, chosen: Sequence[str]) -> None:
    """Raises: ColumnUnknown, if a chosen hyperparameter is neither a column nor `config.` with its name."""
    plain = [name.removeprefix(CONFIG_PREFIX) for name in columns if name.startswith(CONFIG_PREFIX)]
    missing = [name for name in chosen if name not in columns and name not in plain]
    if missing:
        known = plain or list(columns)
        raise ColumnUnknown(
            f"`{path}` must have the hyperparameters {', '.join(missing)}, but it has {', '.join(known)}"
            + did_you_mean(missing[0], [*plain, *columns])
        )


def with_names(table: DataFrame) -> DataFrame:
    """The table with a column `name` if a column names the runs; a `trial` that is text is such a column too."""
    if "trial" in table and is_text(table["trial"]) and pd.to_numeric(table["trial"], errors="coerce").isna().all():
        return table.rename(columns={NAME: "column name", "trial": NAME})
    for column in NAMES:
        if column in table and is_text(table[column]) and (table[column].nunique() > 1 or len(table) == 1):
            return table if column == NAME else table.assign(**{NAME: table[column]})
    return table


def is_text(values: Series[Any]) -> bool:
    """Whether a column has text in it."""
    return bool(values.map(lambda value: isinstance(value, str)).any())


def with_status(table: DataFrame, path: Path) -> tuple[DataFrame, list[str]]:
    """The table with `status`, without trials that have not ended, and what was done in words.

    A column `state` without a single known state is about something else.
    """
    places = [name for name in table.columns if name.lower() in ("status", "state")]
    places.sort(key=lambda name: name != "status")
    column = next((name for name in places if name == "status" or states_in(table[name]).isin(KNOWN).any()), None)
    if column is None:
        return table, []
    states = states_in(table[column])
    strange = table[column][~states.isin(KNOWN)]
    if len(strange):
        text = f"`{column}` in `{path}` must be one of {', '.join(STATUSES)}, but got {str(strange.iloc[0])!r}"
        raise ResultsUnreadable(f"{text} in {place_of(strange)}")
    waiting = states.isin(UNFINISHED)
    if waiting.all():
        raise ResultsUnreadable(f"`{path}` must have a trial that has ended, but all are {', '.join(states.unique())}")
    ended = table.assign(status=states.map(STATES))
    if "trial" not in ended:
        ended["trial"] = range(len(ended))  # the rows keep their numbers
    ended = ended[~waiting]
    if column == "status" and not waiting.any() and (ended["status"] == table["status"]).all():
        return ended, []
    counts = ended["status"].value_counts()
    said = [f"{column}: {listed([f'{counts[status]} {status}' for status in STATUSES if status in counts])}"]
    left = int(waiting.sum())
    return ended, [*said, f"{counted(left, 'trial')} left out, not yet ended"] if left else said


KNOWN: Final = {*STATES, *UNFINISHED}


def states_in(values: Series[Any]) -> Series[str]:
    """The states in small letters, without the name of Optuna's class before them."""
    return values.astype(str).str.strip().str.lower().str.removeprefix("trialstate.")
