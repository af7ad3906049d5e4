"""The reports that have a criterion: in a sweep with `criteria_every`, the epochs between have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pandas import DataFrame

from analysis.data.criteria import LOSS
from trainers.records import is_measured

MEASURED: Final = "measured"
"""The flag of a report whose criteria were measured; a table without it has them in every report."""


def mark_measured(reports: DataFrame, settings: Mapping[str, Any]) -> DataFrame:
    """The reports with the flag `measured`, if sweep.yaml has a `criteria_every` above 1.

    The flag is needed because pandas does not tell null (not measured) from NaN (not computable).

    >>> reports = DataFrame({"epoch": [1, 2, 3]})
    >>> mark_measured(reports, {"criteria_every": 2, "epochs": 3})["measured"].tolist()
    [False, True, True]
    """
    every, epochs = settings.get("criteria_every"), settings.get("epochs")
    if not isinstance(every, int) or not isinstance(epochs, int) or every <= 1 or "epoch" not in reports:
        return reports
    return reports.assign(**{MEASURED: [is_measured(int(epoch), every, epochs) for epoch in reports["epoch"]]})


def is_known(reports: DataFrame, criterion: str) -> list[bool]:
    """For each report, whether it has the criterion; the loss is in all of them."""
    if MEASURED not in reports or criterion == LOSS:
        return [True] * len(reports)
    return [flag is not False and flag != 0 for flag in reports[MEASURED].tolist()]  # NaN: a sweep without the flag


def known_reports(reports: DataFrame, criterion: str) -> DataFrame:
    """The reports that have the criterion."""
    return reports[is_known(reports, criterion)]
