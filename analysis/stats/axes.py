"""One hyperparameter at a time: the τ of the trials that differ in it alone, or τ given all other hyperparameters.

Each with and without collapsed and diverged trials: a criterion may tell these from the others and nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from analysis.data.columns import Criteria, parse_criteria, swept
from analysis.stats.across import sound_trials
from analysis.stats.bootstrap import Floats, make_pairs, standard_error, tau_and_influence
from analysis.stats.hyperparameters import FEWEST, OVERALL
from analysis.stats.ranking import estimate, interval, is_constant, judged_trials
from trainers.records import CONFIG_PREFIX

ALONE = "alone"
GIVEN_OTHERS = "given the others"
FEWEST_ALONE = 5
"""From this many trials that differ in one hyperparameter alone, τ is over them."""
SINGULAR = 1e-9
"""Matrices of τ with a smaller determinant give no partial τ: one variable follows from the others."""

Taus = tuple[int, float, float, float]
"""n, τ and the ends of its interval."""


def by_axis(trials: DataFrame, criteria: Criteria = None, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep, criterion and hyperparameter, and one over the whole sweep: τ with the oracle.

    The design is `alone` if at least five trials differ in this hyperparameter alone, as in a sweep with
    `sampler: axes`; of several such groups the largest is taken, the first among equals. Otherwise it is
    `given the others`: the partial τ of criterion and oracle given all other numeric hyperparameters. `tau_sound` is
    the same without collapsed and diverged trials.
    """
    chosen = [criterion for criterion in parse_criteria(trials.columns, criteria) if not criterion.layer]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        names = swept(part)
        for criterion in chosen:
            judged = judged_trials(part, criterion, oracle).join(part[names])
            for name in (*names, OVERALL):
                row = {"sweep": sweep, "criterion": criterion.name, "hyperparameter": name.removeprefix(CONFIG_PREFIX)}
                rows.append({**row, **by_axis_one(judged, name, [other for other in names if other != name])})
    return DataFrame(rows)


def by_axis_one(judged: DataFrame, name: str, others: Sequence[str]) -> dict[str, object]:
    """The design and the τ of one row of by_axis.csv, from the judged trials with their hyperparameters."""
    kept = sound_trials(judged)
    group = judged if name == OVERALL else largest_alone(judged, name, others)
    design = OVERALL if name == OVERALL else ALONE if len(group) >= FEWEST_ALONE else GIVEN_OTHERS

    def taus(table: DataFrame) -> Taus:
        if design == GIVEN_OTHERS:
            return given_others(table, others)
        return plain(table[table.index.isin(group.index)])

    row: dict[str, object] = {"design": design}
    for suffix, table in (("", judged), ("_sound", kept)):
        columns = (f"n{suffix}", f"tau{suffix}", f"tau{suffix}_low", f"tau{suffix}_high")
        row |= dict(zip(columns, taus(table), strict=True))
    return row


def largest_alone(judged: DataFrame, name: str, others: Sequence[str]) -> DataFrame:
    """The largest group of trials that have equal values of all other hyperparameters and differ in this one."""
    if not others:
        return judged
    groups = [part for _, part in judged.groupby(list(others), sort=False, dropna=False) if part[name].nunique() > 1]
    return max(groups, key=len, default=judged.head(0))


def plain(judged: DataFrame) -> Taus:
    """τ of some trials, as in ranking.csv."""
    weights = judged["weight"].to_numpy() if judged["weight"].nunique() > 1 else None
    scores = (judged[column].to_numpy() for column in ("score", "truth"))
    found = estimate(*scores, weights=weights, groups=judged["configuration"].to_numpy(), with_p=False)
    return found.n, found.tau, found.low, found.high


def given_others(judged: DataFrame, others: Sequence[str]) -> Taus:
    """Partial τ of criterion and oracle given the numeric ones among the `others`; no interval below ten trials."""
    numeric = [name for name in others if pd.api.types.is_numeric_dtype(judged[name])]
    known = judged.dropna(subset=numeric)
    n = len(known)
    columns = [known[name].to_numpy(dtype=float) for name in ("score", "truth", *numeric)]
    columns = columns[:2] + [values for values in columns[2:] if not is_constant(values)]
    if n < len(columns) + 2 or any(is_constant(values) for values in columns):
        return n, math.nan, math.nan, math.nan
    weights = known["weight"].to_numpy() if known["weight"].nunique() > 1 else None
    tau, influence = partial_of_matrix(*tau_matrix(columns, weights))
    groups = known["configuration"].to_numpy()
    units = len(np.unique(groups))
    if units < FEWEST or not math.isfinite(tau):
        return n, tau, math.nan, math.nan
    return n, tau, *interval(tau, standard_error(influence, groups), units)


def tau_matrix(columns: Sequence[Floats], weights: Floats | None) -> tuple[Floats, NDArray[np.float64]]:
    """τ-b of every two of m variables (n,): (m, m), and the influences of the trials: (n, m, m)."""
    m, n = len(columns), len(columns[0])
    taus, influences = np.eye(m), np.zeros((n, m, m))
    for one in range(m):
        for other in range(one):
            tau, influence = tau_and_influence(make_pairs(columns[one], columns[other]), weights)
            taus[one, other] = taus[other, one] = tau
            influences[:, one, other] = influences[:, other, one] = influence
    return taus, influences


def partial_of_matrix(taus: Floats, influences: NDArray[np.float64]) -> tuple[float, Floats]:
    """The partial τ of the first two variables given all others, from the inverse P of the matrix of τ; its influence.

    −P₀₁/√(P₀₀P₁₁), which for one other variable is Kendall's formula (1942, Biometrika 32); dP = −P dT P gives its
    influence by the chain rule.

    >>> matrix = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]])
    >>> round(partial_of_matrix(matrix, np.zeros((4, 3, 3)))[0], 4)
    0.3333
    """
    if np.linalg.det(taus) < SINGULAR:
        return math.nan, np.full(len(influences), math.nan)
    inverse = np.linalg.inv(taus)
    slopes = -inverse @ influences @ inverse
    a, b, c = inverse[0, 1], inverse[0, 0], inverse[1, 1]
    tau = float(-a / math.sqrt(b * c))
    slope = -slopes[:, 0, 1] / math.sqrt(b * c) - tau / 2 * (slopes[:, 0, 0] / b + slopes[:, 1, 1] / c)
    return min(1.0, max(-1.0, tau)), slope
