"""What stands below a figure or a table, and what a dot or a line of a figure says when the pointer is on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from analysis.text.numbers import capitalised, number, subject, tau_with_trials
from trainers.formats import accuracy, listed
from trainers.records import COMPLETED

TAU_BY_EPOCH: Final = "τ between each criterion at an epoch and the accuracy at the end of the trial."
BAND: Final = "The band is the 95% CI."
REGRET_BY_EPOCH: Final = (
    "The regret of selecting at each epoch: the best accuracy at the end, minus the accuracy at the end of the trial "
    "that the criterion selects at that epoch."
)
SELECTION: Final = "The accuracy of the trial that each criterion selects. The vertical line is the best trial."
PRUNING: Final = (
    "Each dot is one of Optuna's pruners, replayed on the full curves. Dots further right save more epochs, and lower "
    "dots lose less accuracy. For each criterion, a line joins the dots that no other dot beats on both."
)
BEST_FEW: Final = "Of the other criteria, those with the highest τ are shown."
FOREST: Final = "τ between each criterion and accuracy in each sweep, with its 95% CI. The sweeps are not pooled."

ACROSS: Final = (
    "Every sweep has the same weight, and no trials of different sweeps are compared. The interval of the mean is "
    "Student's over the sweeps, so it is wide for few of them."
)
BY_AXIS: Final = (
    "Alone: over the trials that differ in this hyperparameter alone. Given the others: the partial τ, with all other "
    "numeric hyperparameters accounted for. Overall: over all trials."
)
BINNED: Final = (
    "Each cell splits the range of one hyperparameter into its values, or into thirds if it has many. One trial is "
    "selected in each part: the cell is their mean accuracy, with the regret in brackets, in points."
)
ONE_AT_A_TIME: Final = (
    "Each cell is over the trials in which only that hyperparameter changes: the accuracy of the selected one, with "
    "the regret in brackets, in points."
)
IMPORTANCE: Final = (
    "The share of each hyperparameter in what tells the best quarter of the trials (at least five) from all trials: by "
    "accuracy, and by each criterion (Optuna's PED-ANOVA). A criterion that can stand in for accuracy depends on the "
    "same hyperparameters. With few trials the shares are rough."
)
NOISE: Final = (
    "On shuffled views: the same embeddings, with the views exchanged between images, so that they hold no "
    "information about the image. A trial near this value shows noise. The untrained encoder has had no training."
)
SAVED: Final = (
    "The number is the pruner's `percentile` or `reduction_factor`. Saved: the share of the epochs that would not have "
    "run."
)
SELECTED: Final = (
    "Regret: how far the selected trial is below the best one. Normalised regret: 0 is the best trial, 1 the average. "
    "Rank: of the selected trial by accuracy. Expected regret and hit@k: means over sweeps that are drawn from these "
    "trials with replacement; hit@k is how often the best trial is among the criterion's first k."
)
SAMPLES: Final = (
    "Images of the sample on which the criteria are measured, one per row: the image, then views of it as the network "
    "reads them. Every trial is measured on the same views. They have the settings that the sweep holds fixed, and "
    "never those that it varies, so training views may differ. A grey patch is hidden from the network. Large images "
    "are reduced."
)
COVERS: Final = "τ covers: how the trials ended over which τ is."
REGRET_AFTER_PRUNING: Final = "Regret: of the trial that the criterion selects among those that would not be pruned."


def scatter(criterion: str, ranking: Mapping[Any, Any]) -> str:
    """Below a criterion against the oracle, from its row of ranking.csv."""
    known = tau_with_trials(ranking) if pd.notna(ranking["tau"]) else "τ is not defined"
    name = subject(criterion)
    return f"{capitalised(name)} and accuracy at the end of each trial: {known}. The ring marks the trial it selects."


def slices(criterion: str) -> str:
    """Below the accuracy and a criterion against each swept hyperparameter."""
    return (
        f"Accuracy and {subject(criterion)} of each trial against each swept hyperparameter. The ring marks the trial "
        f"that {subject(criterion)} selects."
    )


def slices_without_oracle(criterion: str) -> str:
    """The same without an oracle."""
    return f"{capitalised(subject(criterion))} of each trial against each swept hyperparameter."


def parallel(criterion: str, drawn: int, trials: int, *, has_oracle: bool, has_others: bool) -> str:
    """Below the parallel coordinates, where `drawn` of so many `trials` have a line, some of which did not complete."""
    better = "higher accuracy" if has_oracle else f"better {subject(criterion)}"
    text = "One line per trial, through its hyperparameters and what it reached. "
    text += f"Stronger lines are trials with a {better}."
    text += f" The thick line is the trial that {subject(criterion)} selects."
    text += " Dashed trials did not complete." if has_others else ""
    return text + (f" {drawn} of {trials} trials are drawn, spread evenly over their ranks." if drawn < trials else "")


def trial_values(trial: object, values: Mapping[str, str], status: str) -> str:
    """What the line of a trial says, with its values by name.

    >>> trial_values(3, {"lr": "0.1", "accuracy": "76.0%"}, "pruned")
    'trial 3 · lr 0.1 · accuracy 76.0% · pruned'
    """
    state = [] if status == COMPLETED else [status]
    return " · ".join([f"trial {trial}", *(f"{name} {value}" for name, value in values.items()), *state])


def curves(criterion: str, drawn: int, trials: int, *, has_oracle: bool) -> str:
    """Below a criterion over epochs, where `drawn` of so many `trials` have a line."""
    text = f"{capitalised(subject(criterion))} at each epoch, one line per trial."
    text += " Stronger lines are trials with a higher accuracy at the end." if has_oracle else ""
    which = ", spread evenly over the ranks of accuracy" if has_oracle else ""
    return text + (f" {drawn} of {trials} trials are drawn{which}." if drawn < trials else "")


def trial_dot(criterion_label: str, row: Mapping[Any, Any]) -> str:
    """What the dot of a trial says: columns trial, value, oracle and status.

    >>> trial_dot("LiDAR", {"trial": 3, "value": 41.5, "oracle": 0.76, "status": "pruned"})
    'trial 3 · LiDAR 41.50 · oracle 76.0% · pruned'
    """
    state = "" if row["status"] == COMPLETED else f" · {row['status']}"
    return trial_line(row.get("name", row["trial"]), row["oracle"], f"{criterion_label} {number(row['value'])}") + state


def trial_line(trial: object, oracle: object, *others: str) -> str:
    """What the line of a trial says.

    >>> trial_line(3, 0.76)
    'trial 3 · oracle 76.0%'
    """
    return " · ".join([f"trial {trial}", *others, f"oracle {accuracy(oracle)}"])


def layers(layer_by_label: Mapping[str, str]) -> str:
    """Below the summary: the layer that each plain criterion is measured on.

    >>> layers({"LiDAR": "representation", "RankMe": "embedding"})
    'Layers: LiDAR on the representation and RankMe on the embedding.'
    """
    return f"Layers: {listed([f'{label} on the {layer}' for label, layer in layer_by_label.items()])}."
