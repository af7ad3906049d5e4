"""plain: one line per trial that has ended, and per phase that lasts, for pipes and log files."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Timer
from typing import ClassVar, Final

from rich.console import Console
from rich.text import Text

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, Phase, SweepStart
from sweeper.run.pace import Pace
from sweeper.run.trial_log import describe_scores
from trainers.formats import one_line, plain, seconds
from trainers.records import EpochReport, OracleScore, Progress, TrialConfig, TrialResult

LASTS: Final = 10.0
"""Seconds after which a phase is worth a line."""


class PlainLines(Observer):
    """`[3/16] trial 2 completed  10/10 epochs  lidar 31.2  …  4.1 min left`."""

    essential: ClassVar[bool] = True

    def __init__(self, options: ObserverOptions = NO_OPTIONS, *, console: Console | None = None) -> None:
        super().__init__(options)
        self.console = console or Console()
        self.pace = Pace()
        self.last: dict[int, EpochReport] = {}
        """Trial -> its last report."""
        self.phases: dict[str, Timer] = {}
        self.failed: Exception | None = None

    def on_phase(self, phase: Phase) -> None:
        """A line for the phase, if it lasts, and its note at once."""
        if phase.is_task:
            self.pace.task_started(phase.name)
        if phase.name not in self.phases:
            if phase.note:
                self._print(phase.note)
            self.phases[phase.name] = timer = Timer(LASTS, self._print_later, [f"{phase.name} …"])
            timer.daemon = True
            timer.start()

    def on_phase_end(self, name: str) -> None:
        """A line that is not yet printed is not worth it."""
        self.pace.task_ended(name)
        if name in self.phases:
            self.phases.pop(name).cancel()

    def on_begin(self, start: SweepStart) -> None:
        """Nothing is printed; the pace begins."""
        self.pace = Pace(start.config, start.runs, start.ended)

    def on_trial_start(self, config: TrialConfig) -> None:
        """Nothing is printed."""
        self.pace.started(config)

    def on_progress(self, progress: Progress) -> None:
        """Nothing is printed."""
        self.pace.progressed(progress)

    def on_report(self, report: EpochReport) -> None:
        """Nothing is printed before the trial ends."""
        self.last[report.trial] = report
        self.pace.reported(report)

    def on_trial_end(self, result: TrialResult) -> None:
        """The line of the trial."""
        self.pace.ended(result)
        line = describe(result, self.last.pop(result.trial, None), self.pace.epochs)
        left = f"  {seconds(self.pace.seconds_left)} left" if self.pace.is_known else ""
        self._print(f"[{self.pace.done}/{self.pace.runs}] {line}{left}")

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """The scores of a trial that was measured afterwards."""
        self._print("  ".join([f"trial {number} is probed", *describe_scores(scores)]))

    def on_message(self, text: str) -> None:
        """The text."""
        self._print(text)

    def close(self) -> None:
        """No line comes later."""
        for name in list(self.phases):
            self.on_phase_end(name)

    def _print_later(self, text: str) -> None:
        """In a thread of its own, from which no error reaches the sweep: the next line raises it."""
        try:
            self._print(text)
        except Exception as error:
            self.failed = error

    def _print(self, text: str) -> None:
        if self.failed is not None:
            raise self.failed
        self.console.print(Text(one_line(text)), soft_wrap=True, highlight=False)
        self.console.file.flush()


def describe(result: TrialResult, report: EpochReport | None, epochs: int) -> str:
    """How a trial ended, its criteria at its last report, and its oracles."""
    parts = [f"trial {result.trial} {result.status}", f"{result.epochs}/{epochs} epochs"]
    if report is not None:
        parts += [f"{name} {plain(value)}" for name, value in report.criteria.items() if "." not in name]
    parts += describe_scores(result.oracles)
    return "  ".join([*parts, *([f"({result.reason})"] if result.reason else [])])
