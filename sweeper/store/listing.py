"""What lies in a results folder, as it stands on the disk: sweeps and their trials."""

from __future__ import annotations

import fcntl
import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from sweeper.errors import ResultsError
from sweeper.store.layout import PROVENANCE, SWEEP_FILE, SweepFolder, find_sweep, read_folder
from sweeper.store.reports import read_log, read_outcome
from trainers.records import CONFIG_PREFIX, STATUSES

if TYPE_CHECKING:
    from pandas import DataFrame

logger = logging.getLogger(__name__)

RUNNING: Final = "running"
INTERRUPTED: Final = "interrupted"
FINISHED: Final = "finished"


@dataclass(frozen=True)
class Listing:
    """One sweep as it stands on the disk."""

    folder: Path
    settings: Mapping[str, Any]
    """sweep.yaml."""
    trials: list[dict[str, Any]]
    """One row per trial that started, in the columns of trials.parquet, and two more statuses: running, interrupted."""
    reports: list[dict[str, Any]]
    """One row per trial and epoch, in the columns of reports.parquet."""
    baselines: list[dict[str, Any]]
    """The untrained encoder and raw pixels, as far as they have been measured."""
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
    """Every sweep in a results folder, the oldest first, without what takes long to read.

    Raises:
        ResultsError: there is no such folder, or no sweep in it.
    """
    if (results / SWEEP_FILE).is_file():
        return [glance(results)]
    if not results.is_dir():
        raise ResultsError(f"there is no folder {results}; `sweeper run` makes it, and --results names another")
    folders = [file.parent for file in results.glob(f"*/{SWEEP_FILE}")]
    if not folders:
        raise ResultsError(f"{results} holds no sweep yet; start one: `sweeper run search_spaces/dino.yaml`")
    listings, problems = [], []
    for folder in folders:
        try:
            listings.append(glance(folder))
        except (ResultsError, ValueError) as error:  # ValueError: a table that the judge cannot read
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
    """A sweep from its tables, or, while they are not written, from what its trials left: no hyperparameters there."""
    settings, held = read_settings(folder), is_held(folder)
    if not held and has_tables(folder, settings):
        return _from_tables(folder, settings)
    sweep = SweepFolder(folder)
    reports = read_log(sweep)
    last = {row["trial"]: row for row in reports}
    numbers = sorted({*last, *(int(path.name) for path in sweep.trial(0).parent.glob("[0-9]*"))})
    trials = []
    for number in numbers:
        outcome = read_outcome(sweep.trial(number))
        status = outcome.result.status if outcome else RUNNING if held else INTERRUPTED
        trials.append({**last.get(number, {}), "trial": number, "status": status})
    return Listing(folder, settings, trials, reports, [], held)


def open_listing(name_or_path: str, results: Path) -> Listing:
    """A sweep with all that is known of it; one that runs, or was interrupted, from its study.

    Raises:
        ResultsError: there is no such sweep, or its folder is damaged.
    """
    folder = find_sweep(name_or_path, results)
    settings, held = read_settings(folder), is_held(folder)
    if not held and has_tables(folder, settings):
        return _from_tables(folder, settings)
    return _from_study(folder, settings, held)


def _from_tables(folder: Path, settings: Mapping[str, Any]) -> Listing:
    from analysis.data.load import read_beside, read_table

    trials = _rows(read_table(folder / "trials.parquet"))
    for row in trials:
        if str(row.get("reason") or "").startswith(INTERRUPTED):
            row["status"] = INTERRUPTED
    reports, baselines = (_rows(read_beside(folder, stem, folder.name, own=True)) for stem in ("reports", "baselines"))
    return Listing(folder, settings, trials, reports, baselines, held=False)


def _from_study(folder: Path, settings: Mapping[str, Any], held: bool) -> Listing:
    from analysis.data.load import read_beside
    from sweeper.search.study import open_study
    from sweeper.store.tables import trials_table

    sweep, config, origin = read_folder(folder, cluster=True)
    if config.storage is None and not (folder / "study.db").is_file():  # killed before anything ran
        return Listing(folder, settings, [], [], [], held)
    study = open_study(config, url=config.storage or sweep.storage_url, name=origin["study"], create=False)
    records, reports = study.records(), read_log(sweep)
    rows, _ = trials_table(sweep, config, reports, records)
    unfinished = {"status": RUNNING if held else INTERRUPTED, "reason": ""}
    trials = [dict(row) if record.status else {**row, **unfinished} for row, record in zip(rows, records, strict=True)]
    baselines = _rows(read_beside(folder, "baselines", sweep.name, own=True))
    return Listing(folder, settings, trials, reports, baselines, held)


def _rows(table: DataFrame) -> list[dict[str, Any]]:
    """A table as dictionaries, with None for what is missing."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """A cell as plain Python; pandas' several ways of saying "missing" become None."""
    if hasattr(value, "isoformat"):
        text = str(value.isoformat())
        return None if text == "NaT" else text
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def read_settings(folder: Path) -> dict[str, Any]:
    """sweep.yaml as it was written.

    Raises:
        ResultsError: it is damaged.
    """
    path = folder / SWEEP_FILE
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in ("method", "dataset", "trials", "seeds", "objective"):
            settings[key]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is damaged ({type(error).__name__}), so {folder.name} cannot be read") from None
    return dict(settings)


def has_tables(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the parquet files are there and say all: they are newer than the last report, or all that was kept."""
    tables, log = folder / "trials.parquet", SweepFolder(folder).reports_log
    if not tables.is_file():
        return False
    kept = log.is_file() and (settings.get("storage") is not None or (folder / "study.db").is_file())
    return not kept or tables.stat().st_mtime >= log.stat().st_mtime


def is_held(folder: Path) -> bool:
    """Whether a process holds the sweep's lock."""
    lock = folder / ".lock"
    if not lock.is_file():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def hyperparameters_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameter -> value of one trial."""
    return {key.removeprefix(CONFIG_PREFIX): value for key, value in row.items() if key.startswith(CONFIG_PREFIX)}
