"""Creates and opens the study, in any of Optuna's storages or in memory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

import optuna
from optuna.storages import RDBStorage

from sweeper.config.model import SweepConfig
from sweeper.config.pruners import make_pruner
from sweeper.config.storage import hide_password, mask_password, whole_url
from sweeper.errors import ConfigError, ResultsError
from sweeper.search.study import Study, release

SQLITE: Final = "sqlite:///"
LOCKED_SECONDS: Final = 5.0
"""How long a command waits for a file that another program keeps locked."""


def is_maximized(objective: str) -> bool:
    """Whether more of a criterion is better, from its entry in the catalogue."""
    from trainers.criteria import CRITERIA  # imported late, because it imports torch

    return CRITERIA[objective].higher_is_better


def in_memory(config: SweepConfig) -> optuna.Study:
    """A study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction=direction_of(config), pruner=make_pruner(config))


def direction_of(config: SweepConfig) -> Literal["maximize", "minimize"]:
    """The study's direction."""
    return "maximize" if is_maximized(config.objective) else "minimize"


def storage_url(config: SweepConfig, own: str, given: str | None = None) -> str:
    """The URL of the study: the file `own` in the sweep's folder, unless the config names another storage.

    Raises:
        ConfigError: the password of the storage is needed again, or the folder's path is none that a URL can hold.
    """
    if config.storage is not None:
        return whole_url(config.storage, given)
    if "?" in own:  # what follows would be a query, and the file another one
        folder = Path(own.removeprefix(SQLITE)).parent
        raise ConfigError(
            f"the sweep's folder must have a path without `?`, but got {folder}; choose another --results"
        )
    return own


def open_study(config: SweepConfig, *, url: str, name: str, create: bool, again: bool = False) -> Study:
    """Create a sweep's study in any of Optuna's storages, or open it; with `again`, create it only if it is missing.

    Raises:
        ResultsError: the study exists already or is missing, or the storage cannot be opened.
    """
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not create and url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).is_file():
        raise ResultsError(
            f"{url.removeprefix(SQLITE)} is missing, so the sweep cannot continue; "
            "`sweeper best` and `sweeper analyze` still read its tables"
        )
    if not create or again:
        _check_lock(url)
    try:
        storage = RDBStorage(url, engine_kwargs=_engine(url))
        try:
            return Study(config, _open(config, storage, name, create=create, again=again), storage)
        except BaseException:
            release(storage)
            raise
    except optuna.exceptions.DuplicatedStudyError:
        raise ResultsError(f"`storage` already holds a study named {name}; choose another --name") from None
    except KeyError:
        raise ResultsError(f"the storage {mask_password(url)} holds no study named {name}; was it moved?") from None
    except (ImportError, RuntimeError, ValueError, optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        reason = hide_password(_first_line(error), url)
        raise ResultsError(f"the storage {mask_password(url)} cannot be opened: {reason}") from None


def connect(url: str) -> None:
    """Connect to a storage, and write nothing to it; a file of SQLite need not be there yet, but its folder.

    Raises:
        ResultsError: it does not answer, or its driver is not installed.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    file = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and not file.exists():
        if not file.absolute().parent.is_dir():
            raise ResultsError(f"the storage {url} cannot be opened: there is no folder {file.absolute().parent}")
        return
    try:
        engine = create_engine(url, **_engine(url))
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except (ImportError, RuntimeError, ValueError, SQLAlchemyError) as error:
        reason = hide_password(_first_line(error), url)
        raise ResultsError(f"the storage {mask_password(url)} cannot be opened: {reason}") from None


def _open(config: SweepConfig, storage: RDBStorage, name: str, *, create: bool, again: bool) -> optuna.Study:
    pruner = make_pruner(config)
    if not create:
        return optuna.load_study(storage=storage, study_name=name, pruner=pruner)
    return optuna.create_study(
        storage=storage, study_name=name, direction=direction_of(config), pruner=pruner, load_if_exists=again
    )


def _check_lock(url: str) -> None:
    """Raises: ResultsError, if another program keeps SQLite's file locked."""
    path = Path(url.removeprefix(SQLITE))
    if not url.startswith(SQLITE) or not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=LOCKED_SECONDS)) as database:
            database.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:  # whatever else it is, Optuna says it
        if "locked" in str(error):
            raise ResultsError(f"{path} is locked by another program; end that program, then try again") from None


def _engine(url: str) -> dict[str, Any]:
    # Wait for SQLite's lock, which a reader such as optuna-dashboard may hold for a moment.
    return {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
