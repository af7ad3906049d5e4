"""plain: one line per trial that has ended, for pipes and log files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.console import Console
from rich.text import Text

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, SweepStart
from sweeper.run.pace import Pace
from sweeper.run.trial_log import describe_scores
from trainers.formats import one_line, plain, seconds
from trainers.records import EpochReport, OracleScore, TrialResult


class PlainLines(Observer):
    """`[3/16] trial 2 completed  10/10 epochs  lidar 31.2  …  4.1 min left`."""

    essential: ClassVar[bool] = True

    def __init__(self, options: ObserverOptions = NO_OPTIONS, *, console: Console | None = None) -> None:
        super().__init__(options)
        self.console = console or Console()
        self.pace = Pace()
        self.last: dict[int, EpochReport] = {}
        """Trial -> its last report."""

    def on_begin(self, start: SweepStart) -> None:
        """Nothing is printed; the pace begins."""
        self.pace = Pace(start.runs, start.config.epochs, start.ended)

    def on_report(self, report: EpochReport) -> None:
        """Nothing is printed before the trial ends."""
        self.last[report.trial] = report
        self.pace.reported()

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

    def _print(self, text: str) -> None:
        self.console.print(Text(one_line(text)), soft_wrap=True, highlight=False)
        self.console.file.flush()


def describe(result: TrialResult, report: EpochReport | None, epochs: int) -> str:
    """How a trial ended, its criteria at its last report, and its oracles."""
    parts = [f"trial {result.trial} {result.status}", f"{result.epochs}/{epochs} epochs"]
    if report is not None:
        parts += [f"{name} {plain(value)}" for name, value in report.criteria.items() if "." not in name]
    parts += describe_scores(result.oracles)
    return "  ".join([*parts, *([f"({result.reason})"] if result.reason else [])])
