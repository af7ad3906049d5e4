"""What runs next, and what follows from each report; without Ray and without torch."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace
from typing import Final

from sweeper.config.model import SweepConfig
from sweeper.errors import SweepError
from sweeper.run.checkpoints import Keeper, last_scores
from sweeper.run.failures import Failure
from sweeper.run.observers.base import Observer, Phase
from sweeper.run.tasks import Message, Task
from sweeper.search.configurations import make_trial_config
from sweeper.search.stopping import AUDITED, decide
from sweeper.search.study import Study
from sweeper.store.atomic import disk_full
from sweeper.store.layout import SweepFolder
from sweeper.store.outcomes import Outcome, read_outcome, write_outcome
from sweeper.store.reports import ReportLog
from trainers.records import COLLAPSED, COMPLETED, FAILED, PRUNED, EpochReport, Progress, TrialResult

SAME_FAILURES: Final = 3
"""The sweep ends when its first trials, so many, all fail for one reason."""


class Dispatcher:
    """Hands out tasks, judges reports, and keeps study, log and folder in step.

    The line in reports.jsonl decides: it is written with its verdict, in one piece, before the study is told how the
    trial ended and before the worker is told whether to go on. `recovery` brings the study up to the log after a kill.
    """

    def __init__(self, config: SweepConfig, folder: SweepFolder, study: Study, observers: Observer) -> None:
        self.config, self.folder, self.study, self.observers = config, folder, study, observers
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

    def next(self) -> Task | None:
        """The next task; None if nothing is left, or nothing until a running task ends."""
        if self.stopping:
            return None
        task = self.waiting.popleft() if self.waiting else None
        if task is None and not self.only_waiting:
            number = self.study.start()
            task = None if number is None else self.trial_task(number)
        if task is None:
            return None
        task = replace(task, config=replace(task.config, device=self.device))
        self.live.add(_key(task))
        if task.kind == "trial":
            self.reports.setdefault(task.config.trial, [])
            self.observers.on_trial_start(task.config)
        else:
            self.observers.on_phase(Phase(_phase(task), is_task=True))
        return task

    @property
    def stopping(self) -> bool:
        """Whether no new task is given out."""
        return bool(self.stop_reason) or self.fatal is not None

    @property
    def has_work(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.waiting) or (not self.only_waiting and self.study.started() < self.study.runs)

    def trial_task(self, number: int) -> Task:
        config = self.study.trial_config(number)
        return Task("trial", config, self.folder, keep_every_epoch=self.config.keep_checkpoints == "all")

    def baselines_task(self) -> Task:
        config = replace(make_trial_config(self.config, 0, {}), trial=-1)
        return Task("baselines", config, self.folder)

    def probe_task(self, number: int, oracles: tuple[str, ...]) -> Task:
        """The task of measuring a trial that has ended."""
        outcome = read_outcome(self.folder.trial(number))
        record = self.study.record(number)
        ended = outcome.result if outcome else TrialResult(number, record.status, record.reason)
        config = replace(self.study.trial_config(number), oracle=oracles)
        return Task("probe", config, self.folder, ended=ended)

    def queue_probe(self, number: int) -> None:
        """Queue a probe for a pruned or collapsed trial if `oracle_pruned`, or a completed one without result.json."""
        record = self.study.record(number)
        early = record.status in (PRUNED, COLLAPSED) and self.config.oracle_pruned
        outcome = read_outcome(self.folder.trial(number))
        lost = record.status == COMPLETED and outcome is None
        if not self.config.oracle or not (early or lost):
            return
        if lost and not self.folder.checkpoint(number).is_file():
            self.observers.on_message(
                f"trial {number} has lost its result.json and cannot be probed again: no checkpoint was kept"
            )
        elif outcome is None or not set(self.config.oracle) <= set(outcome.probed):
            self.waiting.append(self.probe_task(number, self.config.oracle))

    def owing(self) -> set[int]:
        """The trials whose checkpoint is still needed: they run, or their probe is queued."""
        needed = {task.config.trial for task in self.waiting if task.kind != "baselines"}
        return needed | {number for kind, number in self.live if kind != "baselines"}

    # What comes of it

    def received(self, task: Task, message: Message | None) -> bool:
        """Handle a message of a worker; whether the worker continues."""
        if isinstance(message, Failure):
            self._failed(task, message)
        elif isinstance(message, EpochReport):
            return self._reported(message)
        elif isinstance(message, Progress):
            self.observers.on_progress(message)
        return True

    def _reported(self, report: EpochReport) -> bool:
        number, known = report.trial, self.reports[report.trial]
        if report.epoch <= len(known):
            return True  # after a resume a checkpoint's reports come again
        known.append(report)
        # Where the log was lost, epochs come again that the pruner has answered; the last may be without an answer.
        answered = report.epoch < self.judged.get(number, 0)
        decision = decide(self.study, known, may_prune=not answered and number not in self.audited)
        self.log.append(report, {"verdict": decision.verdict, "reason": decision.reason} if decision.verdict else {})
        self.observers.on_report(report)
        if decision.verdict == AUDITED:
            self.audit(number, report.epoch)
            self.observers.on_message(f"trial {number} runs on for the audit ({decision.reason})")
        elif decision.verdict:
            self.finish(number, TrialResult(number, decision.verdict, decision.reason, report.epoch))
        return not decision.stops

    def audit(self, number: int, epoch: int) -> None:
        """Let a trial continue that the pruner would have stopped."""
        self.audited.add(number)
        self.study.mark_audited(number, epoch)

    def ended(self, task: Task, *, died: str = "") -> None:
        """A worker has finished a task, or has died."""
        self.live.discard(_key(task))
        if self.fatal is not None:
            return
        if task.kind != "trial":
            self.observers.on_phase_end(_phase(task))
        if task.kind == "trial":
            self._trial_ended(task, self.failures.pop(task.config.trial, None), died)
        elif died:
            self.observers.on_message(f"{_name(task)} could not be measured: {died}")
        elif task.kind == "probe":
            outcome = read_outcome(self.folder.trial(task.config.trial))
            if outcome is not None and set(task.config.oracle) <= set(outcome.result.oracles):
                scores = {name: outcome.result.oracles[name] for name in task.config.oracle}
                self.observers.on_oracle(task.config.trial, scores)
            else:
                what = "is not probed: the data set has no labels, or the probe failed"
                self.observers.on_message(f"{_name(task)} {what}")
        self.keeper.purge(self.owing())

    def _trial_ended(self, task: Task, failure: Failure | None, died: str) -> None:
        number = task.config.trial
        if self.study.record(number).status:
            return  # pruned or collapsed: recorded with its last report
        if failure is not None and failure.kind == "memory" and not task.alone:
            self.observers.on_message(f"trial {number} ran out of GPU memory; it is tried again with a GPU of its own")
            self.waiting.append(replace(task, alone=True))
            return
        outcome = read_outcome(self.folder.trial(number))
        if outcome is not None and outcome.result.status == COMPLETED:
            self.finish(number, outcome.result)
            if outcome.probe_error:
                what = f"trial {number} has no oracle ({outcome.probe_error})"
                self.observers.on_message(f"{what}; `sweeper probe` tries again where its checkpoint was kept")
        elif failure is not None or died:
            reason = failure.reason if failure is not None else died
            self.finish(number, TrialResult(number, FAILED, reason, len(self.reports[number])))
        elif outcome is not None:
            self.finish(number, outcome.result)
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
            self.observers.on_message(f"{_name(task)} could not be measured: {failure.reason}")

    def finish(self, number: int, result: TrialResult) -> None:
        """Record the end of a trial in the folder and the study, and tell the checkpoints' keeper and the observers."""
        reports = self.reports.pop(number, [])
        value = reports[-1].criteria.get(self.config.objective, math.nan) if reports else math.nan
        if result.status == COMPLETED and not math.isfinite(value):
            result = TrialResult(number, FAILED, f"no {self.config.objective} was reported", len(reports))
        if result.status != COMPLETED:
            self.folder.trial(number).mkdir(parents=True, exist_ok=True)
            write_outcome(self.folder.trial(number), Outcome(replace(result, epochs=len(reports))))
        self.study.finish(number, result.status, result.reason, value)
        self.queue_probe(number)
        record = self.study.record(number)
        self.keeper.seen(number, record.status, last_scores(reports))
        self.observers.on_trial_end(replace(result, epochs=len(reports) or result.epochs))
        self._note_failure(result)

    def _note_failure(self, result: TrialResult) -> None:
        """Stop where nothing but failures comes."""
        self.succeeded |= result.status != FAILED
        if result.status != FAILED or self.succeeded:
            return
        self.failed.append(result.reason)
        kinds = {reason.partition(":")[0] for reason in self.failed}
        if len(self.failed) == SAME_FAILURES and len(kinds) == 1:
            log = self.folder.log(result.trial)
            what = f"the first {SAME_FAILURES} trials failed for the same reason ({result.reason})"
            self.fail(SweepError(f"{what}; the traceback is in {log}"))

    def fail(self, error: Exception) -> None:
        """End the sweep because of an error."""
        self.fatal = self.fatal or error

    def stop(self, reason: str) -> None:
        """Interrupt the sweep; it can be resumed."""
        self.stop_reason = self.stop_reason or reason

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def _key(task: Task) -> tuple[str, int]:
    return task.kind, task.config.trial


def _phase(task: Task) -> str:
    """The phase of a task that is no trial."""
    return "measuring the baselines" if task.kind == "baselines" else f"probing {_name(task)}"


def _name(task: Task) -> str:
    return "the baselines" if task.kind == "baselines" else f"trial {task.config.trial}"
