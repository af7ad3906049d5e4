"""What a sweep shows while it runs: a live table, one line per finished trial, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainers.records import COMPLETED, EpochReport, TrialResult

Mode = Literal["live", "plain", "quiet", "json"]
SHOWN_FINISHED: Final = 5
STYLES: Final = {"completed": "green", "pruned": "yellow", "collapsed": "magenta", "failed": "red"}


class Progress:
    """Shows records as they come; decides nothing."""

    def __init__(self, console: Console, mode: Mode, total: int) -> None:
        self.console, self.mode, self.total = console, mode, total
        self.epochs = 0
        self.counts: Counter[str] = Counter()
        self.running: dict[int, EpochReport | None] = {}
        self.ended: list[tuple[TrialResult, EpochReport | None]] = []
        self.epochs_seen = 0
        self.epochs_left = 0
        self.began = time.monotonic()
        self.live: Live | None = None
        self.name = ""
        self.over = False

    def __enter__(self) -> Progress:
        if self.mode == "live":
            self.live = Live(console=self.console, get_renderable=self._picture, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over = True
        if self.live is not None:
            self.live.stop()
            self.live = None

    def begin(self, total: int, *, epochs: int, done: dict[str, int], name: str = "") -> None:
        """The sweep has `total` trials of so many epochs, of which some have ended already: status -> trials."""
        self.total, self.epochs, self.name = total, epochs, name
        self.counts = Counter(done)
        self.epochs_left = (total - sum(done.values())) * epochs
        self.began = time.monotonic()
        self._event("begin", name=name, trials=total, epochs=epochs, done=done)

    def started(self, trial: int) -> None:
        """A trial begins, or goes on."""
        self.running[trial] = None
        self._event("started", trial=trial)

    def reported(self, report: EpochReport) -> None:
        """A trial has finished an epoch."""
        self.running[report.trial] = report
        self.epochs_seen += 1
        self.epochs_left -= 1
        self._event("report", **asdict(report))

    def finished(self, result: TrialResult, report: EpochReport | None) -> None:
        """A trial has ended; `report` is its last."""
        self.running.pop(result.trial, None)
        self.counts[result.status] += 1
        self.epochs_left -= self.epochs - (report.epoch if report else 0)
        self.ended = [*self.ended[1 - SHOWN_FINISHED :], (result, report)]
        if self.mode == "plain":
            done = sum(self.counts.values())
            left = f"  {_seconds(self.seconds_left)} left" if done < self.total and self.epochs_seen else ""
            self._line(f"[{done}/{self.total}] {_describe(result, report, self.epochs)}{left}")
        self._event("finished", **asdict(result))

    def message(self, text: str) -> None:
        """Something that the user should know."""
        if self.mode in ("live", "plain"):
            self._line(text)
        self._event("message", text=text)

    @property
    def seconds_left(self) -> float:
        """How long the epochs that remain take at the pace so far; NaN before the first one."""
        if not self.epochs_seen:
            return math.nan
        return max(0, self.epochs_left) * (time.monotonic() - self.began) / self.epochs_seen

    def _line(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True, highlight=False)
        self.console.file.flush()

    def _event(self, event: str, **content: Any) -> None:
        if self.mode == "json":
            self.console.file.write(json.dumps({"event": event, **_finite(content)}) + "\n")
            self.console.file.flush()

    def _picture(self) -> Group:
        table = Table(box=None, pad_edge=False, title=self.name or None, title_justify="left", title_style="bold")
        for name in ("trial", "status", "epoch", *_names(self._reports())):
            table.add_column(name, justify="left" if name == "status" else "right")
        for result, report in self.ended:
            style = STYLES.get(result.status, "")
            table.add_row(*_cells(result.trial, Text(result.status, style=style), report, self.epochs))
        for trial, report in sorted(self.running.items()):
            status = Text("stopped", style="yellow") if self.over else Text("running", style="bold")
            table.add_row(*_cells(trial, status, report, self.epochs))
        return Group(table, Text(self._footer(), style="dim"))

    def _reports(self) -> list[EpochReport]:
        return [report for report in (*self.running.values(), *(r for _, r in self.ended)) if report is not None]

    def _footer(self) -> str:
        done = sum(self.counts.values())
        parts = [f"{done} of {self.total} trials done"]
        if self.running and not self.over:
            parts.append(f"{len(self.running)} running")
        if done > len(self.ended):
            parts[0] += f", the last {len(self.ended)} above" if self.ended else ""
        parts += [f"{count} {status}" for status, count in self.counts.items() if status != COMPLETED and count]
        parts.append(f"{_seconds(time.monotonic() - self.began)} so far")
        if self.epochs_seen and done < self.total and not self.over:
            parts.append(f"{_seconds(self.seconds_left)} left")
        return " · ".join(parts)


def make_progress(total: int, *, quiet: bool, as_json: bool) -> Progress:
    """The progress that fits: JSON or nothing where asked for, a live table on a terminal, lines on a pipe."""
    console = Console()
    if as_json:
        return Progress(console, "json", total)
    if quiet:
        return Progress(console, "quiet", total)
    return Progress(console, "live" if sys.stdout.isatty() else "plain", total)


def _names(reports: list[EpochReport]) -> list[str]:
    return ["loss", *(name for name in reports[0].criteria if "." not in name)] if reports else []


def _cells(trial: int, status: Text, report: EpochReport | None, epochs: int) -> list[Text | str]:
    if report is None:
        return [str(trial), status, f"0/{epochs}"]
    values = (value for name, value in report.criteria.items() if "." not in name)
    return [str(trial), status, f"{report.epoch}/{epochs}", f"{report.loss:.4g}", *(f"{value:.4g}" for value in values)]


def _describe(result: TrialResult, report: EpochReport | None, epochs: int) -> str:
    parts = [f"trial {result.trial} {result.status}", f"{report.epoch if report else 0}/{epochs} epochs"]
    if report is not None:
        parts += [f"{name} {value:.4g}" for name, value in report.criteria.items() if "." not in name]
    parts += [f"{name} {score.accuracy:.2%}" for name, score in result.oracles.items()]
    return "  ".join([*parts, *([f"({result.reason})"] if result.reason else [])])


def _seconds(seconds: float) -> str:
    """A duration for people.

    >>> _seconds(59.6), _seconds(61), _seconds(7300)
    ('1m 00s', '1m 01s', '2h 01m')
    """
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def _finite(content: Any) -> Any:
    """JSON has no NaN: null stands for a number that is not finite."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content
