"""The first sentences of a report: the trial that was chosen, what it is worth, and how far to trust the choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import is_layer
from analysis.stats.judgement import without_layers
from analysis.stats.worth import against
from analysis.text.findings import relation
from analysis.text.numbers import capitalised, interval, number, points, subject, trial_of
from analysis.text.trial_cautions import baseline_oracle
from trainers.formats import accuracy, listed
from trainers.records import RAW_PIXELS, UNTRAINED

BASELINES: Final = {UNTRAINED: "the untrained encoder", RAW_PIXELS: "raw pixels"}

Row = Mapping[Any, Any]


def steering(ranking: DataFrame, settings: Mapping[str, Any]) -> str:
    """The criterion that the report begins with: the sweep's objective, or else the first criterion with a τ.

    >>> steering(DataFrame({"criterion": ["rankme", "lidar"], "tau": [0.1, 0.2]}), {"objective": "lidar"})
    'lidar'
    """
    plain = without_layers(ranking)
    objective = settings.get("objective")
    if objective in set(ranking["criterion"]):
        return str(objective)
    ranked = plain.dropna(subset=["tau"]) if "tau" in plain else plain.head(0)
    first = ranked if len(ranked) else plain
    return str(first["criterion"].iloc[0]) if len(first) else ""


def answer(
    criterion: str, ranking: DataFrame, selection: DataFrame, baselines: DataFrame, images: int | None = None
) -> tuple[str, ...]:
    """The answer of one sweep, from its tables: the choice, its worth, the trust in it, and the best criterion here.

    `images` is the number of test images, if it is known.
    """
    chosen = selection[selection["criterion"] == criterion].to_dict("records")
    if not chosen or pd.isna(chosen[0]["trial"]):
        return (f"{capitalised(subject(criterion))} selects no trial, because no completed trial has a value of it.",)
    row = chosen[0]
    if pd.isna(row["oracle"]):
        return (choice(row), "No accuracy of it was measured, so what it is worth is not known.", *agreeing(selection))
    known = ranking[ranking["criterion"] == criterion].dropna(subset=["tau"])
    trust = map(relation, known.to_dict("records"))
    return (choice(row), worth(row, baselines, images), *trust, *highest(criterion, ranking, selection))


def choice(row: Row) -> str:
    """The trial of a row of selection.csv, with its accuracy if that is known."""
    found: str = f" It has {accuracy(row['oracle'])} accuracy." if pd.notna(row["oracle"]) else ""
    return f"{capitalised(subject(str(row['criterion'])))} selects trial {trial_of(row)}.{found}"


def worth(row: Row, baselines: DataFrame, images: int | None = None) -> str:
    """The accuracy of the selected trial beside that of the best and of the average trial, and of the baselines.

    >>> row = {"oracle": 0.6, "best_oracle": 0.7, "random_oracle": 0.59, "best_trial": 4}
    >>> raw_pixels = DataFrame({"baseline": ["raw_pixels"], "oracle": [0.65]})
    >>> worth(row, raw_pixels, 1000)  # doctest: +NORMALIZE_WHITESPACE
    'That is 10.0 pp below the best trial (70.0%, trial 4), 1.0 pp above the average (59.0%, within two standard errors)
    and 5.0 pp below raw pixels (65.0%).'
    """
    best, own = float(row["best_oracle"]), float(row["oracle"])
    others = {"the average": float(row["random_oracle"])}
    for name, known in BASELINES.items():
        value = baseline_oracle(baselines, name)
        others |= {known: value} if math.isfinite(value) else {}
    first = f"{apart(own - best, best)} the best trial ({accuracy(best)}, trial {trial_of(row, 'best_trial')})"
    parts = [first if best > own else "the best of all trials"]
    for name, value in others.items():
        unclear = against(name, own, images, value, images).verdict == "not clearly better"
        close = ", within two standard errors" if unclear and value != own else ""
        parts.append(f"{apart(own - value, best)} {name} ({accuracy(value)}{close})")
    return f"That is {listed(parts)}."


def apart(difference: float, best: object) -> str:
    """A difference of two accuracies in words.

    >>> apart(-0.011, 0.7), apart(0.0001, 0.7)
    ('1.1 pp below', 'as much as')
    """
    shown = points(abs(difference), best)
    if shown == points(0.0, best):
        return "as much as"
    return f"{shown} {'above' if difference > 0 else 'below'}"


def highest(criterion: str, ranking: DataFrame, selection: DataFrame) -> tuple[str, ...]:
    """The criterion with the highest τ of the sweep, if it is another one; it was found with these labels."""
    ranked = without_layers(ranking).dropna(subset=["tau"])
    if len(ranked) < 2:
        return ()
    row = max(ranked.to_dict("records"), key=lambda one: float(one["tau"]))
    name = str(row["criterion"])
    if name == criterion or is_layer(criterion):
        return ()
    found = f"{capitalised(subject(name))} has the highest τ of {len(ranked)} criteria here ({number(row['tau'])}"
    text = f"{found}, {interval(row)})" if math.isfinite(row["tau_low"]) else f"{found})"
    for one in selection[selection["criterion"] == name].dropna(subset=["trial", "oracle"]).to_dict("records"):
        text += f" and selects trial {trial_of(one)} ({accuracy(one['oracle'])})"
    return (f"{text}. It was found with these labels, so it may rank less well in another sweep.",)


def agreeing(selection: DataFrame) -> tuple[str, ...]:
    """How many of the criteria select the same trial, for a sweep without an oracle."""
    picks: Sequence[Row] = without_layers(selection.dropna(subset=["trial"])).to_dict("records")
    counts = pd.Series([trial_of(row) for row in picks]).value_counts()
    if len(picks) < 2:
        return ()
    most = int(counts.iloc[0])
    if most == 1:
        return (f"The {len(picks)} criteria select {len(picks)} different trials.",)
    return (f"{most} of {len(picks)} criteria select trial {counts.index[0]}.",)
