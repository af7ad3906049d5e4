"""What is true of the sweeps: first what the data show, then how sure it is, then what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import is_layer
from analysis.data.results import Results
from analysis.stats.cost import PROBE, PROBE_EVERY_EPOCH, WORK
from analysis.stats.judgement import Judgement, rows_with, without_layers
from analysis.text.cautions import SMALL
from analysis.text.numbers import capitalised, interval, number, probability, subject, tau_with_trials, trial_of
from trainers.formats import accuracy, counted, listed, percent
from trainers.records import COMPLETED, STATUSES

MOST: Final = 0.8
"""The share of the trials from which most of them are said to be better than the untrained encoder."""
PAIRS: Final = 3
"""The most pairs of criteria that a sentence names; more are counted."""
EVEN: Final = 1.1
"""Two costs within a tenth of each other count as the same."""

Row = Mapping[Any, Any]


def headline(results: Results) -> str:
    """One line on what was judged: method, data set, encoder, trials and the range of the oracle."""
    trials = results.trials
    parts = [str(trials[name].iloc[0]) for name in ("method", "dataset", "encoder") if name in trials]
    counts = trials["status"].value_counts()
    states = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    parts.append(f"{counted(len(trials), 'trial')} ({states})")
    oracle = trials["oracle"].dropna()
    if len(oracle):
        images = test_images(trials)
        measured = f" on {images} test images" if images is not None else ""
        parts.append(f"oracle from {accuracy(oracle.min())} to {accuracy(oracle.max())}{measured}")
    return " · ".join(parts)


def test_images(trials: DataFrame) -> int | None:
    """The number of test images behind the accuracies; None if it is not known."""
    images = trials["oracle_n"].max() if "oracle_n" in trials else float("nan")
    return int(images) if pd.notna(images) else None


def headline_of_all(results: Results) -> str:
    """One line on several sweeps."""
    return f"{counted(results.trials['sweep'].nunique(), 'sweep')}, {counted(len(results.trials), 'trial')}"


def best_and_states(row: Row, states: Sequence[str]) -> str:
    """The best trial of a sweep, and the states of the trials that its τ are over."""
    parts = [f"the best is trial {trial_of(row, 'best_trial')} ({accuracy(row['best_oracle'])})"]
    return "; ".join((parts if pd.notna(row["best_oracle"]) else []) + [f"τ covers {one}" for one in states])


def relations_and_selections(judgement: Judgement) -> tuple[str, ...]:
    """For each plain criterion, how it relates to accuracy and what it selects."""
    selected = judgement.selection.set_index("criterion")
    ranked = without_layers(judgement.ranking).dropna(subset=["tau"]).to_dict("records")
    return tuple(f"{relation(row)} {selection(selected.loc[row['criterion']])}" for row in ranked)


def relation(row: Row) -> str:
    """How a criterion relates to accuracy, from its row of ranking.csv; certain if its interval and its p agree."""
    name = subject(str(row["criterion"]))
    better, other = "higher" if row["higher_is_better"] else "lower", "higher" if row["tau"] > 0 else "lower"
    trend, tau = f"{better} {name.removeprefix('the ')} went with {other} accuracy", tau_with_trials(row)
    excludes_zero, small_p = row["tau_low"] > 0 or row["tau_high"] < 0, row["tau_p"] < SMALL
    if not excludes_zero and not small_p:
        text = f"No clear relation between {name} and accuracy ({tau})"
        return f"{text}; if anything, {trend}." if row["tau"] else f"{text}."
    text = f"{capitalised(trend)} ({tau})"
    if excludes_zero and small_p:
        return f"{text}." if row["tau"] > 0 else f"{text}: {name} ranks these trials backwards."
    p: str = f"p is {probability(row['tau_p'])}" if pd.notna(row["tau_p"]) else "p cannot be computed"
    return f"{text}, but this is not certain: the interval {'excludes' if excludes_zero else 'includes'} 0, and {p}."


def selection(row: Row) -> str:
    """The trial that a criterion selects, the best trial and a random choice, from its row of selection.csv."""
    if pd.isna(row["trial"]):
        return "It selects no trial, because no completed trial has a value of it."
    text = f"It selects trial {trial_of(row)}"
    if pd.isna(row["oracle"]):
        return f"{text}, whose accuracy was not measured."
    best = f"; the best trial has {accuracy(row['best_oracle'])}" if row["regret"] > 0 else ", the best of all trials"
    return f"{text}: {accuracy(row['oracle'])}{best}; a random choice averages {accuracy(row['random_oracle'])}."


def comparisons(comparison: DataFrame) -> tuple[str, ...]:
    """Which criterion ranks better than which, and the pairs for which this is open."""
    pairs = rows_with(comparison, "difference")
    if pairs.empty:
        return ()
    lines = []
    for better, won in pairs[pairs["verdict"] != ""].groupby("verdict", sort=False):
        others = [row["second"] if row["verdict"] == row["first"] else row["first"] for row in won.to_dict("records")]
        beaten = listed([subject(str(name)) for name in others])
        lines.append(capitalised(f"{subject(str(better))} ranks these trials better than {beaten}."))
    undecided = pairs[pairs["verdict"] == ""]
    names = [f"{subject(row['first'])} or {subject(row['second'])}" for row in undecided.to_dict("records")]
    if names:
        which = (
            f": {'; '.join(names)}" if len(names) <= PAIRS else f" in {len(names)} of {len(pairs)} pairs of criteria"
        )
        lines.append(f"{counted(undecided['n'].max(), 'trial')} do not show which ranks better{which}.")
    return tuple(lines)


def over_sweeps(across: DataFrame) -> tuple[str, ...]:
    """The criteria whose mean τ over sweeps is clearly above or below 0, and those for which this is open."""
    found: dict[str, list[str]] = {"ranked": [], "backwards": [], "open": []}
    rows = across[~across["criterion"].map(is_layer)] if len(across) else across
    for row in rows.dropna(subset=["mean"]).to_dict("records") if len(rows) else ():
        kind = "ranked" if row["mean_low"] > 0 else "backwards" if row["mean_high"] < 0 else "open"
        found[kind].append(f"{subject(str(row['criterion']))} (mean τ {number(row['mean'])})")
    lines = {
        "ranked": "Over these sweeps, the mean τ is clearly above 0 for",
        "backwards": "It is clearly below 0, so that trials are ranked backwards, for",
        "open": "These sweeps do not show whether the mean τ is above or below 0 for",
    }
    lines["backwards"] = lines["backwards"].replace("It", "It" if found["ranked"] else "Over these sweeps, the mean τ")
    return tuple(f"{lines[kind]} {listed(names)}." for kind, names in found.items() if names)


def selections_without_oracle(results: Results, judgement: Judgement) -> str:
    """Which criteria select which trial."""
    criteria: dict[str, list[str]] = {}
    for row in without_layers(judgement.selection.dropna(subset=["trial"])).to_dict("records"):
        criteria.setdefault(trial_of(row), []).append(subject(str(row["criterion"])))
    if not criteria:
        return "No trial is selected, because no completed trial has a value of any criterion."
    parts = [f"{listed(names)} select{'s' * (len(names) == 1)} trial {trial}" for trial, names in criteria.items()]
    completed = counted(int((results.trials["status"] == COMPLETED).sum()), "completed trial")
    return f"Of {completed}, {'; '.join(parts)}."


def earliest_epochs(ranking: DataFrame) -> tuple[str, ...]:
    """The epoch from which each criterion clearly ranks the trials."""
    criteria: dict[int, list[str]] = {}
    known = ranking[~ranking["criterion"].map(is_layer)] if "known_from" in ranking else ranking.head(0)
    for row in known.dropna(subset=["tau"]).to_dict("records"):
        epoch = 0 if pd.isna(row["known_from"]) else int(row["known_from"])
        criteria.setdefault(epoch, []).append(subject(row["criterion"]))
    return tuple(earliest_epoch(names, epoch) for epoch, names in criteria.items())


def earliest_epoch(names: Sequence[str], epoch: int) -> str:
    """The same of criteria that share the epoch; epoch 0 means that no epoch is early enough."""
    one, criteria = len(names) == 1, capitalised(listed(names))
    if epoch:
        text = f"{criteria} clearly rank{'s' * one} the trials from epoch {epoch} on: the 95% CI of τ stays above 0. "
        return f"{text}A pruner that watches {'it' if one else 'one of them'} should not stop trials earlier."
    text = (
        f"{criteria} {'does' if one else 'do'} not clearly rank the trials even at the last epoch: the 95% CI of τ is "
    )
    return f"{text}not above 0. This sweep gives no reason to prune by {'it' if one else 'any of them'}."


def trained_and_untrained(noise: DataFrame) -> tuple[str, ...]:
    """The criteria that rate most trials above the untrained encoder, and those that do not."""
    found: dict[bool, list[str]] = {True: [], False: []}
    rows = without_layers(noise).dropna(subset=["above_untrained"]) if len(noise) else noise
    for row in rows.to_dict("records"):
        part = f"{subject(str(row['criterion']))} ({percent(row['above_untrained'])})"
        found[row["above_untrained"] >= MOST].append(part)
    lines = {
        True: "Most trials are better than the untrained encoder by",
        False: f"A good value is no sign of training here by these criteria, in which fewer than {MOST:.0%} of the "
        "trials are better than the untrained encoder:",
    }
    return tuple(f"{lines[most]} {listed(names)}." for most, names in found.items() if names)


def ceilings(ceiling: DataFrame) -> tuple[str, ...]:
    """How far the oracle agrees with itself, sweep by sweep."""
    return tuple(
        "The oracles of runs that differ only in their seed rank the configurations with "
        f"τ {number(row['tau'])} ({interval(row)}) against one another. A criterion as noisy as one run cannot reach a "
        "higher τ; a criterion without noise can reach a slightly higher one."
        for row in ceiling.to_dict("records")
    )


def costs(cost: DataFrame) -> tuple[str, ...]:
    """What each criterion adds to the training time at every epoch, against a probe then and one probe at the end."""
    if cost.empty:
        return ()
    share = cost.set_index("work")["share_of_training"]
    criteria = [name for name in share.index if name not in WORK] or [name for name in ("criteria",) if name in share]
    if PROBE_EVERY_EPOCH not in share:
        together = listed([f"{timed(name)} adds {percent(share[name])}" for name in criteria])
        return (f"At every epoch, {together} to the training time. No labels are needed.",) if criteria else ()
    every, once = percent(share[PROBE_EVERY_EPOCH]), percent(share[PROBE])
    probe = (
        f"A probe at every epoch would add {every} to the training time, and one probe at the end of each trial adds "
    )
    added = [f"{timed(name)} at every epoch adds {percent(share[name])}, {saving(name, share)}" for name in criteria]
    return (f"{probe}{once}.", *map(capitalised, added))


def timed(work: str) -> str:
    """A criterion, or all of them, as the subject of a sentence."""
    return "measuring all criteria" if work == "criteria" else subject(work)


def saving(name: str, share: pd.Series[float]) -> str:
    """What a criterion saves against the probe."""
    ratio = share[PROBE_EVERY_EPOCH] / share[name]
    if share[name] <= share[PROBE]:
        return f"{ratio:.1f} times less than a probe at every epoch, and no more than one probe at the end."
    if ratio > EVEN:
        return f"{ratio:.1f} times less than a probe at every epoch. One probe at the end is cheaper, but needs labels."
    return "no less than a probe at every epoch. It saves labels, but no time."
