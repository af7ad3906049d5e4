"""What `--dry-run` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sweeper.cli.plan import Estimate
from sweeper.cli.screens.cells import add_row, literal, make_table, number
from sweeper.cli.screens.search_space import yaml_short
from trainers.formats import seconds
from trainers.records import TrialConfig


def plan_parts(
    mapping: Mapping[str, Any], first: Sequence[TrialConfig], runs: int, estimate: Estimate
) -> list[RenderableType]:
    """The output of `--dry-run`: the config, the first trials, and the estimated time."""
    swept = list(first[0].swept) if first else []
    table = make_table("trial", "seed", *swept)
    for config in first:
        add_row(table, str(config.trial), str(config.seed), *(number(config.hyperparameters[name]) for name in swept))
    shown = "all trials" if len(first) == runs else f"the first {len(first)} of {runs} trials"
    epoch, criteria, trial, total = (
        seconds(value)
        for value in (
            estimate.epoch_seconds, estimate.criteria_seconds, estimate.trial_seconds, estimate.total_seconds
        )
    )  # fmt: skip
    steps = (
        f"estimated time: an epoch {epoch}, its criteria {criteria}, a trial {trial}, "
        f"the sweep {total} with {estimate.jobs} at a time"
    )
    notes = [literal(f"dataset: {note}") for note in estimate.notes]
    return [Text(yaml_short(mapping)), Text(f"{shown}:"), table, Text(f"\n{steps}"), *notes]
