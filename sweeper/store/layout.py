"""A sweep's folder: where things are in it."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sweeper.errors import ResultsError
from trainers.records import CHECKPOINT

SWEEP_FILE: Final = "sweep.yaml"
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

    @property
    def unreadable(self) -> Path:
        """The files of the data set that were left out because they could not be read, one per line."""
        return self.path / "unreadable.txt"

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


def find_sweep(name_or_path: str, results: Path) -> Path:
    """The folder of a sweep that is named by its name below `results` or by its path.

    Raises:
        ResultsError: no such sweep; the message names the nearest.
    """
    for path in (Path(name_or_path), results / name_or_path):
        if (path / SWEEP_FILE).is_file():
            return path
    for path in (Path(name_or_path), results / name_or_path):
        if path.is_dir() and path.resolve() != results.resolve():
            raise ResultsError(f"{path} is not a sweep: it has no {SWEEP_FILE}")
    names = sorted(file.parent.name for file in results.glob(f"*/{SWEEP_FILE}"))
    if not names:
        raise ResultsError(f"there is no sweep {name_or_path}: {results} holds none yet; start one with `sweeper run`")
    near = difflib.get_close_matches(name_or_path, names, n=3, cutoff=0.4) or names[-3:]
    raise ResultsError(f"there is no sweep {name_or_path} in {results}; is it {' or '.join(near)}?")
