"""What a sweep shows: a line per finished trial on a pipe, JSON, a table on a terminal, or nothing."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import pytest
from rich.console import Console

from sweeper.run.observers.live import Mode, Progress, make_progress
from trainers.records import EpochReport, OracleScore, TrialResult


def report(trial: int, epoch: int, lidar: float = 12.5) -> EpochReport:
    criteria = {"lidar": lidar, "lidar.embedding": lidar, "rankme": 3.0}
    return EpochReport(trial, epoch, epoch, 0.25, criteria, 0.1, {"train": 1.0, "criteria": 0.5}, 10.0)


def told(mode: Mode, *, terminal: bool = False) -> str:
    """A sweep of three trials of two epochs, of which one was done before."""
    console = Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)
    progress = Progress(console, mode, 0)
    progress.begin(3, epochs=2, done={"completed": 1})
    with progress:
        progress.started(1)
        progress.reported(report(1, 1))
        progress.reported(report(1, 2, math.nan))
        score = OracleScore(0.875, 24, 1.0)
        progress.finished(TrialResult(1, "completed", "", 2, {"lidar_paper": score}), report(1, 2, math.nan))
        progress.started(2)
        progress.message("something to know")
        progress.finished(TrialResult(2, "failed", "ValueError: no"), None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_on_a_pipe_it_is_a_line_per_finished_trial() -> None:
    first, second, third = told("plain").splitlines()
    assert first.startswith("[2/3] trial 1 completed  2/2 epochs  lidar nan  rankme 3  lidar_paper 87.50%")
    assert first.endswith(" left")
    assert second == "something to know"
    assert third == "[3/3] trial 2 failed  0/2 epochs  (ValueError: no)"


def test_json_is_one_object_a_line_that_any_reader_takes() -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    events = [json.loads(line, parse_constant=refuse) for line in told("json").splitlines()]
    assert [event["event"] for event in events] == [
        *("begin", "started", "report", "report", "finished", "started", "message", "finished")
    ]
    assert events[2]["criteria"] == {"lidar": 12.5, "lidar.embedding": 12.5, "rankme": 3.0}
    assert events[3]["criteria"]["lidar"] is None
    assert events[4]["oracles"]["lidar_paper"]["accuracy"] == 0.875
    assert events[-1]["reason"] == "ValueError: no"


def test_quiet_is_quiet() -> None:
    assert told("quiet") == ""


def test_on_a_terminal_it_is_a_table() -> None:
    shown = told("live", terminal=True)
    for part in ("trial", "lidar", "rankme", "failed", "3 of 3 trials done", "1 failed", "something to know"):
        assert part in shown
    assert "lidar.embedding" not in shown


def test_the_time_left_is_the_pace_so_far() -> None:
    progress = Progress(Console(file=io.StringIO()), "quiet", 0)
    progress.begin(4, epochs=2, done={"completed": 1})
    assert math.isnan(progress.seconds_left)
    progress.began -= 30
    for trial, epoch in ((1, 1), (1, 2), (2, 1)):
        progress.reported(report(trial, epoch))
    assert progress.seconds_left == pytest.approx(30, abs=1)
    progress.finished(TrialResult(2, "pruned"), report(2, 1))  # its second epoch will not come
    assert progress.seconds_left == pytest.approx(20, abs=1)


def test_the_fitting_mode_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_progress(1, quiet=False, as_json=True).mode == "json"
    assert make_progress(1, quiet=True, as_json=False).mode == "quiet"
    assert make_progress(1, quiet=False, as_json=False).mode == "plain"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert make_progress(1, quiet=False, as_json=False).mode == "live"
