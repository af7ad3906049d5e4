"""The Optuna study, which is the state of a sweep: it draws configurations, stores reports, and prunes."""

from __future__ import annotations

import copy
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
    *("criteria_every", "objective", "search", "seeds"),
)
"""The keys that must not change after a sweep has begun, because the compared numbers depend on them."""
EARLIER: Final = {"criteria_every": 1}
"""Keys that studies of earlier versions lack, with the values that they meant."""
STATES: Final[Mapping[str, TrialState]] = {
    COMPLETED: TrialState.COMPLETE,
    PRUNED: TrialState.PRUNED,
    COLLAPSED: TrialState.PRUNED,
    DIVERGED: TrialState.PRUNED,
    FAILED: TrialState.FAIL,
}
MARKED: Final = (COLLAPSED, DIVERGED)
"""The statuses that Optuna does not have; they are stored as PRUNED, with a user attribute of that name."""


@dataclass(frozen=True)
class TrialRecord:
    """The study's record of one trial; `status` is "" while it runs."""

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
    """The final objective of a completed trial."""
    reported: Mapping[int, float] = field(default_factory=dict)
    """Epoch -> objective, for the reported epochs."""


class Study:
    """One sweep's Optuna study. Trial k runs configuration k // seeds with the seed number k mod seeds."""

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
        """Bind the study to one sweep, by the id and settings of its sweep.yaml, and to one folder.

        A sweep.yaml without an id is not checked.

        Raises:
            ResultsError: the study belongs to another sweep, settings have changed since the sweep began, or the
                folder is a copy of another one with the same study.
        """
        if not sweep:
            return
        claimed = {"sweep": sweep, "settings": {key: to_mapping(self.config)[key] for key in SETTLED}}
        claimed = json.loads(json.dumps(claimed))  # the same types as when read from the storage
        if "sweep" not in self.study.user_attrs:
            for key, value in claimed.items():
                self.study.set_user_attr(key, value)
        if self.study.user_attrs["sweep"] != sweep:
            raise ResultsError(
                f"the study {self.study.study_name} in `storage` belongs to another sweep of the same name; "
                "start this sweep with another --name"
            )
        if self.config.storage is not None:
            home = Path(self.study.user_attrs.get("folder", folder))
            if home != folder and (home / "sweep.yaml").is_file():
                raise ResultsError(
                    f"{folder} is a copy of {home}, and both share one study in `storage`; resume {home}"
                )
            self.study.set_user_attr("folder", str(folder))
        began = EARLIER | self.study.user_attrs.get("settings", claimed["settings"])
        changed = [f"`{key}`" for key in SETTLED if began[key] != claimed["settings"][key]]
        if changed:
            raise ResultsError(
                f"{', '.join(changed)} in sweep.yaml changed since the sweep began, so trials would not be comparable; "
                "restore the old values, or start a new sweep"
            )

    @property
    def runs(self) -> int:
        """The total number of trials in the sweep."""
        return self.config.trials * self.config.seeds

    def started(self) -> int:
        """The number of trials started so far."""
        return len(self._trials())

    def start(self) -> int | None:
        """Start the next trial and return its number; None if all have been started.

        The trial and its parameters are stored in one transaction, so that a driver killed here leaves either the whole
        trial or nothing.
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
        """The parameters of trial `number`, and the system attributes that the sampler stores with them."""
        first = number // self.config.seeds * self.config.seeds
        if self.config.search.sampler in PURE_SAMPLERS:
            return configuration(self.config, number // self.config.seeds), {}
        if number > first:
            return dict(self._trials()[first].params), {}
        # The draw uses a copy in memory, so that the storage never holds an incomplete configuration. Each trial has a
        # new sampler, seeded by its number, so that a resumed sweep draws the same.
        draft = optuna.create_study(
            study_name=self.study.study_name,
            direction=self.study.direction,
            sampler=make_sampler(self.config, number),
            pruner=self.study.pruner,
        )
        draft.add_trials(map(SharedTrial.of, self._trials()))
        asked = draft.ask(dict(self.config.space))
        return asked.params, dict(draft.get_trials(deepcopy=False)[asked.number].system_attrs)

    def trial_config(self, number: int) -> TrialConfig:
        """The TrialConfig of trial `number`."""
        record = self.record(number)
        return make_trial_config(self.config, number, record.hyperparameters)

    def report(self, number: int, epoch: int, value: float) -> None:
        """Store the objective after an epoch; a value that is already stored is kept."""
        trial = self._trials()[number]
        if epoch not in trial.intermediate_values:
            optuna.trial.Trial(self.study, trial._trial_id).report(value, epoch)

    def median_of_completed(self, epoch: int) -> float:
        """Median of the objective after an epoch, over the completed trials; NaN if there are none."""
        completed = [trial for trial in self._trials() if trial.state == TrialState.COMPLETE]
        values = [trial.intermediate_values.get(epoch) for trial in completed]
        known = [value for value in values if value is not None]
        return float(np.nanmedian(known)) if known and not np.isnan(known).all() else math.nan

    def should_prune(self, number: int) -> bool:
        """Whether the pruner would stop a trial after its last report."""
        return bool(self.study.pruner.prune(self.study, self._trials()[number]))

    def mark_audited(self, number: int, epoch: int) -> None:
        """Record that the pruner would have stopped the trial at `epoch`, and that the trial runs to its end."""
        self._note(number, "would_prune_epoch", epoch)
        self._note(number, "audited", True)

    def finish(self, number: int, status: str, reason: str = "", value: float | None = None) -> None:
        """Record how a trial ended; a trial that has already ended is not changed."""
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

    def best(self) -> tuple[int, float] | None:
        """The completed trial with the best objective, the first of equals, and its objective."""
        sign = 1 if self.maximize else -1
        found = [(sign * record.value, -record.number) for record in self.records() if record.value is not None]
        return None if not found else (-max(found)[1], sign * max(found)[0])

    def record(self, number: int) -> TrialRecord:
        """The study's record of one trial."""
        return _record(self._trials()[number])

    def records(self) -> list[TrialRecord]:
        """The study's records of all started trials, in the order of their numbers."""
        return [_record(trial) for trial in self._trials()]

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)


class SharedTrial(FrozenTrial):
    """A trial that a second study only reads: a deep copy of it has its own number, and shares everything else.

    Optuna copies each trial that is added to a study in memory, which is most of the time of a draw.
    """

    @classmethod
    def of(cls, trial: FrozenTrial) -> SharedTrial:
        """The same trial, as one that is shared."""
        shared = cls.__new__(cls)
        shared.__dict__.update(trial.__dict__)
        return shared

    def __deepcopy__(self, memo: dict[int, Any]) -> SharedTrial:
        return copy.copy(self)


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    if not isinstance(attributes.get("configuration"), int) or not isinstance(attributes.get("seed"), int):
        raise ResultsError(
            f"trial {trial.number} of the study has no `configuration` and `seed`, so another program added it; "
            "delete it from the study, or run a new sweep"
        )
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
    """Convert a time of Optuna, which is local and without a zone, to UTC."""
    return None if moment is None else moment.astimezone(UTC)


def release(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
