"""The contract of an observer: it is told what happens in a sweep, and decides nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from sweeper.config.model import SweepConfig
from trainers.records import EpochReport, OracleScore, Progress, TrialConfig, TrialResult


@dataclass(frozen=True)
class Phase:
    """What a sweep does besides training its trials: reading the images, starting Ray, measuring the baselines."""

    name: str
    done: int = 0
    total: int = 0
    """Of how many pieces; 0 where that is not known."""
    note: str = ""
    """One line that the user should know of it."""
    is_task: bool = False
    """Whether a worker does it, in the place of a trial."""


@dataclass(frozen=True)
class SweepStart:
    """What an observer is told when a sweep begins or continues."""

    config: SweepConfig
    folder: Path
    runs: int
    """Trials of the whole sweep."""
    ended: Mapping[str, int] = field(default_factory=dict)
    """Status -> trials that ended before this process began."""
    maximize: bool = True
    """Whether more of the objective is better."""
    best: tuple[int, float] | None = None
    """The best of the trials that completed before, and its objective."""


@dataclass(frozen=True)
class ObserverOptions:
    """What may stand beside an observer's `name`, as fields with plain scalars; each observer extends it.

    sweep.yaml records their values, so a password or a key is no option: read it from the environment.
    """


NO_OPTIONS: Final = ObserverOptions()


class Observer:
    """Every method is empty: an observer overrides those that it needs.

    They are called in the driver's process, one at a time. An observer that raises is closed and told nothing more,
    and a message says so; one that is `essential` ends the sweep instead. The constructor opens nothing, and raises
    ValueError, with one line that says what to do, for options that cannot work.
    """

    Options: ClassVar[type[ObserverOptions]] = ObserverOptions
    essential: ClassVar[bool] = False

    def __init__(self, options: ObserverOptions = NO_OPTIONS) -> None:
        self.options = options

    def on_phase(self, phase: Phase) -> None:
        """A phase begins, or has come further; the first ones come before `on_begin`, and some beside trials."""

    def on_phase_end(self, name: str) -> None:
        """A phase is over, if it had begun."""

    def on_begin(self, start: SweepStart) -> None:
        """The sweep begins or continues."""

    def on_trial_start(self, config: TrialConfig) -> None:
        """A trial begins or continues."""

    def on_progress(self, progress: Progress) -> None:
        """A trial has come further within an epoch; told about once a second, and not of every epoch."""

    def on_report(self, report: EpochReport) -> None:
        """A trial has finished an epoch."""

    def on_trial_end(self, result: TrialResult) -> None:
        """A trial has ended; `result.oracles` holds what was measured at its end."""

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """A trial that had ended was measured afterwards."""

    def on_message(self, text: str) -> None:
        """One line that the user should know."""

    def close(self) -> None:
        """The command ends."""


class Observers(Observer):
    """Several observers as one, in their order."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        super().__init__()
        self.observers = list(observers)

    def on_phase(self, phase: Phase) -> None:
        """Tell all of them."""
        self._tell("on_phase", phase)

    def on_phase_end(self, name: str) -> None:
        """Tell all of them."""
        self._tell("on_phase_end", name)

    def on_begin(self, start: SweepStart) -> None:
        """Tell all of them."""
        self._tell("on_begin", start)

    def on_trial_start(self, config: TrialConfig) -> None:
        """Tell all of them."""
        self._tell("on_trial_start", config)

    def on_progress(self, progress: Progress) -> None:
        """Tell all of them."""
        self._tell("on_progress", progress)

    def on_report(self, report: EpochReport) -> None:
        """Tell all of them."""
        self._tell("on_report", report)

    def on_trial_end(self, result: TrialResult) -> None:
        """Tell all of them."""
        self._tell("on_trial_end", result)

    def on_oracle(self, number: int, scores: Mapping[str, OracleScore]) -> None:
        """Tell all of them."""
        self._tell("on_oracle", number, scores)

    def on_message(self, text: str) -> None:
        """Tell all of them."""
        self._tell("on_message", text)

    def close(self) -> None:
        """Close all of them; later there is nothing left to close."""
        self._tell("close")
        self.observers.clear()

    def _tell(self, event: str, *content: object) -> None:
        for observer in list(self.observers):
            try:
                getattr(observer, event)(*content)
            except Exception as error:
                if observer.essential:
                    raise
                self._drop(observer, event, error)

    def _drop(self, observer: Observer, event: str, error: Exception) -> None:
        self.observers.remove(observer)
        with contextlib.suppress(Exception):  # it has failed already
            if event != "close":
                observer.close()
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        self.on_message(f"observer {type(observer).__name__} failed in {event} and is told nothing more ({reason})")
