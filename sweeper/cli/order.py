"""Which trials of a sweep the criteria and the oracles choose, and the trials in the order of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.errors import ConfigError
from sweeper.store.listing import Listing, settings_criteria
from trainers.names import did_you_mean
from trainers.records import COMPLETED, CONFIG_PREFIX, LAYERS, ORACLE_PREFIX, STANDARD_ERROR, oracle_names

Row = Mapping[str, Any]


def score_columns(listing: Listing) -> list[str]:
    """The loss, the criteria, and the oracles in which any trial has a value."""
    return ["loss", *settings_criteria(listing.settings), *oracle_columns(listing.trials)]


def oracle_columns(trials: Sequence[Row]) -> list[str]:
    """The accuracies of the oracles in which any trial has a value; the plain column if no oracle is named."""
    names = list(dict.fromkeys(key for row in trials for key in row if is_oracle(key)))
    named = [f"{ORACLE_PREFIX}{name}" for name in oracle_names(names)]
    return [key for key in named or names if any(row.get(key) is not None for row in trials)]


def is_oracle(column: str) -> bool:
    """Whether a column is an oracle's."""
    return column == "oracle" or column.startswith(ORACLE_PREFIX)


def chosen_trials(listing: Listing) -> dict[str, int]:
    """Column -> the completed trial that its criterion selects, or that has the best accuracy.

    A column without a finite value has no entry.
    """
    import pandas as pd

    from analysis.data.columns import ScoreColumn
    from analysis.stats.selection import best_trial

    completed = pd.DataFrame([row for row in listing.trials if row["status"] == COMPLETED])
    chosen = {}
    for name in score_columns(listing):
        try:
            best = best_trial(completed, ScoreColumn(name, higher_is_better(listing, name)))
        except ValueError:  # no value is finite, or no trial has completed
            continue
        chosen[name] = int(best["trial"])
    return chosen


def higher_is_better(listing: Listing, column: str) -> bool:
    """Whether more of a criterion or an oracle is better."""
    from analysis.data.columns import make_score_column
    from analysis.data.criteria import known_criteria

    if is_oracle(column):
        return not column.endswith(f".{STANDARD_ERROR}")
    return make_score_column(column, known_criteria(listing.settings)).higher_is_better


def sort_trials(listing: Listing, name: str) -> list[dict[str, Any]]:
    """The trials in the order of a column, as the table or trials.parquet names it; those without a value come last.

    The best comes first for a criterion, the loss or an oracle, the least value for any other column.

    Raises:
        ConfigError: there is no such column.
    """
    column = _find_column(listing, name)
    plain = column.removesuffix(f".{LAYERS[0]}").removesuffix(f".{LAYERS[1]}")
    scored = plain in score_columns(listing) or is_oracle(column)
    falling = scored and higher_is_better(listing, column)

    def key(row: Row) -> tuple[bool, bool, Any, int]:
        value = row.get(column)
        if value is None or value != value:
            return True, False, 0, row["trial"]
        text = not isinstance(value, int | float)
        return False, text, str(value) if text else -value if falling else value, row["trial"]

    return sorted(listing.trials, key=key)


def _find_column(listing: Listing, name: str) -> str:
    """The column of a name; hyperparameters and oracles need no prefix."""
    columns = list(dict.fromkeys(key for row in listing.trials for key in row))
    for column in (name, f"{CONFIG_PREFIX}{name}", f"{ORACLE_PREFIX}{name}"):
        if column in columns:
            return column
    plain = [column.removeprefix(CONFIG_PREFIX).removeprefix(ORACLE_PREFIX) for column in columns]
    swept = list(listing.settings.get("space") or ())
    shown = [*("trial", "status", "epochs"), *score_columns(listing), *swept]
    known = ", ".join(one.removeprefix(ORACLE_PREFIX) for one in shown)
    hint = did_you_mean(name, plain)
    raise ConfigError(f"`--sort` must be a column of the trials, such as {known}, but got {name}{hint}")
