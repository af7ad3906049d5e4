"""wandb: a Weights & Biases run per trial, grouped by sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sweeper.run.observers.base import ObserverOptions
from sweeper.run.observers.tracker import Tracker, run_name
from trainers.records import FAILED, Scalar, TrialConfig, TrialResult


@dataclass(frozen=True)
class WandbOptions(ObserverOptions):
    """Where the runs go; the login is that of `wandb login`, or the variable WANDB_API_KEY."""

    project: str = "sweeper"
    """Project of the runs."""
    entity: str | None = None
    """User or team; by default that of the login."""
    mode: Literal["online", "offline"] = "online"
    """With `offline` the runs are written to the sweep's folder, and `wandb sync` uploads them."""


class Wandb(Tracker):
    """Curves, hyperparameters and accuracies as W&B shows them; several runs are open at a time."""

    Options = WandbOptions
    options: WandbOptions
    package = "wandb"

    def open(self, config: TrialConfig, values: Mapping[str, Scalar]) -> Any:
        """The run of the trial, with the same id whenever the trial continues."""
        import wandb

        return wandb.init(
            project=self.options.project,
            entity=self.options.entity,
            mode=self.options.mode,
            dir=str(self.folder),
            group=self.folder.name,
            name=f"{self.folder.name}/{run_name(config.trial)}",
            id=f"{self.study}-{config.trial}",
            resume="allow",
            reinit="create_new",
            config=dict(values),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """One row."""
        run.log(dict(values), step=epoch)

    def end(self, run: Any, result: TrialResult, oracles: Mapping[str, float]) -> None:
        """The accuracies and how the trial ended, in the run's summary."""
        run.summary.update({**oracles, "status": result.status, "reason": result.reason})
        run.finish(exit_code=int(result.status == FAILED))
