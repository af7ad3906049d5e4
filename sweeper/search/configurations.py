"""Configuration k of a sweep for samplers that do not learn: a function of the sweep's seed and k."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError
from sweeper.search.seeds import grid_order, hyperparameter_draw, sobol_point, trial_seed
from trainers.records import Scalar, TrialConfig

PURE_SAMPLERS: Final = ("random", "qmc", "grid", "axes")


def configuration(config: SweepConfig, number: int) -> dict[str, Any]:
    """Configuration `number` of the sweep for random, qmc, grid and axes: a function of the sweep's seed and number.

    Raises:
        ConfigError: `number` exceeds the configurations of a grid or axes sweep.
    """
    sampler, seed = config.search.sampler, config.search.seed
    if sampler == "random":
        draws = [hyperparameter_draw(seed, number, name) for name in config.space]
        return _from_uniform(config.space, draws)
    if sampler == "qmc":
        return _from_uniform(config.space, sobol_point(len(config.space), seed, number))
    if sampler not in PURE_SAMPLERS:
        raise ValueError(f"`sampler` must be one of {', '.join(PURE_SAMPLERS)}, but got {sampler}")
    configurations = _grid(config) if sampler == "grid" else _axes(config)
    if number >= len(configurations):
        raise ConfigError(
            f"`trials` must be at most the {len(configurations)} configurations of this {sampler}, "
            f"but got {config.trials}; lower it, or raise `points`"
        )
    return configurations[number]


def _from_uniform(space: Mapping[str, BaseDistribution], draws: Sequence[float]) -> dict[str, Any]:
    return {
        name: _quantile(distribution, draw) for (name, distribution), draw in zip(space.items(), draws, strict=True)
    }


def _quantile(distribution: BaseDistribution, share: float) -> Any:
    """The quantile of the distribution at `share` in [0, 1).

    >>> _quantile(FloatDistribution(1e-4, 1.0, log=True), 0.5)
    0.01
    >>> [_quantile(IntDistribution(1, 3), share) for share in (0.0, 0.4, 0.99)]
    [1, 2, 3]
    """
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share * len(distribution.choices))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    whole = isinstance(distribution, IntDistribution)
    low, high = (distribution.low - 0.5, distribution.high + 0.5) if whole else (distribution.low, distribution.high)
    if distribution.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, distribution.low), distribution.high)
    return round(value) if whole else float(f"{value:.15g}")


def points_of(distribution: BaseDistribution, points: int) -> list[Any]:
    """The values of one axis of a grid: `points` evenly spaced values with both ends, or all choices of a categorical.

    >>> points_of(FloatDistribution(1e-4, 1.0, log=True), 3)
    [0.0001, 0.01, 1.0]
    >>> points_of(IntDistribution(1, 3), 5)
    [1, 2, 3]
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        values = [low * (high / low) ** share for share in np.linspace(0, 1, points)]
    else:
        values = [low + share * (high - low) for share in np.linspace(0, 1, points)]
    # Rounded to 12 digits, so that 1e-2 is not written as 0.010000000000000002, and kept within the bounds.
    exact = [min(max(float(f"{value:.12g}"), low), high) for value in values]
    rounded = [round(value) for value in exact] if isinstance(distribution, IntDistribution) else exact
    return list(dict.fromkeys(rounded))


def _values(config: SweepConfig) -> dict[str, list[Any]]:
    return {name: points_of(space, config.points.get(name, 0)) for name, space in config.space.items()}


def _grid(config: SweepConfig) -> list[dict[str, Any]]:
    """Every combination of the axes' values, shuffled by the seed so that the first few already cover the grid."""
    axes = _values(config)
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    order = grid_order(len(combinations), config.search.seed)
    return [combinations[index] for index in order]


def _axes(config: SweepConfig) -> list[dict[str, Any]]:
    """The centre, then the values of one hyperparameter at a time."""
    centre = _centre(config)
    moved = [{**centre, name: value} for name, values in _values(config).items() for value in values]
    return [centre, *(one for one in moved if one != centre)]


def _centre(config: SweepConfig) -> dict[str, Any]:
    """The value of each swept hyperparameter in `fixed`, else the method's default.

    Raises:
        ConfigError: a value is outside the hyperparameter's range.
    """
    from trainers.settings import hyperparameters

    known = hyperparameters(config.method)
    centre: dict[str, Any] = {}
    for name, distribution in config.space.items():
        value = config.fixed[name] if name in config.fixed else known[name].default
        try:
            inside = distribution._contains(distribution.to_internal_repr(value))
        except (TypeError, ValueError):
            inside = False
        if not inside:
            raise ConfigError(
                f"`axes` varies one hyperparameter at a time around a centre, but {config.method}'s default "
                f"{name} of {value} is outside `space.{name}`; give the centre in `fixed.{name}`"
            )
        centre[name] = value
    return centre


def make_trial_config(config: SweepConfig, number: int, hyperparameters: Mapping[str, Scalar]) -> TrialConfig:
    """The TrialConfig of run `number`; its device is set when the trial is dispatched."""
    return TrialConfig(
        method=config.method,
        dataset=dict(config.dataset),
        encoder=dict(config.encoder),
        epochs=config.epochs,
        batch_size=config.batch_size,
        hyperparameters={**config.fixed, **hyperparameters},
        swept=tuple(config.space),
        criteria=config.criteria,
        criteria_sample=config.criteria_sample,
        criteria_every=config.criteria_every,
        oracle=config.oracle,
        oracle_choices=dict(config.oracle_choices),
        trial=number,
        configuration=number // config.seeds,
        seed=trial_seed(config.search.seed, number),
        threads=max(1, int(config.resources.cpus)),
    )
