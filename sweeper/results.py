"""A sweep's folder: what is written while it runs, who may write, and the tables made of it for those who read."""

from __future__ import annotations

import difflib
import errno
import fcntl
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from sweeper.config import SweepConfig, parse_config, to_mapping
from sweeper.errors import ResultsError, SweepError
from trainers.records import (
    CONFIG_PREFIX,
    EPOCH_COLUMNS,
    HIGHER_IS_BETTER,
    ORACLE_PREFIX,
    TRIAL_COLUMNS,
    CriteriaSample,
    EpochReport,
    OracleScore,
    TrialResult,
    criterion_columns,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from sweeper.study import TrialRecord

SWEEP_FILE: Final = "sweep.yaml"
PROVENANCE: Final = "provenance"
"""The key of sweep.yaml that holds what is not configuration: versions, machine, the study's name."""
CHECKPOINT: Final = "checkpoint.pt"
PACKAGES: Final = ("torch", "torchvision", "timm", "ray", "optuna", "numpy", "scipy", "pyarrow")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class SweepFolder:
    """The paths of one sweep."""

    path: Path

    @property
    def name(self) -> str:
        """The sweep's name is its folder's."""
        return self.path.name

    @property
    def sweep_file(self) -> Path:
        """The configuration as resolved."""
        return self.path / SWEEP_FILE

    @property
    def reports_log(self) -> Path:
        """Append-only, one line per report."""
        return self.path / "reports.jsonl"

    @property
    def baselines(self) -> Path:
        """What no training at all is worth."""
        return self.path / "baselines.parquet"

    @property
    def storage_url(self) -> str:
        """Where the study is, unless the configuration says otherwise."""
        return f"sqlite:///{self.path / 'study.db'}"

    def trial(self, number: int) -> Path:
        """The folder of one trial."""
        return self.path / "trials" / f"{number:04d}"

    def checkpoint(self, number: int) -> Path:
        """The checkpoint of one trial's last epoch."""
        return self.trial(number) / CHECKPOINT


def create_folder(path: Path, config: SweepConfig, *, study: str) -> SweepFolder:
    """Make a new sweep's folder with its sweep.yaml.

    Raises:
        ResultsError: there is a sweep of that name.
    """
    folder = SweepFolder(path.absolute())
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ResultsError(f"{path} is there already; continue it with --resume, or choose another --name")
    (folder.path / "trials").mkdir(parents=True)
    write_sweep_file(folder, config, {"study": study, **provenance()})
    return folder


def write_sweep_file(folder: SweepFolder, config: SweepConfig, origin: Mapping[str, Any]) -> None:
    """Write sweep.yaml whole or not at all."""
    content = to_mapping(config) | {PROVENANCE: dict(origin)}
    write_text(folder.sweep_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_folder(path: Path, *, cluster: bool = False) -> tuple[SweepFolder, SweepConfig, dict[str, Any]]:
    """A sweep's folder, its configuration and its provenance.

    Raises:
        ResultsError: it is missing, or its sweep.yaml is.
        ConfigError: its sweep.yaml does not fit this version or this machine.
    """
    folder = SweepFolder(path.absolute())
    if not folder.sweep_file.is_file():
        raise ResultsError(
            f"{path} holds no {SWEEP_FILE}, so it is no sweep; `sweeper list` shows the sweeps there are"
        )
    try:
        content = yaml.safe_load(folder.sweep_file.read_text())
        origin = content.pop(PROVENANCE)
        origin["study"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise ResultsError(f"{folder.sweep_file} is damaged ({type(error).__name__}); it cannot be resumed") from error
    return folder, parse_config(content, source=str(folder.sweep_file), cluster=cluster), origin


def find_sweep(name_or_path: str, results: Path) -> Path:
    """The folder of a sweep that is named by its name below `results` or by its path.

    Raises:
        ResultsError: there is none; the nearest names are given.
    """
    for path in (Path(name_or_path), results / name_or_path):
        if (path / SWEEP_FILE).is_file():
            return path
    names = sorted(file.parent.name for file in results.glob(f"*/{SWEEP_FILE}"))
    if not names:
        raise ResultsError(f"there is no sweep {name_or_path}: {results} holds none yet; start one with `sweeper run`")
    near = difflib.get_close_matches(name_or_path, names, n=3, cutoff=0.4) or names[-3:]
    raise ResultsError(f"there is no sweep {name_or_path} in {results}; is it {' or '.join(near)}?")


def provenance() -> dict[str, Any]:
    """Where and with what the sweep was started."""
    packages = {}
    for name in ("sweeper", *PACKAGES):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": packages,
        "git_commit": _git_commit(),
        "machine": {"node": platform.node(), "system": platform.platform(), "cores": os.cpu_count() or 1},
    }


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@contextmanager
def locked(folder: SweepFolder) -> Iterator[None]:
    """Hold the sweep for this process; the kernel lets go of it when the process dies, however it dies.

    Raises:
        ResultsError: another process holds it.
    """
    descriptor = os.open(folder.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            raise ResultsError(
                f"{folder.path} is in use by another process (pid {holder}); wait until it has ended, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        remove_torn(folder.path)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it: it is whole or it is the one before."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(path: Path) -> None:
    """Delete what a killed process has left of files that it was writing into this folder."""
    for torn in (*path.glob(".*.tmp"), *path.glob("*.tmp")):
        torn.unlink(missing_ok=True)


def disk_full(path: Path) -> SweepError:
    """The error that a full disk is."""
    return SweepError(f"the disk that holds {path} is full; free some space, then `sweeper resume {path}`")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk is full; SQLite says it in words alone."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in FULL) or "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


class ReportLog:
    """reports.jsonl, opened for this process alone."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        rows = read_log(folder)
        self.sequence = max((row["sequence"] for row in rows), default=0)
        _cut_torn_line(folder.reports_log)
        self.file = folder.reports_log.open("ab", buffering=0)  # nothing is left to be written at the end

    def append(self, report: EpochReport, verdict: Mapping[str, Any]) -> None:
        """Write one report, and what it meant for its trial, and see it safely on the disk."""
        row = report_row(report) | {
            "sequence": self.sequence + 1,
            "reported_at": datetime.now(UTC).isoformat(),
            **verdict,
        }
        line = (json.dumps(row) + "\n").encode()
        while line:  # a disk with little room takes a part of it before it refuses
            line = line[self.file.write(line) :]
        _sync(self.file)
        self.sequence += 1

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _sync(file: FileIO) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe or a device has nothing to be synchronised
            raise


def _cut_torn_line(path: Path) -> None:
    """Cut what a killed process left of its last line, so that the next one begins on its own."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def report_row(report: EpochReport) -> dict[str, Any]:
    """A report as one flat row."""
    return {
        "trial": report.trial,
        "epoch": report.epoch,
        "step": report.step,
        "loss": report.loss,
        **report.criteria,
        "train_seconds": report.seconds["train"],
        "criteria_seconds": report.seconds["criteria"],
        "images_per_second": report.images_per_second,
        "spread": report.spread,
    }


def row_report(row: Mapping[str, Any], criteria: Sequence[str]) -> EpochReport:
    """The report that a row was made of."""
    return EpochReport(
        trial=row["trial"],
        epoch=row["epoch"],
        step=row["step"],
        loss=row["loss"],
        criteria={column: row[column] for name in criteria for column in criterion_columns(name)},
        spread=row["spread"],
        seconds={"train": row["train_seconds"], "criteria": row["criteria_seconds"]},
        images_per_second=row["images_per_second"],
    )


def read_log(folder: SweepFolder) -> list[dict[str, Any]]:
    """Every report in the order of its arrival, one per trial and epoch; a torn last line is left out.

    Raises:
        ResultsError: a line before the last is damaged.
    """
    if not folder.reports_log.is_file():
        return []
    lines = folder.reports_log.read_bytes().split(b"\n")
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for index, line in enumerate(lines[:-1]):  # what follows the last line break is torn
        try:
            row = json.loads(line)
            rows.setdefault((row["trial"], row["epoch"]), row)
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"line {index + 1} of {folder.reports_log} is damaged ({error})") from error
    return list(rows.values())


@dataclass(frozen=True)
class Outcome:
    """What result.json holds: how the trial ended, and which oracles were asked (a data set may have no labels)."""

    result: TrialResult
    probed: tuple[str, ...] = ()
    probe_error: str = ""


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write a trial's result.json, whole or not at all."""
    content = asdict(outcome.result) | {"probed": list(outcome.probed), "probe_error": outcome.probe_error}
    write_text(path / "result.json", json.dumps(content, indent=2) + "\n")


def read_outcome(path: Path) -> Outcome | None:
    """A trial's result.json, or None where there is none."""
    file = path / "result.json"
    if not file.is_file():
        return None
    content = json.loads(file.read_text())
    probed, error = tuple(content.pop("probed")), content.pop("probe_error")
    oracles = {name: OracleScore(**score) for name, score in content.pop("oracles").items()}
    return Outcome(TrialResult(**content, oracles=oracles), probed, error)


def criterion_settings(sample: CriteriaSample, criteria: Sequence[str]) -> dict[str, float]:
    """lidar_n, lidar_q, lidar_delta …: the conditions under which the sweep's criteria are measured."""
    from trainers.criteria import CRITERIA

    found: dict[str, float] = {}
    for name in criteria:
        found |= CRITERIA[name].record(sample.images, sample.views)
    return found


def write_tables(folder: SweepFolder, config: SweepConfig, records: Sequence[TrialRecord]) -> None:
    """Write reports.parquet and trials.parquet from the log, the study's records and the trials' results."""
    rows = read_log(folder)
    write_parquet(folder.path / "reports.parquet", *_reports_table(folder, config, rows))
    write_parquet(folder.path / "trials.parquet", *trials_table(folder, config, rows, records))


def _criteria_columns(criteria: Iterable[str]) -> list[str]:
    return [column for name in criteria for column in criterion_columns(name)]


def _reports_table(
    folder: SweepFolder, config: SweepConfig, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    columns = [*EPOCH_COLUMNS[:5], *_criteria_columns(config.criteria), *EPOCH_COLUMNS[5:]]
    made = [
        {**{name: row.get(name) for name in columns}, "sweep": folder.name, "reported_at": _moment(row["reported_at"])}
        for row in rows
    ]
    return made, columns


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def trials_table(
    folder: SweepFolder, config: SweepConfig, rows: Sequence[Mapping[str, Any]], records: Sequence[TrialRecord]
) -> tuple[list[dict[str, Any]], list[str]]:
    by_trial: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_trial.setdefault(row["trial"], []).append(row)
    settings = criterion_settings(config.criteria_sample, config.criteria)
    outcomes = {record.number: read_outcome(folder.trial(record.number)) for record in records}
    measured = [name for outcome in outcomes.values() if outcome for name in outcome.result.oracles]
    oracles = list(dict.fromkeys([*config.oracle, *measured]))
    made = [
        _trial_row(folder, config, record, by_trial.get(record.number, []), outcomes[record.number], oracles) | settings
        for record in records
    ]
    parameters = [f"{CONFIG_PREFIX}{name}" for name in dict.fromkeys([*config.fixed, *config.space])]
    conditions = tuple(f"{name}_" for name in HIGHER_IS_BETTER)
    absent = conditions if oracles else (*conditions, "oracle")
    plain = [name for name in TRIAL_COLUMNS if not name.startswith(absent)]
    further = [f"{ORACLE_PREFIX}{name}" for name in oracles]
    return made, [*plain, *_criteria_columns(config.criteria), *settings, *further, *parameters]


def _trial_row(
    folder: SweepFolder,
    config: SweepConfig,
    record: TrialRecord,
    rows: Sequence[Mapping[str, Any]],
    outcome: Outcome | None,
    oracles: Sequence[str],
) -> dict[str, Any]:
    last = max(rows, key=lambda row: row["epoch"], default={})
    scores = outcome.result.oracles if outcome else {}
    first = scores.get(oracles[0]) if oracles else None
    checkpoint = folder.checkpoint(record.number)
    unfinished = "" if record.status else f"interrupted after epoch {len(rows)}; `sweeper resume` continues it"
    return {
        "sweep": folder.name,
        "trial": record.number,
        "configuration": record.configuration,
        "seed": record.seed,
        "method": config.method,
        "dataset": config.dataset["name"],
        "encoder": config.encoder["name"],
        "status": record.status or "failed",
        "reason": record.reason or unfinished,
        "epochs": len(rows),
        "oracle": first.accuracy if first else None,
        "oracle_n": first.n if first else None,
        "oracle_seconds": sum(score.seconds for score in scores.values()) if scores else None,
        "loss": last.get("loss", float("nan")),
        "seconds": sum(row["train_seconds"] + row["criteria_seconds"] for row in rows)
        + sum(score.seconds for score in scores.values()),
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "audited": record.audited,
        "would_prune_epoch": record.would_prune_epoch,
        "checkpoint": str(checkpoint.relative_to(folder.path)) if checkpoint.is_file() else None,
        **{name: last.get(name, float("nan")) for name in _criteria_columns(config.criteria)},
        **{f"{ORACLE_PREFIX}{name}": scores[name].accuracy if name in scores else None for name in oracles},
        **{f"{CONFIG_PREFIX}{name}": value for name, value in {**config.fixed, **record.hyperparameters}.items()},
    }


def write_baselines(
    folder: SweepFolder, criteria: Sequence[str], oracles: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write baselines.parquet: one row each for the untrained encoder and for raw pixels."""
    plain = ["sweep", "baseline", *(["oracle", "oracle_n", "oracle_seconds"] if oracles else [])]
    columns = [*plain, *_criteria_columns(criteria), *(f"{ORACLE_PREFIX}{name}" for name in oracles)]
    write_parquet(folder.baselines, [{"sweep": folder.name, **row} for row in rows], columns)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as a parquet file with those columns, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: _array(name, [row.get(name) for row in rows]) for name in columns}), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


_WHOLE: Final = (*("trial", "epoch", "step", "sequence", "configuration", "seed", "epochs", "would_prune_epoch"),)
_TEXT: Final = ("sweep", "method", "dataset", "encoder", "status", "reason", "checkpoint", "baseline")
_MOMENTS: Final = ("reported_at", "started_at", "finished_at")


def _array(name: str, values: list[Any]) -> pa.Array:
    """A column of the type that its name has, so that a sweep of no rows has the same columns as one of many."""
    import pyarrow as pa

    if name.startswith(CONFIG_PREFIX):
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and not kinds <= {int, float}:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        return pa.array(values, pa.float64() if float in kinds else None)
    if name in _WHOLE or name.endswith(("_n", "_q")):
        return pa.array(values, pa.int64())
    if name in _TEXT:
        return pa.array(values, pa.string())
    if name in _MOMENTS:
        return pa.array(values, pa.timestamp("us", tz="UTC"))
    return pa.array(values, pa.bool_() if name == "audited" else pa.float64())
