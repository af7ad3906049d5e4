"""Which checkpoints of a sweep are kept: by the objective over all of its trials, never by the oracle."""

from __future__ import annotations

import math
from collections.abc import Collection

from sweeper.config.model import SweepConfig
from sweeper.store.layout import SweepFolder
from trainers.records import COMPLETED


class Keeper:
    """Deletes the checkpoints that `keep_checkpoints` excludes, once no task needs them.

    best keeps that of the completed trial with the best objective, last the last epoch of every trial, all every epoch
    of every trial, none nothing. The result does not depend on the order of the calls of `seen`, nor on repeated
    calls, which a resume makes.
    """

    def __init__(self, config: SweepConfig, folder: SweepFolder, *, maximize: bool) -> None:
        self.policy = config.keep_checkpoints
        self.sign = 1.0 if maximize else -1.0
        self.folder = folder
        self.ended: set[int] = set()
        self.completed: dict[int, float] = {}
        """Trial -> objective, of those that may be the best."""
        self.deleted: set[int] = set()

    def seen(self, number: int, status: str, value: float | None) -> None:
        """A trial has ended with this status and objective."""
        self.ended.add(number)
        if status == COMPLETED and value is not None and math.isfinite(value):
            self.completed[number] = value

    @property
    def kept(self) -> set[int]:
        """The trials that have ended whose checkpoints stay; of equals the lowest number is the best."""
        if self.policy in ("all", "last"):
            return set(self.ended)
        if self.policy == "none" or not self.completed:
            return set()
        return {min(self.completed, key=lambda number: (-self.sign * self.completed[number], number))}

    def purge(self, needed: Collection[int]) -> None:
        """Delete the checkpoints that are not kept, except those of the trials that are still needed."""
        for number in self.ended - self.kept - self.deleted - set(needed):
            self.folder.checkpoint(number).unlink(missing_ok=True)
            self.deleted.add(number)
