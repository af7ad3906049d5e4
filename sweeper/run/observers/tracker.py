"""What trackers share: one run per trial, with hyperparameters, a row of numbers per epoch, and accuracy at the end."""

from __future__ import annotations

import importlib
import importlib.util
import math
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, SweepStart
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import read_origin
from trainers.records import EpochReport, OracleScore, Scalar, TrialConfig, TrialResult


class Tracker(Observer):
    """A subclass opens, fills and ends the run of a trial; a trial that continues goes on in the run that it had.

    Keys are `loss`, `<criterion>`, `<criterion>.<layer>`, `images_per_second`, `epoch_seconds` at the step of the
    epoch, and `oracle.<name>` for the whole run.
    """

    package = ""
    """What must be installed."""

    def __init__(self, options: ObserverOptions = NO_OPTIONS) -> None:
        super().__init__(options)
        if importlib.util.find_spec(self.package) is None:
            extra = type(self).__name__.lower()
            raise ValueError(f"it needs {self.package}: `pip install 'ssl-sweeper[{extra}]'`")
        self.runs: dict[int, Any] = {}
        self.folder = Path()
        self.study = ""

    def on_begin(self, start: SweepStart) -> None:
        """Remember the sweep."""
        self.folder = start.folder
        self.study = str(read_origin(SweepFolder(start.folder)).get("id", start.folder.name))

    def on_trial_start(self, config: TrialConfig) -> None:
        """Open the trial's run."""
        self.runs[config.trial] = self.open(config, hyperparameters(config))

    def on_report(self, report: EpochReport) -> None:
        """Write the row of an epoch."""
        if report.trial in self.runs:
            self.log(self.runs[report.trial], report.epoch, numbers(report))

    def on_trial_end(self, result: TrialResult) -> None:
        """Write the accuracy, and end the run."""
        if result.trial in self.runs:
            self.end(self.runs.pop(result.trial), result, accuracies(result.oracles))

    def close(self) -> None:
        """End the runs of the trials that were interrupted; a later command continues them."""
        for trial in list(self.runs):
            self.end(self.runs.pop(trial), TrialResult(trial, "interrupted"), {})

    @abstractmethod
    def open(self, config: TrialConfig, values: Mapping[str, Scalar]) -> Any:
        """The run of a trial with these hyperparameters."""

    @abstractmethod
    def log(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """One row."""

    @abstractmethod
    def end(self, run: Any, result: TrialResult, oracles: Mapping[str, float]) -> None:
        """The end of a run."""


def run_name(trial: int) -> str:
    """The name of a trial's run.

    >>> run_name(3)
    'trial-0003'
    """
    return f"trial-{trial:04d}"


def hyperparameters(config: TrialConfig) -> dict[str, Scalar]:
    """The hyperparameters of a trial, with what it ran on."""
    about = {"method": config.method, "dataset": config.dataset.get("name"), "encoder": config.encoder.get("name")}
    fixed = {"epochs": config.epochs, "batch_size": config.batch_size, "seed": config.seed}
    return {**about, **fixed, "configuration": config.configuration, **config.hyperparameters}


def numbers(report: EpochReport) -> dict[str, float]:
    """The finite numbers of an epoch."""
    values = {
        "loss": report.loss,
        **report.criteria,
        "images_per_second": report.images_per_second,
        "epoch_seconds": report.seconds.get("train", math.nan),
    }
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def accuracies(scores: Mapping[str, OracleScore]) -> dict[str, float]:
    """The accuracy by every oracle.

    >>> accuracies({"knn": OracleScore(0.5, 10, 0.1)})
    {'oracle.knn': 0.5}
    """
    return {f"oracle.{name}": score.accuracy for name, score in scores.items()}
