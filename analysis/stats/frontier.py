"""Epochs saved against regret, for each criterion and a range of pruners and settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pandas import DataFrame

from analysis.data.columns import Criteria, ScoreColumn, parse_criteria
from analysis.stats.pruning import default_pruners, in_order, replay_events
from analysis.stats.selection import order_by
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
            for pruner_name, pruner in (pruners or default_pruners(epochs)).items():
                played = replay_events(events, pruner, criterion, epochs, name)
                row = {"sweep": sweep, "criterion": criterion.name, "pruner": pruner_name}
                rows.append({**row, **saved_and_lost(part, played, own, criterion, oracle)})
    table = DataFrame(rows)
    return table.assign(efficient=efficient(table)) if rows else table


def first_trials(trials: DataFrame, reports: DataFrame, epochs: int) -> tuple[DataFrame, DataFrame]:
    """The first trials with a full curve, limited in number to bound the run time, and their reports."""
    most = min(MOST, max(FEWEST, REPORTS // max(1, epochs)))
    whole = trials[trials["status"] != PRUNED] if "status" in trials else trials
    kept = whole[whole["trial"].isin(reports["trial"])].sort_values("trial").head(most)
    return kept, reports[reports["trial"].isin(kept["trial"])]


def saved_and_lost(
    trials: DataFrame, played: DataFrame, reports: DataFrame, criterion: ScoreColumn, oracle: str
) -> dict[str, object]:
    """One row of pruning.csv: the epochs that one replay saved, and the accuracy that it lost."""
    full = reports.groupby("trial")["epoch"].max()
    there = trials[trials["trial"].isin(played["trial"])]
    done = there[there["status"] == COMPLETED] if "status" in there else there
    left = done[done["trial"].isin(played.loc[played["status"] == COMPLETED, "trial"])]
    truth = ScoreColumn(oracle).scores(done)
    best = float(truth.max()) if truth.notna().any() else math.nan
    ordered = order_by(left, criterion)
    kept = float(truth.loc[ordered.index[0]]) if len(ordered) else math.nan
    total = float(full[played["trial"]].sum())
    return {
        "n": len(played),
        "pruned": int((played["status"] == PRUNED).sum()),
        "epochs_saved": 1 - float(played["epochs"].sum()) / total if total else math.nan,
        "oracle": kept,
        "best_oracle": best,
        "regret": best - kept,
        "lost": best - float(truth.loc[left.index].max()) if len(left) else math.nan,
    }


def efficient(table: DataFrame) -> list[bool]:
    """Whether each row is Pareto-optimal within its sweep and criterion: no other saves more at no more regret."""
    found = []
    for row in table.to_dict("records"):
        same = table[(table["criterion"] == row["criterion"]) & (table["sweep"] == row["sweep"])]
        saved, regret = same["epochs_saved"], same["regret"]
        beaten = ((saved > row["epochs_saved"]) & (regret <= row["regret"])) | (
            (saved >= row["epochs_saved"]) & (regret < row["regret"])
        )
        found.append(not bool(beaten.any()))
    return found
