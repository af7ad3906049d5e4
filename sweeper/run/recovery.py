"""After a kill: the study is brought up to reports.jsonl, and what was running or is owed is queued again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.run.dispatcher import Dispatcher
from sweeper.search.stopping import AUDITED
from sweeper.search.study import TrialRecord
from sweeper.store.atomic import remove_torn
from sweeper.store.outcomes import read_outcome
from sweeper.store.reports import read_log, row_report
from sweeper.store.tables import has_baselines
from trainers.records import COMPLETED, FAILED, TrialResult, is_measured

Rows = Sequence[Mapping[str, Any]]


def recover(dispatcher: Dispatcher) -> None:
    """Update study, checkpoints and queue from reports.jsonl and result.json; a new sweep gets its baselines queued."""
    rows: dict[int, list[Mapping[str, Any]]] = {}
    for row in read_log(dispatcher.folder):
        rows.setdefault(row["trial"], []).append(row)
    if not has_baselines(dispatcher.folder):
        dispatcher.waiting.append(dispatcher.baselines_task())
    report_losses(dispatcher, rows)
    for record in dispatcher.study.records():
        number = record.number
        if record.status:
            dispatcher.succeeded |= record.status != FAILED
            dispatcher.keeper.seen(number, record.status, scores_of(dispatcher, record, rows.get(number, [])))
            dispatcher.queue_probe(number)
            continue
        replay_log(dispatcher, number, rows.get(number, []))
        if not dispatcher.study.record(number).status:
            dispatcher.waiting.append(dispatcher.trial_task(number))
    for record in dispatcher.study.records():
        if record.status:  # where a trial runs again, its worker does this
            remove_torn(dispatcher.folder.trial(record.number))
    dispatcher.keeper.purge(dispatcher.owing())


def scores_of(dispatcher: Dispatcher, record: TrialRecord, rows: Rows) -> Mapping[str, float | None]:
    """The last values of an ended trial's criteria and its loss; if its last report was lost, only the objective."""
    last: Mapping[str, Any] = max(rows, key=lambda row: int(row["epoch"]), default={})
    if last.get("epoch", 0) < max(record.reported, default=0):
        return {dispatcher.config.objective: record.value}
    return last


def report_losses(dispatcher: Dispatcher, rows: Mapping[int, Rows]) -> None:
    """Name the ended trials whose last report is no longer in the log: only their objective is known."""
    lost = [
        str(record.number)
        for record in dispatcher.study.records()
        if record.status
        and max(record.reported, default=0) > max((row["epoch"] for row in rows.get(record.number, [])), default=0)
    ]
    if lost:
        dispatcher.observers.on_message(
            f"trials {', '.join(lost)} have ended, but their last reports are missing from reports.jsonl: of their "
            "criteria only the objective is known"
        )


def replay_log(dispatcher: Dispatcher, number: int, rows: Rows) -> None:
    """Tell the study what the log says of a trial that was running when the driver died."""
    config = dispatcher.config
    reports = [
        row_report(row, config.criteria, measured=is_measured(row["epoch"], config.criteria_every, config.epochs))
        for row in rows
    ]
    dispatcher.reports[number] = reports
    record = dispatcher.study.record(number)
    dispatcher.judged[number] = max(record.reported, default=0)
    if record.audited:
        dispatcher.audited.add(number)
    for row, report in zip(rows, reports, strict=True):
        if report.measured:
            dispatcher.study.report(number, report.epoch, report.criteria[config.objective])
        if row.get("verdict") == AUDITED:
            dispatcher.audit(number, report.epoch)
        elif row.get("verdict"):
            dispatcher.finish(number, TrialResult(number, row["verdict"], row["reason"], report.epoch))
    outcome = read_outcome(dispatcher.folder.trial(number))
    if outcome is not None and outcome.result.status in (COMPLETED, FAILED):
        dispatcher.finish(number, outcome.result)


def queue_missing_probes(dispatcher: Dispatcher, oracles: tuple[str, ...]) -> None:
    """Queue a probe for every ended trial that lacks one of the oracles, and nothing else."""
    dispatcher.only_waiting = True
    without_checkpoint = 0
    for record in dispatcher.study.records():
        outcome = read_outcome(dispatcher.folder.trial(record.number))
        measured = set(outcome.result.oracles) if outcome else set()
        lacking = tuple(name for name in oracles if name not in measured)
        if record.status in ("", FAILED) or not lacking:
            continue
        if dispatcher.folder.checkpoint(record.number).is_file():
            dispatcher.waiting.append(dispatcher.probe_task(record.number, lacking))
        else:
            without_checkpoint += 1
    if without_checkpoint:
        trials = "1 trial is" if without_checkpoint == 1 else f"{without_checkpoint} trials are"
        policy = dispatcher.config.keep_checkpoints
        dispatcher.observers.on_message(f"{trials} not probed: no checkpoint was kept (keep_checkpoints: {policy})")
