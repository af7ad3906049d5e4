"""Whole sweeps, in this process and on Ray: equal numbers, correct states, and no losses."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from rich.console import Console
from small_sweeps import make_images, mapping, oracles, reports, same_reports, small_config, start_driver

from sweeper.cli.plan import estimate_seconds, first_configurations
from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError, ResultsError, SweepError
from sweeper.run.devices import check_device
from sweeper.run.observers.base import Observer
from sweeper.run.observers.json_lines import JsonLines
from sweeper.run.observers.plain import PlainLines
from sweeper.run.options import RunOptions
from sweeper.run.sweep import Summary, probe_sweep, resume_sweep, run_sweep
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import create_folder
from sweeper.store.outcomes import read_outcome
from sweeper.store.reports import read_log

pytestmark = pytest.mark.slow

LOCAL = RunOptions(local=True, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


def shown() -> PlainLines:
    return PlainLines(console=Console(file=io.StringIO(), width=200))


def text_of(lines: PlainLines) -> str:
    assert isinstance(lines.console.file, io.StringIO)
    return lines.console.file.getvalue()


def run_here(config: SweepConfig, folder: Path) -> Summary:
    return run_sweep(config, folder, LOCAL)


def trials_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "trials.parquet")


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep that the tests only read."""
    folder = tmp_path_factory.mktemp("results") / "done"
    assert run_here(small_config(images), folder).counts == {"completed": 4}
    return folder


def test_the_folder_is_as_the_contract_says(done: Path) -> None:
    names = {path.name for path in done.iterdir() if not path.name.startswith(".")}
    files = {"sweep.yaml", "study.db", "reports.jsonl", "baselines.parquet", "reports.parquet", "trials.parquet"}
    assert names == {*files, "samples.png", "trials"}
    assert [path.name for path in sorted((done / "trials").iterdir())] == ["0000", "0001", "0002", "0003"]
    assert {"log.txt", "result.json"} <= {path.name for path in (done / "trials" / "0000").iterdir()}
    assert "epoch 3" in (done / "trials" / "0000" / "log.txt").read_text()


def test_every_epoch_is_there_and_the_oracle_at_the_end(done: Path) -> None:
    table = reports(done)
    assert list(zip(table["trial"], table["epoch"], strict=True)) == [(t, e) for t in range(4) for e in (1, 2, 3)]
    assert all(0 <= accuracy <= 1 for accuracy in oracles(done).values())
    trials = trials_of(done)
    last = table[table["epoch"] == 3].set_index("trial")
    assert list(trials["lidar"]) == list(last["lidar"])
    assert list(trials["status"]) == ["completed"] * 4
    assert trials["config.lr"].nunique() == 4
    assert set(trials["config.projection_dim"]) == {8}
    assert list(trials["oracle_n"]) == [24] * 4


def test_the_study_says_the_same(done: Path) -> None:
    study = optuna.load_study(storage=f"sqlite:///{done / 'study.db'}", study_name="simclr-folder")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4
    assert [trial.value for trial in study.trials] == list(trials_of(done)["lidar"])
    for trial in study.trials:
        table = reports(done)
        assert list(trial.intermediate_values.values()) == list(table[table["trial"] == trial.number]["lidar"])
    kept = json.dumps([[trial.user_attrs, trial.system_attrs] for trial in study.trials])
    assert "oracle" not in kept
    assert "probe" not in kept


def test_the_baselines_are_measured_and_are_no_trials(done: Path) -> None:
    table = pd.read_parquet(done / "baselines.parquet").set_index("baseline")
    assert list(table.index) == ["untrained", "raw_pixels"]
    assert np.isfinite(table.loc["untrained", ["oracle", "lidar", "rankme.embedding"]].astype(float)).all()
    assert np.isnan(table.loc["raw_pixels", "lidar"])


def best_trials(folder: Path) -> set[int]:
    """The trials that the criteria and the loss select."""
    trials = trials_of(folder).query("status == 'completed'").set_index("trial")
    return {int(trials["lidar"].idxmax()), int(trials["rankme"].idxmax()), int(trials["loss"].idxmin())}


def kept_in(folder: Path) -> set[int]:
    """The trials that have a checkpoint."""
    return {int(path.parent.name) for path in folder.glob("trials/*/checkpoint.pt")}


def test_the_checkpoints_of_the_best_by_each_criterion_are_kept(done: Path) -> None:
    trials = trials_of(done).set_index("trial")
    assert kept_in(done) == best_trials(done)
    assert set(trials.index[trials["checkpoint"].notna()]) == best_trials(done)


@pytest.mark.parametrize(("policy", "files"), [("last", 1), ("all", 4), ("none", 0)])
def test_what_other_rules_keep(images: Path, tmp_path: Path, policy: str, files: int) -> None:
    run_here(small_config(images, trials=2, keep_checkpoints=policy, oracle="none"), tmp_path / "s")
    kept = [len(list(folder.glob("*.pt"))) for folder in sorted((tmp_path / "s" / "trials").iterdir())]
    assert kept == [files, files]


def test_the_same_seed_gives_the_same_reports_and_another_one_does_not(
    images: Path, done: Path, tmp_path: Path
) -> None:
    run_here(small_config(images), tmp_path / "same")
    same_reports(done, tmp_path / "same")
    assert oracles(done) == oracles(tmp_path / "same")
    run_here(small_config(images, search={"sampler": "random", "seed": 1}), tmp_path / "other")
    assert list(reports(tmp_path / "other")["loss"]) != list(reports(done)["loss"])


def test_without_labels_the_criterion_is_all_there_is(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=1, oracle="none"), tmp_path / "s")
    assert not [name for name in trials_of(tmp_path / "s") if name.startswith("oracle")]
    table = pd.read_parquet(tmp_path / "s" / "baselines.parquet")
    assert list(table["baseline"]) == ["untrained"]


def test_an_oracle_without_labels_is_said_at_once(images: Path, tmp_path: Path) -> None:
    lines = shown()
    dataset = mapping(images)["dataset"] | {"labels": False}
    run_sweep(small_config(images, trials=1, dataset=dataset), tmp_path / "s", LOCAL, [lines])
    assert text_of(lines).startswith("the data set has no labels, so no oracle measures the trials")
    assert trials_of(tmp_path / "s")["oracle"].isna().all()


def test_an_existing_name_is_refused(done: Path, images: Path) -> None:
    with pytest.raises(ResultsError, match="exists"):
        run_here(small_config(images), done)


def test_what_the_machine_lacks_is_refused_before_anything_is_written(images: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be auto, cpu or cuda, but got gpu"):
        run_sweep(small_config(images), tmp_path / "s", replace(LOCAL, device="gpu"))
    with pytest.raises(ConfigError, match="`trials` must be at most the 25 configurations of this grid"):
        run_here(small_config(images, trials=26, search={"sampler": "grid", "seed": 0}), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_machine_without_cuda_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="without CUDA, but got cuda"):
        check_device(RunOptions(device="cuda"))
    with socket.create_server(("127.0.0.1", 0)) as head:  # a cluster may have resources that this machine lacks
        check_device(RunOptions(device="cuda", address=f"127.0.0.1:{head.getsockname()[1]}"))


# Resuming


class Broken(Observer):
    """Stops at the n-th report, after it is logged, to simulate a killed driver in one process."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_report(self, report: Any) -> None:
        self.left -= 1
        if not self.left:
            raise SystemExit


@pytest.mark.parametrize("after", [1, 2, 3, 4, 12])
def test_a_sweep_that_broke_goes_on_to_the_same_numbers(images: Path, done: Path, tmp_path: Path, after: int) -> None:
    folder = tmp_path / "s"
    with pytest.raises(SystemExit):
        run_sweep(small_config(images), folder, LOCAL, [Broken(after)])
    assert len(read_log(SweepFolder(folder))) == after
    assert resume_sweep(folder, LOCAL).counts == {"completed": 4}
    same_reports(done, folder)
    assert oracles(done) == oracles(folder)


def test_a_finished_sweep_has_nothing_to_resume(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run_here(small_config(images, trials=1), folder)
    log = (folder / "reports.jsonl").read_bytes()
    assert resume_sweep(folder, LOCAL).counts == {"completed": 1}
    assert (folder / "reports.jsonl").read_bytes() == log


def test_a_resume_removes_what_a_killed_worker_has_left(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=1), tmp_path / "s")
    left = [tmp_path / "s" / "trials" / "0000" / name for name in (".result.json.7.tmp", "checkpoint.7.tmp")]
    for file in left:
        file.write_bytes(b"half")
    assert resume_sweep(tmp_path / "s", LOCAL).counts == {"completed": 1}
    assert not any(file.exists() for file in left)


def test_trials_can_be_raised_but_not_below_what_has_started(images: Path, done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run_here(small_config(images, trials=2), folder)
    with pytest.raises(ConfigError, match="`trials` must be at least the 2 that have been started, but got 1"):
        resume_sweep(folder, LOCAL, trials=1)
    assert resume_sweep(folder, LOCAL, trials=4).counts == {"completed": 4}
    same_reports(done, folder)
    assert yaml.safe_load((folder / "sweep.yaml").read_text())["trials"] == 4


def test_sweep_yaml_and_study_alone_are_enough(images: Path, done: Path, tmp_path: Path) -> None:
    """A driver killed before the first report leaves only these files, or fewer."""
    folder = tmp_path / "s"
    with pytest.raises(SystemExit):
        run_sweep(small_config(images), folder, LOCAL, [Broken(1)])
    for path in [*(folder / "trials").rglob("*"), folder / "reports.jsonl", folder / "baselines.parquet"]:
        path.unlink() if path.is_file() else None
    assert resume_sweep(folder, LOCAL).counts == {"completed": 4}
    same_reports(done, folder)
    assert len(pd.read_parquet(folder / "baselines.parquet")) == 2


def test_sweep_yaml_alone_is_enough_before_the_first_report(images: Path, done: Path, tmp_path: Path) -> None:
    create_folder(tmp_path / "s", small_config(images), study="simclr-folder")
    resume_sweep(tmp_path / "s", LOCAL)
    same_reports(done, tmp_path / "s")


def test_other_images_are_no_way_to_go_on(images: Path, tmp_path: Path) -> None:
    own = shutil.copytree(images, tmp_path / "images")
    run_here(small_config(own, trials=1, oracle="none"), tmp_path / "s")
    assert resume_sweep(tmp_path / "s", LOCAL, trials=2).counts == {"completed": 2}
    turned = own / "rows" / "001.png"
    Image.open(turned).rotate(90).save(turned)
    with pytest.raises(ResultsError, match=r"have changed since the sweep began \(other pixels\)"):
        resume_sweep(tmp_path / "s", LOCAL, trials=3)
    assert yaml.safe_load((tmp_path / "s" / "sweep.yaml").read_text())["trials"] == 2
    turned.unlink()
    with pytest.raises(ResultsError, match=r"72 to train and 24 to test then, 71 to train and 24 to test now"):
        resume_sweep(tmp_path / "s", LOCAL, trials=3)
    assert len(trials_of(tmp_path / "s").query("status == 'completed'")) == 2


def test_another_kind_of_device_is_no_way_to_go_on(images: Path, tmp_path: Path) -> None:
    """The criteria's views are drawn on the device."""
    run_here(small_config(images, trials=1, oracle="none"), tmp_path / "s")
    file = tmp_path / "s" / "sweep.yaml"
    assert "device: cpu" in file.read_text()
    file.write_text(file.read_text().replace("device: cpu", "device: cuda"))
    with pytest.raises(ConfigError, match=r"the sweep began on cuda, .* continue on a machine with a GPU"):
        resume_sweep(tmp_path / "s", LOCAL, trials=2)


def test_a_study_of_another_sweep_is_left_alone(images: Path, tmp_path: Path) -> None:
    config = small_config(images, trials=1, oracle="none", storage=f"sqlite:///{tmp_path / 'shared.db'}")
    run_here(config, tmp_path / "mine" / "s")
    with pytest.raises(ResultsError, match="already holds a study named s"):
        run_here(config, tmp_path / "yours" / "s")
    assert not (tmp_path / "yours" / "s").exists()
    create_folder(tmp_path / "yours" / "s", config, study="s")
    with pytest.raises(ResultsError, match=r"the study s in `storage` belongs to another sweep"):
        resume_sweep(tmp_path / "yours" / "s", LOCAL)
    shutil.copytree(tmp_path / "mine" / "s", tmp_path / "copy")
    with pytest.raises(ResultsError, match=r"is a copy of .*, and both share one study"):
        resume_sweep(tmp_path / "copy", LOCAL, trials=2)
    shutil.rmtree(tmp_path / "mine")
    assert resume_sweep(tmp_path / "copy", LOCAL, trials=2).counts == {"completed": 2}


def test_a_log_without_the_seconds_of_each_criterion_is_read(images: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_sweep(small_config(images, trials=1), tmp_path / "s", LOCAL, [Broken(1)])
    log = tmp_path / "s" / "reports.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({key: row[key] for key in row if key != "lidar_seconds"}) + "\n" for row in rows))
    assert resume_sweep(tmp_path / "s", LOCAL).counts == {"completed": 1}
    assert pd.read_parquet(tmp_path / "s" / "reports.parquet")["lidar_seconds"].isna().sum() == len(rows)


def test_a_lost_log_is_made_again_from_its_table(images: Path, done: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=2), tmp_path / "s")
    log = tmp_path / "s" / "reports.jsonl"
    before = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()
    lines = shown()
    resume_sweep(tmp_path / "s", LOCAL, [lines], trials=4)
    assert f"reports.jsonl lacked {len(before)} reports; they were restored" in text_of(lines)
    assert "are missing" not in text_of(lines)
    assert [json.loads(line) for line in log.read_text().splitlines()][: len(before)] == before
    same_reports(done, tmp_path / "s")


def test_a_torn_line_of_a_finished_trial_is_restored(images: Path, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "s")
    log = tmp_path / "s" / "reports.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    resume_sweep(tmp_path / "s", LOCAL)
    same_reports(done, tmp_path / "s")
    mine, theirs = (trials_of(folder)[["epochs", "lidar", "rankme", "loss"]] for folder in (tmp_path / "s", done))
    pd.testing.assert_frame_equal(mine, theirs)


def test_a_line_that_is_lost_before_the_last_costs_no_criterion(images: Path, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "s")
    (tmp_path / "s" / "reports.parquet").write_bytes(b"no table")  # it is written again, so it is no reason to fail
    log = tmp_path / "s" / "reports.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines if not (b'"trial": 0,' in line and b'"epoch": 2,' in line)))
    assert len(log.read_bytes().splitlines()) == len(lines) - 1
    lines = shown()
    resume_sweep(tmp_path / "s", LOCAL, [lines])
    assert "missing" not in text_of(lines)
    mine, theirs = (trials_of(folder)[["epochs", "lidar", "rankme", "loss"]] for folder in (tmp_path / "s", done))
    pd.testing.assert_frame_equal(mine, theirs)


def test_reports_that_cannot_be_restored_are_missed(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=2, oracle="none"), tmp_path / "s")
    for name in ("reports.jsonl", "reports.parquet"):
        (tmp_path / "s" / name).unlink()
    lines = shown()
    resume_sweep(tmp_path / "s", LOCAL, [lines], trials=3)
    assert "trials 0, 1 have ended, but their last reports are missing from reports.jsonl" in text_of(lines)
    trials = trials_of(tmp_path / "s")
    assert list(trials["epochs"]) == [3, 3, 3]
    assert trials["lidar"].notna().all()  # the study keeps the objective
    assert list(trials["rankme"].isna()) == [True, True, False]


@pytest.mark.parametrize("content", [None, "{}", '{"trial": 0, "sta'])
def test_a_lost_result_is_probed_again(images: Path, done: Path, tmp_path: Path, content: str | None) -> None:
    with pytest.raises(SystemExit):
        run_sweep(small_config(images), tmp_path / "s", LOCAL, [Broken(4)])
    result = tmp_path / "s" / "trials" / "0000" / "result.json"
    result.unlink() if content is None else result.write_text(content)
    lines = shown()
    assert resume_sweep(tmp_path / "s", LOCAL, [lines]).counts == {"completed": 4}
    assert "trial 0 is probed" in text_of(lines)
    assert oracles(tmp_path / "s") == oracles(done)


def test_a_lost_result_without_a_checkpoint_comes_from_the_table(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=2, keep_checkpoints="none"), tmp_path / "s")
    before = trials_of(tmp_path / "s")
    (tmp_path / "s" / "trials" / "0001" / "result.json").unlink()
    lines = shown()
    resume_sweep(tmp_path / "s", LOCAL, [lines])
    assert "trial 1 had lost the result.json; the oracle values are those of trials.parquet" in text_of(lines)
    pd.testing.assert_frame_equal(trials_of(tmp_path / "s"), before)
    (tmp_path / "s" / "trials" / "0001" / "result.json").unlink()
    (tmp_path / "s" / "trials.parquet").unlink()
    lines = shown()
    resume_sweep(tmp_path / "s", LOCAL, [lines])
    assert "trial 1 has lost its result.json and cannot be probed again: no checkpoint was kept" in text_of(lines)


@pytest.mark.filterwarnings("always:.*checkpoint.pt is damaged")
@pytest.mark.parametrize("size", [0, 7, 3000, None])
def test_what_is_damaged_is_made_again(images: Path, done: Path, tmp_path: Path, size: int | None) -> None:
    """A file cut short, or one that was never a checkpoint."""
    with pytest.raises(SystemExit):
        run_sweep(small_config(images), tmp_path / "s", LOCAL, [Broken(5)])
    checkpoint = tmp_path / "s" / "trials" / "0001" / "checkpoint.pt"
    checkpoint.write_bytes(b"this is no checkpoint" if size is None else checkpoint.read_bytes()[:size])
    (tmp_path / "s" / "baselines.parquet").write_bytes(b"x" * (size or 0))
    assert resume_sweep(tmp_path / "s", LOCAL).counts == {"completed": 4}
    assert "checkpoint.pt is damaged" in (tmp_path / "s" / "trials" / "0001" / "log.txt").read_text()
    same_reports(done, tmp_path / "s")
    assert len(pd.read_parquet(tmp_path / "s" / "baselines.parquet")) == 2


def test_other_settings_are_no_way_to_go_on(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=1, oracle="none"), tmp_path / "s")
    file = tmp_path / "s" / "sweep.yaml"
    file.write_text(file.read_text().replace("epochs: 3", "epochs: 4").replace("keep_checkpoints: best", "jobs: 3"))
    with pytest.raises(ResultsError, match=r"^`epochs` in sweep\.yaml changed since the sweep began"):
        resume_sweep(tmp_path / "s", LOCAL, trials=2)


def test_a_lost_study_is_not_made_up(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=1, oracle="none"), tmp_path / "s")
    (tmp_path / "s" / "study.db").unlink()
    with pytest.raises(ResultsError, match=r"study\.db is missing, so the sweep cannot continue"):
        resume_sweep(tmp_path / "s", LOCAL)


def interrupt_when(condition: Callable[[], bool], number: int) -> threading.Thread:
    """Send this process a signal as soon as a condition holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_says_how_to_go_on(images: Path, tmp_path: Path, number: int) -> None:
    folder, lines = tmp_path / "s", shown()
    config = small_config(images, trials=2, epochs=15, oracle="none")
    log = folder / "reports.jsonl"
    thread = interrupt_when(lambda: log.is_file() and log.read_text().count("\n") >= 3, number)
    before = signal.getsignal(number)
    summary = run_sweep(config, folder, LOCAL, [lines])
    thread.join()
    assert summary.interrupted
    assert signal.getsignal(number) == before
    assert f"sweeper resume {folder}" in text_of(lines)
    trials = trials_of(folder)
    assert list(trials["status"]) == ["failed"]
    assert "interrupted after epoch" in trials["reason"][0]
    assert len(reports(folder)) == trials["epochs"][0] < 15
    assert resume_sweep(folder, LOCAL).counts == {"completed": 2}
    run_here(config, tmp_path / "whole")
    same_reports(folder, tmp_path / "whole")


def test_out_of_time_is_an_interruption(images: Path, tmp_path: Path) -> None:
    config = small_config(images, trials=1, epochs=3000, oracle="none")
    lines = shown()
    assert run_sweep(config, tmp_path / "s", replace(LOCAL, timeout=2.0), [lines]).interrupted
    assert "the time of --timeout is over; continue with" in text_of(lines)


# One trial's failure


def break_trial(folder: Path, *numbers: int) -> None:
    """Put an archive without a configuration where a trial looks for its checkpoint."""
    archive = io.BytesIO()
    torch.save({}, archive)
    for number in numbers:
        (folder / "trials" / f"{number:04d}").mkdir(parents=True)
        (folder / "trials" / f"{number:04d}" / "checkpoint.pt").write_bytes(archive.getvalue())


def test_a_failure_is_its_own(images: Path, done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run_here(small_config(images, trials=1), folder)
    break_trial(folder, 2)
    lines = shown()
    assert resume_sweep(folder, LOCAL, [lines], trials=4).counts == {"completed": 3, "failed": 1}
    row = trials_of(folder).set_index("trial").loc[2]
    assert row["status"] == "failed"
    assert row["epochs"] == 0
    assert row["reason"] == "KeyError: 'config'"
    log = (folder / "trials" / "0002" / "log.txt").read_text()
    assert "Traceback" in log
    assert "KeyError: 'config'" in log
    table = reports(done)
    pd.testing.assert_frame_equal(reports(folder), table[table["trial"] != 2].reset_index(drop=True))
    study = optuna.load_study(storage=f"sqlite:///{folder / 'study.db'}", study_name="simclr-folder")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


def test_where_only_failures_come_the_sweep_stops(images: Path, tmp_path: Path) -> None:
    folder = create_folder(tmp_path / "s", small_config(images, trials=9), study="simclr-folder").path
    break_trial(folder, *range(9))
    with pytest.raises(SweepError, match=r"the first 3 trials failed for the same reason \(.*KeyError.*log\.txt"):
        resume_sweep(folder, LOCAL)
    assert list(trials_of(folder)["status"]) == ["failed"] * 3
    with pytest.raises(SweepError, match="the first 3 trials failed for the same reason"):
        resume_sweep(folder, LOCAL)
    assert len(trials_of(folder)) == 6


def test_where_every_trial_fails_the_error_is_shown(images: Path, tmp_path: Path) -> None:
    folder = create_folder(tmp_path / "s", small_config(images, trials=2), study="simclr-folder").path
    break_trial(folder, 0, 1)
    with pytest.raises(SweepError, match=r"every trial failed; the first: .*KeyError"):
        resume_sweep(folder, LOCAL)


def test_a_worker_without_room_for_its_checkpoint_stops_the_sweep(
    images: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second trial's second checkpoint does not fit."""
    folder, real, left = tmp_path / "s", os.fsync, [5]

    def fsync(descriptor: int) -> None:
        if "checkpoint." in os.readlink(f"/proc/self/fd/{descriptor}"):
            left[0] -= 1
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SweepError, match=r"is full; free some space, then `sweeper resume"):
        run_here(small_config(images), folder)
    monkeypatch.undo()
    assert len(reports(folder)) == 4
    assert resume_sweep(folder, LOCAL).counts == {"completed": 4}
    same_reports(done, folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 150 kB, which study.db alone nearly fills."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full(images: Path, done: Path, small_disk: Path) -> None:
    folder = small_disk / "s"
    written = io.StringIO()
    with pytest.raises(SweepError, match=r"the disk that holds .* is full; free some space, then `sweeper resume"):
        run_sweep(small_config(images), folder, LOCAL, [JsonLines(file=written)])
    events = [json.loads(line) for line in written.getvalue().splitlines()]
    seen = [(event["trial"], event["epoch"]) for event in events if event["event"] == "report"]
    assert seen == [(row["trial"], row["epoch"]) for row in read_log(SweepFolder(folder))][: len(seen)]
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert resume_sweep(folder, LOCAL).counts == {"completed": 4}
    same_reports(done, folder)


# Stopping trials early


def pruned_config(images: Path, **changes: Any) -> SweepConfig:
    pruner = {"name": "median", "n_startup_trials": 2} | changes.pop("pruner", {})
    return small_config(images, trials=8, epochs=4, pruner=pruner, **changes)


@pytest.fixture(scope="module")
def pruned(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "pruned"
    run_here(pruned_config(images, oracle_pruned=True), folder)
    return folder


def test_pruned_trials_are_said_to_be_so(pruned: Path) -> None:
    trials = trials_of(pruned)
    stopped = trials[trials["status"] == "pruned"]
    assert 0 < len(stopped) < 6
    assert (stopped["epochs"] < 4).all()
    study = optuna.load_study(storage=f"sqlite:///{pruned / 'study.db'}", study_name="simclr-folder")
    for number, row in stopped.set_index("trial").iterrows():
        trial = study.trials[number]  # type: ignore[index]
        assert trial.state == optuna.trial.TrialState.PRUNED
        assert trial.last_step == row["epochs"]
        assert trial.value == trial.intermediate_values[row["epochs"]] == row["lidar"]
        assert row["reason"].startswith(f"median pruner at epoch {row['epochs']}: lidar")
    assert (reports(pruned).groupby("trial").size() == trials.set_index("trial")["epochs"]).all()


def test_the_verdicts_are_optunas_own(pruned: Path, images: Path) -> None:
    """Replay the reports in the order of their arrival with a plain study and Optuna's own pruner."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=2))
    table = pd.read_parquet(pruned / "reports.parquet").sort_values("sequence")
    for number, rows in table.groupby("trial"):
        trial = study.ask()
        assert trial.number == number
        for _, row in rows.iterrows():
            trial.report(row["lidar"], int(row["epoch"]))
            stop = row["epoch"] < 4 and trial.should_prune()
            assert stop == (row["epoch"] == len(rows) < 4)
        study.tell(trial, row["lidar"] if len(rows) == 4 else None, state=None if len(rows) == 4 else PRUNED)


PRUNED = optuna.trial.TrialState.PRUNED


def test_pruned_trials_are_probed_from_their_last_checkpoint(pruned: Path) -> None:
    trials = trials_of(pruned)
    assert trials["oracle"].notna().all()
    stopped = trials[trials["status"] == "pruned"]["trial"]
    outcome = read_outcome(pruned / "trials" / f"{stopped.iloc[0]:04d}")
    assert outcome is not None
    assert outcome.result.status == "pruned"
    assert outcome.probed == ("lidar_paper",)
    assert kept_in(pruned) == best_trials(pruned)
    assert not kept_in(pruned) & set(stopped)


def test_pruned_trials_are_left_alone_unless_asked(pruned: Path, images: Path, tmp_path: Path) -> None:
    run_here(pruned_config(images), tmp_path / "s")
    same_reports(pruned, tmp_path / "s")
    trials = trials_of(tmp_path / "s")
    assert (trials["oracle"].isna() == (trials["status"] == "pruned")).all()


@pytest.mark.parametrize("after", [9, 10, 11, 13])
def test_pruning_survives_a_break(pruned: Path, images: Path, tmp_path: Path, after: int) -> None:
    folder = tmp_path / "s"
    with pytest.raises(SystemExit):
        run_sweep(pruned_config(images, oracle_pruned=True), folder, LOCAL, [Broken(after)])
    resume_sweep(folder, LOCAL)
    same_reports(pruned, folder)
    assert list(trials_of(folder)["status"]) == list(trials_of(pruned)["status"])
    assert oracles(folder) == oracles(pruned)
    assert kept_in(folder) == kept_in(pruned)


def test_an_owed_probe_is_made_up_for(pruned: Path, images: Path, tmp_path: Path) -> None:
    """The driver is killed between a verdict and its probe."""
    folder = tmp_path / "s"
    run_here(pruned_config(images, keep_checkpoints="last"), folder)
    text = (folder / "sweep.yaml").read_text()
    (folder / "sweep.yaml").write_text(text.replace("oracle_pruned: false", "oracle_pruned: true"))
    resume_sweep(folder, LOCAL)
    assert oracles(folder) == oracles(pruned)


def test_audited_trials_run_on_and_are_marked(pruned: Path, images: Path, tmp_path: Path) -> None:
    run_here(pruned_config(images, pruner={"audit": 1.0}), tmp_path / "s")
    trials = trials_of(tmp_path / "s")
    assert list(trials["status"]) == ["completed"] * 8
    assert (trials["audited"] == trials["would_prune_epoch"].notna()).all()
    first = int(trials_of(pruned).query("status == 'pruned'")["trial"].iloc[0])
    assert trials["audited"][first]
    assert trials["would_prune_epoch"][first] == trials_of(pruned)["epochs"][first]
    assert trials["oracle"].notna().all()


def test_a_collapse_is_its_own_outcome(images: Path, tmp_path: Path) -> None:
    """With a threshold that no trial reaches, every trial collapses at the second epoch after the warm-up."""
    config = small_config(images, epochs=5, trials=2, collapse={"spread": 1e9, "warmup": 0.2})
    run_here(config, tmp_path / "s")
    trials = trials_of(tmp_path / "s")
    assert list(trials["status"]) == ["collapsed"] * 2
    assert list(trials["epochs"]) == [3, 3]
    assert trials["reason"].str.contains("spread of the embeddings under 1e+09", regex=False).all()
    study = optuna.load_study(storage=f"sqlite:///{tmp_path / 's' / 'study.db'}", study_name="simclr-folder")
    assert [trial.state for trial in study.trials] == [PRUNED] * 2
    assert all(trial.user_attrs["collapsed"] for trial in study.trials)


def test_a_loss_that_explodes_is_a_divergence(images: Path, tmp_path: Path) -> None:
    space = {"lr": {"type": "float", "low": 1e30, "high": 1e31, "log": True}}
    run_here(small_config(images, trials=1, space=space, oracle_pruned=True), tmp_path / "s")
    row = trials_of(tmp_path / "s").iloc[0]
    assert row["status"] == "diverged"
    assert "nan at epoch" in row["reason"]
    assert np.isnan(row["oracle"])
    assert resume_sweep(tmp_path / "s", LOCAL).counts == {"diverged": 1}


def test_seeds_run_every_configuration_again(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=2, seeds=2, oracle="none"), tmp_path / "s")
    trials = trials_of(tmp_path / "s")
    assert list(trials["configuration"]) == [0, 0, 1, 1]
    assert trials["seed"].nunique() == 4
    assert trials["config.lr"][0] == trials["config.lr"][1] != trials["config.lr"][2]
    assert trials["loss"][0] != trials["loss"][1]


# Later probes, and the dry run


def test_oracles_can_be_measured_later(images: Path, done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run_here(small_config(images, oracle="none", keep_checkpoints="last"), folder)
    with pytest.raises(ConfigError, match=r"`--oracle` must be one of lidar_paper.* but the sweep has none"):
        probe_sweep(folder, LOCAL)
    with pytest.raises(ConfigError, match=r'must be among lidar_paper.*, but got "nonsense"'):
        probe_sweep(folder, LOCAL, oracles=("nonsense",))
    probe_sweep(folder, LOCAL, oracles=("lidar_paper",))
    assert oracles(folder) == oracles(done)
    log = (folder / "trials" / "0000" / "log.txt").read_text()
    probe_sweep(folder, LOCAL, oracles=("lidar_paper",))
    assert (folder / "trials" / "0000" / "log.txt").read_text() == log


def test_what_was_not_kept_cannot_be_probed(images: Path, tmp_path: Path) -> None:
    run_here(small_config(images, trials=2, oracle="none", keep_checkpoints="last"), tmp_path / "s")
    (tmp_path / "s" / "trials" / "0000" / "checkpoint.pt").unlink()
    lines = shown()
    probe_sweep(tmp_path / "s", LOCAL, [lines], oracles=("lidar_paper",))
    assert "1 trial is not probed: no checkpoint was kept (keep_checkpoints: last)" in text_of(lines)
    assert trials_of(tmp_path / "s")["oracle"].notna().sum() == 1


def test_the_estimate_adds_up(images: Path) -> None:
    config = small_config(images, trials=5, seeds=2)
    estimate = estimate_seconds(config, LOCAL)
    assert estimate.jobs == 1
    assert estimate.epoch_seconds > 0
    one = 3 * (estimate.epoch_seconds + estimate.criteria_seconds) + estimate.oracle_seconds
    assert estimate.trial_seconds == pytest.approx(one)
    assert estimate.total_seconds == pytest.approx(10 * estimate.trial_seconds)
    assert estimate_seconds(config, RunOptions(jobs=4, device="cpu")).jobs == 4


def test_configurations_shown_are_configurations_run(images: Path, done: Path) -> None:
    trials = trials_of(done)
    for trial in first_configurations(small_config(images), 4):
        row = trials.loc[trial.trial]
        assert row["config.lr"] == trial.hyperparameters["lr"]
        assert row["seed"] == trial.seed


# With and without Ray


def test_local_needs_no_ray(images: Path, done: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep-file.yaml"
    file.write_text(yaml.safe_dump(mapping(images)))
    folder = tmp_path / "without"
    driver = start_driver(file, folder, where="local", before="import sys; sys.modules['ray'] = None")
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    same_reports(done, folder)


def run_on_ray(what: Path | str, folder: Path, *overrides: str) -> str:
    driver = start_driver(what, folder, overrides=overrides)
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, output
    return str(output)


@pytest.mark.ray
def test_ray_gives_the_same_numbers_and_says_nothing(images: Path, done: Path, tmp_path: Path) -> None:
    """One of the trials fails, which does not affect the others."""
    folder = create_folder(tmp_path / "ray", small_config(images, jobs=2), study="simclr-folder").path
    break_trial(folder, 2)
    output = run_on_ray("resume", folder)
    table = reports(done)
    pd.testing.assert_frame_equal(reports(folder), table[table["trial"] != 2].reset_index(drop=True), check_exact=True)
    mine, theirs = (pd.read_parquet(path / "baselines.parquet") for path in (folder, done))
    values = [name for name in mine if name not in ("sweep", "oracle_seconds")]
    pd.testing.assert_frame_equal(mine[values], theirs[values], check_exact=True)
    trials = trials_of(folder).set_index("trial")
    assert list(trials["status"]) == ["completed", "completed", "failed", "completed"]
    assert trials["reason"][2] == "KeyError: 'config'"
    assert {number: oracles(folder)[number] for number in (0, 1, 3)} == {
        number: oracles(done)[number] for number in (0, 1, 3)
    }
    *lines, summary = (line for line in output.splitlines() if not line.endswith(" …"))  # phases that lasted
    assert len(lines) == 4
    assert len([line for line in lines if "completed  3/3 epochs" in line]) == 3
    assert summary.startswith("Summary(")


@pytest.mark.ray
def test_pruning_on_ray_is_the_same_where_one_trial_runs_at_a_time(images: Path, pruned: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    config = mapping(images, trials=8, epochs=4, oracle_pruned=True, pruner={"name": "median", "n_startup_trials": 2})
    file = tmp_path / "sweep-file.yaml"
    file.write_text(yaml.safe_dump(config))
    run_on_ray(file, folder, "jobs=1")
    same_reports(pruned, folder)
    assert list(trials_of(folder)["status"]) == list(trials_of(pruned)["status"])
    assert oracles(folder) == oracles(pruned)
