"""Replay of a pruner over full curves: the trials that it would have stopped, and when.

The pruners are Optuna's own and are called as in a live sweep: reports in their order of arrival, the collapse rule
first, then the pruner, at every measured epoch except the last. A replay therefore stops the same trials at the same
epochs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import ScoreColumn, check_directed, make_score_column
from analysis.data.measured import is_known
from trainers.records import COLLAPSED, COMPLETED, DIVERGED, FAILED, PRUNED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.trial import Trial


def replay(
    reports: DataFrame,
    pruner: BasePruner,
    *,
    criterion: str = "lidar",
    trials: DataFrame | None = None,
    epochs: int | None = None,
    study_name: str = "replay",
) -> DataFrame:
    """One row per trial: what an Optuna pruner would have done, given the trial's full curve.

    Columns trial, epochs (that it ran), status and pruned_epoch (<NA> if it was not pruned). Reports are replayed in
    the order of `sequence`, or trial by trial if that column is missing. `trials` gives the status and the end time of
    each trial; without it, every trial completes with its last report. Trials that were pruned in the sweep have no
    full curve and are left out. `epochs` is the length of a full trial; the pruner is not asked at its last epoch.
    `study_name` matters only to Hyperband, which draws each trial's bracket from it.

    >>> from optuna.pruners import ThresholdPruner
    >>> reports = DataFrame({"trial": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "lidar": [5.0, 6.0, 1.0, 2.0]})
    >>> replay(reports, ThresholdPruner(lower=3.0))["pruned_epoch"].tolist()
    [<NA>, 1]
    """
    chosen = make_score_column(criterion)
    if chosen.name not in reports:
        raise ValueError(f"`criterion` must be a column of the reports, but got {chosen.name!r}")
    check_directed(criterion)
    last = int(epochs if epochs is not None else reports["epoch"].max())
    return replay_events(in_order(reports, chosen, trials), pruner, chosen, last, study_name)


def replay_events(
    events: Sequence[Event], pruner: BasePruner, criterion: ScoreColumn, last: int, study_name: str
) -> DataFrame:
    """Like `replay`, from events in order."""
    rows = [
        {"trial": trial, **asdict(one), "pruned_epoch": one.epochs if one.status == PRUNED else pd.NA}
        for trial, one in sorted(play(events, pruner, criterion, last, study_name).items())
    ]
    table = DataFrame(rows, columns=["trial", "epochs", "status", "pruned_epoch"])
    return table.astype({"pruned_epoch": "Int64"})


@dataclass(frozen=True)
class Ended:
    """The epochs that a trial ran in a replay, and its status there."""

    epochs: int
    status: str


def play(
    events: Sequence[Event], pruner: BasePruner, criterion: ScoreColumn, last: int, study_name: str
) -> dict[int, Ended]:
    """Replay events in order: trial -> how it ended."""
    with in_memory_study(pruner, criterion, study_name) as study:
        asked = [study.ask() for _ in range(max((event.trial for event in events), default=-1) + 1)]
        ended: dict[int, Ended] = {}
        trained: dict[int, int] = {}
        for event in events:
            if event.trial in ended:
                continue
            status = take(study, asked[event.trial], event, last)
            trained[event.trial] = max(trained.get(event.trial, 0), event.epoch)
            if status:
                ended[event.trial] = Ended(trained[event.trial], status)
    return ended


@contextmanager
def in_memory_study(pruner: BasePruner, criterion: ScoreColumn, name: str) -> Iterator[Study]:
    """A temporary study in memory with a copy of the pruner, because some pruners keep state between calls."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield optuna.create_study(
            direction="maximize" if criterion.higher_is_better else "minimize",
            pruner=copy.deepcopy(pruner),
            sampler=optuna.samplers.RandomSampler(),
            study_name=name,
        )
    finally:
        optuna.logging.set_verbosity(verbosity)


@dataclass(frozen=True)
class Event:
    """A report, or the end of a trial if `status` is set."""

    trial: int
    epoch: int
    value: float
    status: str = ""
    measured: bool = True
    """Whether the report has the criterion; the study does not hear of one that does not."""


def in_order(reports: DataFrame, criterion: ScoreColumn, trials: DataFrame | None) -> list[Event]:
    """Reports and ends of trials, in the order in which the study received them."""
    statuses, finished = endings(trials)
    table = reports[~reports["trial"].isin([trial for trial, status in statuses.items() if status == PRUNED])]
    table = table.sort_values(["sequence"] if "sequence" in table else ["trial", "epoch"])
    values = pd.to_numeric(table[criterion.name], errors="coerce").astype(float)
    known = is_known(table, criterion.name)
    columns = zip(table["trial"].astype(int), table["epoch"].astype(int), values, known, strict=True)
    events = [
        (float(place), Event(trial, epoch, value, measured=measured))
        for place, (trial, epoch, value, measured) in enumerate(columns)
    ]
    final = {event.trial: (int(place), event) for place, event in events}
    arrived = moments(table["reported_at"]).to_numpy() if "reported_at" in table else None
    for trial, (place, last) in final.items():
        status = statuses.get(trial, COMPLETED)
        at = place + 0.5
        if arrived is not None and trial in finished and finished[trial] is not pd.NaT:
            at = max(at, float((arrived <= finished[trial]).sum()) - 0.5)
        if status in (COLLAPSED, DIVERGED):  # these rules see the last report before the pruner does
            at = place - 0.5
        events.append((at, replace(last, status=status)))
    return [event for _, event in sorted(events, key=lambda one: one[0])]


def endings(trials: DataFrame | None) -> tuple[dict[int, str], dict[int, Any]]:
    """trial -> status, and trial -> end time; empty if the table lacks the column."""
    if trials is None:
        return {}, {}
    numbers = trials["trial"].astype(int)
    statuses = dict(zip(numbers, trials["status"].astype(str), strict=True)) if "status" in trials else {}
    finished = (
        dict(zip(numbers, moments(trials["finished_at"]).to_numpy(), strict=True)) if "finished_at" in trials else {}
    )
    return statuses, finished


def moments(values: Series[Any]) -> Series[Any]:
    """Times in UTC; numbers are seconds since 1970."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.to_datetime(values, unit="s", utc=True)
    return pd.to_datetime(values, utc=True, format="ISO8601")


def take(study: Study, trial: Trial, event: Event, last: int) -> str:
    """Pass one event to the study, and return the status of the trial if it ends here, else ""."""
    from optuna.trial import TrialState

    states = {COMPLETED: TrialState.COMPLETE, FAILED: TrialState.FAIL}
    if event.status in (COMPLETED, FAILED):
        study.tell(trial, event.value if event.status == COMPLETED else None, state=states[event.status])
        return event.status
    if event.measured:
        trial.report(event.value, event.epoch)
    elif not event.status:
        return ""
    if event.status in (COLLAPSED, DIVERGED) or not math.isfinite(event.value):
        study.tell(trial, state=TrialState.PRUNED)
        return event.status or COLLAPSED
    if event.epoch >= last or not trial.should_prune():
        return ""
    study.tell(trial, state=TrialState.PRUNED)
    return PRUNED


def default_pruners(epochs: int) -> dict[str, BasePruner]:
    """The pruners and settings of a frontier, from mild to strict, for full trials of so many epochs.

    Each has its name in a search-space file, and its `percentile` or `reduction_factor`.
    """
    from optuna import pruners

    half = epochs // 2
    return {
        "none": pruners.NopPruner(),
        "percentile 75": pruners.PercentilePruner(75.0),
        f"percentile 75, n_warmup_steps {half}": pruners.PercentilePruner(75.0, n_warmup_steps=half),
        "median": pruners.MedianPruner(),
        f"median, n_warmup_steps {half}": pruners.MedianPruner(n_warmup_steps=half),
        "percentile 25": pruners.PercentilePruner(25.0),
        "successive_halving 2": pruners.SuccessiveHalvingPruner(min_resource=max(1, epochs // 8), reduction_factor=2),
        "successive_halving 4": pruners.SuccessiveHalvingPruner(min_resource=max(1, epochs // 16), reduction_factor=4),
        "hyperband 3": pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    }
