"""What the driver hands to a worker, and what the worker says back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sweeper.run.failures import Failure
from sweeper.store.layout import SweepFolder
from trainers.records import EpochReport, Progress, TrialConfig, TrialResult


@dataclass(frozen=True)
class Task:
    """One piece of work for a worker."""

    kind: Literal["trial", "probe", "baselines"]
    config: TrialConfig
    folder: SweepFolder
    ended: TrialResult | None = None
    """For a probe: how its trial ended."""
    keep_every_epoch: bool = False
    alone: bool = False
    """Whether it has a whole GPU to itself, because it ran out of memory beside others."""

    @property
    def trial_folder(self) -> Path:
        """Where the trial's checkpoint, log and result are."""
        return self.folder.trial(self.config.trial)

    @property
    def log(self) -> Path:
        """What its worker writes down as it goes."""
        return self.folder.log(self.config.trial)


Message = EpochReport | Progress | Failure


Send = Callable[[Message], bool]
"""Tells the driver, and answers whether to go on."""
