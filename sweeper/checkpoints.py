"""Which checkpoints of a sweep are kept: a rule over all of its trials, by the objective and never by the oracle."""

from __future__ import annotations

import math
from collections.abc import Collection

from sweeper.config import SweepConfig
from sweeper.folder import SweepFolder
from sweeper.study import is_maximized
from trainers.records import COMPLETED


class Keeper:
    """Deletes the checkpoints that `keep_checkpoints` does not want, once nothing needs them any more.

    best keeps the completed trial with the best objective; last keeps every trial's last epoch, all every epoch of
    every trial, none nothing.
    """

    def __init__(self, config: SweepConfig, folder: SweepFolder) -> None:
        self.policy = config.keep_checkpoints
        self.sign = 1.0 if is_maximized(config.objective) else -1.0
        self.folder = folder
        self.best: int | None = None
        self.best_value = -math.inf
        self.unwanted: set[int] = set()

    def seen(self, number: int, status: str, value: float | None) -> None:
        """A trial has ended with this status and objective; of equals the lowest number is the best."""
        if self.policy in ("all", "last"):
            return
        signed = self.sign * value if value is not None and status == COMPLETED else -math.inf
        better = signed > self.best_value or (
            self.best is not None and signed == self.best_value and number < self.best
        )
        if self.policy == "best" and better:
            if self.best is not None:
                self.unwanted.add(self.best)
            self.best, self.best_value = number, signed
        else:
            self.unwanted.add(number)

    def purge(self, needed: Collection[int]) -> None:
        """Delete the unwanted checkpoints, except those of the trials that are still needed."""
        for number in self.unwanted - set(needed):
            self.folder.checkpoint(number).unlink(missing_ok=True)
            self.unwanted.discard(number)
