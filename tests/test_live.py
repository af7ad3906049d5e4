"""The live table: what the sweep does from its first second, how far each trial is, and how long the rest takes."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, Group
from rich.text import Text
from small_sweeps import make_images, mapping, reports, small_config

from sweeper.cli.commands import execute
from sweeper.config.model import SweepConfig
from sweeper.config.read import parse_config
from sweeper.on_ray.progress import progress_file, read_progress, write_progress
from sweeper.run.observers.base import Observer, Phase, SweepStart
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.plain import PlainLines
from sweeper.run.options import RunOptions
from sweeper.run.pace import Pace, shared_out
from sweeper.run.steps import Steps
from sweeper.run.sweep import run_sweep
from sweeper.run.tasks import Task
from sweeper.run.text_table import Column, fitting, lines_of
from sweeper.store.layout import SweepFolder
from trainers.records import EpochReport, OracleScore, Progress, TrialConfig, TrialResult

WIDTHS = (20, 40, 60, 80, 100, 120, 200)
NAMES = ("lr", "weight_decay", "teacher_temperature", "student_temperature", "mask_ratio")
COLLAPSE = "RankMe of the embeddings under 1.5: 1.01 at epochs 2 and 3"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def config(images: Path) -> SweepConfig:
    return small_config(images, trials=8, epochs=10)


def trial(number: int) -> TrialConfig:
    values = {name: 0.001 * (number + 1) * 3**place for place, name in enumerate(NAMES)}
    return TrialConfig("simclr", {}, {}, 10, 24, values, NAMES, oracle=("lidar_paper",), trial=number)


def report(number: int, epoch: int, lidar: float = 12.5, *, train: float = 6.0, criteria: float = 2.0) -> EpochReport:
    values = {"lidar": lidar, "lidar.embedding": lidar, "rankme": 3.0}
    return EpochReport(number, epoch, 3 * epoch, 0.25, values, 0.1, {"train": train, "criteria": criteria}, 12.0)


def table(width: int = 120, height: int = 40) -> LiveTable:
    return LiveTable(console=Console(file=io.StringIO(), width=width, height=height, color_system=None))


def lines(one: LiveTable) -> list[str]:
    """What the table shows now, as a terminal of its width gets it."""
    console = Console(file=io.StringIO(), width=one.console.width, color_system=None)
    picture = one._picture()
    assert isinstance(picture, Group)
    for part in picture.renderables:
        assert isinstance(part, Text)
        assert part.cell_len <= one.console.width
    console.print(picture)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def row_of(one: LiveTable, number: int) -> list[str]:
    return next(line.split() for line in lines(one) if line.split()[:1] == [str(number)])


def tell(observer: Observer, config: SweepConfig) -> None:
    """A sweep in its middle: trials of every status, one that runs, one that begins."""
    observer.on_begin(SweepStart(config, Path("results/simclr-folder-20260101-120000"), 8))
    observer.on_phase(Phase("measuring the baselines", is_task=True))
    for number in range(6):
        observer.on_trial_start(trial(number))
    observer.on_report(report(0, 10, 31.25))
    observer.on_trial_end(TrialResult(0, "completed", "", 10, {"lidar_paper": OracleScore(0.6127, 24, 1.0)}))
    observer.on_report(report(1, 3))
    observer.on_trial_end(TrialResult(1, "collapsed", COLLAPSE, 3))
    observer.on_report(report(2, 4, 9.5))
    observer.on_trial_end(TrialResult(2, "pruned", "median pruner at epoch 4: lidar 9.5", 4))
    observer.on_trial_end(TrialResult(3, "failed", f"ValueError: {'a long reason ' * 9}", 0))
    observer.on_progress(Progress(4, 1, 2, 3, 0.5))


# What is shown


def test_phases_are_shown_before_there_is_a_sweep_and_go_when_they_end(config: SweepConfig) -> None:
    one = table()
    one.on_phase(Phase("reading dino.yaml"))
    one.on_phase_end("reading dino.yaml")
    one.on_phase(Phase("packing the images", 1200, 4000, "the data set is packed once into ~/packs"))
    one.on_phase(Phase("packing the images", 2400, 4000, "the data set is packed once into ~/packs"))
    assert lines(one) == ["packing the images  2,400 of 4,000  0 s"]
    one.on_phase_end("packing the images")
    one.on_begin(SweepStart(config, Path("results/s"), 8))
    one.on_phase(Phase("starting Ray"))
    title, phase, footer = lines(one)
    assert (title, phase) == ("s", "starting Ray  0 s")
    assert footer.startswith("0 of 8 trials ended")
    one.close()
    assert isinstance(one.console.file, io.StringIO)
    shown = one.console.file.getvalue()
    assert shown.count("is packed once into ~/packs") == 1
    assert "starting Ray" not in shown  # nothing is done any more


def test_of_a_sweep_that_does_not_begin_nothing_stays() -> None:
    one = table()
    one.on_phase(Phase("reading nothing.yaml"))
    one.close()
    assert isinstance(one.console.file, io.StringIO)
    assert one.console.file.getvalue().strip() == ""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal(config: SweepConfig, width: int) -> None:
    one = table(width)
    tell(one, config)
    shown = lines(one)
    assert max(map(len, shown)) <= width
    heads = shown[1].split()
    assert heads[0] == "trial"
    needed = {60: ["status", "epoch", "step", "lidar", "oracle"], 80: ["img/s", "lr"], 120: list(NAMES[:2])}
    assert {name for least, names in needed.items() if width >= least for name in names} <= set(heads)
    assert ("rankme" in heads) == (width >= 200)  # what matters least goes first
    assert [line.split()[0] for line in shown[2:8]] == ["0", "1", "2", "3", "4", "5"]
    one.close()


def test_a_row_says_where_its_trial_is(config: SweepConfig) -> None:
    one = table()
    one.on_begin(SweepStart(config, Path("s"), 8))
    one.on_trial_start(trial(0))
    assert row_of(one, 0)[:4] == ["0", "running", "0/10", "starting"]
    one.on_progress(Progress(0, 1, 2, 3, 0.5))
    assert row_of(one, 0)[:5] == ["0", "running", "0/10", "2/3", "48"]  # 24 images in half a second
    one.on_progress(Progress(0, 1, 3, 3, 0.5))
    assert row_of(one, 0)[3] == "criteria"
    one.on_report(report(0, 1))
    one.on_progress(Progress(0, 1, 3, 3, 0.5))  # it comes too late
    assert row_of(one, 0)[2:4] == ["1/10", "0/3"]
    one.on_trial_start(trial(1))
    one.on_progress(Progress(1, 7, 1, 3))  # it continues from its checkpoint
    assert row_of(one, 1)[2:4] == ["6/10", "1/3"]
    one.on_report(report(0, 10))
    assert row_of(one, 0)[2:4] == ["10/10", "oracle"]
    one.close()


def test_reasons_and_accuracies_stand_where_the_trial_is_listed(config: SweepConfig) -> None:
    one = table()
    tell(one, config)
    shown = lines(one)
    first = row_of(one, 0)
    assert (first[:3], first[-1]) == (["0", "completed", "10/10"], "61.3%")
    assert "31.25" in first
    assert any(line.startswith("    1  collapsed") and line.endswith(COLLAPSE) for line in shown)
    assert any(line.startswith("    3  failed") and line.endswith("…") and len(line) == 120 for line in shown)
    assert "median pruner" not in "".join(shown)
    assert "best so far: trial 0 with lidar 31.25 · last oracle: trial 0 with lidar_paper 61.3%" in shown
    assert "measuring the baselines  0 s" in shown
    one.on_oracle(2, {"lidar_paper": OracleScore(0.25, 24, 1.0)})
    assert any(line.split()[:2] == ["2", "pruned"] and line.endswith("25.0%") for line in lines(one))
    one.close()


@pytest.mark.parametrize(("maximize", "expected"), [(True, [5, 0, 0, 2]), (False, [5, 5, 1, 1])])
def test_the_best_is_a_completed_trial_by_the_objective(
    config: SweepConfig, maximize: bool, expected: list[int]
) -> None:
    one = table()
    one.on_begin(SweepStart(config, Path("s"), 8, {"completed": 1}, maximize, (5, 10.0)))
    found = [one.best]
    for number, status, value in (
        (0, "completed", 11.0),
        (3, "pruned", 99.0),
        (1, "completed", 9.0),
        (2, "completed", 12),
    ):
        one.on_trial_start(trial(number))
        one.on_report(report(number, 10, value))
        one.on_trial_end(TrialResult(number, status, "", 10))
        if number != 3:
            found.append(one.best)
    assert [best[0] for best in found if best is not None] == expected
    one.close()


def test_many_trials_leave_room_for_the_rest(config: SweepConfig) -> None:
    one = table(height=24)
    one.on_begin(SweepStart(config, Path("s"), 100))
    for number in range(50):
        one.on_trial_start(trial(number))
    shown = lines(one)
    assert len(shown) < 24
    assert "50 running" in "".join(shown)
    one.close()


def test_columns_are_left_out_by_their_rank() -> None:
    columns = [Column("a", ["1"], 0, always=True), Column("long name", ["22"], 2), Column("b", ["3"], 1)]
    for width, names in ((1, ["a"]), (4, ["a", "b"]), (14, ["a", "b"]), (15, ["a", "long name", "b"])):
        assert [column.title for column in fitting(columns, width)] == names
    assert [line.plain for line in lines_of(columns, [None], 15)] == ["a  long name  b", "1         22  3"]
    assert [line.plain for line in lines_of(columns, [Text("a remark")], 8)] == ["a  b", "1  a re…"]


def test_plain_lines_name_a_phase_only_if_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(seconds: float) -> list[str]:
        monkeypatch.setattr("sweeper.run.observers.plain.LASTS", seconds)
        observer = PlainLines(console=Console(file=io.StringIO(), width=80))
        observer.on_phase(Phase("starting Ray"))
        observer.phases["starting Ray"].join(0.5)
        observer.on_phase_end("starting Ray")
        observer.close()
        assert isinstance(observer.console.file, io.StringIO)
        return observer.console.file.getvalue().splitlines()

    assert shown(0.0) == ["starting Ray …"]
    assert shown(60.0) == []


def test_a_line_that_cannot_be_printed_later_is_an_error_of_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("nobody reads")

    monkeypatch.setattr("sweeper.run.observers.plain.LASTS", 0.0)
    observer = PlainLines(console=Console(file=Gone(), width=80))
    observer.on_phase(Phase("starting Ray"))
    observer.phases["starting Ray"].join(5)
    with pytest.raises(OSError, match="nobody reads"):
        observer.on_message("later")


# How long the rest takes


def aged(pace: Pace, seconds: float) -> None:
    """As if all that is known had happened earlier."""
    for one in pace.running.values():
        one.since -= seconds
        one.heard -= seconds


def test_the_first_estimate_comes_from_updates_and_counted_passes(config: SweepConfig) -> None:
    pace = Pace(config, 8, {"completed": 1})
    pace.task_started("measuring the baselines")
    assert not pace.is_known
    pace.started(trial(1))
    pace.progressed(Progress(1, 1, 1, 3))
    assert not pace.is_known  # the first update of a process takes longer
    pace.progressed(Progress(1, 1, 2, 3, 0.5))
    # An image of an update costs six forward passes; the criteria pass 40 images and 3 views of each forward.
    criteria = 40 * 4 / 6 / 24 * 0.5
    whole = 10 * (3 * 0.5 + criteria) + 3 * 0.5 * 2 / 6
    assert pace.slots == 2
    assert pace.seconds_left == pytest.approx(shared_out([whole - 1.0], 6, whole, 2), abs=0.1)


def test_epochs_and_trials_refine_the_estimate(config: SweepConfig) -> None:
    config = replace(config, criteria_every=4)  # measured after epochs 4, 8 and 10
    pace = Pace(config, 3)
    pace.started(trial(0))
    for epoch in range(1, 11):
        one = report(0, epoch, train=6.0, criteria=3.0)
        pace.reported(one if epoch in (4, 8, 10) else replace(one, criteria={}))
    aged(pace, 5.0)
    pace.ended(TrialResult(0, "completed", "", 10))  # five seconds after its last epoch
    assert pace.seconds_left == pytest.approx(2 * (60 + 9 + 5), abs=0.1)
    pace.started(trial(1))
    pace.progressed(Progress(1, 4, 1, 3, 2.0))  # three epochs and a third of one are done
    assert pace.seconds_left == pytest.approx((60 - 20 + 9 + 5) + 74, abs=0.1)
    pace.progressed(Progress(1, 4, 3, 3, 2.0))
    aged(pace, 1.0)  # its criteria are measured since a second
    assert pace.seconds_left == pytest.approx((60 - 24 + 9 - 1 + 5) + 74, abs=0.1)
    pace.reported(report(1, 5, train=6.0, criteria=3.0))
    pace.ended(TrialResult(1, "pruned", "", 5))  # so the next one may be pruned too
    share = (1 + 1 + 0.5) / 3
    assert pace.seconds_left == pytest.approx(share * 74, abs=0.1)
    pace.ended(TrialResult(2, "failed"))
    assert (pace.done, pace.is_known) == (3, False)


def test_a_step_is_told_once_a_second_and_at_the_end_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("sweeper.run.steps.time.monotonic", lambda: next(clock) / 4)
    sent: list[Progress] = []
    steps = Steps(7, sent.append)
    for epoch in (1, 2):
        for step in range(1, 11):
            steps(epoch, step, 10)
    assert [(one.epoch, one.step) for one in sent] == [(1, 1), (1, 5), (1, 9), (1, 10), (2, 4), (2, 8), (2, 10)]
    assert {one.trial for one in sent} == {7}
    assert all(one.seconds == pytest.approx(0.25) for one in sent[1:])
    assert math.isnan(sent[0].seconds)


# How it reaches the driver


def test_progress_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "0003.json"
    assert read_progress(file) is None
    first = Progress(3, 2, 5, 31, 0.25)
    write_progress(file, first)
    assert read_progress(file) == first
    (tmp_path / "0003.tmp").write_text('{"trial": 3, "epo')  # its worker was killed while it wrote
    assert read_progress(file) == first
    write_progress(file, replace(first, step=6))
    assert read_progress(file) == replace(first, step=6)
    assert [path.name for path in tmp_path.iterdir()] == ["0003.json"]
    for content in ('{"trial": 3, "epo', "", "[]", "3", '{"trial": 3}', '{"nothing": 1}'):
        file.write_text(content)
        assert read_progress(file) is None
    write_progress(tmp_path / "missing" / "0003.json", first)  # what is only shown fails nothing


class Driver:
    """What the driver of a sweep on Ray is told."""

    live: tuple[object, ...] = ()
    stopping = False

    def __init__(self) -> None:
        self.told: list[object] = []

    def next(self) -> None:
        """Nothing is left."""

    def received(self, task: Task, message: object) -> bool:
        self.told.append(message)
        return True

    def ended(self, task: Task, *, died: str = "") -> None:
        """Nothing ends here."""

    def fail(self, error: Exception) -> None:
        raise error


@pytest.mark.slow
def test_the_driver_looks_at_what_its_workers_wrote_and_hears_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sweeper.on_ray.tune import SweepStopper

    monkeypatch.setattr("sweeper.on_ray.tune.LOOK_SECONDS", 0.0)
    driver, first = Driver(), Progress(3, 2, 5, 31, 0.25)
    tasks = {f"id{number}": Task("trial", trial(number), SweepFolder(tmp_path)) for number in (3, 4)}
    stopper = SweepStopper(driver, tasks, tmp_path)
    assert not stopper.stop_all()
    write_progress(progress_file(tmp_path, tasks["id3"]), first)
    progress_file(tmp_path, tasks["id4"]).write_text('{"trial": 4, "epo')
    for _ in range(3):
        stopper.stop_all()
    assert driver.told == [first]
    write_progress(progress_file(tmp_path, tasks["id3"]), replace(first, step=6))
    stopper.stop_all()
    assert driver.told == [first, replace(first, step=6)]


class Told(Observer):
    """Keeps what it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.steps: list[Progress] = []

    def on_phase(self, phase: Phase) -> None:
        self.events.append(phase.name)

    def on_phase_end(self, name: str) -> None:
        self.events.append(f"end of {name}")

    def on_begin(self, start: SweepStart) -> None:
        self.events.append("begin")

    def on_progress(self, progress: Progress) -> None:
        self.steps.append(progress)

    def on_trial_start(self, config: TrialConfig) -> None:
        self.events.append(f"trial {config.trial}")


@pytest.mark.slow
def test_a_real_sweep_is_shown_and_its_numbers_are_the_same_as_unseen(images: Path, tmp_path: Path) -> None:
    config = parse_config(mapping(images, trials=2, epochs=2), source="test")
    local = RunOptions(local=True, device="cpu")
    one, told = table(), Told()
    run_sweep(config, tmp_path / "unseen", local)
    run_sweep(config, tmp_path / "seen", local, [one, told])
    baselines = "measuring the baselines"
    assert [event for event in told.events if not event.endswith("packing the images")] == [
        *("reading the images", "end of reading the images", "opening the study", "end of opening the study", "begin"),
        *("reading the images", "end of reading the images", baselines, f"end of {baselines}", "trial 0", "trial 1"),
    ]
    assert [(step.trial, step.epoch, step.step, step.steps) for step in told.steps if step.step == step.steps] == [
        *((0, 1, 3, 3), (0, 2, 3, 3), (1, 1, 3, 3), (1, 2, 3, 3))
    ]
    assert isinstance(one.console.file, io.StringIO)
    shown = one.console.file.getvalue()
    assert sum(line.split()[1:3] == ["completed", "2/2"] for line in shown.splitlines()) == 2
    assert "best so far: trial " in shown
    files = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith("."))
        for folder in (tmp_path / "seen", tmp_path / "unseen")
    ]
    assert files[0] == files[1]
    seen, unseen = (reports(tmp_path / name) for name in ("seen", "unseen"))
    assert seen.to_csv() == unseen.to_csv()


def test_a_mistake_in_the_file_leaves_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("method: simclrr\n")
    assert execute(["run", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "did you mean `simclr`?" in captured.err
