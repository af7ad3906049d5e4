"""What Ray's side needs of the driver: it gives out the tasks, and judges what comes back.

`sweeper.run.dispatcher.Dispatcher` and `sweeper.run.tasks.Task` have these members. They are named here because
`sweeper.run` imports this folder, and not the other way round.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol


class Task(Protocol):
    """One piece of work for a worker."""

    @property
    def kind(self) -> str:
        """trial, probe or baselines."""

    @property
    def alone(self) -> bool:
        """Whether it has a whole GPU to itself."""

    @property
    def trial_folder(self) -> Path:
        """Where the trial's checkpoint, log and result are."""

    @property
    def log(self) -> Path:
        """What its worker writes down as it goes."""


class Driver(Protocol):
    """The driver's side of a sweep. Tasks and messages come back from Ray untyped."""

    @property
    def live(self) -> Collection[object]:
        """The tasks that run."""

    @property
    def stopping(self) -> bool:
        """Whether no new task is given out."""

    def next(self) -> Task | None:
        """The next task; None if nothing is left, or nothing until a running task ends."""

    def received(self, task: Any, message: Any) -> bool:
        """Handle a message of a worker; whether the worker continues."""

    def ended(self, task: Any, *, died: str = "") -> None:
        """A worker has finished a task, or has died."""

    def fail(self, error: Exception) -> None:
        """End the sweep because of an error."""
