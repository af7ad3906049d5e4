"""`sweeper retrain`: the checkpoint of a trial made again, equal to the bit, also after kills; and when it differs."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small_sweeps import ROOT, make_images, mapping, small_config, wait_until

from sweeper.cli.commands import execute
from sweeper.run.differences import compare
from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from sweeper.store.layout import SweepFolder
from sweeper.store.lock import locked

LOCAL = RunOptions(local=True, device="cpu")
RECORDS = ("reports.jsonl", "reports.parquet", "trials.parquet", "baselines.parquet", "sweep.yaml", "study.db")


def sweeper(*arguments: str | Path) -> tuple[int, str]:
    """Run a command line in this process; its exit code and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = execute([str(argument) for argument in arguments])
    return code, said.getvalue()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def whole(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that kept every trial's checkpoint."""
    folder = tmp_path_factory.mktemp("whole") / "small"
    run_sweep(small_config(images, trials=2, oracle="none", keep_checkpoints="last"), folder, LOCAL)
    return folder


@pytest.fixture
def lacking(whole: Path, tmp_path: Path) -> Path:
    """A copy of it in which trial 1 has no checkpoint."""
    folder = tmp_path / "small"
    shutil.copytree(whole, folder)
    SweepFolder(folder).checkpoint(1).unlink()
    return folder


def state_of(folder: Path, trial: int) -> dict[str, Any]:
    """A checkpoint, without the times of its reports."""
    state: dict[str, Any] = torch.load(SweepFolder(folder).checkpoint(trial), weights_only=True)
    for report in state["reports"]:
        report.pop("seconds")
        report.pop("images_per_second")
    return state


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


@pytest.mark.slow
def test_the_checkpoint_is_the_lost_one_and_nothing_else_changes(whole: Path, lacking: Path) -> None:
    before = {name: (lacking / name).read_bytes() for name in RECORDS}
    code, said = sweeper("retrain", lacking, "--trial", "1")
    assert code == 0, said
    assert "trial 1 of small was trained again to epoch 3 of 3\nits reports are equal to the bit: 42 values" in said
    assert same(state_of(lacking, 1), state_of(whole, 1))
    assert {name: (lacking / name).read_bytes() for name in RECORDS} == before
    assert not SweepFolder(lacking).retraining(1).exists()
    assert json.loads(SweepFolder(lacking).retrained(1).read_text())["equal"] is True
    assert sweeper("export", lacking, "--trial", "1", "--out", lacking.parent / "encoder")[0] == 0
    assert "has its checkpoint already" in sweeper("retrain", lacking, "--trial", "1")[1]
    table = sweeper("show", lacking, "--trial", "1")[1]
    assert f"checkpoint: {SweepFolder(lacking).checkpoint(1)}" in table.replace("\n", "")


@pytest.mark.slow
def test_what_differs_is_said_by_column(lacking: Path) -> None:
    log = lacking / "reports.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        if row["trial"] == 1 and row["epoch"] == 2:
            row["rankme"] += 0.25
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = yaml.safe_load((lacking / "sweep.yaml").read_text())
    settings["provenance"]["packages"]["torch"] = "1.0"
    settings["provenance"]["device"] = "cuda"
    (lacking / "sweep.yaml").write_text(yaml.safe_dump(settings))
    code, said = sweeper("retrain", lacking, "--trial", "1", "--device", "cpu", "--json")
    data = json.loads(said)
    assert (code, data["equal"], data["values_compared"]) == (0, False, 42)
    (found,) = data["differences"]
    assert (found["column"], found["epoch"], found["size"]) == ("rankme", 2, pytest.approx(0.25))
    versions = f"torch: 1.0 then, {importlib.metadata.version('torch')} now"
    assert data["differs"] == ["device: cuda then, cpu now", versions]
    shutil.rmtree(SweepFolder(lacking).trial(1))
    said = sweeper("retrain", lacking, "--trial", "1", "--device", "cpu")[1]
    assert "its reports differ (42 values in 3 reports); the largest difference of each column:" in said
    assert "not as in the sweep: torch: 1.0 then" in said
    assert "equal to the bit" not in said


@pytest.mark.slow
def test_a_pruned_trial_is_trained_to_where_it_was_pruned_and_stays_after_a_resume(
    images: Path, tmp_path: Path
) -> None:
    pruner = {"name": "threshold", "lower": 1e6}
    folder = tmp_path / "small"
    run_sweep(small_config(images, trials=1, oracle="none", pruner=pruner), folder, LOCAL)
    assert not SweepFolder(folder).has_checkpoint(0)
    code, said = sweeper("retrain", folder, "--trial", "0")
    assert code == 0, said
    assert "trained again to epoch 1 of 3, where it was pruned\nits reports are equal to the bit" in said
    assert state_of(folder, 0)["epoch"] == 1
    resume_sweep(folder, LOCAL, trials=2)
    assert [SweepFolder(folder).has_checkpoint(trial) for trial in (0, 1)] == [True, False]


@pytest.mark.slow
def test_what_cannot_be_trained_again_is_refused(lacking: Path) -> None:
    with locked(SweepFolder(lacking)):
        code, said = sweeper("retrain", lacking, "--trial", "1")
        assert (code, "is in use by another process" in said) == (2, True)
    assert "has no trial 7; `sweeper show" in sweeper("retrain", lacking, "--trial", "7")[1]
    assert "must not be given together" in sweeper("retrain", lacking, "--trial", "1", "--criterion", "loss")[1]
    assert not SweepFolder(lacking).has_checkpoint(1)


@pytest.mark.kill
def test_it_continues_after_an_interrupt_and_a_kill(images: Path, tmp_path: Path) -> None:
    """SIGINT, then SIGKILL, each right after a checkpoint of an epoch; then to the end."""
    file, folder = tmp_path / "file.yaml", tmp_path / "small"
    more = {"trials": 1, "epochs": 40, "oracle": "none", "keep_checkpoints": "last"}
    file.write_text(yaml.safe_dump(mapping(images, **more)))
    assert sweeper("run", file, "--local", "--device", "cpu", "--results", tmp_path, "--name", "small")[0] == 0
    sweep = SweepFolder(folder)
    first = state_of(folder, 0)
    sweep.checkpoint(0).unlink()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sweeper", "retrain", str(folder), "--trial", "0"]
    partial = sweep.retraining(0) / "checkpoint.pt"
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        before = partial.stat().st_ino if partial.exists() else None
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        wait_until(lambda before=before: partial.exists() and partial.stat().st_ino != before)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == code, output
        assert ("continue with: sweeper retrain" in output) == (number == signal.SIGINT)
        assert not sweep.has_checkpoint(0)
        assert 1 <= torch.load(partial, weights_only=True)["epoch"] < 40
    code, said = sweeper("retrain", folder, "--trial", "0")
    assert code == 0, said
    assert "its reports are equal to the bit" in said
    assert same(state_of(folder, 0), first)
    assert not sweep.retraining(0).exists()


def test_reports_are_compared_to_the_last_bit() -> None:
    row = {"trial": 0, "epoch": 1, "step": 3, "loss": 0.5, "lidar": math.nan, "train_seconds": 1.0}
    assert compare([row], [{**row, "train_seconds": 2.0}]).equal
    assert compare([row], [row]).values == 3
    found = compare([row], [{**row, "loss": math.nextafter(0.5, 1)}])
    assert [one.column for one in found.differences] == ["loss"]
    assert not compare([{**row, "loss": 0.0}], [{**row, "loss": -0.0}]).equal
    (only,) = compare([row], [{**row, "lidar": 3.0}]).differences
    assert (only.column, only.size) == ("lidar", math.inf)
    rows = [{"epoch": epoch, "loss": float(epoch)} for epoch in (1, 2, 3)]
    (largest,) = compare(
        rows, [{**row, "loss": row["loss"] + change} for row, change in zip(rows, (0.1, -0.5, 0.2), strict=True)]
    ).differences
    assert (largest.epoch, largest.size) == (2, 0.5)
    lost = compare(rows[:1], rows)
    assert (lost.epochs, lost.missing, lost.equal) == (1, (2, 3), False)
    assert compare([{"epoch": 1, "loss": None}], rows[:1]).values == 0
