"""`sweeper retrain`: which trial is trained again and to which epoch, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweeper.cli.again import retrain_command
from sweeper.cli.recorded import recorded_config
from sweeper.errors import ResultsError
from sweeper.run.options import RunOptions
from sweeper.run.retrain import Retrained, retrain_trial
from sweeper.store.listing import INTERRUPTED, RUNNING, Listing
from sweeper.store.manifest import read_manifest
from trainers.formats import plain
from trainers.records import FAILED, EpochReport


def retrain(listing: Listing, row: Mapping[str, Any], options: RunOptions, say: Callable[[str], None]) -> Retrained:
    """Train the trial of a row again; `say` is told its epochs.

    Raises:
        ResultsError: the sweep is running, or the trial has not ended or has no report.
    """
    if listing.held:
        raise ResultsError(f"{listing.folder} is in use by another process; wait until it has ended, or end it")
    number, epochs = row["trial"], int(row.get("epochs") or 0)
    if row["status"] in (RUNNING, INTERRUPTED):
        raise ResultsError(f"trial {number} has not ended; `sweeper resume {listing.folder}` continues it")
    if not epochs:
        why = f" ({row['reason']})" if row.get("reason") else ""
        raise ResultsError(f"trial {number} {FAILED} before its first report{why}, so there is nothing to make again")
    folder, config, origin = read_manifest(listing.folder, cluster=True)

    def told(report: EpochReport) -> None:
        values = {"loss": report.loss, **{name: report.criteria.get(name) for name in (config.objective,)}}
        shown = "  ".join(f"{name} {plain(value)}" for name, value in values.items() if value is not None)
        say(f"epoch {report.epoch} of {epochs}  {shown}")

    return retrain_trial(folder, config, recorded_config(listing, config, row), epochs, origin, options, told)


def retrain_data(listing: Listing, row: Mapping[str, Any], done: Retrained) -> dict[str, Any]:
    """The outcome for programs."""
    found = done.comparison
    return {
        "sweep": listing.name,
        "trial": row["trial"],
        "status": row["status"],
        "epochs": done.epochs,
        "epochs_recorded": row["epochs"],
        "checkpoint": None if done.interrupted else str(done.checkpoint),
        "kept": done.kept,
        "interrupted": done.interrupted or None,
        "equal": found.equal if found else None,
        "values_compared": found.values if found else None,
        "epochs_not_recorded": list(found.missing) if found else None,
        "differences": [{**one.__dict__, "size": one.size} for one in found.differences] if found else None,
        "differs": list(done.notes),
        "continue": retrain_command(listing.folder, row["trial"]) if done.interrupted else None,
    }
