"""What a results folder lost, given back from its tables: reports to reports.jsonl, oracle values to result.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sweeper.errors import ResultsError
from sweeper.store.atomic import write_text
from sweeper.store.layout import SweepFolder
from sweeper.store.outcomes import Outcome, read_outcome, write_outcome
from sweeper.store.reports import read_log
from sweeper.store.tables import read_table
from trainers.records import (
    COUNT,
    EPOCH_COLUMNS,
    ORACLE_PREFIX,
    TRIAL_COLUMNS,
    OracleScore,
    TrialResult,
    metric_columns,
    oracle_names,
)


def restore_log(folder: SweepFolder) -> int:
    """Give reports.jsonl back the reports that only reports.parquet still has; how many those were.

    The table is written once all verdicts are in the study, so that no verdict is lost with them. A damaged table has
    nothing to give, and is written anew.
    """
    try:
        table = read_table(folder.reports_table, EPOCH_COLUMNS)
    except ResultsError:
        return 0
    rows = read_log(folder)
    known = {(row["trial"], row["epoch"]) for row in rows}
    lost = [
        {**row, "reported_at": row["reported_at"].isoformat()}
        for row in table
        if (row["trial"], row["epoch"]) not in known
    ]
    # A line of the log has no nulls: what was not measured is not in it.
    lost = [{key: value for key, value in row.items() if value is not None and key != "sweep"} for row in lost]
    if lost:
        whole: list[Mapping[str, Any]] = sorted([*rows, *lost], key=lambda row: int(row["sequence"]))
        write_text(folder.reports_log, "".join(json.dumps(row) + "\n" for row in whole))
    return len(lost)


def restore_outcomes(folder: SweepFolder) -> list[int]:
    """Write the result.json of each trial whose oracle values only trials.parquet still has; the trials' numbers.

    A trial with a checkpoint is left alone: it is probed again. A damaged table has nothing to give.
    """
    try:
        table = read_table(folder.trials_table, TRIAL_COLUMNS)
    except ResultsError:
        return []
    restored = []
    for row in table:
        scores, place = scores_of(row), folder.trial(row["trial"])
        if scores and read_outcome(place) is None and not folder.checkpoint(row["trial"]).is_file():
            place.mkdir(parents=True, exist_ok=True)
            result = TrialResult(row["trial"], row["status"], row["reason"], row["epochs"], scores)
            write_outcome(place, Outcome(result, tuple(scores)))
            restored.append(row["trial"])
    return restored


def scores_of(row: Mapping[str, Any]) -> dict[str, OracleScore]:
    """Oracle -> its score, from a row of trials.parquet, which has one sum of seconds for all oracles.

    An earlier version wrote one count of test images, that of the first oracle.

    >>> scores_of({"oracle": 0.5, "oracle_n": 10, "oracle_seconds": 2.0, "oracle.a": 0.5, "oracle.b": None})
    {'a': OracleScore(accuracy=0.5, n=10, seconds=2.0, further={})}
    >>> scores_of({"oracle_n": 10, "oracle.a": 0.5, "oracle.a_n": 12, "oracle.a.top5": 0.75})
    {'a': OracleScore(accuracy=0.5, n=12, seconds=0.0, further={'top5': 0.75})}
    """
    names = [name for name in oracle_names(row) if _is_known(row[f"{ORACLE_PREFIX}{name}"])]
    share = (row.get("oracle_seconds") or 0.0) / max(1, len(names))
    scores = {}
    for name in names:
        column = f"{ORACLE_PREFIX}{name}"
        n = row.get(f"{column}{COUNT}", row.get("oracle_n"))
        further = {key: row[metric] for key, metric in metric_columns(name, row).items() if _is_known(row[metric])}
        if _is_known(n):
            scores[name] = OracleScore(row[column], int(n), share, further)
    return scores


def _is_known(value: Any) -> bool:
    """Whether a cell has a number; pandas writes NaN for an empty one."""
    return isinstance(value, int | float) and math.isfinite(value)
