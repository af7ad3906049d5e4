"""The trials of a live table: what is known of each, and the columns that show it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from sweeper.config.model import SweepConfig
from sweeper.run.text_table import Column
from sweeper.store.listing import INTERRUPTED, RUNNING
from trainers.formats import accuracy, one_line, plain
from trainers.records import (
    COLLAPSED,
    COMPLETED,
    DIVERGED,
    FAILED,
    PRUNED,
    EpochReport,
    Progress,
    Scalar,
    TrialConfig,
    TrialResult,
)

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


def columns_of(rows: list[Row], config: SweepConfig, running: str) -> list[Column]:
    """The columns of the table, in their order; `running` is the status of a trial that has not ended."""
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
