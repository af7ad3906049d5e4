"""How many trials of a sweep have ended, and how long the rest takes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from trainers.records import TrialResult

NONE: Mapping[str, int] = MappingProxyType({})


class Pace:
    """Counts trials and epochs, from the moment at which it is made."""

    def __init__(self, runs: int = 0, epochs: int = 0, ended: Mapping[str, int] = NONE) -> None:
        self.runs, self.epochs = runs, epochs
        self.counts = Counter(ended)
        """Status -> trials."""
        self.epochs_seen = 0
        self.epochs_left = (runs - self.done) * epochs
        self.began = time.monotonic()

    def reported(self) -> None:
        """A trial has finished an epoch."""
        self.epochs_seen += 1
        self.epochs_left -= 1

    def ended(self, result: TrialResult) -> None:
        """A trial has ended; the epochs that it did not reach are not waited for."""
        self.counts[result.status] += 1
        self.epochs_left -= self.epochs - result.epochs

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
        return self.epochs_seen > 0 and self.done < self.runs

    @property
    def seconds_left(self) -> float:
        """Seconds for the epochs that remain, at the pace so far; NaN before the first report."""
        if not self.epochs_seen:
            return math.nan
        return max(0, self.epochs_left) * self.seconds / self.epochs_seen
