"""A worker's task and messages: reports, failures, memory, a full disk, and a driver that does not answer."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_sweeps import make_images, small_config

from sweeper.run.failures import Failure, reason_of
from sweeper.run.tasks import Message, Task
from sweeper.run.worker import run_task
from sweeper.search.storage import in_memory
from sweeper.search.study import Study
from sweeper.store.layout import TRIAL_LOG, SweepFolder
from sweeper.store.manifest import create_folder
from sweeper.store.outcomes import read_outcome
from sweeper.store.restore import scores_of
from sweeper.store.tables import oracle_cells, oracle_columns
from trainers.datasets import open_dataset
from trainers.datasets.base import Images
from trainers.records import EpochReport, OracleScore, Progress, TrialResult


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def folder(images: Path, tmp_path: Path) -> SweepFolder:
    return create_folder(tmp_path / "sweep", small_config(images), study="s")


@pytest.fixture
def task(images: Path, folder: SweepFolder) -> Task:
    config = small_config(images)
    study = Study(config, in_memory(config))
    study.start()
    return Task("trial", study.trial_config(0), folder)


@pytest.fixture(scope="module")
def arrays(images: Path) -> Images:
    return open_dataset(small_config(images).dataset).images()


def test_the_seconds_of_a_baseline_are_those_of_all_oracles() -> None:
    """As for a trial."""
    scores = {"first": OracleScore(0.5, 40, 2.0), "second": OracleScore(0.25, 30, 3.0, {"top5": 0.75})}
    columns = oracle_cells(scores, ("first", "second"))
    expected = {"oracle": 0.5, "oracle_n": 40, "oracle_seconds": 5.0}
    expected |= {"oracle.first": 0.5, "oracle.first_n": 40, "oracle.second": 0.25, "oracle.second_n": 30}
    assert columns == expected | {"oracle.second.top5": 0.75}
    assert [column.name for column in oracle_columns(["first", "second"], columns)] == list(columns)[3:]
    assert scores_of(columns) == {name: replace(one, seconds=2.5) for name, one in scores.items()}


def sent_by(task: Task, arrays: Images | None, stop_after: int = 99) -> list[Message]:
    sent: list[Message] = []

    def send(message: Message) -> bool:
        if not isinstance(message, Progress):
            sent.append(message)
        return len(sent) < stop_after

    run_task(task, arrays, send)
    return sent


def epochs(messages: list[Message]) -> list[int]:
    return [message.epoch for message in messages if isinstance(message, EpochReport)]


@pytest.mark.slow
def test_a_trial_reports_every_epoch_and_ends_with_its_oracle(task: Task, arrays: Images) -> None:
    assert epochs(sent_by(task, arrays)) == [1, 2, 3]
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert (outcome.result.status, outcome.result.epochs) == ("completed", 3)
    assert set(outcome.result.oracles) == set(outcome.probed) == {"lidar_paper"}


@pytest.mark.slow
def test_a_trial_reads_its_images_where_it_is_given_none(task: Task, arrays: Images) -> None:
    with_images = sent_by(task, arrays)
    (task.trial_folder / "checkpoint.pt").unlink()
    without = sent_by(task, None)
    assert [report.loss for report in with_images] == [report.loss for report in without]  # type: ignore[union-attr]


@pytest.mark.slow
def test_images_in_shared_memory_are_only_read(task: Task, arrays: Images) -> None:
    for array in (arrays.train, arrays.test):
        array.flags.writeable = False
    try:
        assert epochs(sent_by(task, arrays)) == [1, 2, 3]
    finally:
        for array in (arrays.train, arrays.test):
            array.flags.writeable = True


def test_a_trial_that_is_told_to_stop_stops_and_is_not_probed(task: Task, arrays: Images) -> None:
    assert epochs(sent_by(task, arrays, stop_after=2)) == [1, 2]
    assert read_outcome(task.trial_folder) is None
    assert (task.trial_folder / "checkpoint.pt").is_file()
    assert "stopped after epoch 2" in (task.trial_folder / TRIAL_LOG).read_text()
    assert epochs(sent_by(task, arrays)) == [1, 2, 3]
    assert "continues from its checkpoint" in (task.trial_folder / TRIAL_LOG).read_text()


def test_a_stopped_trial_is_probed_as_it_was(task: Task, arrays: Images) -> None:
    sent_by(task, arrays, stop_after=2)
    ended = TrialResult(0, "pruned", "why", 2)
    assert sent_by(replace(task, kind="probe", ended=ended), arrays) == []
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert (outcome.result.status, outcome.result.reason, outcome.result.epochs) == ("pruned", "why", 2)
    assert set(outcome.result.oracles) == {"lidar_paper"}


def test_a_probe_that_fails_leaves_the_trial_as_it_ended(task: Task, arrays: Images) -> None:
    ended = TrialResult(0, "pruned", "why", 2)
    task.trial_folder.mkdir(parents=True)
    (failure,) = sent_by(replace(task, kind="probe", ended=ended), arrays)
    assert isinstance(failure, Failure)
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert outcome.result == ended
    assert outcome.probed == ("lidar_paper",)
    assert outcome.probe_error == failure.reason != ""


def test_an_exception_is_written_down_and_sent(task: Task, arrays: Images) -> None:
    bad = replace(task, config=replace(task.config, hyperparameters={"nonsense": 1}))
    (failure,) = sent_by(bad, arrays)
    assert isinstance(failure, Failure)
    assert failure.kind == "error"
    assert failure.reason.startswith("ValueError: `nonsense` is not a hyperparameter of simclr")
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert (outcome.result.status, outcome.result.reason) == ("failed", failure.reason)
    log = (task.trial_folder / TRIAL_LOG).read_text()
    assert "Traceback (most recent call last)" in log
    assert failure.reason.partition(":")[2] in log


def raising(error: Exception) -> Any:
    def train(config: object, **_: object) -> Iterator[EpochReport]:
        raise error
        yield

    return train


def raising_at_once(error: Exception) -> Any:
    def probe(config: object, **_: object) -> None:
        raise error

    return probe


def test_memory_is_another_kind_of_failure_until_it_ran_alone(
    task: Task, arrays: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.loop.train", raising(torch.OutOfMemoryError("CUDA out of memory")))
    (failure,) = sent_by(task, arrays)
    assert failure == Failure("torch.OutOfMemoryError: CUDA out of memory", "memory")
    assert read_outcome(task.trial_folder) is None
    sent_by(replace(task, alone=True), arrays)
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert outcome.result.status == "failed"


@pytest.mark.parametrize("said", ["CUDA error: out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"])
def test_a_full_gpu_is_known_by_other_words_too(
    task: Task, arrays: Images, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr("trainers.loop.train", raising(RuntimeError(said)))
    assert sent_by(task, arrays) == [Failure(f"RuntimeError: {said}", "memory")]


@pytest.mark.slow
def test_a_probe_that_fails_leaves_a_trained_trial_completed(
    task: Task, arrays: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.probe.probe", raising_at_once(torch.OutOfMemoryError("CUDA out of memory")))
    assert isinstance(sent_by(task, arrays)[-1], Failure)  # it is tried again alone
    assert read_outcome(task.trial_folder) is None
    sent_by(replace(task, alone=True), arrays)
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert (outcome.result.status, outcome.probe_error) == ("completed", "torch.OutOfMemoryError: CUDA out of memory")
    monkeypatch.setattr("trainers.probe.probe", raising_at_once(ValueError("no such labels")))
    assert epochs(sent_by(task, arrays)) == [1, 2, 3]
    outcome = read_outcome(task.trial_folder)
    assert outcome is not None
    assert (outcome.result.status, outcome.result.oracles) == ("completed", {})
    assert outcome.probe_error == "ValueError: no such labels"
    assert "no such labels" in (task.trial_folder / TRIAL_LOG).read_text()


def test_a_full_disk_is_no_failure_of_the_trial(task: Task, arrays: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.loop.train", raising(OSError(errno.ENOSPC, "No space left on device")))
    (failure,) = sent_by(task, arrays)
    assert isinstance(failure, Failure)
    assert failure.kind == "disk"
    assert read_outcome(task.trial_folder) is None


def test_a_failure_that_finds_no_room_is_a_full_disk(
    task: Task, arrays: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    bad = replace(task, config=replace(task.config, hyperparameters={"nonsense": 1}))
    (failure,) = sent_by(bad, arrays)
    assert isinstance(failure, Failure)
    assert failure.kind == "disk"


def test_a_driver_that_cannot_be_told_is_no_failure_of_the_trial(task: Task, arrays: Images) -> None:
    def send(message: Message) -> bool:
        raise ConnectionError("nobody there")

    with pytest.raises(ConnectionError, match="nobody there") as caught:
        run_task(task, arrays, send)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # otherwise the chain of errors is circular
    assert read_outcome(task.trial_folder) is None


@pytest.mark.slow
def test_a_worker_waits_for_the_one_before_it(task: Task, arrays: Images) -> None:
    """The lock is the log's: a worker that outlives its driver holds it until the kernel has ended it."""
    task.trial_folder.mkdir(parents=True)
    code = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    command = [sys.executable, "-c", f"{code}; input()", str(task.trial_folder / TRIAL_LOG)]
    old = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert old.stdout is not None
    assert old.stdout.readline() == "held\n"
    sent: list[Message] = []
    new = threading.Thread(target=lambda: sent.extend(sent_by(task, arrays)))
    new.start()
    new.join(timeout=1)
    assert new.is_alive()
    assert sent == []
    old.kill()
    old.communicate()
    new.join(timeout=60)
    assert epochs(sent) == [1, 2, 3]
    with (task.trial_folder / TRIAL_LOG).open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_a_killed_worker_left_half_written_is_removed(task: Task, arrays: Images) -> None:
    task.trial_folder.mkdir(parents=True)
    for name in ("checkpoint.123.tmp", ".result.json.123.tmp"):
        (task.trial_folder / name).write_text("half")
    sent_by(task, arrays)
    assert not list(task.trial_folder.glob("*.tmp")) + list(task.trial_folder.glob(".*.tmp"))


@pytest.mark.slow
def test_threads_are_the_trials_own(task: Task, arrays: Images) -> None:
    before = torch.get_num_threads()
    try:
        sent_by(replace(task, config=replace(task.config, threads=2)), arrays)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_reason_is_one_line() -> None:
    class OddError(Exception):
        pass

    assert reason_of(OddError("first\n  second")).endswith("OddError: first second")
    assert reason_of(KeyError("x")) == "KeyError: 'x'"
