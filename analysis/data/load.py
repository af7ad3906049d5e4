"""Reads results folders, parquet files and CSV files into checked DataFrames."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pandas import DataFrame, Series

from analysis.data.clean import audit_weights, complete_trials, split_names, without_failed
from analysis.data.columns import (
    SIGNS,
    ColumnUnknown,
    Criteria,
    ResultsUnreadable,
    ScoreColumn,
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
from analysis.data.criteria import Known, known_criteria, merge_criteria, shelf
from analysis.data.delimited import ENDINGS as DELIMITED
from analysis.data.delimited import read_delimited
from analysis.data.exports import OF_TOOLS, check_hyperparameters, read_export
from analysis.data.headings import NAME, with_headings
from analysis.data.kinds import check_epochs, typed
from analysis.data.measured import mark_measured
from analysis.text.safe import folder_names
from trainers.rebuilding import how_to_rebuild
from trainers.records import BASELINE_COLUMNS, EPOCH_COLUMNS, TRIAL_COLUMNS

SWEEP_FILE = "sweep.yaml"
NEEDED = {"reports": "trial", "baselines": "baseline"}
"""The column that each further table must have."""
COLUMNS = {"reports": EPOCH_COLUMNS, "baselines": BASELINE_COLUMNS}
"""The columns that a sweep gives it."""
ENDINGS = (".parquet", *DELIMITED)
SHOWN = 12
"""The most columns in a note."""


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


def find_sources(paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The sweep folders and tables at `paths`, and a note for each sweep folder without trials."""
    found: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if not path.exists():
            raise ResultsUnreadable(f"`{path}` must be a sweep's folder, a parquet or a CSV, but it does not exist")
        if path.is_file() or is_sweep(path):
            found.append(path)
            continue
        below = sorted(child for child in path.iterdir() if child.is_dir() and is_sweep(child))
        if not below:
            raise ResultsUnreadable(
                f"`{path}` must hold sweeps (folders with a {SWEEP_FILE}), but it has none; `sweeper run` creates one"
            )
        ready = [child for child in below if has_trials(child)]
        notes += [f"{child.name} was left out: {unfinished(child)}" for child in below if child not in ready]
        if not ready:
            raise ResultsUnreadable(f"`{path}` holds no sweep that can be read: {unfinished(below[0])}")
        found += ready
    return list(dict.fromkeys(found)), notes


def is_sweep(folder: Path) -> bool:
    """Whether the folder is one sweep, run by `sweeper` or made by hand."""
    return (folder / SWEEP_FILE).is_file() or table_in(folder, "trials") is not None


def table_in(folder: Path, stem: str) -> Path | None:
    """The table `stem` of a folder, as parquet or CSV; the case of the letters does not matter."""
    files = {file.name.lower(): file for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
    return next((files[f"{stem}{ending}"] for ending in ENDINGS if f"{stem}{ending}" in files), None)


def has_trials(folder: Path) -> bool:
    """Whether a sweep's folder has trials; a sweep that stopped before its first trial has an empty table."""
    table = table_in(folder, "trials")
    try:
        return table is not None and not (ending_of(table) == ".parquet" and read_table(table).empty)
    except ResultsUnreadable:  # `read_source` says what is wrong with it
        return True


def unfinished(folder: Path) -> str:
    """Why a sweep's folder has no trials, and what to do."""
    what = "has no trial yet" if table_in(folder, "trials") else "has no trials.parquet"
    return f"`{folder}` {what}, so it is running or was interrupted; `sweeper resume {folder}` completes it"


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


def folders_below(home: Path, sweeps: Sequence[str]) -> dict[str, Path]:
    """The folder of each sweep's analysis: a folder below `home`, or `home` itself for a single sweep.

    Raises:
        ResultsUnreadable: a sweep's name cannot be a folder's name.
    """
    if len(sweeps) == 1:
        return dict.fromkeys(sweeps, home)
    try:
        return {sweep: home / name for sweep, name in folder_names(sweeps).items()}
    except ValueError as error:
        raise ResultsUnreadable(str(error)) from error


def read_table(path: Path) -> DataFrame:
    """Read a parquet or CSV file, depending on its ending."""
    ending = ending_of(path)
    if not ending:
        raise ResultsUnreadable(
            f"`{path}` must end in .parquet or .csv (or .tsv, .csv.gz), but it ends in {path.suffix or 'nothing'!r}"
        )
    try:
        return with_headings(pd.read_parquet(path)) if ending == ENDINGS[0] else read_delimited(path)
    # Errors of pyarrow and of pandas' parser are ValueErrors.
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        if isinstance(error, pd.errors.EmptyDataError) or path.stat().st_size == 0:
            text = f"`{path}` is empty; it must have the names of the columns and one row per trial"
            raise ResultsUnreadable(text + how_to_rebuild(path)) from error
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        text = f"`{path}` must be a {ending[1:]} table, but it cannot be read: {first}"
        raise ResultsUnreadable(text + how_to_rebuild(path)) from error


def ending_of(path: Path) -> str:
    """The ending of a table's file, in small letters; "" if it is no table."""
    return next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), "")


def stem_of(path: Path) -> str:
    """The name of a table's file without its ending.

    >>> stem_of(Path("a/my.csv.gz"))
    'my'
    """
    return path.name[: -len(ending_of(path))] if ending_of(path) else path.stem


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


def read_settings(path: Path) -> Mapping[str, Any]:
    """Read sweep.yaml as a mapping."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ResultsUnreadable(f"`{path}` must be YAML, but it does not parse: {said}") from error
    if not isinstance(settings, dict):
        raise ResultsUnreadable(f"`{path}` must be a mapping, but got {type(settings).__name__}")
    return settings


def read_criteria(settings: Mapping[str, Any], path: Path) -> Known:
    """The criteria described in a sweep.yaml, and those of the catalogue."""
    try:
        return known_criteria(settings)
    except ValueError as error:
        raise ResultsUnreadable(f"`{path}`: {error}") from error


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
