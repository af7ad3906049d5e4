"""The samplers that learn from finished trials, and a check that a sweep's sampler has enough configurations."""

from __future__ import annotations

from importlib.util import find_spec

import optuna
from optuna.samplers import BaseSampler

from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError
from sweeper.search.cmaes import ReplayedCmaEs
from sweeper.search.configurations import PURE_SAMPLERS, configuration
from sweeper.search.seeds import sampler_seed


def make_sampler(config: SweepConfig, number: int) -> BaseSampler:
    """The learning sampler, seeded for trial `number`, so that a resumed sweep draws the same point.

    Raises:
        ConfigError: the sampler needs a package that is not installed.
    """
    seed = sampler_seed(config.search.seed, number)
    name = config.search.sampler
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
    if find_spec("cmaes") is None:
        raise ConfigError(
            "`search.sampler: cmaes` needs the package cmaes: pip install cmaes, or choose another sampler"
        )
    return ReplayedCmaEs(seed)


def check_trials(config: SweepConfig) -> None:
    """Raise ConfigError if the sampler has fewer configurations than the sweep needs, or is not installed."""
    if config.search.sampler in PURE_SAMPLERS:
        configuration(config, config.trials - 1)
    else:
        make_sampler(config, 0)
