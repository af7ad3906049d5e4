"""The output of a sweep: a line per finished trial on a pipe, JSON, a table on a terminal, or nothing."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from rich.console import Console
from small_sweeps import make_images, mapping, small_config

from sweeper.config.model import to_mapping
from sweeper.config.read import load_config, parse_config
from sweeper.errors import ConfigError
from sweeper.run.observers import OBSERVERS, further_observers, make_observers, observer_options
from sweeper.run.observers.base import NO_OPTIONS, Observer, ObserverOptions, Observers, SweepStart
from sweeper.run.observers.json_lines import JsonLines
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.plain import PlainLines
from sweeper.run.options import RunOptions
from sweeper.store.manifest import create_folder, read_manifest
from trainers.fields import AtLeast
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
    lines = PlainLines(console=console())
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
    tell(JsonLines(file=written), start)
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
    table = LiveTable(console=console(terminal=True))
    tell(table, start)
    shown = text_of(table.console)
    for part in ("trial", "lidar", "rankme", "failed", "3 of 3 trials ended", "1 failed", "something to know"):
        assert part in shown
    assert "lidar.embedding" not in shown


def test_the_fitting_observer_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds(**options: Any) -> list[type[Observer]]:
        return [type(observer) for observer in make_observers(RunOptions(**options))]

    assert kinds(as_json=True) == [JsonLines]
    assert kinds(quiet=True) == []
    assert kinds() == [PlainLines]
    assert kinds(observers=("json_lines", "plain")) == [PlainLines, JsonLines]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert kinds() == [LiveTable]
    with pytest.raises(ConfigError, match=r'`--observer` must be one of .*, but got "plane"; did you mean `plain`\?'):
        kinds(observers=("plane",))


@dataclass(frozen=True)
class TrackerOptions(ObserverOptions):
    """Options of every kind."""

    project: str
    tags: str | None = None
    every: Annotated[int, AtLeast(1)] = 1


class Tracker(Observer):
    """Keeps its options."""

    Options = TrackerOptions

    def __init__(self, options: ObserverOptions = NO_OPTIONS) -> None:
        super().__init__(options)
        assert isinstance(options, TrackerOptions)
        if " " in options.project:
            raise ValueError(f"`project` must be without blanks, but got {options.project!r}")


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBSERVERS, "tracker", Tracker)


RESOLVED = {"name": "tracker", "project": "p", "tags": None, "every": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("tracker")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("none", []),
        ([], []),
        ("plain", [{"name": "plain"}]),
        ({"name": "tracker", "project": "p"}, [RESOLVED]),
        (["plain", {"name": "tracker", "project": "p", "every": "2"}], [{"name": "plain"}, RESOLVED | {"every": 2}]),
    ],
)
def test_observers_of_a_file_are_names_or_mappings_with_every_option_recorded(
    tmp_path: Path, given: object, expected: list[dict[str, Any]]
) -> None:
    images = make_images(tmp_path / "images")
    config = parse_config(mapping(images, observers=given), source="test", observers=observer_options())
    assert list(config.observers) == expected == to_mapping(config)["observers"]
    folder = create_folder(tmp_path / "sweep", config, study="s")
    _, again, _ = read_manifest(folder.path, observers=observer_options())
    assert again == config


@pytest.mark.slow
@pytest.mark.usefixtures("tracker")
def test_every_mistake_in_observers_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    given = mapping(make_images(tmp_path / "images"))
    lines = yaml.safe_dump(given).count("\n")

    def mistakes(text: str, *overrides: str) -> list[str]:
        file.write_text(yaml.safe_dump(given) + text)
        with pytest.raises(ConfigError) as caught:
            load_config(file, overrides, observers=observer_options())
        return str(caught.value).splitlines()

    assert mistakes("observers:\n- name: tracker\n  projct: p\n  every: 0\n") == [
        f"{file}, line {lines + 1}: `observers.project` is missing; it must be text",
        f"{file}, line {lines + 3}: `observers.projct` is not an option of tracker; did you mean `project`?",
        f"{file}, line {lines + 4}: `observers.every` must be a whole number of at least 1, but got 0",
    ]
    names = "live, plain, json_lines, tensorboard, wandb, mlflow, tracker"
    assert mistakes("observers: traker\n") == [
        f'{file}, line {lines + 1}: `observers` must be one of {names}, but got "traker"; did you mean `tracker`?'
    ]
    assert mistakes("", "observers=[3]") == [
        "override observers=[3]: `observers` must be a name, or a mapping with `name` and options, but got 3"
    ]
    assert mistakes("observers: [plain, plain]\n") == [
        f'{file}, line {lines + 1}: `observers` must name each once, but got ["plain", "plain"]'
    ]


@pytest.mark.usefixtures("tracker")
def test_an_observer_of_the_command_line_may_have_options_and_goes_before_that_of_the_file() -> None:
    given = RunOptions(quiet=True, observers=("{name: tracker, project: mine, every: 3}", "plain"))
    made = make_observers(given)
    assert [one.options for one in made] == [TrackerOptions("mine", every=3), ObserverOptions()]
    assert further_observers([RESOLVED, {"name": "json_lines"}], made)[0].__class__ is JsonLines
    assert [one.options for one in further_observers([RESOLVED], [])] == [TrackerOptions("p")]
    for item, problem in {
        "{name: tracker, project: a b}": "the observer tracker cannot be used: `project` must be without blanks",
        "{name: tracker, project: p, evry: 2}": "`evry` is not an option of tracker; did you mean `every`?",
        "{project: p}": "`--observer` must be a name, or a mapping with `name` and options",
        "{name: tracker": "--observer, line 1: not valid YAML",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(problem)):
            make_observers(RunOptions(observers=(item,)))
    with pytest.raises(ConfigError, match="`--observer` must name each once, but got plain, plain"):
        make_observers(RunOptions(observers=("plain", "plain")))


def test_a_plugin_that_cannot_be_used_is_an_error_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(group: str, catalogue: object) -> None:
        raise ValueError(f"a plug-in of {group}")

    monkeypatch.setattr("sweeper.run.observers.load_plugins", refuse)
    with pytest.raises(ConfigError, match=r"a plug-in of sweeper\.observers"):
        make_observers(RunOptions())


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
    failing, lines = Failing(), PlainLines(console=console())
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
