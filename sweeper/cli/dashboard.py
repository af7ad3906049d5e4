"""A copy of a sweep's study for optuna-dashboard, with the accuracy and the criteria of every finished trial.

The study itself holds no accuracy: the search could see it.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from sweeper.errors import ConfigError, ResultsError
from sweeper.search.storage import open_study, storage_url
from sweeper.store.listing import Listing, settings_criteria
from sweeper.store.manifest import read_manifest
from trainers.records import ORACLE_PREFIX

SHOWN: Final = ("status", "epochs", "loss", "reason")
"""Further columns of a trial that the copy has."""


def serve(listing: Listing, *, host: str, port: int) -> None:
    """Open optuna-dashboard on a copy that is deleted afterwards.

    Raises:
        ConfigError: optuna-dashboard is not installed.
        ResultsError: the study cannot be read.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise ConfigError("the dashboard needs optuna-dashboard: `pip install 'ssl-sweeper[dashboard]'`")
    with tempfile.TemporaryDirectory(prefix="sweeper-dashboard-") as folder:
        copy = copy_study(listing, Path(folder) / "study.db")
        click.echo(f"{listing.name}: http://{host}:{port} shows the trials as they are now; Ctrl-C ends it", err=True)
        from optuna_dashboard import run_server

        run_server(f"sqlite:///{copy}", host=host, port=port)


def copy_study(listing: Listing, file: Path) -> Path:
    """Write the trials of a sweep to a new SQLite file, with what trials.parquet says of finished ones as attributes.

    Raises:
        ResultsError: the file exists, its folder does not, or the study cannot be read.
    """
    import optuna

    if file.exists():
        raise ResultsError(f"`--out` must be a new file, but {file} exists")
    if not file.resolve().parent.is_dir():
        raise ResultsError(f"`--out` must be in a folder that exists, but there is no {file.parent}")
    folder, config, origin = read_manifest(listing.folder, cluster=True)
    study = open_study(config, url=storage_url(config, folder.storage_url), name=origin["study"], create=False).study
    rows = {int(row["trial"]): row for row in listing.trials}
    copy = optuna.create_study(
        storage=f"sqlite:///{file.resolve()}", study_name=listing.name, direction=study.direction
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        copy.set_metric_names([listing.objective])
    for trial in study.get_trials():  # also those that have not ended: Optuna numbers them in the order of adding
        if trial.state.is_finished():
            about = attributes(rows.get(trial.number, {}), settings_criteria(listing.settings))
            trial.user_attrs = {**trial.user_attrs, **about}
        copy.add_trial(trial)
    return file


def attributes(row: Mapping[str, Any], criteria: tuple[str, ...]) -> dict[str, Any]:
    """What the copy says of a trial.

    >>> attributes({"lidar": 3.0, "rankme": None, "oracle.knn": 0.5, "status": "completed"}, ("lidar", "rankme"))
    {'lidar': 3.0, 'oracle.knn': 0.5, 'status': 'completed'}
    """
    names = [*criteria, *(name for name in row if name.startswith(ORACLE_PREFIX)), *SHOWN]
    return {name: row[name] for name in names if is_known(row.get(name))}


def is_known(value: object) -> bool:
    """Whether a cell has a value that can be shown."""
    return value not in (None, "") and not (isinstance(value, float) and not math.isfinite(value))
