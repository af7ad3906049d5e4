"""How many trials of a sweep have ended, and how long the rest takes, from what was measured so far.

A trial takes its updates, the criteria after its measured epochs, and its end with the oracle. Each is the mean of what
was measured; before that, of an update what the first ones took, and of criteria and oracle their passes through the
network, counted in updates. A backward pass costs about two forward passes, so an update of two views costs an image
six.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sweeper.config.model import SweepConfig
from trainers.records import COMPLETED, EpochReport, Progress, TrialConfig, TrialResult, is_measured

UPDATE_PASSES: Final = 6
"""Forward passes that an update costs, for each of its images."""
NONE: Final[Mapping[str, int]] = MappingProxyType({})
RECENT: Final = 200
"""Epochs and trials over which the means are taken."""


@dataclass
class Running:
    """A trial that runs."""

    epochs: int
    """Epochs that are finished."""
    since: float
    """When the last of them was, or when the trial began."""
    progress: Progress | None = None
    heard: float = math.nan
    """When the progress came."""


class Pace:
    """Counts trials and epochs, and measures them, from the moment at which it is made."""

    def __init__(self, config: SweepConfig | None = None, runs: int = 0, ended: Mapping[str, int] = NONE) -> None:
        self.config = config
        self.runs = runs
        self.epochs = config.epochs if config else 0
        self.counts = Counter(ended)
        """Status -> trials."""
        self.running: dict[int, Running] = {}
        self.tasks: set[str] = set()
        """What workers do besides trials."""
        self.slots = 1
        """The most trials and tasks that there were at once."""
        self.steps = 1
        """Updates of an epoch, once any was told."""
        self.training: deque[float] = deque(maxlen=RECENT)
        """Seconds of training, of each epoch."""
        self.measuring: deque[float] = deque(maxlen=RECENT)
        """Seconds of the criteria, of each measured epoch."""
        self.ending: deque[float] = deque(maxlen=RECENT)
        """Seconds between the last epoch of a completed trial and its end."""
        self.lengths: deque[int] = deque(maxlen=RECENT)
        """Epochs of the trials that ended."""
        self.began = time.monotonic()

    def task_started(self, name: str) -> None:
        """A worker does something besides trials."""
        self.tasks.add(name)
        self._count_slots()

    def task_ended(self, name: str) -> None:
        """It is done, if it was a task at all."""
        self.tasks.discard(name)

    def started(self, config: TrialConfig) -> None:
        """A trial has begun, or continues."""
        self.running[config.trial] = Running(0, time.monotonic())
        self._count_slots()

    def progressed(self, progress: Progress) -> None:
        """A trial has come further."""
        running = self.running.get(progress.trial)
        if running is not None and progress.epoch > running.epochs:
            self.steps = progress.steps
            running.epochs = progress.epoch - 1
            running.progress, running.heard = progress, time.monotonic()

    def reported(self, report: EpochReport) -> None:
        """A trial has finished an epoch."""
        self.running[report.trial] = Running(report.epoch, time.monotonic())
        self.steps = report.step // report.epoch
        self.training.append(report.seconds.get("train", math.nan))
        if report.measured:
            self.measuring.append(report.seconds.get("criteria", math.nan))

    def ended(self, result: TrialResult) -> None:
        """A trial has ended."""
        self.counts[result.status] += 1
        self.lengths.append(result.epochs)
        running = self.running.pop(result.trial, None)
        if running is not None and result.status == COMPLETED:
            self.ending.append(time.monotonic() - running.since)

    def _count_slots(self) -> None:
        self.slots = max(self.slots, len(self.running) + len(self.tasks))

    @property
    def done(self) -> int:
        """Trials that have ended."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self.began

    @property
    def is_known(self) -> bool:
        """Whether there is a pace, and anything left to do."""
        return self.done < self.runs and math.isfinite(self.seconds_left)

    @property
    def seconds_left(self) -> float:
        """Seconds for what remains, at the pace so far, without pruning; NaN before the second update of a trial."""
        if self.config is None:
            return math.nan
        epoch = self._epoch_seconds()
        criteria = mean(self.measuring, epoch * self._counted_criteria())
        ending = mean(self.ending, epoch * 2 / UPDATE_PASSES if self.config.oracle else 0.0)
        left = [self._left(one, epoch, criteria, ending) for one in list(self.running.values())]
        waiting = max(0, self.runs - self.done - len(left))
        # Trials that were stopped early are a hint for the next ones; one whole trial keeps the first from deciding.
        lengths = list(self.lengths)
        share = (1 + sum(lengths) / self.epochs) / (1 + len(lengths))
        whole = share * self._left(Running(0, 0.0), epoch, criteria, ending)
        return shared_out(left, waiting, whole, self.slots)

    def _epoch_seconds(self) -> float:
        running = [one.progress for one in list(self.running.values()) if one.progress is not None]
        return mean(self.training, mean([one.seconds * one.steps for one in running], math.nan))

    def _counted_criteria(self) -> float:
        """The criteria of one epoch, in epochs of training: their views and clean images, each forward once."""
        assert self.config is not None
        sample = self.config.criteria_sample
        return sample.images * (sample.views + 1) / (UPDATE_PASSES * self.config.batch_size * self.steps)

    def _left(self, one: Running, epoch: float, criteria: float, ending: float) -> float:
        """Seconds that a trial still takes."""
        assert self.config is not None
        every = self.config.criteria_every
        measured = sum(is_measured(number, every, self.epochs) for number in range(one.epochs + 1, self.epochs + 1))
        whole = (self.epochs - one.epochs) * epoch + measured * criteria + ending
        if one.epochs >= self.epochs:
            return whole - min(ending, time.monotonic() - one.since)
        if one.progress is None:
            return whole
        done = epoch * one.progress.step / one.progress.steps
        if one.progress.step == one.progress.steps and is_measured(one.epochs + 1, every, self.epochs):
            done += min(criteria, time.monotonic() - one.heard)
        return whole - done


def shared_out(left: Collection[float], waiting: int, whole: float, slots: int) -> float:
    """Seconds until all is done, if `slots` trials run at once and each place takes the next trial when it is free.

    Args:
        left: seconds that each running trial still takes.
        waiting: trials that have not begun.
        whole: seconds of each of them.
        slots: trials at once.

    >>> shared_out([5.0, 10.0], waiting=1, whole=10.0, slots=2), shared_out([10.0], waiting=5, whole=10.0, slots=3)
    (15.0, 20.0)
    """
    places = sorted([*left, *[0.0] * (slots - len(left))])
    each, rest = divmod(waiting, len(places))
    return max(place + (each + (index < rest)) * whole for index, place in enumerate(places))


def mean(values: Collection[float], otherwise: float) -> float:
    """The mean of the finite values, or another number if there are none."""
    known = [value for value in list(values) if math.isfinite(value)]
    return sum(known) / len(known) if known else otherwise
