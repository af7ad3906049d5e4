"""Epochs saved against regret, for each criterion and a range of pruners and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from analysis.data.columns import Criteria, ScoreColumn, parse_criteria
from analysis.stats.bootstrap import Floats, Integers
from analysis.stats.pruning import Ended, default_pruners, in_order, play
from trainers.records import COMPLETED, PRUNED

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

REPORTS = 2_000
"""Reports per replay, which limits the trials: a frontier makes about thirty replays, at 0.1 ms per report."""
FEWEST, MOST = 20, 100
"""Bounds on the number of trials in a frontier, whatever their number of epochs."""


def frontier(
    trials: DataFrame,
    reports: DataFrame,
    criteria: Criteria = None,
    *,
    oracle: str = "oracle",
    pruners: Mapping[str, BasePruner] | None = None,
    study_names: Mapping[str, str] | None = None,
) -> DataFrame:
    """One row per sweep, criterion and pruner: the share of epochs saved, and the accuracy lost.

    `regret` is the regret of the trial that the criterion selects among the trials not pruned. `lost` is the part of
    it that is due to pruning: the best oracle minus the best oracle among the trials not pruned. A pruner is
    `efficient` if no other pruner saves more at no more regret. Only completed trials have full curves; of very long
    sweeps the first trials are used (`n`).
    """
    chosen = [c for c in parse_criteria(trials.columns, criteria) if not c.layer and c.name in reports]
    table = trials if "sweep" in trials else trials.assign(sweep="")
    rows = []
    for sweep, part in table.groupby("sweep", sort=False):
        own = reports[reports["sweep"] == sweep] if "sweep" in reports else reports
        epochs = int(own["epoch"].max()) if len(own) else 0
        part, own = first_trials(part, own, epochs)
        name = (study_names or {}).get(str(sweep), str(sweep))
        for criterion in chosen if len(own) else []:
            events = in_order(own, criterion, part if "status" in part else None)
            curves = full_curves(part, own, criterion, oracle)
            for pruner_name, pruner in (pruners or default_pruners(epochs)).items():
                ended = play(events, pruner, criterion, epochs, name)
                row = {"sweep": sweep, "criterion": criterion.name, "pruner": pruner_name}
                rows.append({**row, **saved_and_lost(curves, ended)})
    table = DataFrame(rows)
    return table.assign(efficient=efficient(table)) if rows else table


def first_trials(trials: DataFrame, reports: DataFrame, epochs: int) -> tuple[DataFrame, DataFrame]:
    """The first trials with a full curve, limited in number to bound the run time, and their reports."""
    most = min(MOST, max(FEWEST, REPORTS // max(1, epochs)))
    whole = trials[trials["status"] != PRUNED] if "status" in trials else trials
    kept = whole[whole["trial"].isin(reports["trial"])].sort_values("trial").head(most)
    return kept, reports[reports["trial"].isin(kept["trial"])]


@dataclass(frozen=True)
class Curves:
    """The trials with a full curve, in the order of their numbers; arrays (n,)."""

    trials: Integers
    epochs: Integers
    completed: NDArray[np.bool_]
    scores: Floats
    """The criterion at the end; more is better, and NaN is unknown."""
    truth: Floats
    """The oracle; NaN is unknown."""


def full_curves(trials: DataFrame, reports: DataFrame, criterion: ScoreColumn, oracle: str) -> Curves:
    """What `saved_and_lost` reads of trials, which are sorted by number, and of their reports."""
    numbers = trials["trial"].to_numpy(dtype=np.int64)
    longest = reports.groupby("trial")["epoch"].max()
    return Curves(
        numbers,
        longest.loc[numbers].to_numpy(dtype=np.int64),
        (trials["status"] == COMPLETED).to_numpy(dtype=bool) if "status" in trials else np.ones(len(trials), bool),
        np.asarray(criterion.scores(trials), dtype=np.float64),
        np.asarray(ScoreColumn(oracle).scores(trials), dtype=np.float64),
    )


def saved_and_lost(curves: Curves, ended: Mapping[int, Ended]) -> dict[str, object]:
    """One row of pruning.csv: the epochs that one replay saved, and the accuracy that it lost."""
    there = np.isin(curves.trials, list(ended))
    done = there & curves.completed
    left = done & np.isin(curves.trials, [trial for trial, one in ended.items() if one.status == COMPLETED])
    best = greatest(curves.truth[done])
    scores = np.where(left & np.isfinite(curves.scores), curves.scores, -np.inf)
    selected = int(scores.argmax()) if np.isfinite(scores).any() else -1  # the first of equal scores
    kept = float(curves.truth[selected]) if selected >= 0 else math.nan
    total = int(curves.epochs[there].sum())
    return {
        "n": len(ended),
        "pruned": sum(one.status == PRUNED for one in ended.values()),
        "epochs_saved": 1 - sum(one.epochs for one in ended.values()) / total if total else math.nan,
        "oracle": kept,
        "best_oracle": best,
        "regret": best - kept,
        "lost": best - greatest(curves.truth[left]),
    }


def greatest(values: Floats) -> float:
    """The greatest known value; NaN if none is known."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else math.nan


def efficient(table: DataFrame) -> list[bool]:
    """Whether each row is Pareto-optimal within its sweep and criterion: no other saves more at no more regret."""
    found = np.zeros(len(table), dtype=bool)
    for places in table.groupby(["sweep", "criterion"], sort=False).indices.values():
        saved, regret = (table[name].to_numpy(dtype=float)[places] for name in ("epochs_saved", "regret"))
        more, less = saved > saved[:, None], regret < regret[:, None]
        beaten = (more & (regret <= regret[:, None])) | ((saved >= saved[:, None]) & less)
        found[places] = ~beaten.any(axis=1)
    return [bool(one) for one in found]
