"""Which hyperparameters decide the accuracy, and which decide each criterion: Optuna's PED-ANOVA."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from analysis.data.columns import Criteria, ScoreColumn, parse_criteria, swept
from analysis.stats.selection import completed
from trainers.records import CONFIG_PREFIX

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST: Final = 10
"""Fewer trials give no importance."""
TOP: Final = 5
"""The least number of trials that count as the best ones, as PED-ANOVA's documentation advises."""
QUARTER: Final = 0.25
"""The share of the trials that count as the best ones, if it is at least `TOP`."""
LOG: Final = 10.0
"""Without a search space, only numbers whose largest is this many times the smallest can be on a log scale."""

Settings = Mapping[str, Any]
"""A sweep.yaml."""


def importance(
    trials: DataFrame,
    criteria: Criteria = None,
    *,
    oracle: str = "oracle",
    sweeps: Mapping[str, Settings] = MappingProxyType({}),
) -> DataFrame:
    """One row per sweep, score (the oracle or a criterion) and swept hyperparameter: its share of the importance.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023, IJCAI): how much the best quarter of the completed trials differs from all
    of them in this hyperparameter. The shares of a score sum to 1. Scores with fewer than ten values, or with one value
    only, are left out. `sweeps`: sweep -> its sweep.yaml, which says what is on a log scale.
    """
    chosen = [criterion for criterion in parse_criteria(trials.columns, criteria) if not criterion.layer]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = [
        {"sweep": sweep, "score": score.name, "hyperparameter": name, "importance": share, "n": n}
        for sweep, part in table.groupby("sweep", sort=False)
        for done in [completed(part)]
        for score in (ScoreColumn(oracle), *chosen)
        for name, share, n in shares(done, score, sweeps.get(str(sweep), {}))
    ]
    return DataFrame(rows)


def shares(trials: DataFrame, score: ScoreColumn, settings: Settings) -> Iterator[tuple[str, float, int]]:
    """Hyperparameter, share and number of trials, for one score; nothing if the trials do not suffice."""
    values = score.scores(trials).dropna()
    known = trials[[name for name in map(str, trials) if name.startswith(CONFIG_PREFIX)]].loc[values.index]
    names = [name for name in swept(known) if known[name].notna().all()]
    if len(values) < FEWEST or values.nunique() < 2 or not names:
        return
    found = ped_anova(known[names], values, settings)
    for name in names:
        if math.isfinite(found.get(name, math.nan)):
            yield name.removeprefix(CONFIG_PREFIX), found[name], len(values)


def ped_anova(hyperparameters: DataFrame, scores: Series[float], settings: Settings) -> dict[str, float]:
    """Name -> share, from a study in memory; more of the score is better."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    columns = {str(name): as_plain(hyperparameters[name]) for name in hyperparameters}
    spaces = {name: distribution(values, log=is_log(name, values, settings)) for name, values in columns.items()}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize")  # PED-ANOVA looks for low values
        for place, score in enumerate(scores):
            params = {name: values[place] for name, values in columns.items()}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=-float(score)))
        quantile = min(1.0, max(QUARTER, TOP / len(scores)))
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {name: float(share) for name, share in found.items()}


def as_plain(values: Series[Any]) -> list[Any]:
    """Numbers as floats, anything else as text."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return [float(value) for value in values]
    return [str(value) for value in values]


def distribution(values: Sequence[Any], *, log: bool) -> BaseDistribution:
    """Optuna's distribution over the values that were seen."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(values[0], str):
        return CategoricalDistribution(tuple(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=log)


def is_log(name: str, values: Sequence[Any], settings: Settings) -> bool:
    """Whether a hyperparameter is on a log scale: by the search space, or else by the values.

    Values are, if they are positive, span a factor of ten, and are less skewed as logarithms.

    >>> is_log("config.lr", [0.1, 0.2], {"space": {"lr": {"type": "float", "log": True}}})
    True
    >>> is_log("config.lr", [1e-4, 1e-3, 1e-1], {}), is_log("config.x", [0.01, 0.2, 0.3, 0.4], {})
    (True, False)
    """
    space = settings.get("space")
    axis = space.get(name.removeprefix(CONFIG_PREFIX)) if isinstance(space, Mapping) else None
    if isinstance(axis, Mapping) and "log" in axis:
        return bool(axis["log"])
    if not values or isinstance(values[0], str) or min(values) <= 0 or max(values) < LOG * min(values):
        return False
    found = np.asarray(values, dtype=np.float64)
    return skewness(np.log(found)) < skewness(found)


def skewness(values: NDArray[np.float64]) -> float:
    """|m₃| / m₂^(3/2), of the central moments."""
    centred = values - values.mean()
    spread = float((centred**2).mean()) ** 1.5
    return abs(float((centred**3).mean())) / spread if spread else 0.0
