"""A sweep's folder: where things are in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainers.records import CHECKPOINT, SAMPLES

SWEEP_FILE: Final = "sweep.yaml"
TABLE_ENDINGS: Final = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""The endings of a table that is read, the first that is there; sweeper itself writes parquet."""
TRIAL_LOG: Final = "log.txt"


@dataclass(frozen=True)
class SweepFolder:
    """The paths of one sweep."""

    path: Path

    @property
    def name(self) -> str:
        """The sweep's name is its folder's."""
        return self.path.name

    @property
    def sweep_file(self) -> Path:
        """The configuration as resolved."""
        return self.path / SWEEP_FILE

    @property
    def reports_log(self) -> Path:
        """Append-only, one line per report."""
        return self.path / "reports.jsonl"

    @property
    def trials_table(self) -> Path:
        """One row per trial."""
        return self.path / "trials.parquet"

    @property
    def reports_table(self) -> Path:
        """One row per report."""
        return self.path / "reports.parquet"

    @property
    def baselines(self) -> Path:
        """The oracle and the criteria without any training."""
        return self.path / "baselines.parquet"

    def table(self, stem: str) -> Path | None:
        """The file of a table: trials, reports or baselines; None if there is none."""
        files = {file.name.lower(): file for file in self.path.glob("*.*")}
        return next((files[f"{stem}{ending}"] for ending in TABLE_ENDINGS if f"{stem}{ending}" in files), None)

    @property
    def unreadable(self) -> Path:
        """The files of the data set that were left out because they could not be read, one per line."""
        return self.path / "unreadable.txt"

    @property
    def samples(self) -> Path:
        """A picture of some images of the criteria's sample and their views."""
        return self.path / SAMPLES

    @property
    def study_file(self) -> Path:
        """The study, unless the configuration names another storage."""
        return self.path / "study.db"

    @property
    def storage_url(self) -> str:
        """The URL of the study's file."""
        return f"sqlite:///{self.study_file}"

    def trial(self, number: int) -> Path:
        """The folder of one trial."""
        return self.path / "trials" / f"{number:04d}"

    def numbers(self) -> list[int]:
        """The trials that have a folder."""
        folders = self.trial(0).parent.glob("[0-9]*")
        return sorted(int(folder.name) for folder in folders if folder.name.isdecimal() and folder.name.isascii())

    def log(self, number: int) -> Path:
        """What one trial's worker wrote down as it went."""
        return self.trial(number) / TRIAL_LOG

    def checkpoint(self, number: int) -> Path:
        """The checkpoint of one trial's last epoch."""
        return self.trial(number) / CHECKPOINT

    def retrained(self, number: int) -> Path:
        """How the reports of a trial that was trained again compare with the recorded ones; its checkpoint stays."""
        return self.trial(number) / "retrained.json"

    def retraining(self, number: int) -> Path:
        """The folder in which a trial is trained again, until its checkpoint is whole."""
        return self.trial(number) / "retrain"

    def has_checkpoint(self, number: int) -> bool:
        """Whether the trial has its checkpoint."""
        return self.checkpoint(number).is_file()


def sweep_names(results: Path) -> list[str]:
    """The names of the sweeps in a results folder, in alphabetical order."""
    return sorted(file.parent.name for file in results.glob(f"*/{SWEEP_FILE}"))
