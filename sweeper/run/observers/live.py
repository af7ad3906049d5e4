"""live: a table on the terminal with what the sweep does, the trials that run and the last that ended."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, Phase, SweepStart
from sweeper.run.observers.fitting import Column, cut, in_lines, lines_of
from sweeper.run.pace import Pace
from sweeper.run.trial_log import describe_scores
from sweeper.store.listing import INTERRUPTED, RUNNING
from trainers.formats import accuracy, one_line, plain, seconds
from trainers.records import (
    COLLAPSED,
    COMPLETED,
    DIVERGED,
    FAILED,
    PRUNED,
    EpochReport,
    OracleScore,
    Progress,
    Scalar,
    TrialConfig,
    TrialResult,
)

SHOWN_FINISHED: Final = 5
"""Trials that have ended and stay in the table."""
OTHER_LINES: Final = 8
"""Lines of the terminal that the trials that run leave to the rest."""
LONGEST_VALUE: Final = 12
"""Characters of a hyperparameter that is a text."""
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
EXPLAINED: Final = (COLLAPSED, DIVERGED, FAILED)
"""The statuses whose reason stands in the place of the numbers."""


@dataclass
class Row:
    """What is known of a trial."""

    trial: int
    config: TrialConfig | None = None
    report: EpochReport | None = None
    """The last report, with the criteria of the last measured epoch."""
    progress: Progress | None = None
    """Within the epoch after that report; None at its beginning."""
    result: TrialResult | None = None

    @property
    def epochs(self) -> int:
        """Epochs that are finished."""
        if self.result is not None:
            return self.result.epochs
        reported = self.report.epoch if self.report is not None else 0
        return max(reported, self.progress.epoch - 1 if self.progress is not None else 0)

    def criterion(self, name: str) -> float:
        """Its last value; NaN if it has none."""
        return self.report.criteria.get(name, math.nan) if self.report is not None else math.nan

    def loss(self) -> float:
        """Of the last epoch."""
        return self.report.loss if self.report is not None else math.nan

    def images_per_second(self) -> float:
        """Of the epoch that runs, or of the last one."""
        if self.progress is not None and self.config is not None and math.isfinite(self.progress.seconds):
            return self.config.batch_size / max(self.progress.seconds, 1e-9)
        return self.report.images_per_second if self.report is not None else math.nan

    def doing(self) -> str:
        """Where the trial is within its epoch."""
        if self.result is not None or self.config is None:
            return ""
        if self.epochs >= self.config.epochs:
            return "oracle" if self.config.oracle else "ending"
        if self.progress is not None:
            step, steps = self.progress.step, self.progress.steps
            return f"{step}/{steps}" if step < steps else "criteria"
        return f"0/{self.report.step // self.report.epoch}" if self.report is not None else "starting"


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
        self.pace.phase(phase)

    def on_phase_end(self, name: str) -> None:
        """The line goes."""
        self.phases.pop(name, None)
        self.pace.phase_ended(name)

    def on_begin(self, start: SweepStart) -> None:
        """The table has a name."""
        self.start, self.best, self.pace = start, start.best, Pace(start)
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
        columns = columns_of(rows, self.start, INTERRUPTED if self.closed else RUNNING)
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
        if pace.is_known and not self.closed:
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


def columns_of(rows: list[Row], start: SweepStart, running: str) -> list[Column]:
    """The columns of the table, in their order; `running` is the status of a trial that has not ended."""
    config = start.config
    swept = list(dict.fromkeys(name for row in rows if row.config is not None for name in row.config.swept))
    named = dict.fromkeys(name for row in rows if row.report for name in row.report.criteria if "." not in name)
    others = [name for name in named if name != config.objective]
    status = [row.result.status if row.result is not None else running for row in rows]
    columns = [
        Column("trial", [str(row.trial) for row in rows], 0, always=True),
        Column("status", [Text(word, style=STATUS_STYLES.get(word, "")) for word in status], 1, True, always=True),
        Column("epoch", [f"{row.epochs}/{config.epochs}" for row in rows], 2, always=True),
        Column("step", [row.doing() for row in rows], 4, least=8),
        Column("img/s", [number_of(row.images_per_second()) for row in rows], 6),
        *(Column(name, [value_of(row, name) for row in rows], 7) for name in swept),
        Column("loss", [number_of(row.loss()) for row in rows], 8, least=6),
        Column(config.objective, [number_of(row.criterion(config.objective)) for row in rows], 3, least=6),
        *(Column(name, [number_of(row.criterion(name)) for row in rows], 9, least=6) for name in others),
    ]
    if config.oracle:
        columns.append(Column("oracle", [accuracy_of(row, config.oracle[0]) for row in rows], 5))
    return columns


def reason_of(row: Row) -> Text | None:
    """Why a trial that has collapsed, diverged or failed has ended."""
    if row.result is None or row.result.status not in EXPLAINED or not row.result.reason:
        return None
    return Text(one_line(row.result.reason), style=STATUS_STYLES[row.result.status])


def phase_line(phase: Phase, began: float) -> str:
    """A phase, how far it is, and how long it takes."""
    far = f"  {phase.done:,} of {phase.total:,}" if phase.total else ""
    return f"{one_line(phase.name)}{far}  {time.monotonic() - began:.0f} s"


def number_of(value: float) -> str:
    """A number, or nothing."""
    if not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else plain(value)


def value_of(row: Row, name: str) -> str:
    """A hyperparameter of a trial."""
    value: Scalar = row.config.hyperparameters.get(name) if row.config is not None else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain(value)
    return one_line("none" if value is None else str(value))[:LONGEST_VALUE]


def accuracy_of(row: Row, oracle: str) -> str:
    """The accuracy of a trial that has ended, or nothing."""
    scores = row.result.oracles if row.result is not None else {}
    return accuracy(scores[oracle].accuracy) if oracle in scores else ""
