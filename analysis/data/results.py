"""The tables of one or several sweeps, and how those of several become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import Criteria, ResultsUnreadable, ScoreColumn, parse_criteria
from analysis.data.criteria import Known, merge_criteria, shelf
from analysis.data.files import stem_of


@dataclass(frozen=True)
class Results:
    """The tables of one or several sweeps, concatenated; each table has a column `sweep`."""

    trials: DataFrame
    """One row per trial that started; `oracle`, `status`, `trial` and `weight` are always present."""
    reports: DataFrame
    """One row per trial and epoch; empty if there are none."""
    baselines: DataFrame
    """The untrained encoder and raw pixels; empty if there are none."""
    sweeps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """sweep -> its sweep.yaml, for the sweeps that have one."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """sweep -> the default folder of its analysis."""
    home: Path | None = None
    """The default folder of the analysis over all sweeps; None if the sweeps are in different folders."""
    criteria: Known = field(default_factory=shelf)
    """The description of each criterion, from the sweeps and the catalogue."""
    notes: tuple[str, ...] = ()
    """Notes for the user: what was left out, split or not judged."""
    left_out: tuple[str, ...] = ()
    """The sweeps of a folder that cannot be read, each with the reason."""

    def score_columns(self, criteria: Criteria = None) -> tuple[ScoreColumn, ...]:
        """The criteria to judge, with their directions from the sweeps, as an argument for `kendall`, `select` …"""
        return parse_criteria(self.trials.columns, criteria, known=self.criteria)


def shared_criteria(parts: Sequence[Results]) -> Known:
    """The criteria of all sweeps, in one mapping."""
    try:
        return merge_criteria([part.criteria for part in parts])
    except ValueError as error:
        raise ResultsUnreadable(str(error)) from error


def rename_sweeps(part: Results, source: Path) -> Results:
    """The same results with the path before each sweep's name, for sweeps of equal names."""
    own = (source.name, stem_of(source))  # other names are from a column of the table, which several tables may share
    names = {sweep: f"{source.parent if sweep in own else source}/{sweep}" for sweep in part.folders}

    def renamed(table: DataFrame) -> DataFrame:
        return table.assign(sweep=table["sweep"].map(names)) if "sweep" in table else table

    return replace(
        part,
        trials=renamed(part.trials),
        reports=renamed(part.reports),
        baselines=renamed(part.baselines),
        sweeps={names[sweep]: settings for sweep, settings in part.sweeps.items()},
        folders={names[sweep]: folder for sweep, folder in part.folders.items()},
    )


def shared_home(named: Sequence[Path], parts: Sequence[Results]) -> Path | None:
    """The folder of the analysis over all sweeps: `analysis` beside the sweeps, if one folder holds them all."""
    if len(parts) == 1:
        return parts[0].home
    if len(named) == 1:
        return named[0] / "analysis"
    above = {part.home.resolve().parent.parent for part in parts if part.home}
    return above.pop() / "analysis" if len(above) == 1 else None


def join(tables: Sequence[DataFrame]) -> DataFrame:
    """Concatenate tables, without the empty ones."""
    full = [table for table in tables if not table.empty]
    return pd.concat(full, ignore_index=True) if full else DataFrame()
