"""The files of a sweep's folder: where they are, and how each is read."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pandas import DataFrame

from analysis.data.columns import ResultsUnreadable
from analysis.data.delimited import ENDINGS as DELIMITED
from analysis.data.delimited import read_delimited
from analysis.data.headings import with_headings
from trainers.rebuilding import how_to_rebuild

SWEEP_FILE = "sweep.yaml"
ENDINGS = (".parquet", *DELIMITED)


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


def table_in(folder: Path, stem: str) -> Path | None:
    """The table `stem` of a folder, as parquet or CSV; the case of the letters does not matter."""
    files = {file.name.lower(): file for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
    return next((files[f"{stem}{ending}"] for ending in ENDINGS if f"{stem}{ending}" in files), None)


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


def read_settings(path: Path) -> Mapping[str, Any]:
    """Read sweep.yaml as a mapping."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # an impossible date is a ValueError
        said = " ".join(str(error).split())
        raise ResultsUnreadable(f"`{path}` must be YAML, but it does not parse: {said}") from error
    if not isinstance(settings, dict):
        raise ResultsUnreadable(f"`{path}` must be a mapping, but got {type(settings).__name__}")
    return settings
