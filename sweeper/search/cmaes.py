"""CMA-ES that reads only numbers from the study, so that nothing from a storage is unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

GENERATION: Final = "cma:generation"
"""The system attribute with a trial's generation; Optuna's own sampler uses the same name."""


class ReplayedCmaEs(BaseSampler):
    """CMA-ES with the defaults of Optuna's CmaEsSampler; each draw rebuilds the optimizer from the finished trials.

    Optuna's sampler stores the optimizer in the study as a pickle and unpickles it, so that a study from somebody else
    could run code here. This sampler reads only the parameters, the value and the generation number of each trial.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._independent = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The numeric hyperparameters with more than one value; none before a trial has completed."""
        common = intersection_search_space(study.get_trials(deepcopy=False))
        return {
            name: distribution
            for name, distribution in common.items()
            if isinstance(distribution, FloatDistribution | IntDistribution) and not distribution.single()
        }

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A point from the distribution after the finished generations; an empty dict before a trial has completed."""
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not search_space or not completed:
            return {}
        transform = _SearchSpaceTransform(search_space, transform_0_1=True)
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        drawn, generation = _replay(_by_generation(completed), transform, sign, self._seed)
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, generation)
        return transform.untransform(drawn)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, for categorical hyperparameters and for the first trials."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)


def _by_generation(completed: Sequence[FrozenTrial]) -> dict[int, list[FrozenTrial]]:
    """The trials of each generation, in the order in which they completed.

    With this order, a trial that completes late does not change the trials that the optimizer used before.
    """
    generations: dict[int, list[FrozenTrial]] = {}
    for trial in sorted(completed, key=lambda one: (one.datetime_complete or datetime.max, one.number)):
        generation = trial.system_attrs.get(GENERATION)
        if isinstance(generation, int):
            generations.setdefault(generation, []).append(trial)
    return generations


def _replay(
    generations: Mapping[int, Sequence[FrozenTrial]], transform: _SearchSpaceTransform, sign: float, seed: int
) -> tuple[NDArray[np.float64], int]:
    """The next point in the unit cube, and its generation: the first one that is not yet complete."""
    from cmaes import CMA

    bounds = transform.bounds
    optimizer = CMA(
        mean=np.full(len(bounds), 0.5), sigma=1 / 6, bounds=bounds, n_max_resampling=10 * len(bounds), seed=seed
    )
    while len(trials := generations.get(optimizer.generation, ())) >= optimizer.population_size:
        optimizer.tell([_solution(trial, transform, sign) for trial in trials[: optimizer.population_size]])
    return optimizer.ask(), optimizer.generation


def _solution(trial: FrozenTrial, transform: _SearchSpaceTransform, sign: float) -> tuple[NDArray[np.float64], float]:
    assert trial.value is not None  # completed trials have a value
    return transform.transform(trial.params), sign * trial.value
