"""tensorboard: an event file per trial, below the sweep's folder; `tensorboard --logdir results/NAME/tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.run.observers.base import ObserverOptions
from sweeper.run.observers.tracker import Tracker, run_name
from trainers.records import Scalar, TrialConfig, TrialResult


@dataclass(frozen=True)
class TensorBoardOptions(ObserverOptions):
    """Where it writes."""

    folder: str = "tensorboard"
    """Folder for the event files, in the sweep's folder or as a whole path."""


class TensorBoard(Tracker):
    """Curves per trial, and the tab HPARAMS with hyperparameters and accuracy of the trials that ended."""

    Options = TensorBoardOptions
    options: TensorBoardOptions
    package = "tensorboard"

    def open(self, config: TrialConfig, values: Mapping[str, Scalar]) -> Any:
        """A writer in the folder of the trial, which appends to what is there."""
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(self.folder / self.options.folder / run_name(config.trial)))
        return writer, {name: "none" if value is None else value for name, value in values.items()}

    def log(self, run: Any, epoch: int, values: Mapping[str, float]) -> None:
        """One point per curve."""
        writer, _ = run
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def end(self, run: Any, result: TrialResult, oracles: Mapping[str, float]) -> None:
        """The hyperparameters with the accuracies, and how the trial ended."""
        writer, values = run
        if result.status != "interrupted":
            writer.add_text("status", f"{result.status} {result.reason}".strip())
            writer.add_hparams(values, dict(oracles), run_name=".")
        writer.close()
