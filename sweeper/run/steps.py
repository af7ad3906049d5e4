"""How far a trial is within its epoch, as its worker tells it: at most once a second, and only to be shown."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from trainers.records import Progress

EVERY: Final = 1.0
"""Seconds between two messages; the last update of an epoch is told in any case."""


class Steps:
    """Called after every update of a trial; it sends a Progress now and then."""

    def __init__(self, trial: int, send: Callable[[Progress], object]) -> None:
        self.trial = trial
        self.send = send
        self.first = self.sent = -math.inf

    def __call__(self, epoch: int, step: int, steps: int) -> None:
        """The trial has done `step` of the `steps` updates of an epoch."""
        now = time.monotonic()
        if step == 1:
            self.first = now  # the first update of a process takes longer, so it is not measured
        if step < steps and now - self.sent < EVERY:
            return
        self.sent = now
        seconds = (now - self.first) / (step - 1) if step > 1 else math.nan
        self.send(Progress(self.trial, epoch, step, steps, seconds))
