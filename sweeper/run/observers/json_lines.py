"""json_lines: one JSON object per event on stdout, for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, TextIO

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, SweepStart
from trainers.records import EpochReport, OracleScore, TrialConfig, TrialResult


class JsonLines(Observer):
    """Events begin, started, report, finished, oracle and message, each with its content."""

    essential: ClassVar[bool] = True

    def __init__(self, options: ObserverOptions = NO_OPTIONS, *, file: TextIO | None = None) -> None:
        super().__init__(options)
        self.file = file or sys.stdout

    def on_begin(self, start: SweepStart) -> None:
        """`trials` and `epochs` of the whole sweep, and the trials `done` before, by status."""
        name, epochs = start.folder.name, start.config.epochs
        self._write("begin", name=name, trials=start.runs, epochs=epochs, done=dict(start.ended))

    def on_trial_start(self, config: TrialConfig) -> None:
        """The trial's number."""
        self._write("started", trial=config.trial)

    def on_report(self, report: EpochReport) -> None:
        """The report's fields."""
        self._write("report", **asdict(report))

    def on_trial_end(self, result: TrialResult) -> None:
        """The result's fields."""
        self._write("finished", **asdict(result))

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """The scores by oracle."""
        self._write("oracle", trial=number, oracles={name: asdict(score) for name, score in scores.items()})

    def on_message(self, text: str) -> None:
        """The text."""
        self._write("message", text=text)

    def _write(self, event: str, **content: Any) -> None:
        self.file.write(json.dumps({"event": event, **finite(content)}) + "\n")
        self.file.flush()


def finite(data: Any) -> Any:
    """The same data with null in place of numbers that are not finite, which JSON does not have.

    >>> finite({"lidar": float("nan"), "seen": [1, 2.5]})
    {'lidar': None, 'seen': [1, 2.5]}
    """
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    return [finite(value) for value in data] if isinstance(data, list | tuple) else data
