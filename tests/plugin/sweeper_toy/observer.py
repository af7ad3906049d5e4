"""toy_journal: one line per event in a file in the sweep's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.run.observers.base import Observer, ObserverOptions, SweepStart
from trainers.records import EpochReport, OracleScore, TrialConfig, TrialResult


@dataclass(frozen=True)
class ToyJournalOptions(ObserverOptions):
    """Where it writes."""

    file: str = "toy_journal.txt"
    """Name of the file in the sweep's folder."""


class ToyJournal(Observer):
    """Writes what it is told, and closes its file."""

    Options = ToyJournalOptions
    options: ToyJournalOptions

    def on_begin(self, start: SweepStart) -> None:
        self.file = (start.folder / self.options.file).open("a")
        self._write(f"begin {start.config.method} {start.runs}")

    def on_trial_start(self, config: TrialConfig) -> None:
        self._write(f"start {config.trial}")

    def on_report(self, report: EpochReport) -> None:
        self._write(f"report {report.trial} {report.epoch} {report.criteria['toy_spread']:.6f}")

    def on_trial_end(self, result: TrialResult) -> None:
        self._write(f"end {result.trial} {result.status}")

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        self._write(f"oracle {number} {' '.join(scores)}")

    def close(self) -> None:
        self._write("close")
        self.file.close()

    def _write(self, line: str) -> None:
        self.file.write(line + "\n")
