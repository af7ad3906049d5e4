"""The parquet tables of a sweep: made of its log, its study and its trials' results; and reading them, also as CSV."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sweeper.config.model import SweepConfig
from sweeper.errors import ResultsError
from sweeper.store.atomic import write_bytes
from sweeper.store.check import as_kind, check_rows
from sweeper.store.layout import SweepFolder
from sweeper.store.outcomes import Outcome, read_outcome
from sweeper.store.reports import read_log
from trainers.rebuilding import how_to_rebuild
from trainers.records import (
    BASELINE_COLUMNS,
    CONFIG_PREFIX,
    COUNT,
    EPOCH_COLUMNS,
    FAILED,
    ORACLE_PREFIX,
    TRIAL_COLUMNS,
    Column,
    CriteriaSample,
    Kind,
    OracleScore,
    criterion_columns,
    metric_columns,
    names_of,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from sweeper.search.study import TrialRecord


PARQUET: Final = ".parquet"


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
    write_parquet(folder.reports_table, *_reports_table(folder, config, rows))
    write_parquet(folder.trials_table, *trials_table(folder, config, rows, records))


def criteria_columns(criteria: Iterable[str]) -> list[Column]:
    """The columns of criteria: each plain one, then its two layers."""
    return [Column(name, "number", "") for criterion in criteria for name in criterion_columns(criterion)]


def measured_columns(criteria: Iterable[str]) -> list[Column]:
    """The columns of criteria of the catalogue, with the values beside them."""
    from trainers.criteria import CRITERIA

    return [Column(column, "number", "") for name in criteria for column in CRITERIA[name].columns]


def columns_of_nulls(criteria: Iterable[str]) -> list[Column]:
    """The columns of criteria of the catalogue on shuffled views."""
    from trainers.criteria import CRITERIA

    return [Column(column, "number", "") for name in criteria for column in CRITERIA[name].null_columns]


def _reports_table(
    folder: SweepFolder, config: SweepConfig, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Column]]:
    each = [Column(f"{name}_seconds", "number", "") for name in config.criteria]
    place = names_of(EPOCH_COLUMNS).index("train_seconds")
    first, times, rest = EPOCH_COLUMNS[:place], EPOCH_COLUMNS[place : place + 2], EPOCH_COLUMNS[place + 2 :]
    columns = [
        *first,
        *measured_columns(config.criteria),
        *times,
        *each,
        *rest,
        *columns_of_nulls(config.criteria),
    ]
    made = [
        {
            **{name: row.get(name) for name in names_of(columns)},
            "sweep": folder.name,
            "reported_at": _moment(row["reported_at"]),
        }
        for row in rows
    ]
    return made, columns


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def trials_table(
    folder: SweepFolder, config: SweepConfig, rows: Sequence[Mapping[str, Any]], records: Sequence[TrialRecord]
) -> tuple[list[dict[str, Any]], list[Column]]:
    """The rows of trials.parquet, and its columns."""
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
    held = [Column(f"{CONFIG_PREFIX}{name}", "value", "") for name in dict.fromkeys([*config.fixed, *config.space])]
    plain = [column for column in TRIAL_COLUMNS if oracles or not column.name.startswith("oracle")]
    conditions = [Column(name, condition_kind(name), "") for name in settings]
    further = oracle_columns(oracles, [name for row in made for name in row])
    values = [*measured_columns(config.criteria), *columns_of_nulls(config.criteria)]
    return made, [*plain, *values, *conditions, *further, *held]


def condition_kind(name: str) -> Kind:
    """n and q are counts, the other conditions of a criterion numbers."""
    return "whole" if name.endswith(("_n", "_q")) else "number"


def _trial_row(
    folder: SweepFolder,
    config: SweepConfig,
    record: TrialRecord,
    rows: Sequence[Mapping[str, Any]],
    outcome: Outcome | None,
    oracles: Sequence[str],
) -> dict[str, Any]:
    last = dict(max(rows, key=lambda row: row["epoch"], default={}))
    epochs = max([last.get("epoch", 0), *(record.reported if record.status else ())])
    if epochs > last.get("epoch", 0):  # its last report was lost: of its criteria the study has kept the objective
        last = {config.objective: record.reported[epochs]}
    # A criterion is null if the last report does not have it, and NaN if there is no last report.
    absent = None if "epoch" in last else float("nan")
    scores = outcome.result.oracles if outcome else {}
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
        "status": record.status or FAILED,
        "reason": record.reason or unfinished,
        "epochs": epochs,
        "loss": last.get("loss", float("nan")),
        "seconds": sum(row["train_seconds"] + row["criteria_seconds"] for row in rows)
        + sum(score.seconds for score in scores.values()),
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "audited": record.audited,
        "would_prune_epoch": record.would_prune_epoch,
        "checkpoint": str(checkpoint.relative_to(folder.path)) if checkpoint.is_file() else None,
        **{name: last.get(name, absent) for name in names_of(measured_columns(config.criteria))},
        **{name: last.get(name) for name in names_of(columns_of_nulls(config.criteria))},
        **oracle_cells(scores, oracles),
        **{f"{CONFIG_PREFIX}{name}": value for name, value in {**config.fixed, **record.hyperparameters}.items()},
    }


def oracle_cells(scores: Mapping[str, OracleScore], oracles: Sequence[str]) -> dict[str, float | None]:
    """The oracle columns of a row: the plain ones are the first oracle's, the seconds those of all oracles together."""
    first = scores.get(oracles[0]) if oracles else None
    cells = {
        "oracle": first.accuracy if first else None,
        "oracle_n": first.n if first else None,
        "oracle_seconds": sum(score.seconds for score in scores.values()) if scores else None,
    }
    for name in oracles:
        score, column = scores.get(name), f"{ORACLE_PREFIX}{name}"
        cells |= {column: score.accuracy if score else None, f"{column}{COUNT}": score.n if score else None}
        cells |= {f"{column}.{metric}": value for metric, value in (score.further if score else {}).items()}
    return cells


def oracle_columns(oracles: Sequence[str], cells: Iterable[str]) -> list[Column]:
    """The columns of each oracle: accuracy, test images, and the further metrics that any row has."""
    names, columns = list(dict.fromkeys(cells)), []
    for name in oracles:
        accuracy = f"{ORACLE_PREFIX}{name}"
        columns += [Column(accuracy, "number", ""), Column(f"{accuracy}{COUNT}", "whole", "")]
        columns += [Column(metric, "number", "") for metric in metric_columns(name, names).values()]
    return columns


def write_baselines(
    folder: SweepFolder, criteria: Sequence[str], oracles: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write baselines.parquet: one row each for the untrained encoder and for raw pixels."""
    plain = BASELINE_COLUMNS if oracles else BASELINE_COLUMNS[:2]
    columns = [
        *plain,
        *measured_columns(criteria),
        *columns_of_nulls(criteria),
        *oracle_columns(oracles, [name for row in rows for name in row]),
    ]
    write_parquet(folder.baselines, [{"sweep": folder.name, **row} for row in rows], columns)


def has_baselines(folder: SweepFolder) -> bool:
    """Whether baselines.parquet is there and can be read."""
    try:
        return bool(read_table(folder.baselines, BASELINE_COLUMNS))
    except ResultsError:
        return False


def read_table(path: Path | None, columns: Iterable[Column]) -> list[dict[str, Any]]:
    """The rows of a parquet or CSV file, with None for what is missing; no row where there is no file.

    A table that pandas read and wrote again, also by way of a CSV, has the same values in other types: it is accepted.

    Raises:
        ResultsError: the file is damaged, or a cell is not of its column's kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path is None or not path.is_file():
        return []
    columns = list(columns)
    try:
        table = pq.ParquetFile(path).read() if path.name.lower().endswith(PARQUET) else _delimited(path, columns)
        rows: list[dict[str, Any]] = table.to_pylist()
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ResultsError(f"{path} is damaged ({reason}){how_to_rebuild(path)}") from error
    for row in rows:
        row.update({one.name: as_kind(one.kind, row[one.name]) for one in columns if one.name in row})
    check_rows(rows, columns, path)
    return rows


def recorded_reports(folder: SweepFolder, trial: int) -> list[dict[str, Any]]:
    """The reports of one trial, from reports.jsonl or, where it has none of them, from the table."""
    found = [row for row in read_log(folder) if row["trial"] == trial]
    return found or [row for row in read_table(folder.table("reports"), EPOCH_COLUMNS) if row["trial"] == trial]


def _delimited(path: Path, columns: Iterable[Column]) -> pa.Table:
    """A CSV or TSV, also a compressed one; an empty cell is null, and other columns get the type of their cells."""
    import pyarrow as pa
    from pyarrow import csv

    separator = "\t" if ".tsv" in path.name.lower() else ","
    texts = {column.name: pa.string() for column in columns if column.kind in ("text", "moment")}
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types=texts, null_values=[""], strings_can_be_null=True),
    )


def count_rows(path: Path) -> int:
    """How many rows a parquet file has; 0 where it is missing or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Write rows as a parquet file with those columns, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    arrays = {column.name: _array(column.kind, [row.get(column.name) for row in rows]) for column in columns}
    pq.write_table(pa.table(arrays), sink)
    write_bytes(path, sink.getvalue().to_pybytes())


def write_features(path: Path, parts: Iterable[tuple[Sequence[str], NDArray[np.float32]]]) -> None:
    """Write paths and their features (n, d) as the columns `path` and `features`, a row group for each part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32()))])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with pq.ParquetWriter(temporary, schema) as writer:
            for paths, rows in parts:
                ends = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
                lists = pa.ListArray.from_arrays(ends, pa.array(rows.reshape(-1)))
                writer.write_table(pa.table([pa.array(paths, pa.string()), lists], schema=schema))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _array(kind: Kind, values: list[Any]) -> pa.Array:
    """A column of its kind's type, so that a sweep of no rows has the same columns as one of many."""
    import pyarrow as pa

    if kind == "value":
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and not kinds <= {int, float}:
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        return pa.array(values, pa.float64() if float in kinds else None)
    types = {
        "text": pa.string(), "whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_(),
        "moment": pa.timestamp("us", tz="UTC"),
    }  # fmt: skip
    return pa.array(values, types[kind])
