"""Reads results folders, parquet files and CSV files into checked DataFrames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.clean import audit_weights, complete_trials, split_names, without_failed
from analysis.data.columns import (
    SIGNS,
    ColumnUnknown,
    Criteria,
    ResultsUnreadable,
    could_be_criteria,
    find_criteria,
    is_layer,
    make_score_column,
    numbers,
    oracle_column,
    parse_criteria,
    place_of,
    swept,
)
from analysis.data.criteria import Known, known_criteria
from analysis.data.exports import OF_TOOLS, check_hyperparameters, read_export
from analysis.data.files import SWEEP_FILE, find_sources, read_settings, read_table, stem_of, table_in, unfinished
from analysis.data.folders import folders_below
from analysis.data.headings import NAME
from analysis.data.kinds import check_epochs, typed
from analysis.data.measured import mark_measured
from analysis.data.results import Results, join, rename_sweeps, shared_criteria, shared_home
from trainers.records import BASELINE_COLUMNS, EPOCH_COLUMNS, ORACLE_PREFIX, TRIAL_COLUMNS

NEEDED = {"reports": "trial", "baselines": "baseline"}
"""The column that each further table must have."""
COLUMNS = {"reports": EPOCH_COLUMNS, "baselines": BASELINE_COLUMNS}
"""The columns that a sweep gives it."""
SHOWN = 12
"""The most columns in a note."""


def load(
    paths: str | Path | Sequence[str | Path],
    *,
    oracle: str | None = None,
    criteria: Criteria = None,
    hyperparameters: Sequence[str] = (),
) -> Results:
    """Read one sweep, a folder of sweeps, a parquet, a CSV, or a list of these; also exports of other tools.

    `oracle` names the column to judge against (default `oracle`; `knn` also finds `oracle.knn`). `criteria` only lists
    columns that must exist and be numeric. `hyperparameters` names columns that are hyperparameters, besides those that
    an export marks so. Without a column `status`, all trials are completed; without `sweep`, the name is the file's
    stem; without `trial`, trials are numbered by row, and shown by their name if there is a column of names. The sweeps
    of a folder that cannot be read are left out, unless none can be read.

    Raises:
        ResultsUnreadable: there is nothing to read, a file has the wrong format, a column is missing, or a criterion
            has different directions in different sweeps.
    """
    named = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not named:
        raise ResultsUnreadable("`paths` must name at least one sweep, but got none")
    found, notes = find_sources(named)
    read: dict[Path, Results] = {}
    damaged: dict[Path, ResultsUnreadable] = {}
    for source in found:
        try:
            read[source] = read_source(source, oracle, criteria, hyperparameters)
        except ResultsUnreadable as error:
            if source in named or isinstance(error, ColumnUnknown):
                raise
            damaged[source] = error
    if not read:
        raise next(iter(damaged.values()))
    found, parts = list(read), list(read.values())
    names = [name for part in parts for name in part.folders]
    if len(set(names)) < len(names):
        parts = [rename_sweeps(part, source) for part, source in zip(parts, found, strict=True)]
    known = shared_criteria(parts)
    return Results(
        trials=join([part.trials for part in parts]),
        reports=join([part.reports for part in parts]),
        baselines=join([part.baselines for part in parts]),
        sweeps={name: sweep for part in parts for name, sweep in part.sweeps.items()},
        folders={name: folder for part in parts for name, folder in part.folders.items()},
        home=shared_home(named, parts),
        criteria=known,
        notes=(*notes, *(note for part in parts for note in part.notes), *undirected(criteria, known)),
        left_out=tuple(f"{source.name} was left out: {error}" for source, error in damaged.items()),
    )


def undirected(criteria: Criteria, known: Known) -> tuple[str, ...]:
    """A note on the named criteria whose direction nothing gives."""
    names = [name for name in criteria or () if isinstance(name, str) and not name.startswith(SIGNS)]
    names = [name for name in names if (name.rpartition(".")[0] if is_layer(name) else name) not in known]
    more = "more of it is" if len(names) == 1 else "more of each is"
    return (f"{', '.join(names)}: {more} taken as better; write -NAME where less is better",) if names else ()


def read_source(source: Path, oracle: str | None, criteria: Criteria, hyperparameters: Sequence[str] = ()) -> Results:
    """One sweep folder or one table, read, checked and completed."""
    folder = source if source.is_dir() else source.parent
    table = table_in(source, "trials") if source.is_dir() else source
    if table is None:
        raise ResultsUnreadable(unfinished(source))
    ours = source.is_dir() or stem_of(table).lower() == "trials"
    settings = read_settings(folder / SWEEP_FILE) if ours and (folder / SWEEP_FILE).is_file() else {}
    name = folder.resolve().name if ours else stem_of(table)
    known = read_criteria(settings, folder / SWEEP_FILE)
    rows = read_table(table)
    own = source.is_dir() and bool(settings)  # the folder names the sweep, even if it was copied or renamed
    rows = typed(rows, [column for column in TRIAL_COLUMNS if column.name != "trial"], (), table) if own else rows
    if own:
        check_hyperparameters(list(map(str, rows.columns)), table, hyperparameters)
    asked = {make_score_column(criterion).name for criterion in criteria or ()} | ({oracle} if oracle else set())
    rows, said = (rows, ()) if own else read_export(rows, table, hyperparameters, asked)
    trials = complete_trials(rows.assign(sweep=name) if own else rows, table, name, oracle, criteria, known)
    trials, unused = without_failed(trials, name)
    said += unused
    trials["weight"] = audit_weights(trials, settings)
    reports, baselines = (
        read_beside(folder, stem, name, known, own=own) if ours else DataFrame() for stem in ("reports", "baselines")
    )
    baselines = at_oracle(baselines, oracle_column(rows.columns, oracle))
    if "trial" in reports:
        reports["trial"] = trial_numbers(reports, trials, folder)
        reports = check_epochs(reports, folder / "reports")
        reports["sweep"] = reports.merge(split_names(trials), how="left", on=["sweep", "trial"])["part"].to_numpy()
    reports = mark_measured(reports, settings)
    names = split_names(trials)
    notes = said + tuple(
        f"{sweep} has several methods or data sets and was split, because ranks are not comparable across them"
        for sweep in names.loc[names["sweep"] != names["part"], "sweep"].unique()
    )
    trials["sweep"] = names["part"].to_numpy()
    if not ours and criteria is None:
        notes += further_columns(rows, table, oracle)
    home = source / "analysis" if source.is_dir() else source.parent / f"{stem_of(source)}-analysis"
    return Results(
        trials=trials,
        reports=reports,
        baselines=baselines,
        sweeps=dict.fromkeys(trials["sweep"].unique(), settings) if settings else {},
        folders=folders_below(home, list(trials["sweep"].unique())),
        home=home,
        criteria=known,
        notes=notes,
    )


def read_beside(folder: Path, stem: str, sweep: str, known: Known, *, own: bool) -> DataFrame:
    """The reports or baselines of a folder; empty if there are none. `own`: the folder names the sweep."""
    path = table_in(folder, stem)
    if path is None:
        return DataFrame()
    table = read_table(path)
    if (needed := NEEDED[stem]) not in table:
        raise ResultsUnreadable(f"`{path}` must have the column {needed}, but it has {', '.join(map(str, table))}")
    columns = [column for column in COLUMNS[stem] if column.name not in (needed, "epoch")]
    table = typed(table, columns, find_criteria(table.columns, known), path)
    return table.assign(sweep=table["sweep"].astype(str) if "sweep" in table and not own else sweep)


def at_oracle(baselines: DataFrame, chosen: str | None) -> DataFrame:
    """The baselines with the oracle by which the trials are judged; without a value where it has not measured them."""
    if chosen is None or chosen == "oracle" or baselines.empty:
        return baselines
    if chosen in baselines:
        return baselines.assign(oracle=baselines[chosen])
    return baselines.assign(oracle=math.nan) if chosen.startswith(ORACLE_PREFIX) else baselines


def read_criteria(settings: Mapping[str, Any], path: Path) -> Known:
    """The criteria described in a sweep.yaml, and those of the catalogue."""
    try:
        return known_criteria(settings)
    except ValueError as error:
        raise ResultsUnreadable(f"`{path}`: {error}") from error


def trial_numbers(reports: DataFrame, trials: DataFrame, folder: Path) -> Series[int]:
    """The trial of each report; a report may call its trial by the name of the run.

    Raises:
        ResultsUnreadable: it is neither a whole number nor the name of a run.
    """
    names = dict(zip(trials[NAME], trials["trial"], strict=True)) if NAME in trials else {}
    found = numbers(reports["trial"].map(lambda trial: names.get(trial, trial)), "trial", folder / "reports")
    if not (found % 1 == 0).all():
        strange = found[found % 1 != 0]
        text = f"`trial` of the reports in `{folder}` must be whole numbers, but got {strange.iloc[0]} in "
        raise ResultsUnreadable(text + place_of(strange))
    return found.astype(int)


def further_columns(rows: DataFrame, path: Path, oracle: str | None) -> tuple[str, ...]:
    """A note on the numeric columns of a hand-made table that are not judged, because no option names them."""
    chosen = {criterion.name for criterion in parse_criteria(rows.columns)} | {oracle_column(rows.columns, oracle)}
    further = [name for name in could_be_criteria(list(rows.columns)) if name not in chosen]
    further = [name for name in further if not OF_TOOLS.fullmatch(name) and rows[name].notna().any()]
    further = [name for name in further if pd.api.types.is_numeric_dtype(rows[name])]
    ways = ["--criteria NAME, or -NAME if less is better"]
    ways += [] if oracle_column(rows.columns, oracle) else ["--oracle NAME"]
    ways += [] if swept(rows) else ["--hyperparameters NAME"]
    listed = ", ".join(further[:SHOWN]) + (f" and {len(further) - SHOWN} more" if len(further) > SHOWN else "")
    return (f"{path.name} has further numbers: {listed} ({'; '.join(ways)})",) if further else ()
