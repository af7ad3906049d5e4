"""The output of a sweep: a line per finished trial on a pipe, JSON, a table on a terminal, or nothing."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_sweeps import make_images, small_config

from sweeper.errors import ConfigError
from sweeper.run.observers import make_observers
from sweeper.run.observers.base import Observer, Observers, SweepStart
from sweeper.run.observers.json_lines import JsonLines
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.plain import PlainLines
from sweeper.run.options import RunOptions
from sweeper.run.pace import Pace
from trainers.records import EpochReport, OracleScore, TrialConfig, TrialResult

SCORES = {"lidar_paper": OracleScore(0.875, 24, 1.0)}


def report(trial: int, epoch: int, lidar: float = 12.5) -> EpochReport:
    criteria = {"lidar": lidar, "lidar.embedding": lidar, "rankme": 3.0}
    return EpochReport(trial, epoch, epoch, 0.25, criteria, 0.1, {"train": 1.0, "criteria": 0.5}, 10.0)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> SweepStart:
    images = make_images(tmp_path_factory.mktemp("images"))
    return SweepStart(small_config(images, trials=3, epochs=2), Path("sweep"), 3, {"completed": 1})


def trial(number: int) -> TrialConfig:
    return TrialConfig("simclr", {}, {}, epochs=2, batch_size=2, trial=number)


def tell(observer: Observer, start: SweepStart) -> None:
    """A sweep of three trials with two epochs each; one trial was finished before."""
    observer.on_begin(start)
    observer.on_trial_start(trial(1))
    observer.on_report(report(1, 1))
    observer.on_report(report(1, 2, math.nan))
    observer.on_trial_end(TrialResult(1, "completed", "", 2, SCORES))
    observer.on_trial_start(trial(2))
    observer.on_message("something to know")
    observer.on_trial_end(TrialResult(2, "failed", "ValueError: no"))
    observer.on_oracle(0, SCORES)
    observer.close()


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)


def text_of(one: Console) -> str:
    assert isinstance(one.file, io.StringIO)
    return one.file.getvalue()


def test_on_a_pipe_it_is_a_line_per_finished_trial(start: SweepStart) -> None:
    lines = PlainLines(console())
    tell(lines, start)
    first, second, third, fourth = text_of(lines.console).splitlines()
    assert first.startswith("[2/3] trial 1 completed  2/2 epochs  lidar –  rankme 3  lidar_paper 87.5%")
    assert first.endswith(" left")
    assert second == "something to know"
    assert third == "[3/3] trial 2 failed  0/2 epochs  (ValueError: no)"
    assert fourth == "trial 0 is probed  lidar_paper 87.5%"


def test_json_is_one_object_a_line_that_any_reader_takes(start: SweepStart) -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    written = io.StringIO()
    tell(JsonLines(written), start)
    events = [json.loads(line, parse_constant=refuse) for line in written.getvalue().splitlines()]
    assert [event["event"] for event in events] == [
        *("begin", "started", "report", "report", "finished", "started", "message", "finished", "oracle")
    ]
    assert events[0] == {"event": "begin", "name": "sweep", "trials": 3, "epochs": 2, "done": {"completed": 1}}
    assert events[2]["criteria"] == {"lidar": 12.5, "lidar.embedding": 12.5, "rankme": 3.0}
    assert events[3]["criteria"]["lidar"] is None
    assert events[4]["oracles"]["lidar_paper"]["accuracy"] == 0.875
    assert events[7]["reason"] == "ValueError: no"


def test_on_a_terminal_it_is_a_table(start: SweepStart) -> None:
    table = LiveTable(console(terminal=True))
    tell(table, start)
    shown = text_of(table.console)
    for part in ("trial", "lidar", "rankme", "failed", "3 of 3 trials ended", "1 failed", "something to know"):
        assert part in shown
    assert "lidar.embedding" not in shown


def test_the_time_left_is_the_pace_so_far() -> None:
    pace = Pace(4, 2, {"completed": 1})
    assert math.isnan(pace.seconds_left)
    pace.began -= 30
    for _ in range(3):
        pace.reported()
    assert pace.seconds_left == pytest.approx(30, abs=1)
    pace.ended(TrialResult(2, "pruned", epochs=1))  # its second epoch will not run
    assert pace.seconds_left == pytest.approx(20, abs=1)


def test_the_fitting_observer_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds(**options: Any) -> list[type[Observer]]:
        return [type(observer) for observer in make_observers(RunOptions(**options))]

    assert kinds(as_json=True) == [JsonLines]
    assert kinds(quiet=True) == []
    assert kinds() == [PlainLines]
    assert kinds(observers=("json_lines", "plain")) == [PlainLines, JsonLines]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert kinds() == [LiveTable]
    with pytest.raises(ConfigError, match=r"`--observer` must be one of .*, but got plane; did you mean `plain`\?"):
        kinds(observers=("plane",))


class Failing(Observer):
    """Raises at the first report."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_trial_start(self, config: TrialConfig) -> None:
        self.told.append("start")

    def on_report(self, report: EpochReport) -> None:
        raise OSError("the tracker's server is down")

    def on_trial_end(self, result: TrialResult) -> None:
        self.told.append("end")

    def close(self) -> None:
        self.told.append("close")


def test_an_observer_that_fails_is_closed_and_the_sweep_goes_on(start: SweepStart) -> None:
    failing, lines = Failing(), PlainLines(console())
    tell(Observers([failing, lines]), start)
    assert failing.told == ["start", "close"]
    shown = text_of(lines.console)
    assert shown.count("observer Failing failed in on_report and is told nothing more (OSError: the tracker's") == 1
    assert "[3/3] trial 2 failed" in shown


def test_an_essential_observer_that_fails_ends_the_sweep(start: SweepStart) -> None:
    failing = Failing()
    failing.essential = True  # type: ignore[misc]
    with pytest.raises(OSError, match="server is down"):
        tell(Observers([failing]), start)
