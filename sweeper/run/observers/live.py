"""live: a table on the terminal with what the sweep does, the trials that run and the last that ended."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, Phase, SweepStart
from sweeper.run.pace import Pace
from sweeper.run.rows import Row, columns_of, reason_of
from sweeper.run.text_table import cut, in_lines, lines_of
from sweeper.run.trial_log import describe_scores
from sweeper.store.listing import INTERRUPTED, RUNNING
from trainers.formats import one_line, plain, seconds
from trainers.records import COMPLETED, EpochReport, OracleScore, Progress, TrialConfig, TrialResult

SHOWN_FINISHED: Final = 5
"""Trials that have ended and stay in the table."""
OTHER_LINES: Final = 8
"""Lines of the terminal that the trials that run leave to the rest."""


class LiveTable(Observer):
    """One row per trial that runs, the last few that ended above them; what else is done, and the time left, below."""

    essential: ClassVar[bool] = True

    def __init__(self, options: ObserverOptions = NO_OPTIONS, *, console: Console | None = None) -> None:
        super().__init__(options)
        self.console = console or Console()
        self.start: SweepStart | None = None
        self.pace = Pace()
        self.phases: dict[str, tuple[Phase, float]] = {}
        """Name -> the phase, and when it began."""
        self.running: dict[int, Row] = {}
        self.ended: list[Row] = []
        self.best: tuple[int, float] | None = None
        self.measured: tuple[int, Mapping[str, OracleScore]] | None = None
        """The last trial that has an oracle."""
        self.closed = False
        self.live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=4)

    def on_phase(self, phase: Phase) -> None:
        """A line below the table, and the note above it."""
        self.live.start(refresh=True)
        known = self.phases.get(phase.name)
        if known is None and phase.note:
            self.on_message(phase.note)
        self.phases[phase.name] = (phase, known[1] if known else time.monotonic())
        if phase.is_task:
            self.pace.task_started(phase.name)

    def on_phase_end(self, name: str) -> None:
        """The line goes."""
        self.phases.pop(name, None)
        self.pace.task_ended(name)

    def on_begin(self, start: SweepStart) -> None:
        """The table has a name."""
        self.start, self.best, self.pace = start, start.best, Pace(start.config, start.runs, start.ended)
        self.live.start()

    def on_trial_start(self, config: TrialConfig) -> None:
        """A new row."""
        self.running[config.trial] = Row(config.trial, config)
        self.pace.started(config)

    def on_progress(self, progress: Progress) -> None:
        """The row shows the step."""
        row = self.running.get(progress.trial)
        if row is not None and progress.epoch > row.epochs:
            row.progress = progress
        self.pace.progressed(progress)

    def on_report(self, report: EpochReport) -> None:
        """The row shows the report, with the criteria of the last measured epoch."""
        row = self.running.setdefault(report.trial, Row(report.trial))
        before = row.report
        row.report = report if report.measured or before is None else replace(report, criteria=before.criteria)
        row.progress = None
        self.pace.reported(report)

    def on_trial_end(self, result: TrialResult) -> None:
        """The row moves up to those that have ended."""
        row = self.running.pop(result.trial, Row(result.trial))
        row.result = result
        self.pace.ended(result)
        self.ended = [*self.ended[1 - SHOWN_FINISHED :], row]
        self._compare(row)
        if result.oracles:
            self.measured = (result.trial, result.oracles)

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """The row shows the accuracy, and a line above the table."""
        for row in self.ended:
            if row.trial == number and row.result is not None:
                row.result = replace(row.result, oracles={**row.result.oracles, **scores})
        self.measured = (number, scores)
        self.on_message("  ".join([f"trial {number} is probed", *describe_scores(scores)]))

    def on_message(self, text: str) -> None:
        """A line above the table."""
        self.console.print(Text(one_line(text)), soft_wrap=True, highlight=False)
        self.console.file.flush()

    def close(self) -> None:
        """The table stays as it is; of a sweep that has not begun, nothing stays."""
        self.closed = True
        self.live.stop()

    def _compare(self, row: Row) -> None:
        """Keep the best completed trial by the objective; of equals the lowest number, as `sweeper best`."""
        if self.start is None or row.result is None or row.result.status != COMPLETED:
            return
        value, sign = row.criterion(self.start.config.objective), 1 if self.start.maximize else -1
        if not math.isfinite(value):
            return
        if self.best is None or (sign * value, -row.trial) > (sign * self.best[1], -self.best[0]):
            self.best = (row.trial, value)

    def _picture(self) -> Group:
        """What is shown now. It is called in a thread of its own, so it takes a copy of what changes."""
        width = self.console.width
        parts = []
        if self.start is not None:
            parts.append(cut(Text(one_line(self.start.folder.name), style="bold"), width))
            parts += self._table(width)
        if not self.closed:
            parts += [cut(Text(phase_line(*one)), width) for one in list(self.phases.values())]
        if self.start is not None:
            below = [*in_lines(self._footer(), width), *in_lines(self._found(), width)]
            parts += [cut(Text(line, style="dim"), width) for line in below]
        return Group(*parts)

    def _table(self, width: int) -> list[Text]:
        assert self.start is not None
        room = max(1, self.console.height - OTHER_LINES - SHOWN_FINISHED)
        rows = [*self.ended, *sorted(dict(self.running).values(), key=lambda row: row.trial)[:room]]
        if not rows:
            return []
        columns = columns_of(rows, self.start.config, INTERRUPTED if self.closed else RUNNING)
        return lines_of(columns, [reason_of(row) for row in rows], width)

    def _footer(self) -> list[str]:
        pace = self.pace
        parts = [f"{pace.done} of {pace.runs} trials ended"]
        if self.running:
            parts.append(f"{len(self.running)} {INTERRUPTED if self.closed else RUNNING}")
        if self.ended and pace.done > len(self.ended):
            parts[0] += f", the last {len(self.ended)} above"
        parts += [f"{count} {status}" for status, count in list(pace.counts.items()) if status != COMPLETED and count]
        parts.append(f"{seconds(pace.seconds)} so far")
        if pace.is_known and pace.seconds_left >= 1 and not self.closed:
            parts.append(f"about {seconds(pace.seconds_left)} left")
        return parts

    def _found(self) -> list[str]:
        """The best trial so far, and the last accuracy."""
        parts = []
        if self.best is not None and self.start is not None:
            number, value = self.best
            parts.append(f"best so far: trial {number} with {self.start.config.objective} {plain(value)}")
        if self.measured is not None:
            number, scores = self.measured
            parts.append(f"last oracle: trial {number} with {', '.join(describe_scores(scores))}")
        return [one_line(part) for part in parts]


def phase_line(phase: Phase, began: float) -> str:
    """A phase, how far it is, and how long it takes."""
    far = f"  {phase.done:,} of {phase.total:,}" if phase.total else ""
    return f"{one_line(phase.name)}{far}  {time.monotonic() - began:.0f} s"
