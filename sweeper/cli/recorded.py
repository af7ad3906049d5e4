"""One trial of a sweep as it was recorded: its row, and the configuration that trains it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweeper.cli.again import as_written
from sweeper.cli.choice import choose
from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError, ResultsError
from sweeper.search.configurations import make_trial_config
from sweeper.store.listing import Listing, hyperparameters_of
from trainers.records import TrialConfig


def row_of(listing: Listing, *, trial: int | None, criterion: str | None) -> dict[str, Any]:
    """The row of `trial`, or of the trial that the criterion selects.

    Raises:
        ConfigError: both are given.
        ResultsError: there is no such trial.
    """
    if trial is not None and criterion is not None:
        raise ConfigError("`--trial` and `--criterion` must not be given together; one of them chooses the trial")
    number = choose(listing, criterion).trial if trial is None else trial
    row = next((row for row in listing.trials if row["trial"] == number), None)
    if row is None:
        raise ResultsError(f"{listing.name} has no trial {number}; `sweeper show {listing.folder}` lists its trials")
    return row


def recorded_config(listing: Listing, config: SweepConfig, row: Mapping[str, Any]) -> TrialConfig:
    """The configuration and the seed of a trial, as its row has them."""
    written = as_written(listing.settings, hyperparameters_of(row))
    swept = {name: value for name, value in written.items() if name in config.space}
    trial = make_trial_config(config, row["trial"], swept)
    seed = row.get("seed")
    return trial if seed is None else replace(trial, seed=int(seed))
