"""Which checkpoints of a sweep are kept: by each criterion and the loss over all of its trials, never by the oracle."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Final

from sweeper.config.model import SweepConfig
from sweeper.search.storage import is_maximized
from sweeper.store.layout import SweepFolder
from trainers.records import COMPLETED, EpochReport

LOSS: Final = "loss"


class Keeper:
    """Deletes the checkpoints that `keep_checkpoints` excludes, once no task needs them.

    best keeps, by each criterion on its default layer and by the loss, that of the best completed trial: at most one
    for each of them, and one file where several select the same trial. last keeps the last epoch of every trial, all
    every epoch of every trial, none nothing. What `sweeper retrain` made stays in any case. The result does not depend
    on the order of the calls of `seen`, nor on repeated calls, which a resume makes.
    """

    def __init__(self, config: SweepConfig, folder: SweepFolder) -> None:
        self.policy = config.keep_checkpoints
        self.folder = folder
        self.signs = {name: 1.0 if is_maximized(name) else -1.0 for name in config.criteria} | {LOSS: -1.0}
        """Criterion -> 1 if more of it is better, else -1."""
        self.ended: set[int] = set()
        self.best: dict[str, tuple[float, int]] = {}
        """Criterion -> its best value so far, times its sign, and minus the number of that trial."""
        self.unknown: set[int] = set()
        """The completed trials of which not all values are known, because their last report was lost."""
        self.deleted: set[int] = set()

    def seen(self, number: int, status: str, scores: Mapping[str, float | None]) -> None:
        """A trial has ended with this status and these last values of the criteria and the loss."""
        self.ended.add(number)
        if status != COMPLETED:
            return
        for name, sign in self.signs.items():
            value = scores.get(name)
            if value is None:
                self.unknown.add(number)
            elif math.isfinite(value):
                found = (sign * value, -number)  # of equal values the lowest number is the best
                self.best[name] = max(self.best.get(name, found), found)

    @property
    def kept(self) -> set[int]:
        """The trials that have ended whose checkpoints stay."""
        if self.policy in ("all", "last"):
            return set(self.ended)
        return set() if self.policy == "none" else self.unknown | {-number for _, number in self.best.values()}

    def purge(self, needed: Collection[int]) -> None:
        """Delete the checkpoints that are not kept, except those of the trials that are still needed.

        A trial is the best only after it has ended, when its own checkpoint is whole.
        """
        for number in self.ended - self.kept - self.deleted - set(needed):
            if not self.folder.retrained(number).is_file():
                self.folder.checkpoint(number).unlink(missing_ok=True)
            self.deleted.add(number)


def last_scores(reports: Collection[EpochReport]) -> dict[str, float]:
    """The criteria and the loss of a trial's last report; nothing without a report.

    The judge reads the same report, so that it selects the trial that was kept.
    """
    if not reports:
        return {}
    last = max(reports, key=lambda report: report.epoch)
    return {**last.criteria, LOSS: last.loss}
