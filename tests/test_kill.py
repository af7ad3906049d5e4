"""kill -9 at the worst moments: nothing finished is lost or repeated, the numbers are those of a quiet run."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pandas as pd
import pytest
import yaml
from killing import MOMENTS, Ledger, Victim, between_reports, kill_driver, lines, wait_for
from small_sweeps import make_images, mapping, oracles, same_reports, small_config

from sweeper.progress import make_progress
from sweeper.sweep import RunOptions, run_sweep

TRIALS = 6


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("file")
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump(mapping(make_images(folder / "images"), trials=TRIALS)))
    return file


@pytest.fixture(scope="module")
def quiet(sweep_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep without any interruption."""
    folder = tmp_path_factory.mktemp("quiet") / "sweep"
    config = small_config(sweep_file.parent / "images", trials=TRIALS)
    run_sweep(config, folder, RunOptions(local=True), make_progress(0, quiet=True, as_json=False))
    return folder


def finish(folder: Path, ledger: Ledger, quiet: Path, where: str) -> None:
    """Resume to the end and compare with the quiet run."""
    last = Victim.start("resume", folder, where=where)
    last.wait_gone(240)
    assert last.process.returncode == 0, last.output
    ledger.check(folder)
    same_reports(quiet, folder)
    assert oracles(quiet) == oracles(folder)
    assert list(pd.read_parquet(folder / "trials.parquet")["status"]) == ["completed"] * TRIALS
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("where", "moments"), [("local", ["during a checkpoint", "during the final write"]), ("ray", list(MOMENTS))]
)
def test_a_driver_killed_again_and_again_loses_nothing(
    sweep_file: Path, quiet: Path, tmp_path: Path, where: str, moments: list[str]
) -> None:
    folder, ledger, hit = tmp_path / "sweep", Ledger(), []
    what: Path | str = sweep_file
    for name in moments:
        victim = Victim.start(what, folder, where=where)
        if wait_for(victim, MOMENTS[name]):
            hit.append(name)
        kill_driver(victim)
        ledger.check(folder)
        what = "resume" if (folder / "sweep.yaml").is_file() else sweep_file
    assert len(hit) >= len(moments) - 1, hit  # the shortest moment may pass unseen
    finish(folder, ledger, quiet, where)


def workers(log: Path) -> list[int]:
    """The processes that a trial has run in, by its log."""
    return [int(pid) for pid in re.findall(r"in process (\d+)", log.read_text())] if log.is_file() else []


def test_a_dead_worker_is_replaced_and_a_dead_raylet_survived(sweep_file: Path, quiet: Path, tmp_path: Path) -> None:
    folder, ledger = tmp_path / "sweep", Ledger()
    victim = Victim.start(sweep_file, folder)
    assert wait_for(victim, between_reports)
    row = lines(folder)[-1]
    log = folder / "trials" / f"{row['trial']:04d}" / "log.txt"
    os.kill(workers(log)[-1], signal.SIGKILL)
    reported = len(lines(folder))
    assert wait_for(victim, lambda _: len(lines(folder)) >= reported + 3)
    ledger.check(folder)
    (raylet,) = victim.pids("raylet")
    os.kill(raylet, signal.SIGKILL)
    victim.wait_gone()
    assert victim.process.returncode == 1
    assert "Ray has died under the sweep; `sweeper resume" in victim.output
    assert (folder / "trials.parquet").is_file()
    finish(folder, ledger, quiet, "ray")


def test_workers_that_keep_dying_fail_their_trial_alone(sweep_file: Path, quiet: Path, tmp_path: Path) -> None:
    """The first trial's worker is killed as often as it comes back; the others are as if nothing had been."""
    folder = tmp_path / "sweep"
    victim = Victim.start(sweep_file, folder, overrides=("jobs=1", "epochs=3"))
    log = folder / "trials" / "0000" / "log.txt"
    for attempt in (1, 2):
        assert wait_for(victim, lambda _, n=attempt: len(workers(log)) >= n)
        os.kill(workers(log)[-1], signal.SIGKILL)
    victim.wait_gone(240)
    assert victim.process.returncode == 0, victim.output
    trials = pd.read_parquet(folder / "trials.parquet").set_index("trial")
    assert trials["status"][0] == "failed"
    assert trials["reason"][0].startswith("its worker died: ")
    assert list(trials["status"][1:]) == ["completed"] * (TRIALS - 1)
    mine, theirs = oracles(folder), oracles(quiet)
    assert [mine[trial] for trial in range(1, TRIALS)] == [theirs[trial] for trial in range(1, TRIALS)]


def test_a_signal_on_ray_ends_it_cleanly(sweep_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    victim = Victim.start(sweep_file, folder, overrides=("epochs=500", "oracle=none"))
    assert wait_for(victim, between_reports)
    victim.process.send_signal(signal.SIGTERM)
    victim.wait_gone()
    assert victim.process.returncode == 0, victim.output
    assert f"continue with: sweeper resume {folder}" in victim.output
    assert "Traceback" not in victim.output
    assert set(pd.read_parquet(folder / "trials.parquet")["status"]) == {"failed"}


def test_a_second_driver_is_refused_while_the_first_lives(sweep_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    first = Victim.start(sweep_file, folder, where="local", overrides=("epochs=500", "oracle=none"))
    assert wait_for(first, between_reports)
    second = Victim.start("resume", folder, where="local")
    second.wait_gone()
    assert second.process.returncode == 1
    assert f"in use by another process (pid {first.process.pid})" in second.output
    kill_driver(first)
