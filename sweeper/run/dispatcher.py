"""What runs next, and what becomes of what it says: the story of a sweep, told by neither Ray nor torch."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sweeper.config.model import SweepConfig
from sweeper.errors import SweepError
from sweeper.run.checkpoints import Keeper
from sweeper.run.observers.live import Progress
from sweeper.run.worker import Failure, Message, Task
from sweeper.search.stopping import collapse_reason, is_audited
from sweeper.search.study import Study, make_trial_config
from sweeper.store.layout import SweepFolder, disk_full
from sweeper.store.reports import Outcome, ReportLog, read_log, read_outcome, row_report, write_outcome
from sweeper.store.tables import has_baselines
from trainers.records import COLLAPSED, COMPLETED, FAILED, PRUNED, EpochReport, TrialResult

AUDITED: Final = "audited"
"""The verdict on a trial that the pruner would have stopped and that runs on."""
ALIKE: Final = 3
"""So many first trials that fail alike end the sweep: the others would too."""


class Stop(BaseException):
    """Leaves whatever runs at once, at a point where nothing is half-written."""


class Dispatcher:
    """Hands out tasks, judges reports, and keeps study, log and folder in step.

    The line in reports.jsonl is what counts: it is written with its verdict, in one piece, before the study is told
    how the trial ended and before the worker hears whether to go on. What a killed driver did not get to is made up
    for from there.
    """

    def __init__(self, config: SweepConfig, folder: SweepFolder, study: Study, progress: Progress) -> None:
        self.config, self.folder, self.study, self.progress = config, folder, study, progress
        self.device = "cpu"
        self.log = ReportLog(folder)
        self.keeper = Keeper(config, folder)
        self.live: set[tuple[str, int]] = set()
        self.waiting: deque[Task] = deque()
        self.only_waiting = False
        self.reports: dict[int, list[EpochReport]] = {}
        self.judged: dict[int, int] = {}
        """Trial -> the last epoch that an earlier driver put to the study."""
        self.audited: set[int] = set()
        self.failures: dict[int, Failure] = {}
        self.failed: list[str] = []
        self.succeeded = False
        self.stop_reason = ""
        self.fatal: Exception | None = None

    # What to do next

    def prepare(self) -> None:
        """Make up for what an earlier driver did not get to, and queue what it left."""
        rows: dict[int, list[Mapping[str, Any]]] = {}
        for row in read_log(self.folder):
            rows.setdefault(row["trial"], []).append(row)
        if not has_baselines(self.folder):
            self.waiting.append(self._baselines())
        self._say_lost(rows)
        for record in self.study.records():
            number = record.number
            if record.status:
                self.succeeded |= record.status != FAILED
                self.keeper.seen(number, record.status, record.value)
                self._queue_probe(number)
                continue
            self._take_up(number, rows.get(number, []))
            if not self.study.record(number).status:
                self.waiting.append(self._trial(number))
        self.keeper.purge(self.owing())

    def _say_lost(self, rows: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
        """Say which trials have ended whose last report is no longer in the log: only their objective is known."""
        lost = [
            str(record.number)
            for record in self.study.records()
            if record.status
            and max(record.reported, default=0) > max((row["epoch"] for row in rows.get(record.number, [])), default=0)
        ]
        if lost:
            what = "the last reports, and so the criteria, are missing from reports.jsonl for trials that have ended"
            self.progress.message(f"{what}: {', '.join(lost)}")

    def _take_up(self, number: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Bring the study up to the log for a trial that was running."""
        self.reports[number] = [row_report(row, self.config.criteria) for row in rows]
        record = self.study.record(number)
        self.judged[number] = max(record.reported, default=0)
        if record.audited:
            self.audited.add(number)
        for row, report in zip(rows, self.reports[number], strict=True):
            self.study.report(number, report.epoch, report.criteria[self.config.objective])
            if row.get("verdict") == AUDITED:
                self._audit(number, report.epoch)
            elif row.get("verdict"):
                self._finish(number, TrialResult(number, row["verdict"], row["reason"], report.epoch))
        outcome = read_outcome(self.folder.trial(number))
        if outcome is not None and outcome.result.status in (COMPLETED, FAILED):
            self._finish(number, outcome.result)

    def next(self) -> Task | None:
        """The next task to run; None where there is none, at least until one of those that run has ended."""
        if self.stopping:
            return None
        task = self.waiting.popleft() if self.waiting else None
        if task is None and not self.only_waiting:
            number = self.study.start()
            task = None if number is None else self._trial(number)
        if task is None:
            return None
        task = replace(task, config=replace(task.config, device=self.device))
        self.live.add(_key(task))
        if task.kind == "trial":
            self.reports.setdefault(task.config.trial, [])
            self.progress.started(task.config.trial)
        return task

    @property
    def stopping(self) -> bool:
        """Whether no new work is handed out."""
        return bool(self.stop_reason) or self.fatal is not None

    @property
    def has_work(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.waiting) or (not self.only_waiting and self.study.started() < self.study.runs)

    def _trial(self, number: int) -> Task:
        config = self.study.trial_config(number)
        return Task("trial", config, self.folder, keep_every_epoch=self.config.keep_checkpoints == "all")

    def _baselines(self) -> Task:
        config = replace(make_trial_config(self.config, 0, {}), trial=-1)
        return Task("baselines", config, self.folder)

    def _queue_probe(self, number: int) -> None:
        """Queue the probe of a trial that ended early, where such are measured too, or that has lost its result."""
        record = self.study.record(number)
        early = record.status in (PRUNED, COLLAPSED) and self.config.oracle_pruned
        outcome = read_outcome(self.folder.trial(number))
        lost = record.status == COMPLETED and outcome is None
        if not self.config.oracle or not (early or lost):
            return
        if lost and not self.folder.checkpoint(number).is_file():
            self.progress.message(f"trial {number} has lost its result.json, and no checkpoint is left to probe again")
        elif outcome is None or not set(self.config.oracle) <= set(outcome.probed):
            self.waiting.append(self.probe_task(number, self.config.oracle))

    def probe_task(self, number: int, oracles: tuple[str, ...]) -> Task:
        """The task of measuring a trial that has ended."""
        outcome = read_outcome(self.folder.trial(number))
        record = self.study.record(number)
        ended = outcome.result if outcome else TrialResult(number, record.status, record.reason)
        config = replace(self.study.trial_config(number), oracle=oracles)
        return Task("probe", config, self.folder, ended=ended)

    def owing(self) -> set[int]:
        """The trials whose checkpoint is still needed: they run, or they owe a probe."""
        needed = {task.config.trial for task in self.waiting if task.kind != "baselines"}
        return needed | {number for kind, number in self.live if kind != "baselines"}

    # What comes of it

    def received(self, task: Task, message: Message | None) -> bool:
        """Take in what a worker says; whether it is to go on."""
        if isinstance(message, Failure):
            self._failed(task, message)
        elif isinstance(message, EpochReport):
            return self._reported(message)
        return True

    def _reported(self, report: EpochReport) -> bool:
        number, known = report.trial, self.reports[report.trial]
        if report.epoch <= len(known):
            return True  # a checkpoint's reports come again after a resume; they have been judged
        known.append(report)
        verdict, reason = self._judge(number, report)
        self.log.append(report, {"verdict": verdict, "reason": reason} if verdict else {})
        self.progress.reported(report)
        if verdict == AUDITED:
            self._audit(number, report.epoch)
            self.progress.message(f"trial {number} runs on for the audit ({reason})")
        elif verdict:
            self._finish(number, TrialResult(number, verdict, reason, report.epoch))
        return verdict not in (PRUNED, COLLAPSED)

    def _judge(self, number: int, report: EpochReport) -> tuple[str, str]:
        """Collapse first, since a median prunes on NaN; the pruner is asked at every epoch but the last."""
        config, objective = self.config, self.config.objective
        value = report.criteria[objective]
        self.study.report(number, report.epoch, value)
        reason = collapse_reason(
            self.reports[number],
            config.collapse,
            objective=objective,
            epochs=config.epochs,
            maximize=self.study.maximize,
        )
        if reason:
            return COLLAPSED, reason
        if config.pruner.name == "none" or report.epoch >= config.epochs or number in self.audited:
            return "", ""
        # Where the log was lost, epochs come again that the pruner has answered; the last may be without an answer.
        if report.epoch < self.judged.get(number, 0) or not self.study.should_prune(number):
            return "", ""
        reason = f"{config.pruner.name} pruner at epoch {report.epoch}: {objective} {value:.4g}"
        others = self.study.median_of_completed(report.epoch) if config.pruner.name == "median" else math.nan
        if math.isfinite(others):
            reason += f", the completed trials' median there {others:.4g}"
        audited = is_audited(config.search.seed, number, config.pruner.audit)
        return (AUDITED if audited else PRUNED), reason

    def _audit(self, number: int, epoch: int) -> None:
        """Let a trial run on that the pruner would have stopped."""
        self.audited.add(number)
        self.study.mark_audited(number, epoch)

    def ended(self, task: Task, *, died: str = "") -> None:
        """A worker is through with a task, or died of it."""
        self.live.discard(_key(task))
        if self.fatal is not None:
            return
        if task.kind == "trial":
            self._trial_ended(task, self.failures.pop(task.config.trial, None), died)
        elif died:
            self.progress.message(f"{_name(task)} could not be measured: {died}")
        elif task.kind == "probe":
            outcome = read_outcome(self.folder.trial(task.config.trial))
            measured = outcome is not None and set(task.config.oracle) <= set(outcome.result.oracles)
            text = "is probed" if measured else "is not probed: the data set has no labels, or the probe failed"
            self.progress.message(f"{_name(task)} {text}")
        self.keeper.purge(self.owing())

    def _trial_ended(self, task: Task, failure: Failure | None, died: str) -> None:
        number = task.config.trial
        if self.study.record(number).status:
            return  # pruned or collapsed: told at once, with its last report
        if failure is not None and failure.kind == "memory" and not task.alone:
            self.progress.message(f"trial {number} ran out of GPU memory; it is tried again once it can have one alone")
            self.waiting.append(replace(task, alone=True))
            return
        outcome = read_outcome(self.folder.trial(number))
        if outcome is not None and outcome.result.status == COMPLETED:
            self._finish(number, outcome.result)
            if outcome.probe_error:
                what = f"trial {number} has no oracle ({outcome.probe_error})"
                self.progress.message(f"{what}; `sweeper probe` tries again where its checkpoint was kept")
        elif failure is not None or died:
            reason = failure.reason if failure is not None else died
            self._finish(number, TrialResult(number, FAILED, reason, len(self.reports[number])))
        elif outcome is not None:
            self._finish(number, outcome.result)
        else:
            where = self.folder.trial(number)
            self.fail(
                SweepError(
                    f"trial {number} ended, but its result is not in {where}: every node of a Ray "
                    "cluster must see the sweep's folder under this path"
                )
            )

    def _failed(self, task: Task, failure: Failure) -> None:
        if failure.kind == "disk":
            self.fail(disk_full(self.folder.path))
        elif task.kind == "trial":
            self.failures[task.config.trial] = failure
        else:
            self.progress.message(f"{_name(task)} could not be measured: {failure.reason}")

    def _finish(self, number: int, result: TrialResult) -> None:
        """The trial has ended: the folder, the study, the checkpoints and the reader are told."""
        reports = self.reports.pop(number, [])
        value = reports[-1].criteria[self.config.objective] if reports else math.nan
        if result.status == COMPLETED and not math.isfinite(value):
            result = TrialResult(number, FAILED, f"no {self.config.objective} was reported", len(reports))
        if result.status != COMPLETED:
            self.folder.trial(number).mkdir(parents=True, exist_ok=True)
            write_outcome(self.folder.trial(number), Outcome(replace(result, epochs=len(reports))))
        self.study.finish(number, result.status, result.reason, value)
        self._queue_probe(number)
        record = self.study.record(number)
        self.keeper.seen(number, record.status, record.value)
        self.progress.finished(result, reports[-1] if reports else None)
        self._note_failure(result)

    def _note_failure(self, result: TrialResult) -> None:
        """Stop where nothing but failures comes."""
        self.succeeded |= result.status != FAILED
        if result.status != FAILED or self.succeeded:
            return
        self.failed.append(result.reason)
        kinds = {reason.partition(":")[0] for reason in self.failed}
        if len(self.failed) == ALIKE and len(kinds) == 1:
            log = self.folder.trial(result.trial) / "log.txt"
            self.fail(SweepError(f"the first {ALIKE} trials failed alike ({result.reason}); the whole is in {log}"))

    def fail(self, error: Exception) -> None:
        """End the sweep: it cannot go on."""
        self.fatal = self.fatal or error

    def stop(self, reason: str) -> None:
        """End the sweep for now; it can be resumed."""
        self.stop_reason = self.stop_reason or reason

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def _key(task: Task) -> tuple[str, int]:
    return task.kind, task.config.trial


def _name(task: Task) -> str:
    return "the baselines" if task.kind == "baselines" else f"trial {task.config.trial}"
