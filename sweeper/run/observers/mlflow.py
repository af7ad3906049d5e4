"""mlflow: an MLflow run per trial, in one experiment per sweep."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.run.observers.base import ObserverOptions, SweepStart
from sweeper.run.observers.tracker import Tracker, run_name
from trainers.records import FAILED, Scalar, TrialConfig, TrialResult

TRIAL = "sweeper.trial"
"""The tag that says which trial a run is of."""


@dataclass(frozen=True)
class MlflowOptions(ObserverOptions):
    """Where the runs go; a password belongs into the environment (MLFLOW_TRACKING_PASSWORD)."""

    uri: str | None = None
    """Tracking server or store; by default MLFLOW_TRACKING_URI, or else `mlflow.db` in the sweep's folder."""
    experiment: str | None = None
    """Experiment; by default the sweep's name."""


class Mlflow(Tracker):
    """Parameters, metrics by epoch, accuracies, and the state of each trial."""

    Options = MlflowOptions
    options: MlflowOptions
    package = "mlflow"

    def on_begin(self, start: SweepStart) -> None:
        """Find or create the experiment."""
        super().on_begin(start)
        from mlflow import MlflowClient

        own = f"sqlite:///{(self.folder / 'mlflow.db').resolve()}"
        self.client = MlflowClient(self.options.uri or os.environ.get("MLFLOW_TRACKING_URI") or own)
        name = self.options.experiment or self.folder.name
        found = self.client.get_experiment_by_name(name)
        self.experiment = found.experiment_id if found else self.client.create_experiment(name)

    def open(self, config: TrialConfig, values: Mapping[str, Scalar]) -> Any:
        """The id of the trial's run; a trial that continues has one already."""
        tag = f"{self.study}-{config.trial}"
        found = self.client.search_runs([self.experiment], f"tags.`{TRIAL}` = '{tag}'", max_results=1)
        if found:
            self.client.update_run(found[0].info.run_id, status="RUNNING")
            return found[0].info.run_id
        run = self.client.create_run(self.experiment, run_name=run_name(config.trial), tags={TRIAL: tag})
        for name, value in values.items():
            self.client.log_param(run.info.run_id, name, value)
        return run.info.run_id

    def log(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """One row, in one request."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(run, metrics=[Metric(name, value, now, epoch) for name, value in values.items()])

    def end(self, run: Any, result: TrialResult, oracles: Mapping[str, float]) -> None:
        """The accuracies, and the state of the run."""
        for name, value in oracles.items():
            self.client.log_metric(run, name, value)
        self.client.set_tag(run, "sweeper.status", f"{result.status} {result.reason}".strip())
        state = {FAILED: "FAILED", "interrupted": "KILLED"}.get(result.status, "FINISHED")
        self.client.set_terminated(run, state)
