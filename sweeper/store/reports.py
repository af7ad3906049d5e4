"""reports.jsonl: one line per report, appended as it arrives."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final

from sweeper.errors import ResultsError
from sweeper.store.check import check_rows
from sweeper.store.layout import SweepFolder
from trainers.records import EPOCH_COLUMNS, Column, EpochReport, criterion_columns, names_of, null_columns

LOG_COLUMNS: Final = tuple(column for column in EPOCH_COLUMNS if column.name != "sweep")
"""The columns of reports.parquet that a line of the log holds too."""
KNOWN: Final = frozenset(names_of(LOG_COLUMNS))


class ReportLog:
    """reports.jsonl, opened for this process alone."""

    def __init__(self, folder: SweepFolder) -> None:
        self.folder = folder
        rows = read_log(folder)
        self.sequence = max((row["sequence"] for row in rows), default=0)
        _cut_torn_line(folder.reports_log)
        self.file = folder.reports_log.open("ab", buffering=0)  # nothing is left to be written at the end

    def append(self, report: EpochReport, verdict: Mapping[str, Any]) -> None:
        """Append one report with its verdict, and wait until the disk has it."""
        row = report_row(report) | {
            "sequence": self.sequence + 1,
            "reported_at": datetime.now(UTC).isoformat(),
            **verdict,
        }
        line = (json.dumps(row) + "\n").encode()
        while line:  # a nearly full disk takes a part of it before it refuses
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
        if error.errno != errno.EINVAL:  # pipes and devices cannot be synchronised
            raise


def _cut_torn_line(path: Path) -> None:
    """Cut an unfinished last line that a killed process left, so that the next line begins on its own."""
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
        **report.nulls,
        **{f"{what}_seconds": seconds for what, seconds in report.seconds.items()},
        "images_per_second": report.images_per_second,
        "spread": report.spread,
        "masked_share": report.masked_share,
        "visible_share": report.visible_share,
        "embedding_rank": report.embedding_rank,
    }


def row_report(row: Mapping[str, Any], criteria: Sequence[str], *, measured: bool = True) -> EpochReport:
    """The report that a row was made of; `measured` says whether the criteria were measured after its epoch.

    Raises:
        ResultsError: it lacks the loss or a criterion.
    """
    columns = [column for name in criteria for column in criterion_columns(name)] if measured else []
    nulls = [column for name in criteria for column in null_columns(name)]
    wanted = ["loss", *columns]
    absent = [name for name in wanted if not isinstance(row.get(name), int | float)]
    if absent:
        where = f"reports.jsonl, trial {row['trial']}, epoch {row['epoch']}"
        raise ResultsError(f"`{absent[0]}` must be a number in {where}; repair it, or start a new sweep")
    return EpochReport(
        trial=row["trial"],
        epoch=row["epoch"],
        step=row["step"],
        loss=row["loss"],
        criteria={column: row[column] for column in columns},
        spread=row["spread"],
        seconds={
            what: row[name]
            for what in ("train", "criteria", *criteria)
            if row.get(name := f"{what}_seconds") is not None
        },
        images_per_second=row["images_per_second"],
        masked_share=_number(row, "masked_share"),
        visible_share=_number(row, "visible_share"),
        embedding_rank=_number(row, "embedding_rank"),
        nulls={column: row[column] for column in nulls if row.get(column) is not None},
    )


def _number(row: Mapping[str, Any], name: str) -> float:
    """A number; NaN in a row of an earlier version, which has none."""
    value = row.get(name)
    return math.nan if value is None else float(value)


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
            check_rows([row], (*LOG_COLUMNS, *(Column(name, "value", "") for name in row if name not in KNOWN)), "it")
            rows.setdefault((row["trial"], row["epoch"]), row)
        except (ValueError, AttributeError, RecursionError, ResultsError) as error:
            reason = str(error).removesuffix(" in row 1")
            raise ResultsError(
                f"line {index + 1} of {folder.reports_log} is damaged ({reason}); delete that line, and "
                "`sweeper resume` takes the report from reports.parquet, if it is there"
            ) from error
    return list(rows.values())
