"""The trial of a sweep that a criterion selects, and the accuracy that this choice costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sweeper.cli.again import (
    as_written,
    command_again,
    export_command,
    file_of_trial,
    longer_command,
    retrain_command,
)
from sweeper.errors import ResultsError
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import INTERRUPTED, RUNNING, Listing, hyperparameters_of
from trainers.names import did_you_mean
from trainers.records import COMPLETED, CONFIG_PREFIX, ORACLE_PREFIX, UNTRAINED, oracle_names

if TYPE_CHECKING:
    from analysis.data.columns import ScoreColumn


@dataclass(frozen=True)
class Choice:
    """The trial that a criterion selects, and the accuracy that this choice costs."""

    sweep: str
    criterion: str
    higher_is_better: bool
    value: float
    trial: int
    completed: int
    """The number of completed trials."""
    hyperparameters: Mapping[str, Any]
    swept: tuple[str, ...]
    """The hyperparameters that the sweep varied."""
    checkpoint: str | None
    """Its file; None if there is none."""
    missing: str | None
    """The checkpoint that the tables name, if its file is not there; None if the sweep kept none."""
    keep_checkpoints: str
    """Which checkpoints the sweep keeps."""
    file: Mapping[str, Any]
    """The search-space file that trains the trial again."""
    again: str
    """The commands that do so."""
    commands: Mapping[str, str]
    """retrain (if there is no checkpoint) · export · longer · again -> the command."""
    oracle: str | None
    """The oracle's name; it and the four fields below are None if no oracle ran."""
    accuracy: float | None
    best_trial: int | None
    """The trial with the best oracle."""
    best_accuracy: float | None
    regret: float | None
    untrained_accuracy: float | None
    """The oracle of the untrained encoder."""
    untrained_value: float | None
    """The criterion of the untrained encoder."""
    configuration: int
    seeds: int
    """Runs of each configuration; the fields below are None if there is only one."""
    configuration_mean: float | None
    """The criterion's mean over the runs of the chosen trial's configuration."""
    best_configuration: int | None
    """The configuration with the best mean, which depends less on single seeds."""
    best_mean: float | None


def choose(listing: Listing, criterion: str | None = None) -> Choice:
    """The completed trial of a sweep that a criterion selects; the default criterion is the sweep's objective.

    Raises:
        ResultsError: no trial has completed, or no completed trial has the criterion.
    """
    import pandas as pd

    from analysis.data.columns import make_score_column
    from analysis.data.criteria import known_criteria
    from analysis.stats.selection import best_trial

    name = criterion or listing.objective
    completed = [row for row in listing.trials if row["status"] == COMPLETED]
    if not completed:
        raise ResultsError(f"no trial of {listing.name} has completed{_what_next(listing)}")
    try:
        column = make_score_column(name, known_criteria(listing.settings))
        _check_criterion(listing, column.name, completed[0])
        chosen = best_trial(pd.DataFrame(completed), column)
    except ValueError as error:
        raise ResultsError(f"{listing.name}: {error}") from None
    row = next(row for row in completed if row["trial"] == chosen["trial"])
    checkpoint, kept = SweepFolder(listing.folder).checkpoint(int(row["trial"])), row.get("checkpoint") is not None
    hyperparameters = as_written(listing.settings, hyperparameters_of(row))
    swept = tuple(listing.settings.get("space") or ())
    first = sorted(hyperparameters, key=lambda name: name not in swept)
    hyperparameters = {name: hyperparameters[name] for name in first}
    choice = Choice(
        sweep=listing.name,
        criterion=name,
        higher_is_better=column.higher_is_better,
        value=float(row[column.name]),
        trial=int(row["trial"]),
        completed=len(completed),
        hyperparameters=hyperparameters,
        swept=swept,
        checkpoint=str(checkpoint) if checkpoint.is_file() else None,
        missing=str(checkpoint) if kept and not checkpoint.is_file() else None,
        keep_checkpoints=str(listing.settings.get("keep_checkpoints", "best")),
        file=file_of_trial(listing.settings, hyperparameters),
        again=command_again(str(listing.folder), name, listing.objective),
        commands=_next_commands(listing, name, row, hyperparameters, kept=checkpoint.is_file()),
        configuration=int(row.get("configuration", row["trial"])),
        seeds=int(listing.settings["seeds"]),
        **dict.fromkeys(("oracle", "accuracy", "best_trial", "best_accuracy", "regret", "untrained_accuracy")),
        untrained_value=next((one.get(column.name) for one in listing.baselines if one["baseline"] == UNTRAINED), None),
        **dict.fromkeys(("configuration_mean", "best_configuration", "best_mean")),
    )
    return _with_configuration(_with_oracle(choice, listing, row, completed), column, completed)


def _next_commands(
    listing: Listing, criterion: str, row: Mapping[str, Any], hyperparameters: Mapping[str, Any], *, kept: bool
) -> dict[str, str]:
    """What can be done next -> the command."""
    folder, swept, epochs = str(listing.folder), listing.settings.get("space") or (), listing.settings.get("epochs")
    chosen = {name: value for name, value in hyperparameters.items() if name in swept}
    commands = {
        "retrain": "" if kept else retrain_command(listing.folder, int(row["trial"])),
        "export": export_command(folder, criterion, listing.objective),
        "longer": longer_command(listing.settings, folder, chosen) if isinstance(epochs, int) else "",
        "again": command_again(folder, criterion, listing.objective),
    }
    return {what: command for what, command in commands.items() if command}


def _with_configuration(choice: Choice, criterion: ScoreColumn, completed: Sequence[Mapping[str, Any]]) -> Choice:
    """The choice with the criterion's means over seeds, if configurations ran more than once."""
    if choice.seeds == 1:
        return choice
    values: dict[int, list[float]] = {}
    for row in completed:
        if row.get(criterion.name) is not None:
            values.setdefault(int(row["configuration"]), []).append(float(row[criterion.name]))
    means = {configuration: sum(found) / len(found) for configuration, found in values.items()}
    sign = 1 if criterion.higher_is_better else -1
    best = max(means, key=lambda configuration: (sign * means[configuration], -configuration))
    return replace(
        choice,
        configuration_mean=means[choice.configuration],
        best_configuration=best,
        best_mean=means[best],
    )


def _with_oracle(
    choice: Choice, listing: Listing, row: Mapping[str, Any], completed: Sequence[Mapping[str, Any]]
) -> Choice:
    """The choice with the values of the oracle, if it ran on the selected trial."""
    measured = [other for other in completed if other.get("oracle") is not None]
    if row.get("oracle") is None:
        return choice
    best = max(measured, key=lambda other: (other["oracle"], -other["trial"]))
    named = [name for name in oracle_names(row) if row[f"{ORACLE_PREFIX}{name}"] == row["oracle"]]
    return replace(
        choice,
        oracle=named[0] if named else "oracle",
        accuracy=row["oracle"],
        best_trial=int(best["trial"]),
        best_accuracy=best["oracle"],
        regret=best["oracle"] - row["oracle"],
        untrained_accuracy=next((one.get("oracle") for one in listing.baselines if one["baseline"] == UNTRAINED), None),
    )


def trials_with_checkpoint(listing: Listing) -> list[int]:
    """The trials whose checkpoints are there: the sweep kept them, or `sweeper retrain` made them."""
    return [row["trial"] for row in listing.trials if SweepFolder(listing.folder).has_checkpoint(row["trial"])]


def _check_criterion(listing: Listing, name: str, row: Mapping[str, Any]) -> None:
    about = (CONFIG_PREFIX, ORACLE_PREFIX, "oracle")
    columns = [key for key, value in row.items() if isinstance(value, float) and not key.startswith(about)]
    if name.startswith("oracle"):
        raise ResultsError(
            f"`--criterion` must be a criterion, but {name} is the oracle; `sweeper best` also shows its best trial"
        )
    if name not in row:
        plain = [key for key in columns if key in (listing.settings.get("criteria") or ()) or key == "loss"]
        hint = did_you_mean(name, columns)
        raise ResultsError(f"`--criterion` must be one of {', '.join(plain)} or a layer of it, but got {name}{hint}")


def _what_next(listing: Listing) -> str:
    if listing.state == RUNNING:
        return " yet; it is running"
    if listing.state == INTERRUPTED:
        return f" yet; `sweeper resume {listing.folder}` continues it"
    return f"; `sweeper show {listing.folder}` says why"
