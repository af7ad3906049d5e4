"""The cost of live pruning, measured by the audit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from analysis.data.columns import ScoreColumn, make_score_column
from analysis.data.criteria import known_criteria
from analysis.stats.selection import completed, order_by
from trainers.records import COLLAPSED, DIVERGED, PRUNED

CLEARLY = 2.0
"""A false prune beats the selected trial by more than this many standard errors of the difference."""


def audit(trials: DataFrame, sweeps: Mapping[str, Mapping[str, Any]], *, oracle: str = "oracle") -> DataFrame:
    """One row per sweep with a pruner: epochs saved, regret, and the rate of false prunes with its interval.

    An audited trial is one that the pruner would have stopped, but that ran to its end. It is a false prune if its
    oracle exceeds the oracle of the trial selected among the unpruned ones by more than two binomial standard errors
    of the difference. The interval is Wilson's (1927, JASA 22). `regret` is the best known oracle, audited trials
    included, minus the oracle of the selected trial.
    """
    rows = []
    for sweep, part in trials.groupby("sweep", sort=False):
        settings = sweeps.get(str(sweep), {})
        pruner = str((settings.get("pruner") or {}).get("name", "none"))
        if pruner != "none" or (part["status"] == PRUNED).any():
            objective = str(settings.get("objective", "lidar"))
            row = {"sweep": sweep, "pruner": pruner, "objective": objective}
            rows.append({**row, **audit_one(part, objective, settings, oracle)})
    return DataFrame(rows)


def audit_one(trials: DataFrame, objective: str, settings: Mapping[str, Any], oracle: str) -> dict[str, object]:
    """One row of audit.csv."""
    marked = trials["audited"].fillna(False).astype(bool) if "audited" in trials else trials["status"].isna()
    pruned = trials["status"] == PRUNED
    truth = ScoreColumn(oracle).scores(trials)
    ran = trials["epochs"].astype(float) if "epochs" in trials else truth * math.nan
    full = float(settings.get("epochs") or ran.max())
    unpruned = order_by(completed(trials[~marked]), make_score_column(objective, known_criteria(settings)))
    kept = float(truth.loc[unpruned.index[0]]) if len(unpruned) else math.nan
    measured = truth[marked & truth.notna()]
    n = float(trials["oracle_n"].max()) if "oracle_n" in trials else math.nan
    from scipy import stats

    known = len(measured) > 0 and math.isfinite(kept) and n > 0
    false = int(sum(clearly_above(value, kept, n) for value in measured)) if known else 0
    wilson = stats.binomtest(false, len(measured)).proportion_ci(method="wilson") if known else None
    return {
        "trials": len(trials),
        "pruned": int(pruned.sum()),
        "collapsed": int((trials["status"] == COLLAPSED).sum()),
        "diverged": int((trials["status"] == DIVERGED).sum()),
        "audited": int(marked.sum()),
        "measured": len(measured),
        "epochs_saved": float((full - ran[pruned]).sum(skipna=False)) / (full * len(trials)),
        "oracle": kept,
        "best_oracle": float(truth.max()),
        "regret": float(truth.max()) - kept,
        "false_prunes": false,
        "rate": false / len(measured) if known else math.nan,
        "rate_low": float(wilson.low) if wilson else math.nan,
        "rate_high": float(wilson.high) if wilson else math.nan,
    }


def clearly_above(value: float, other: float, n: float) -> bool:
    """Whether an accuracy exceeds another, both over n images, by more than two standard errors of the difference.

    >>> clearly_above(0.90, 0.85, 1000), clearly_above(0.90, 0.89, 1000)
    (True, False)
    """
    return value - other > CLEARLY * difference_error(value, other, n)


def difference_error(value: float, other: float, n: float) -> float:
    """The binomial standard error of the difference of two accuracies over n images each; 0 if n is unknown."""
    if not n > 0 or not (0 <= value <= 1 and 0 <= other <= 1):
        return 0.0
    return math.sqrt((value * (1 - value) + other * (1 - other)) / n)
