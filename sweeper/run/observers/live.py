"""live: a table on the terminal with the trials that run and the last that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, SweepStart
from sweeper.run.pace import Pace
from sweeper.run.trial_log import describe_scores
from sweeper.store.listing import INTERRUPTED, RUNNING
from trainers.formats import one_line, plain, seconds
from trainers.records import (
    COLLAPSED,
    COMPLETED,
    DIVERGED,
    FAILED,
    PRUNED,
    EpochReport,
    OracleScore,
    TrialConfig,
    TrialResult,
)

SHOWN_FINISHED: Final = 5
"""Trials that have ended and stay in the table."""
STATUS_STYLES: Final = {
    COMPLETED: "green",
    PRUNED: "yellow",
    COLLAPSED: "magenta",
    DIVERGED: "magenta",
    FAILED: "red",
    RUNNING: "bold",
    INTERRUPTED: "yellow",
}
"""The color of each status, in the live table and in `list` and `show`."""


class LiveTable(Observer):
    """One row per trial that runs, the last few that ended above them, and the time left below."""

    essential: ClassVar[bool] = True

    def __init__(self, options: ObserverOptions = NO_OPTIONS, *, console: Console | None = None) -> None:
        super().__init__(options)
        self.console = console or Console()
        self.name = ""
        self.pace = Pace()
        self.running: dict[int, EpochReport | None] = {}
        self.ended: list[tuple[TrialResult, EpochReport | None]] = []
        self.closed = False
        self.live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=4)

    def on_begin(self, start: SweepStart) -> None:
        """The table appears."""
        self.name = start.folder.name
        self.pace = Pace(start.runs, start.config.epochs, start.ended)
        self.live.start()

    def on_trial_start(self, config: TrialConfig) -> None:
        """A new row."""
        self.running[config.trial] = None

    def on_report(self, report: EpochReport) -> None:
        """The row shows the report, with the criteria of the last measured epoch."""
        before = self.running.get(report.trial)
        shown = report if report.measured or before is None else replace(report, criteria=before.criteria)
        self.running[report.trial] = shown
        self.pace.reported()

    def on_trial_end(self, result: TrialResult) -> None:
        """The row moves up to those that have ended."""
        report = self.running.pop(result.trial, None)
        self.pace.ended(result)
        self.ended = [*self.ended[1 - SHOWN_FINISHED :], (result, report)]

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """A line above the table."""
        self.on_message("  ".join([f"trial {number} is probed", *describe_scores(scores)]))

    def on_message(self, text: str) -> None:
        """A line above the table."""
        self.console.print(Text(one_line(text)), soft_wrap=True, highlight=False)
        self.console.file.flush()

    def close(self) -> None:
        """The table stays as it is."""
        self.closed = True
        self.live.stop()

    def _picture(self) -> Group:
        title = Text(one_line(self.name)) if self.name else None
        table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="bold")
        for name in ("trial", "status", "epoch", *column_names(self._reports())):
            table.add_column(Text(one_line(name)), justify="left" if name == "status" else "right")
        for result, report in self.ended:
            status = Text(result.status, style=STATUS_STYLES.get(result.status, ""))
            table.add_row(*cells(result.trial, status, report, self.pace.epochs))
        for trial, report in sorted(self.running.items()):
            word = INTERRUPTED if self.closed else RUNNING
            table.add_row(*cells(trial, Text(word, style=STATUS_STYLES[word]), report, self.pace.epochs))
        return Group(table, Text(self._footer(), style="dim"))

    def _reports(self) -> list[EpochReport]:
        return [report for report in (*self.running.values(), *(r for _, r in self.ended)) if report is not None]

    def _footer(self) -> str:
        pace = self.pace
        parts = [f"{pace.done} of {pace.runs} trials ended"]
        if self.running:
            parts.append(f"{len(self.running)} {INTERRUPTED if self.closed else RUNNING}")
        if self.ended and pace.done > len(self.ended):
            parts[0] += f", the last {len(self.ended)} above"
        parts += [f"{count} {status}" for status, count in pace.counts.items() if status != COMPLETED and count]
        parts.append(f"{seconds(pace.seconds)} so far")
        if pace.is_known and not self.closed:
            parts.append(f"{seconds(pace.seconds_left)} left")
        return " · ".join(parts)


def column_names(reports: list[EpochReport]) -> list[str]:
    """The loss and the plain criteria, once anything was reported."""
    names = dict.fromkeys(name for report in reports for name in report.criteria if "." not in name)
    return ["loss", *names] if reports else []


def cells(trial: int, status: Text, report: EpochReport | None, epochs: int) -> list[Text | str]:
    """One row of the table."""
    if report is None:
        return [str(trial), status, f"0/{epochs}"]
    values = (plain(value) for name, value in report.criteria.items() if "." not in name)
    return [str(trial), status, f"{report.epoch}/{epochs}", plain(report.loss), *values]
