"""The Optuna study, which is a sweep's state: it draws configurations, stores what trials report, and prunes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config.model import SweepConfig, to_mapping
from sweeper.errors import ResultsError
from sweeper.search.configurations import PURE_SAMPLERS, configuration, make_trial_config
from sweeper.search.samplers import make_sampler
from sweeper.search.seeds import trial_seed
from trainers.records import COLLAPSED, COMPLETED, DIVERGED, FAILED, PRUNED, Scalar, TrialConfig

SETTLED: Final = (
    *("method", "encoder", "epochs", "batch_size", "space", "fixed", "criteria", "criteria_sample"),
    *("objective", "search", "seeds"),
)
"""The keys that must not change once a sweep has begun: the numbers that are compared depend on them."""
STATES: Final[Mapping[str, TrialState]] = {
    COMPLETED: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    COLLAPSED: TrialState.PRUNED,
    DIVERGED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
}
MARKED: Final = (COLLAPSED, DIVERGED)
"""Statuses that Optuna does not have: PRUNED with a user attribute of that name."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study knows it; `status` is "" while it runs."""

    number: int
    configuration: int
    seed: int
    hyperparameters: Mapping[str, Scalar]
    status: str
    reason: str
    audited: bool
    would_prune_epoch: int | None
    started_at: datetime | None
    finished_at: datetime | None
    value: float | None
    """The objective at the end, of a completed trial."""
    reported: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> objective, for the epochs that were reported."""


class Study:
    """One sweep's Optuna study. Run k is trial k: configuration k // seeds, the (k mod seeds)-th of its seeds."""

    def __init__(self, config: SweepConfig, study: optuna.Study, storage: RDBStorage | None = None) -> None:
        self.config = config
        self.study = study
        self.storage = storage
        self.maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE

    def close(self) -> None:
        """Close the connections to the storage."""
        if self.storage is not None:
            release(self.storage)

    def claim(self, sweep: str, folder: Path) -> None:
        """Make the study that of one sweep, by the id and the settings in its sweep.yaml, and of one folder.

        A sweep.yaml without an id takes it as it is.

        Raises:
            ResultsError: it is another sweep's, the sweep was another when it began, or this folder is a copy of one
                whose study it shares.
        """
        if not sweep:
            return
        claimed = {"sweep": sweep, "settings": {key: to_mapping(self.config)[key] for key in SETTLED}}
        claimed = json.loads(json.dumps(claimed))  # as the storage gives it back
        if "sweep" not in self.study.user_attrs:
            for key, value in claimed.items():
                self.study.set_user_attr(key, value)
        if self.study.user_attrs["sweep"] != sweep:
            raise ResultsError(
                f"the study {self.study.study_name} in `storage` is another sweep's, of the same name; "
                "start this one anew with another --name"
            )
        if self.config.storage is not None:
            home = Path(self.study.user_attrs.get("folder", folder))
            if home != folder and (home / "sweep.yaml").is_file():
                raise ResultsError(
                    f"{folder} is a copy of {home}, and both have one study in `storage`; resume that one"
                )
            self.study.set_user_attr("folder", str(folder))
        began = self.study.user_attrs.get("settings", claimed["settings"])
        changed = [f"`{key}`" for key in SETTLED if began[key] != claimed["settings"][key]]
        if changed:
            raise ResultsError(
                f"{', '.join(changed)} in sweep.yaml changed since the sweep began: its trials could not be compared; "
                "put the old values back, or run a new sweep"
            )

    @property
    def runs(self) -> int:
        """How many trials the sweep has in all."""
        return self.config.trials * self.config.seeds

    def started(self) -> int:
        """How many trials have been started so far."""
        return len(self._trials())

    def start(self) -> int | None:
        """Start the next trial and return its number; None where all have been started.

        The trial enters the storage in one transaction, with its parameters: a driver killed here leaves it whole
        or not at all.
        """
        number = self.started()
        if number >= self.runs:
            return None
        params, system = self._draw(number)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=dict(self.config.space),
            user_attrs={
                "configuration": number // self.config.seeds,
                "seed": trial_seed(self.config.search.seed, number),
            },
            system_attrs=system,
        )
        self.study.add_trial(trial)
        return number

    def _draw(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters of trial `number`, and the attributes that the sampler stores with them."""
        first = number // self.config.seeds * self.config.seeds
        if self.config.search.sampler in PURE_SAMPLERS:
            return configuration(self.config, number // self.config.seeds), {}
        if number > first:
            return dict(self._trials()[first].params), {}
        # A copy in memory is asked, so that the real storage never holds half a configuration. The sampler is new for
        # every number, seeded by it, so that it draws the same after a resume.
        copy = optuna.create_study(
            study_name=self.study.study_name,
            direction=self.study.direction,
            sampler=make_sampler(self.config, number),
            pruner=self.study.pruner,
        )
        copy.add_trials(self._trials())
        asked = copy.ask(dict(self.config.space))
        return asked.params, dict(copy.get_trials(deepcopy=False)[asked.number].system_attrs)

    def trial_config(self, number: int) -> TrialConfig:
        """The TrialConfig of trial `number`."""
        record = self.record(number)
        return make_trial_config(self.config, number, record.hyperparameters)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Store the objective after an epoch; a stored one stays."""
        trial = self._trials()[number]
        if epoch not in trial.intermediate_values:
            optuna.trial.Trial(self.study, trial._trial_id).report(value, epoch)

    def median_of_completed(self, epoch: int) -> float:
        """Median of the objective after an epoch over the trials that have completed; NaN where there are none."""
        completed = [trial for trial in self._trials() if trial.state == TrialState.COMPLETE]
        values = [trial.intermediate_values.get(epoch) for trial in completed]
        known = [value for value in values if value is not None]
        return float(np.nanmedian(known)) if known and not np.isnan(known).all() else math.nan

    def should_prune(self, number: int) -> bool:
        """The pruner's answer for a trial after its last report."""
        return bool(self.study.pruner.prune(self.study, self._trials()[number]))

    def mark_audited(self, number: int, epoch: int) -> None:
        """Record that the pruner would have stopped the trial at `epoch`, and that it runs to the end."""
        self._note(number, "would_prune_epoch", epoch)
        self._note(number, "audited", True)

    def finish(self, number: int, status: str, reason: str = "", value: float | None = None) -> None:
        """Record how a trial ended; the record of an ended trial is not changed."""
        if self._trials()[number].state.is_finished():
            return
        if reason:
            self._note(number, "reason", reason)
        if status in MARKED:
            self._note(number, status, True)
        self.study.tell(number, value if status == COMPLETED else None, state=STATES[status])

    def _note(self, number: int, key: str, value: Any) -> None:
        trial = self._trials()[number]
        optuna.trial.Trial(self.study, trial._trial_id).set_user_attr(key, value)

    def record(self, number: int) -> TrialRecord:
        """The study's record of one trial."""
        return _record(self._trials()[number])

    def records(self) -> list[TrialRecord]:
        """The study's records of all started trials, in the order of their numbers."""
        return [_record(trial) for trial in self._trials()]

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    status = next((name for name, state in STATES.items() if state == trial.state), "")
    marked = [name for name in MARKED if attributes.get(name) and status == PRUNED]
    return TrialRecord(
        number=trial.number,
        configuration=attributes["configuration"],
        seed=attributes["seed"],
        hyperparameters=dict(trial.params),
        status=marked[0] if marked else status,
        reason=attributes.get("reason", ""),
        audited=attributes.get("audited", False),
        would_prune_epoch=attributes.get("would_prune_epoch"),
        started_at=_utc(trial.datetime_start),
        finished_at=_utc(trial.datetime_complete),
        value=trial.value,
        reported=dict(trial.intermediate_values),
    )


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna keeps local times without a zone."""
    return None if moment is None else moment.astimezone(UTC)


def release(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
