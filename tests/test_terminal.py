"""What the commands print: names, reasons and values of a sweep are data, whatever is in them."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from small_sweeps import make_images, small_config

from sweeper.cli.choice import choose
from sweeper.cli.commands import execute
from sweeper.cli.entry import OneLine
from sweeper.cli.evidence import gather
from sweeper.cli.plan import Estimate
from sweeper.cli.screens.choice import choice_text
from sweeper.cli.screens.ending import next_steps
from sweeper.cli.screens.plan import plan_parts
from sweeper.cli.screens.search_space import yaml_lines, yaml_narrow, yaml_short
from sweeper.cli.screens.sweeps import list_data, list_table, sweep_parts
from sweeper.cli.screens.trials import trial_data, trial_parts, trials_table
from sweeper.cli.verdicts import Check
from sweeper.run.observers.base import Observer, SweepStart
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.plain import PlainLines
from sweeper.run.sweep import Summary
from sweeper.store.listing import Listing
from trainers.records import EpochReport, OracleScore, TrialConfig, TrialResult

HOSTILE = "\x1b[31mred\x1b]0;t\x07 [/bold] [red]x[/red] :bomb: a\nb\r\x9b1m \u202egnp\u2066 c\u2028d"
ORDERS = set("\x1b\x07\x9b\r\u202e\u2066\u2028")
"""What a terminal would obey, or what turns the direction of reading."""
KEPT = "[/bold] [red]x[/red] :bomb: a b"
"""Markup stays as it is, and a line break is a blank."""


def printed(*parts: RenderableType) -> str:
    """The parts as a wide terminal without colours gets them."""
    console = Console(file=io.StringIO(), width=2000, force_terminal=True, color_system=None, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(trial: int, **more: Any) -> dict[str, Any]:
    about = {"status": "completed", "epochs": 1, "loss": 0.5, "lidar": 2.0, "seed": 0, "checkpoint": HOSTILE}
    values = {f"config.{HOSTILE}": HOSTILE, "config.lr": 0.1}
    return {"trial": trial, **about, **values, "oracle": 0.5, f"oracle.{HOSTILE}": 0.5, **more}


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """A sweep whose every text is hostile."""
    settings = {
        "method": HOSTILE,
        "dataset": {"name": HOSTILE},
        "objective": "lidar",
        "criteria": ["lidar", HOSTILE],
        "space": {HOSTILE: [HOSTILE]},
        "fixed": {},
        "trials": 2,
        "seeds": 1,
    }
    trials = [row(0, reason=HOSTILE, status="failed"), row(1, reason=HOSTILE)]
    reports = [
        {"trial": 0, "epoch": 1, "step": 1, "loss": 0.5, "lidar": 2.0, HOSTILE: 1.0, f"{HOSTILE}.embedding": 1.0}
    ]
    baselines = [{"baseline": HOSTILE, "loss": 0.1, "lidar": 1.0}]
    folder = tmp_path / HOSTILE.replace("/", "-")
    return Listing(folder, settings, trials, reports, baselines, held=False)


def data(text: str, times: int = 1) -> None:
    """Assert that the text orders a terminal nothing and has the hostile one at least so often, with its markup."""
    assert not ORDERS & set(text)
    assert text.count(KEPT) >= times


def test_the_list_of_sweeps(listing: Listing) -> None:
    rows = list_data([listing])
    data(printed(list_table([{**rows[0], "name": HOSTILE, "objective": HOSTILE}])), 4)


def test_one_sweep(listing: Listing) -> None:
    text = printed(*sweep_parts(listing))
    assert not ORDERS & set(text)
    table = printed(trials_table(listing))
    data(table, 6)
    assert len(table.splitlines()) == 4  # the headings, two trials and a baseline


def test_one_trial(listing: Listing) -> None:
    text = printed(*trial_parts({**trial_data(listing, 0), "log": HOSTILE}))
    data(text, 4)


def test_the_choice_stays_a_comment_and_its_yaml_keeps_the_values(listing: Listing) -> None:
    choice = choose(listing)
    text = choice_text(choice, gather(listing, choice))
    assert not ORDERS & set(text)
    assert yaml.safe_load(text) == choice.file
    assert choice.file["fixed"] == {HOSTILE: HOSTILE, "lr": 0.1}


def test_yaml_of_other_languages_stays_readable() -> None:
    assert yaml_lines({"name": "größe 大きさ"}) == "name: größe 大きさ\n"
    assert not ORDERS & set(yaml_short({"a": "\u202ex", "b": "x\u2028", "c": "\x9b1m"}))


TEXTS = st.text(alphabet=", -#:'\"[]{}&*!|>%@\\ta\nß", max_size=30)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS | st.floats(allow_nan=False), max_size=9), max_size=3))
def test_broken_lines_read_back_as_the_same_values(mapping: dict[str, Any]) -> None:
    for width in (8, 80):
        assert yaml.safe_load(yaml_narrow({"x": mapping, **mapping}, width)) == {"x": mapping, **mapping}


def test_narrow_lines_are_no_wider_than_a_terminal() -> None:
    text = yaml_narrow({"fixed": {f"second_solarize_probability_{k}": k / 7 for k in range(20)}})
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) == 20


def test_the_plan_and_the_next_steps(listing: Listing) -> None:
    config = TrialConfig("simclr", {}, {}, 1, 2, hyperparameters={HOSTILE: HOSTILE}, swept=(HOSTILE,))
    estimate = Estimate(1.0, 1.0, 1.0, 1.0, 1.0, 1, (HOSTILE,))
    data(printed(*plan_parts({"name": HOSTILE}, [config], 1, estimate)), 3)
    for measured in (True, False):
        steps = next_steps(Summary(listing.folder, {"completed": 1}, 1.0, interrupted=False, measured=measured))
        assert not ORDERS & set(steps)


def test_without_an_oracle_the_next_steps_are_what_works() -> None:
    summary = Summary(
        Path("r/s"), {"completed": 2}, 1.0, interrupted=False, measured=False, runs=2, criteria=("rankme", "lidar")
    )
    assert next_steps(summary).splitlines()[2:] == [
        "  sweeper best r/s                     the trial that rankme selects",
        "  sweeper best r/s --criterion lidar   the trial that lidar selects",
    ]
    (quoted, _) = next_steps(replace(summary, folder=Path("r/my sweep"))).splitlines()[2:]
    assert quoted == "  sweeper best 'r/my sweep'                     the trial that rankme selects"
    first = next_steps(replace(summary, measured=True)).splitlines()[2]
    assert first == "  sweeper analyze r/s   how each criterion ranked the trials"


def test_an_interrupted_trial_has_one_word_everywhere(listing: Listing, tmp_path: Path) -> None:
    rows = [row(0), row(1, status="interrupted")]
    cut = replace(listing, trials=rows, settings={**listing.settings, "trials": 4, "seeds": 1})
    counts = "1 completed, 1 interrupted of 4"
    assert counts in printed(*sweep_parts(cut))
    assert counts in printed(list_table(list_data([cut])))
    assert counts in next_steps(Summary(cut.folder, cut.counts, 1.0, interrupted=True, runs=4))
    console = Console(file=io.StringIO(), width=200, force_terminal=False, color_system=None)
    live = LiveTable(console=console)
    live.on_begin(SweepStart(small_config(make_images(tmp_path / "images")), Path("s"), 4))
    live.on_trial_start(TrialConfig("simclr", {}, {}, epochs=1, batch_size=2, trial=1))
    live.close()
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "interrupted" in shown
    assert "0 of 4 trials ended · 1 interrupted" in shown
    assert "stopped" not in shown


@pytest.mark.parametrize("kind", [PlainLines, LiveTable])
def test_what_is_shown_while_a_sweep_runs(kind: type[Observer], tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=2000, force_terminal=False, color_system=None)
    observer = kind(console=console)  # type: ignore[call-arg]
    config = small_config(make_images(tmp_path / "images"))
    observer.on_begin(SweepStart(config, Path(HOSTILE.replace("/", "-")), 2))
    observer.on_trial_start(TrialConfig("simclr", {}, {}, epochs=1, batch_size=2, trial=0))
    observer.on_report(EpochReport(0, 1, 1, 0.25, {HOSTILE: 1.0}, 0.1, {"train": 1.0, "criteria": 0.5}, 10.0))
    observer.on_message(HOSTILE)
    observer.on_oracle(1, {HOSTILE: OracleScore(0.5, 2, 1.0)})
    observer.on_trial_end(TrialResult(0, "failed", HOSTILE, 1, {HOSTILE: OracleScore(0.5, 2, 1.0)}))
    observer.close()
    assert isinstance(console.file, io.StringIO)
    data(console.file.getvalue(), 3)


def test_a_check_and_a_warning_are_one_line() -> None:
    data(printed(Check("data", "warn", HOSTILE, HOSTILE).line()), 2)
    record = logging.LogRecord("sweeper", logging.WARNING, "", 0, "left out: %s", (HOSTILE,), None)
    line = OneLine("sweeper: %(message)s").format(record)
    data(line)
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize("command", ["show", "best", "resume", "probe", "analyze"])
def test_an_error_is_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([command, HOSTILE]) == 2
    said = capsys.readouterr().err
    assert said.startswith("sweeper: ")
    assert not ORDERS & set(said)
    assert said.count("\n") == 1


def test_a_warning_of_another_package_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*_: object) -> None:
        warnings.simplefilter("always")
        warnings.warn(f"ignored: {HOSTILE}", UserWarning, stacklevel=1)

    monkeypatch.setattr("sweeper.store.listing.find_listings", answer)
    monkeypatch.setattr("sweeper.cli.screens.sweeps.list_data", lambda _: [])
    assert execute(["list"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("sweeper: UserWarning: ignored: ")
    assert not ORDERS & set(said)
    assert said.count("\n") == 1
