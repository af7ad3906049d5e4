"""The dispatcher with simulated workers: the order of tasks, retries, probes, and the end of a sweep."""

from __future__ import annotations

import io
import json
import math
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from small_sweeps import make_images, small_config

from sweeper.config.model import SweepConfig
from sweeper.errors import SweepError
from sweeper.on_ray.tune import bundle
from sweeper.run.checkpoints import Keeper
from sweeper.run.dispatcher import Dispatcher
from sweeper.run.failures import Failure
from sweeper.run.observers.plain import PlainLines
from sweeper.run.recovery import recover
from sweeper.run.tasks import Task
from sweeper.search.storage import open_study
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import create_folder
from sweeper.store.outcomes import Outcome, read_outcome, write_outcome
from sweeper.store.reports import read_log
from trainers.records import EpochReport, OracleScore, TrialResult, criterion_columns

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


class Stage:
    """A dispatcher with a real folder and study, and methods that act as its workers."""

    def __init__(self, config: SweepConfig, path: Path) -> None:
        self.config = config
        new = not path.exists()
        self.folder = create_folder(path, config, study="s") if new else SweepFolder(path)
        self.study = open_study(config, url=self.folder.storage_url, name="s", create=new)
        self.console = Console(file=io.StringIO(), width=200)
        self.dispatcher = Dispatcher(config, self.folder, self.study, PlainLines(console=self.console))
        recover(self.dispatcher)

    def close(self) -> None:
        self.dispatcher.close()
        self.study.close()

    @property
    def shown(self) -> str:
        assert isinstance(self.console.file, io.StringIO)
        return self.console.file.getvalue()

    def next(self) -> Task:
        task = self.dispatcher.next()
        assert task is not None
        return task

    def next_trial(self) -> Task:
        """The next trial's task; the baselines come first and are skipped."""
        task = self.next()
        if task.kind == "baselines":
            self.dispatcher.ended(task)
            task = self.next()
        return task

    def report(self, task: Task, epoch: int, value: float = 10.0, **changes: float) -> bool:
        columns = [column for name in ("lidar", "rankme") for column in criterion_columns(name)]
        values = dict.fromkeys(columns, value) | changes
        spread = values.pop("spread", 0.1)
        seconds = {"train": 1.0, "criteria": 0.1, "lidar": 0.08, "rankme": 0.02}
        loss = 1.0 - value if math.isfinite(value) else 1.0  # less is better: every criterion selects the same trial
        report = EpochReport(task.config.trial, epoch, epoch, loss, values, spread, seconds, 10.0)
        return self.dispatcher.received(task, report)

    def complete(self, task: Task, value: float = 10.0) -> None:
        for epoch in range(1, self.config.epochs + 1):
            assert self.report(task, epoch, value)
        task.trial_folder.mkdir(exist_ok=True)
        (task.trial_folder / "checkpoint.pt").touch()
        scores = {"lidar_paper": OracleScore(0.5, 10, 1.0)}
        result = TrialResult(task.config.trial, "completed", epochs=3, oracles=scores)
        write_outcome(task.trial_folder, Outcome(result, self.config.oracle))
        self.dispatcher.ended(task)


def staged(images: Path, path: Path, **changes: Any) -> closing[Stage]:
    return closing(Stage(small_config(images, **changes), path))


def test_baselines_first_then_every_trial_once(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        tasks = [stage.next() for _ in range(5)]
        assert [(task.kind, task.config.trial) for task in tasks] == [
            ("baselines", -1), ("trial", 0), ("trial", 1), ("trial", 2), ("trial", 3),
        ]  # fmt: skip
        assert stage.dispatcher.next() is None
        assert not stage.dispatcher.has_work
        assert len(stage.dispatcher.live) == 5


def test_a_report_is_on_the_disk_before_the_worker_hears(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        assert stage.report(task, 1)
        assert [row["epoch"] for row in read_log(stage.folder)] == [1]
        assert stage.study.record(0).reported == {1: 10.0}


def test_what_comes_again_is_not_put_to_the_pruner_again(images: Path, tmp_path: Path) -> None:
    pruner = {"name": "threshold", "lower": 5.0}
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        task = stage.next_trial()
        assert stage.report(task, 1, 10.0)
        assert stage.report(task, 1, 1.0)  # without the audit it would be pruned
        assert [row["lidar"] for row in read_log(stage.folder)] == [10.0]
        assert not stage.report(task, 2, 1.0)
        assert stage.study.record(0).status == "pruned"


def test_the_last_epoch_is_not_put_to_the_pruner(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s", pruner={"name": "threshold", "lower": 5.0}) as stage:
        task = stage.next_trial()
        assert stage.report(task, 1)
        assert stage.report(task, 2)
        assert stage.report(task, 3, 1.0)


def test_collapse_is_judged_before_the_pruner(images: Path, tmp_path: Path) -> None:
    """The median prunes on NaN."""
    with staged(images, tmp_path / "s", pruner={"name": "median", "n_startup_trials": 0}) as stage:
        stage.complete(stage.next_trial())
        task = stage.next_trial()
        assert not stage.report(task, 1, math.nan)
        assert stage.study.record(1).status == "collapsed"
        assert read_log(stage.folder)[-1]["verdict"] == "collapsed"


def test_a_verdict_that_did_not_reach_the_study_is_carried_out_later(images: Path, tmp_path: Path) -> None:
    """The driver is killed after writing the report to the log, before the study has it."""
    pruner = {"name": "threshold", "lower": 5.0}
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        assert stage.report(stage.next_trial(), 1)
    log = tmp_path / "s" / "reports.jsonl"
    row = json.loads(log.read_text()) | {"epoch": 2, "lidar": 1.0, "sequence": 2, "verdict": "pruned", "reason": "low"}
    log.write_text(log.read_text() + json.dumps(row) + "\n")
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        record = stage.study.record(0)
        assert (record.status, record.reason) == ("pruned", "low")
        assert stage.study.record(0).reported == {1: 10.0, 2: 1.0}
        assert stage.next_trial().config.trial == 1


def test_a_report_without_a_verdict_is_judged_when_it_comes_again(images: Path, tmp_path: Path) -> None:
    """The driver is killed after the study has the report, before the log has it."""
    pruner = {"name": "threshold", "lower": 5.0}
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        stage.next_trial()
        stage.study.report(0, 1, 1.0)
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        assert not stage.report(stage.next_trial(), 1, 1.0)


def test_without_its_log_a_trial_is_not_pruned_for_old_epochs(images: Path, tmp_path: Path) -> None:
    pruner = {"name": "threshold", "lower": 5.0}
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        stage.next_trial()
        for epoch, value in ((1, 10.0), (2, 1.0)):  # epoch 1 continued, and there was no decision for epoch 2
            stage.study.report(0, epoch, value)
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        task = stage.next_trial()
        assert stage.report(task, 1, 10.0)
        assert not stage.report(task, 2, 1.0)


def test_an_audit_is_remembered(images: Path, tmp_path: Path) -> None:
    pruner = {"name": "threshold", "lower": 5.0, "audit": 1.0}
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        assert stage.report(stage.next_trial(), 1, 2.0)
    with staged(images, tmp_path / "s", pruner=pruner) as stage:
        record = stage.study.record(0)
        assert (record.audited, record.would_prune_epoch) == (True, 1)
        task = stage.next_trial()
        assert stage.report(task, 2, 2.0)
        assert stage.study.record(0).would_prune_epoch == 1


def test_out_of_memory_is_tried_once_more_alone(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        stage.dispatcher.received(task, Failure("out of memory", "memory"))
        stage.dispatcher.ended(task)
        assert stage.study.record(0).status == ""
        again = stage.next()
        assert (again.config.trial, again.alone) == (0, True)
        stage.dispatcher.received(again, Failure("out of memory", "memory"))
        stage.dispatcher.ended(again)
        assert stage.study.record(0).status == "failed"
        assert "tried again with a GPU of its own" in stage.shown


def test_a_dead_worker_fails_its_trial_with_the_reason(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        stage.report(task, 1)
        stage.dispatcher.ended(task, died="its worker died: killed")
        record = stage.study.record(0)
        assert (record.status, record.reason) == ("failed", "its worker died: killed")
        outcome = read_outcome(task.trial_folder)
        assert outcome is not None
        assert outcome.result.epochs == 1


def test_a_result_that_is_there_outlives_its_worker(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        for epoch in (1, 2, 3):
            stage.report(task, epoch)
        task.trial_folder.mkdir()
        write_outcome(task.trial_folder, Outcome(TrialResult(0, "completed", epochs=3)))
        stage.dispatcher.ended(task, died="its worker died: killed")
        assert stage.study.record(0).status == "completed"


def test_a_result_that_nobody_can_see_stops_the_sweep(images: Path, tmp_path: Path) -> None:
    """The results of a cluster node that writes to another folder would be lost."""
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        stage.report(task, 1)
        stage.dispatcher.ended(task)
        assert isinstance(stage.dispatcher.fatal, SweepError)
        assert "every node of a Ray cluster must see the sweep's folder" in str(stage.dispatcher.fatal)


def test_an_alone_task_has_a_whole_gpu(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        assert bundle(task, 1, 0.25) == {"CPU": 1, "GPU": 0.25}
        assert bundle(replace(task, alone=True), 1, 0.25) == {"CPU": 1, "GPU": 1}
        assert bundle(replace(task, alone=True), 2, 0) == {"CPU": 2}


def test_failures_that_differ_do_not_stop_a_sweep(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s", trials=9) as stage:
        for reason in ("ValueError: a", "ValueError: b", "TypeError: c", "ValueError: d"):
            task = stage.next_trial()
            stage.dispatcher.received(task, Failure(reason))
            stage.dispatcher.ended(task)
        assert stage.dispatcher.fatal is None


def test_failures_after_a_success_do_not_stop_a_sweep(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s", trials=9) as stage:
        stage.complete(stage.next_trial())
        for _ in range(4):
            task = stage.next_trial()
            stage.dispatcher.received(task, Failure("ValueError: x"))
            stage.dispatcher.ended(task)
        assert stage.dispatcher.fatal is None


def test_the_first_that_fail_alike_stop_it(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s", trials=9) as stage:
        for value in range(3):
            task = stage.next_trial()
            stage.dispatcher.received(task, Failure(f"ValueError: lr of {value}"))
            stage.dispatcher.ended(task)
        assert isinstance(stage.dispatcher.fatal, SweepError)
        assert stage.dispatcher.next() is None


def test_pruned_trials_are_probed_in_a_task_of_their_own(images: Path, tmp_path: Path) -> None:
    pruner = {"name": "threshold", "lower": 5.0}
    with staged(images, tmp_path / "s", pruner=pruner, oracle_pruned=True, trials=2) as stage:
        task = stage.next_trial()
        checkpoint = stage.folder.checkpoint(0)
        checkpoint.parent.mkdir()
        checkpoint.touch()
        assert not stage.report(task, 1, 1.0)
        stage.dispatcher.ended(task)
        assert checkpoint.exists(), "it is still to be probed"
        probe = stage.next()
        assert (probe.kind, probe.config.trial, probe.config.oracle) == ("probe", 0, ("lidar_paper",))
        assert probe.ended == TrialResult(0, "pruned", "threshold pruner at epoch 1: lidar 1", 1)
        assert stage.study.record(0).status == "pruned"
        stage.dispatcher.ended(probe)
        assert not checkpoint.exists()


@pytest.mark.parametrize("oracle_pruned", [True, False])
def test_a_trial_that_ended_while_the_driver_was_dead_is_taken_in_once(
    images: Path, tmp_path: Path, oracle_pruned: bool
) -> None:
    """The driver is killed after logging the report that prunes trial 0, before the study has it."""
    changes: dict[str, Any] = {"pruner": {"name": "threshold", "lower": 5.0}, "oracle_pruned": oracle_pruned}
    with staged(images, tmp_path / "s", **changes) as stage:
        assert stage.report(stage.next_trial(), 1)
    log = tmp_path / "s" / "reports.jsonl"
    row = json.loads(log.read_text()) | {"epoch": 2, "lidar": 1.0, "sequence": 2, "verdict": "pruned", "reason": "low"}
    log.write_text(log.read_text() + json.dumps(row) + "\n")
    with staged(images, tmp_path / "s", **changes) as stage:
        probes = [task.config.trial for task in stage.dispatcher.waiting if task.kind == "probe"]
        assert probes == ([0] if oracle_pruned else [])


def test_the_best_checkpoint_outlives_the_driver_that_its_trial_outlived(images: Path, tmp_path: Path) -> None:
    """The driver is killed after writing the trial's result, before the study has it."""
    with staged(images, tmp_path / "s") as stage:
        stage.complete(stage.next_trial(), 10.0)
        task = stage.next_trial()
        for epoch in (1, 2, 3):
            stage.report(task, epoch, 20.0)
        task.trial_folder.mkdir()
        stage.folder.checkpoint(1).touch()
        write_outcome(task.trial_folder, Outcome(TrialResult(1, "completed", epochs=3), stage.config.oracle))
    with staged(images, tmp_path / "s") as stage:
        assert [record.status for record in stage.study.records()] == ["completed", "completed"]
        assert [stage.folder.checkpoint(number).exists() for number in (0, 1)] == [False, True]


def test_of_equals_the_lowest_number_is_kept_in_whatever_order_they_end(images: Path, tmp_path: Path) -> None:
    config = small_config(images)
    folder = create_folder(tmp_path / "s", config, study="s")
    for order in ((1, 0, 2), (0, 1, 2), (2, 1, 0)):
        keeper = Keeper(config, folder)
        for number in order:
            keeper.seen(number, "completed", dict.fromkeys(("lidar", "rankme", "loss"), 7.0))
        assert keeper.kept == {0}


@pytest.mark.parametrize(
    ("policy", "kept"), [("best", {1, 3, 4}), ("none", set()), ("last", {0, 1, 2, 3, 4}), ("all", {0, 1, 2, 3, 4})]
)
def test_which_checkpoints_stay(images: Path, tmp_path: Path, policy: str, kept: set[int]) -> None:
    """Trial 1 is the best by LiDAR, 3 by the loss (less is better), 4 by RankMe; the pruned one is not considered."""
    config = small_config(images, keep_checkpoints=policy)
    folder = create_folder(tmp_path / "s", config, study="s")
    keeper = Keeper(config, folder)
    ends = [
        ("completed", 3.0, 3.0, 3.0), ("completed", 7.0, 1.0, 3.0), ("pruned", 99.0, 99.0, 0.0),
        ("completed", 7.0, 2.0, 1.0), ("completed", 0.0, 5.0, 2.0),
    ]  # fmt: skip
    for number, (status, lidar, rankme, loss) in enumerate(ends):
        folder.trial(number).mkdir()
        folder.checkpoint(number).touch()
        keeper.seen(number, status, {"lidar": lidar, "rankme": rankme, "loss": loss})
        keeper.purge(needed={2})
        assert folder.checkpoint(2).exists() or number < 2
    keeper.purge(needed=())
    assert {number for number in range(5) if folder.checkpoint(number).exists()} == kept


@pytest.mark.parametrize("policy", ["best", "none"])
def test_what_was_trained_again_stays(images: Path, tmp_path: Path, policy: str) -> None:
    config = small_config(images, keep_checkpoints=policy)
    folder = create_folder(tmp_path / "s", config, study="s")
    keeper = Keeper(config, folder)
    for number in range(3):
        folder.trial(number).mkdir()
        folder.checkpoint(number).touch()
        keeper.seen(number, "completed", {"lidar": number, "rankme": number, "loss": -number})
    folder.retrained(1).touch()
    keeper.purge(needed=())
    kept = {"best": {1, 2}, "none": {1}}[policy]
    assert {number for number in range(3) if folder.checkpoint(number).exists()} == kept


STATES = ("completed", "completed", "completed", "pruned", "collapsed", "failed")
VALUES = (1.0, 2.0, 3.0, -1.0, math.inf, -math.inf, math.nan)
SCORES = st.one_of(
    st.none(), st.fixed_dictionaries(dict.fromkeys(("lidar", "alignment", "loss"), st.sampled_from(VALUES)))
)
END = st.tuples(st.just("end"), st.integers(0, 6), st.sampled_from(STATES), SCORES)
EVENTS = st.lists(st.one_of(END, END, st.just(("resume",))), max_size=24)


def should_stay(policy: str, ended: dict[int, tuple[str, dict[str, float] | None]]) -> set[int]:
    """The trials whose checkpoints must be kept by `keep_checkpoints`, computed independently of the keeper."""
    if policy in ("last", "all"):
        return set(range(7))
    stay = set(range(7)) - set(ended)
    if policy == "none":
        return stay
    for name, best_of in (("lidar", max), ("alignment", min), ("loss", min)):
        values = {
            number: scores[name]
            for number, (status, scores) in ended.items()
            if status == "completed" and scores and math.isfinite(scores[name])
        }
        if values:
            best = best_of(values.values())
            stay.add(sorted(number for number, value in values.items() if value == best)[0])
    return stay | {number for number, (status, scores) in ended.items() if status == "completed" and scores is None}


@pytest.mark.parametrize("policy", ["best", "last", "all", "none"])
@settings(max_examples=60, deadline=None)
@given(events=EVENTS, again=st.integers(1, 3))
def test_what_stays_is_what_the_rule_says_however_often_it_is_heard(
    images: Path, policy: str, events: list[tuple[Any, ...]], again: int
) -> None:
    """All seven trials have a checkpoint from their first epoch; a resume makes a new keeper from the ended trials."""
    config = small_config(images, keep_checkpoints=policy, criteria=["lidar", "alignment"])
    with tempfile.TemporaryDirectory() as path:
        folder = SweepFolder(Path(path))
        for number in range(7):
            folder.trial(number).mkdir(parents=True)
            folder.checkpoint(number).touch()
        keeper = Keeper(config, folder)
        ended: dict[int, tuple[str, dict[str, float] | None]] = {}
        for kind, *event in events:
            if kind == "resume":
                keeper = Keeper(config, folder)
                for number, (status, scores) in ended.items():
                    keeper.seen(number, status, scores or {})
            else:
                number, status, scores = event
                ended.setdefault(number, (status, scores))  # a trial ends once, but may be reported again
                for _ in range(again):
                    keeper.seen(number, ended[number][0], ended[number][1] or {})
            keeper.purge(needed=())
            stay = {number for number in range(7) if folder.checkpoint(number).exists()}
            assert stay == should_stay(policy, ended)


def test_a_full_disk_ends_the_sweep_and_loses_no_report_that_was_shown(images: Path, tmp_path: Path) -> None:
    with staged(images, tmp_path / "s") as stage:
        task = stage.next_trial()
        assert stage.report(task, 1)
        stage.dispatcher.log.close()
        stage.dispatcher.log.file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115
        with pytest.raises(OSError, match="No space left"):
            stage.report(task, 2)
        assert isinstance(stage.dispatcher.observers, PlainLines)
        assert stage.dispatcher.observers.last[task.config.trial].epoch == 1
        assert [row["epoch"] for row in read_log(stage.folder)] == [1]
