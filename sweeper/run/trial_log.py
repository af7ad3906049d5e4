"""log.txt of a trial, written by its worker."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from sweeper.store.atomic import FULL
from sweeper.store.layout import TRIAL_LOG
from trainers.formats import accuracy
from trainers.records import EpochReport, OracleScore


@contextmanager
def trial_log(folder: Path) -> Iterator[FileIO]:
    """Open and lock the trial's log; wait for an earlier worker that still holds it."""
    with (folder / TRIAL_LOG).open("ab", buffering=0) as file:  # nothing is left to be written at the end
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield file


@contextmanager
def warnings_in(log: FileIO) -> Iterator[None]:
    """Write warnings into the trial's log, because a worker's standard error is not shown."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: write_line(log, f"warning: {message}")
        yield


def write_line(log: FileIO | None, text: str) -> None:
    if log is None or not text:
        return
    try:
        log.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')}  {text}\n".encode())
    except OSError as error:
        if error.errno not in FULL:  # a missing log line must not fail the trial
            raise


def describe_report(report: EpochReport) -> str:
    values = "  ".join(f"{name} {value:.6g}" for name, value in report.criteria.items() if "." not in name)
    seconds = f"{report.seconds['train']:.2f} + {report.seconds['criteria']:.2f} s"
    return f"epoch {report.epoch}  loss {report.loss:.6g}  {values}  {seconds}"


def describe_scores(scores: Mapping[str, OracleScore]) -> list[str]:
    """Every oracle with its accuracy, for the log and for the terminal; result.json has all digits."""
    return [f"{name} {accuracy(score.accuracy)}" for name, score in scores.items()]
