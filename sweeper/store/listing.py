"""The sweeps of a results folder and their trials, as they are on disk."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sweeper.errors import ResultsError
from sweeper.store.find import find_sweep
from sweeper.store.layout import SWEEP_FILE, SweepFolder
from sweeper.store.lock import is_held
from sweeper.store.manifest import PROVENANCE, read_manifest, read_settings
from sweeper.store.outcomes import read_outcome
from sweeper.store.reports import read_log
from sweeper.store.tables import PARQUET, count_rows, criteria_columns, read_table, trials_table
from trainers.records import (
    BASELINE_COLUMNS,
    CONFIG_PREFIX,
    EPOCH_COLUMNS,
    FAILED,
    STATUSES,
    TRIAL_COLUMNS,
    Column,
)

logger = logging.getLogger(__name__)

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
FINISHED: Final = "finished"


@dataclass(frozen=True)
class Listing:
    """One sweep as it is on disk."""

    folder: Path
    settings: Mapping[str, Any]
    """sweep.yaml."""
    trials: list[dict[str, Any]]
    """One row per trial that started, in the columns of trials.parquet, and two more statuses: running, interrupted."""
    reports: list[dict[str, Any]]
    """One row per trial and epoch, in the columns of reports.parquet."""
    baselines: list[dict[str, Any]]
    """The untrained encoder and raw pixels, once they have been measured."""
    held: bool
    """Whether a process runs the sweep."""

    @property
    def name(self) -> str:
        """The sweep's name is its folder's."""
        return self.folder.resolve().name

    @property
    def objective(self) -> str:
        """The criterion that steered it."""
        return str(self.settings["objective"])

    @property
    def counts(self) -> dict[str, int]:
        """Status -> trials."""
        found = Counter(row["status"] for row in self.trials)
        return {status: found[status] for status in (*STATUSES, RUNNING, INTERRUPTED) if found[status]}

    @property
    def runs(self) -> int:
        """How many trials the sweep has in all."""
        return int(self.settings["trials"]) * int(self.settings["seeds"])

    @property
    def state(self) -> str:
        """finished · running · interrupted."""
        ended = sum(count for status, count in self.counts.items() if status in STATUSES)
        return RUNNING if self.held else FINISHED if ended >= self.runs else INTERRUPTED


def find_listings(results: Path) -> list[Listing]:
    """Every sweep in a results folder, the oldest first; what takes long to read is left out.

    Raises:
        ResultsError: there is no such folder, or no sweep in it.
    """
    if (results / SWEEP_FILE).is_file():
        return [glance(results)]
    if not results.is_dir():
        raise ResultsError(f"there is no folder {results}; `sweeper run` makes it, and --results names another")
    folders = [file.parent for file in results.glob(f"*/{SWEEP_FILE}")]
    if not folders:
        raise ResultsError(f"{results} holds no sweep yet; start one: `sweeper run dino`")
    listings, problems = [], []
    for folder in folders:
        try:
            listings.append(glance(folder))
        except ResultsError as error:
            problems.append(error)
    if not listings:
        raise problems[0]
    for problem in problems:
        logger.warning("left out: %s", problem)
    return sorted(listings, key=lambda listing: (created(listing), listing.name))


def created(listing: Listing) -> str:
    """When the sweep was made, as ISO 8601."""
    return str((listing.settings.get(PROVENANCE) or {}).get("created", ""))


def glance(folder: Path) -> Listing:
    """A sweep from its tables; before they are written, from its trials' files, which hold no hyperparameters."""
    settings, held = read_settings(folder), is_held(folder)
    if not held and has_tables(folder, settings):
        return _from_tables(folder, settings)
    sweep = SweepFolder(folder)
    reports = read_log(sweep)
    last = {row["trial"]: row for row in reports}
    numbers = sorted({*last, *sweep.numbers()})
    trials = []
    for number in numbers:
        outcome = read_outcome(sweep.trial(number))
        status = outcome.result.status if outcome else RUNNING if held else INTERRUPTED
        trials.append({**last.get(number, {}), "trial": number, "status": status})
    return Listing(folder, settings, trials, reports, [], held)


def open_listing(name_or_path: str, results: Path) -> Listing:
    """A sweep with everything known about it; a running or interrupted one is read from its study.

    Raises:
        ResultsError: there is no such sweep, or its folder is damaged.
    """
    folder = find_sweep(name_or_path, results)
    settings, held = read_settings(folder), is_held(folder)
    if not held and has_tables(folder, settings):
        return _from_tables(folder, settings)
    return _from_study(folder, settings, held)


def written_trials(folder: Path, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials as the last command wrote them in their table; none if there is no table."""
    criteria = criteria_columns(settings_criteria(settings))
    trials = _rows(SweepFolder(folder).table("trials"), (*TRIAL_COLUMNS, *criteria))
    for row in trials:
        if row["status"] == FAILED and row.get("finished_at") is None and row.get("started_at") is not None:
            row["status"] = INTERRUPTED
    return trials


def _from_tables(folder: Path, settings: Mapping[str, Any]) -> Listing:
    criteria, sweep = criteria_columns(settings_criteria(settings)), SweepFolder(folder)
    trials = written_trials(folder, settings)
    reports = _rows(sweep.table("reports"), (*EPOCH_COLUMNS, *criteria))
    baselines = _rows(sweep.table("baselines"), (*BASELINE_COLUMNS, *criteria))
    return Listing(folder, settings, trials, reports, baselines, held=False)


def _from_study(folder: Path, settings: Mapping[str, Any], held: bool) -> Listing:
    from sweeper.search.storage import open_study, storage_url

    sweep, config, origin = read_manifest(folder, cluster=True)
    if config.storage is None and not sweep.study_file.is_file():  # killed before anything ran
        return Listing(folder, settings, [], [], [], held)
    url = storage_url(config, sweep.storage_url)
    study = open_study(config, url=url, name=origin["study"], create=False)
    records, reports = study.records(), read_log(sweep)
    rows, _ = trials_table(sweep, config, reports, records)
    unfinished = {"status": RUNNING if held else INTERRUPTED, "reason": ""}
    trials = [
        _plain_row(row if record.status else {**row, **unfinished}) for row, record in zip(rows, records, strict=True)
    ]
    baselines = _rows(sweep.table("baselines"), BASELINE_COLUMNS)
    return Listing(folder, settings, trials, reports, baselines, held)


def settings_criteria(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The criteria that a sweep.yaml names."""
    return tuple(map(str, settings.get("criteria") or ()))


def _rows(path: Path | None, columns: Iterable[Column]) -> list[dict[str, Any]]:
    """A table's rows as JSON can hold them."""
    return [_plain_row(row) for row in read_table(path, columns)]


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: Any) -> Any:
    """A cell as JSON can hold it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and math.isnan(value) else value


def has_tables(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the tables are complete: they hold every report and every trial, or are all that was kept.

    Their dates are not asked, because a copy or a wrong clock changes them. A CSV is read if there is no study.
    """
    sweep = SweepFolder(folder)
    table = sweep.table("trials")
    if table is None:
        return False
    if not sweep.reports_log.is_file() or (settings.get("storage") is None and not sweep.study_file.is_file()):
        return True
    if not table.name.lower().endswith(PARQUET):
        return False
    if count_rows(sweep.reports_table) < len(read_log(sweep)):
        return False
    ended = {
        row["trial"]: row["status"] for row in read_table(sweep.trials_table, ()) if "trial" in row and "status" in row
    }
    outcomes = {number: read_outcome(sweep.trial(number)) for number in sweep.numbers()}
    return all(
        number in ended and (outcome is None or ended[number] == outcome.result.status)
        for number, outcome in outcomes.items()
    )


def hyperparameters_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameter -> value of one trial."""
    return {key.removeprefix(CONFIG_PREFIX): value for key, value in row.items() if key.startswith(CONFIG_PREFIX)}
