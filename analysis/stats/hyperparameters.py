"""One hyperparameter at a time: partial τ given its value, and selection among trials that differ in it alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import Criteria, ScoreColumn, parse_criteria, swept
from analysis.stats.bootstrap import Floats, make_pairs, standard_error, tau_and_influence
from analysis.stats.ranking import interval, is_constant, judged_trials
from analysis.stats.selection import completed, order_by
from trainers.records import CONFIG_PREFIX

OVERALL = "overall"
BINS = 3
"""Bins of a hyperparameter with more than FEW values; with a dozen trials, each bin still holds four."""
FEW = 5
FEWEST = 10
"""A partial τ of fewer trials gets no interval: the jackknife interval of three τ would be far too narrow."""


def partial(trials: DataFrame, criteria: Criteria = None, *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep, criterion and numeric hyperparameter: τ with the oracle, given the hyperparameter.

    τ_xy·z = (τ_xy − τ_xz τ_yz) / √((1 − τ_xz²)(1 − τ_yz²)) (Kendall 1942, Biometrika 32). Its interval is from the
    jackknife as in `ranking`, and NaN below ten trials. It removes most of the association that exists because both
    variables rise or fall with the hyperparameter. If there is no other association, it is near 0 but not always 0
    (Korn 1984, American Statistician 38). τ with the oracle is signed so that more is better; `tau_criterion` is the τ
    of the unsigned column with the hyperparameter.
    """
    chosen = [criterion for criterion in parse_criteria(trials.columns, criteria) if not criterion.layer]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        numeric = [name for name in swept(part) if pd.api.types.is_numeric_dtype(part[name])]
        for criterion in chosen:
            judged = judged_trials(part, criterion, oracle).join(part[numeric])
            for name in numeric:
                row = {"sweep": sweep, "criterion": criterion.name, "hyperparameter": name.removeprefix(CONFIG_PREFIX)}
                rows.append({**row, **partial_one(judged, name, 1 if criterion.higher_is_better else -1)})
    return DataFrame(rows)


def partial_one(judged: DataFrame, name: str, sign: int) -> dict[str, object]:
    """The numbers of one row of partial.csv; `sign` is -1 if less of the criterion is better."""
    judged = judged.assign(given=judged[name].astype(float)).dropna(subset=["given"])
    score, truth, given = (judged[column].to_numpy() for column in ("score", "truth", "given"))
    n = len(judged)
    row: dict[str, object] = {"n": n}
    names = ("tau", "tau_given", "tau_given_low", "tau_given_high", "tau_criterion", "tau_oracle")
    if n < 4 or any(is_constant(values) for values in (score, truth, given)):
        return {**row, **dict.fromkeys(names, math.nan)}
    weights = judged["weight"].to_numpy() if judged["weight"].nunique() > 1 else None
    together, of_score, of_truth = (
        tau_and_influence(make_pairs(one, other), weights)
        for one, other in ((score, truth), (score, given), (truth, given))
    )
    tau, influence = partial_tau(together, of_score, of_truth)
    groups = judged["configuration"].to_numpy()
    units = len(np.unique(groups))
    known = math.isfinite(tau) and units >= FEWEST
    low, high = interval(tau, standard_error(influence, groups), units) if known else (math.nan, math.nan)
    return {**row, **dict(zip(names, (together[0], tau, low, high, sign * of_score[0], of_truth[0]), strict=True))}


def partial_tau(
    together: tuple[float, Floats], first: tuple[float, Floats], second: tuple[float, Floats]
) -> tuple[float, Floats]:
    """Kendall's partial τ from the three τ and their influences (n,), with its own influence by the chain rule.

    >>> nothing = np.zeros(3)
    >>> round(partial_tau((0.5, nothing), (0.5, nothing), (0.5, nothing))[0], 4)
    0.3333
    """
    (a, of_a), (b, of_b), (c, of_c) = together, first, second
    rest = (1 - b**2) * (1 - c**2)
    if rest < 1e-12:
        return math.nan, np.full_like(of_a, math.nan)
    tau = min(1.0, max(-1.0, (a - b * c) / math.sqrt(rest)))
    slope = (of_a - c * of_b - b * of_c) / math.sqrt(rest)
    return tau, slope + tau * (b * of_b / (1 - b**2) + c * of_c / (1 - c**2))


def select_by_hyperparameter(trials: DataFrame, criteria: Criteria = None, *, oracle: str = "oracle") -> DataFrame:
    """For each sweep, chooser and hyperparameter, the oracle of the selected trial, as in the tables of the papers.

    Choosers are the criteria, `oracle` (the best trial) and `random` (the mean). If the sweep varies one hyperparameter
    at a time, the trials in which only this one varies are compared (`alone`). Otherwise the trials are binned by its
    value, one trial is selected in each bin, and the result is the mean over bins (`binned`).
    """
    chosen = [criterion for criterion in parse_criteria(trials.columns, criteria) if not criterion.layer]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    read = {"trial", *(criterion.name for criterion in chosen)}
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        done = completed(part if "trial" in part else part.assign(trial=range(len(part))))
        held = [name for name in map(str, done) if name in read or name.startswith(CONFIG_PREFIX)]
        done = done[held].assign(truth=ScoreColumn(oracle).scores(done)).dropna(subset=["truth"])
        for name, design, bins in cells(done):
            kept = [kept_in(group, chosen) for group in bins]
            for chooser in [criterion.name for criterion in chosen] + ["oracle", "random"]:
                value = float(np.mean([one[chooser] for one in kept])) if kept else math.nan
                best = float(np.mean([one["oracle"] for one in kept])) if kept else math.nan
                rows.append(
                    {
                        "sweep": sweep,
                        "criterion": chooser,
                        "hyperparameter": name,
                        "design": design,
                        "bins": len(kept),
                        "n": sum(len(group) for group in bins),
                        "oracle": value,
                        "best_oracle": best,
                        "regret": best - value,
                    }
                )
    return DataFrame(rows)


def cells(done: DataFrame) -> Iterator[tuple[str, str, list[DataFrame]]]:
    """Per hyperparameter: name, design, and the groups of trials to select within; at last, all trials as one group."""
    names = swept(done)
    centre = {name: done[name].mode(dropna=False).iloc[0] for name in names}
    moved = DataFrame({name: done[name] != centre[name] for name in names})
    one_at_a_time = len(names) > 1 and bool((moved.sum(axis=1) <= 1).all())
    for name in names:
        if one_at_a_time:
            yield name.removeprefix(CONFIG_PREFIX), "alone", [done[~moved.drop(columns=name).any(axis=1)]]
        else:
            yield name.removeprefix(CONFIG_PREFIX), "binned", [group for _, group in done.groupby(bins_of(done[name]))]
    yield OVERALL, OVERALL, [done] if len(done) else []


def bins_of(values: Series[float]) -> Series[int]:
    """The bin of each trial: one bin per value if there are few values, else thirds."""
    few = values.nunique() <= FEW or not pd.api.types.is_numeric_dtype(values)
    codes = pd.factorize(values)[0] if few else pd.qcut(values.rank(method="first"), BINS, labels=False)
    return pd.Series(np.asarray(codes), index=values.index)


def kept_in(group: DataFrame, criteria: Sequence[ScoreColumn]) -> dict[str, float]:
    """The oracle of the trial that each chooser selects in one group of trials."""
    kept = {"oracle": float(group["truth"].max()), "random": float(group["truth"].mean())}
    for criterion in criteria:
        ordered = order_by(group, criterion)
        kept[criterion.name] = float(ordered["truth"].iloc[0]) if len(ordered) else math.nan
    return kept
