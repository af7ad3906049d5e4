"""kill -9 at critical moments: no finished work is lost or repeated, and the numbers are those of a quiet run."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from killing import MOMENTS, Ledger, Victim, between_reports, kill_driver, lines, wait_for
from small_sweeps import make_images, mapping, oracles, same_reports, small_config

from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep

pytestmark = pytest.mark.kill

TRIALS = 8


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
    run_sweep(config, folder, RunOptions(local=True))
    return folder


def kept_in(folder: Path) -> list[str]:
    """The checkpoints that a sweep has kept."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("trials/*/*.pt"))


End = Callable[[Victim], bool]
"""Ends a driver; returns whether the moment for it came."""


def killed(moment: str) -> End:
    """By SIGKILL at one of the moments."""

    def end(victim: Victim) -> bool:
        came = wait_for(victim, MOMENTS[moment])
        kill_driver(victim)
        return came

    return end


def workers(log: Path) -> list[int]:
    """The processes that a trial has run in, by its log."""
    return [int(pid) for pid in re.findall(r"in process (\d+)", log.read_text())] if log.is_file() else []


def without_worker_then_without_raylet(victim: Victim) -> bool:
    """A worker is killed, and the sweep retries it; then Ray's raylet is killed, and the driver ends with a message."""
    assert wait_for(victim, between_reports), victim.output
    row = lines(victim.folder)[-1]
    os.kill(workers(victim.folder / "trials" / f"{row['trial']:04d}" / "log.txt")[-1], signal.SIGKILL)
    reported = len(lines(victim.folder))
    assert wait_for(victim, lambda _: len(lines(victim.folder)) > reported)
    (raylet,) = victim.pids("raylet")
    os.kill(raylet, signal.SIGKILL)
    victim.wait_gone()
    assert victim.process.returncode == 1
    assert "Ray has died; `sweeper resume" in victim.output
    assert (victim.folder / "trials.parquet").is_file()
    return True


def told_to_end(victim: Victim) -> bool:
    """By SIGTERM: the driver ends cleanly, with a message that says how to continue."""
    assert wait_for(victim, between_reports), victim.output
    victim.process.send_signal(signal.SIGTERM)
    victim.wait_gone()
    assert victim.process.returncode == 0, victim.output
    assert f"continue with: sweeper resume {victim.folder}" in victim.output
    assert "Traceback" not in victim.output
    assert (victim.folder / "trials.parquet").is_file()
    return True


LOCAL_ENDS = [killed("during a checkpoint"), killed("during the final write")]
RAY_ENDS = [
    killed("before the first report"),
    killed("during a checkpoint"),
    without_worker_then_without_raylet,
    told_to_end,
    killed("during the probe"),
    killed("during the final write"),
]


@pytest.mark.parametrize(("where", "ends"), [("local", LOCAL_ENDS), ("ray", RAY_ENDS)])
def test_a_sweep_that_is_ended_again_and_again_loses_nothing(
    sweep_file: Path, quiet: Path, tmp_path: Path, where: str, ends: list[End]
) -> None:
    folder, ledger, came = tmp_path / "sweep", Ledger(), 0
    for index, end in enumerate(ends):
        came += end(Victim.start("resume" if index else sweep_file, folder, where=where))
        ledger.check(folder)
    assert came >= len(ends) - 1  # the shortest moment may be missed
    last = Victim.start("resume", folder, where=where)
    last.wait_gone(240)
    assert last.process.returncode == 0, last.output
    ledger.check(folder)
    same_reports(quiet, folder)
    assert oracles(quiet) == oracles(folder)
    assert kept_in(quiet) == kept_in(folder)
    assert list(pd.read_parquet(folder / "trials.parquet")["status"]) == ["completed"] * TRIALS
    assert not list(folder.rglob("*.tmp"))


def test_workers_that_keep_dying_fail_their_trial_alone(sweep_file: Path, quiet: Path, tmp_path: Path) -> None:
    """The first trial's worker is killed on every retry; the other trials are not affected."""
    folder = tmp_path / "sweep"
    victim = Victim.start(sweep_file, folder, overrides=("jobs=1", "trials=3"))
    log = folder / "trials" / "0000" / "log.txt"
    for attempt in (1, 2):
        assert wait_for(victim, lambda _, n=attempt: len(workers(log)) >= n)
        os.kill(workers(log)[-1], signal.SIGKILL)
    victim.wait_gone(240)
    assert victim.process.returncode == 0, victim.output
    trials = pd.read_parquet(folder / "trials.parquet").set_index("trial")
    assert list(trials["status"]) == ["failed", "completed", "completed"]
    assert trials["reason"][0].startswith("its worker died: ")
    mine, theirs = oracles(folder), oracles(quiet)
    assert [mine[trial] for trial in (1, 2)] == [theirs[trial] for trial in (1, 2)]


def test_a_second_driver_is_refused_while_the_first_lives(sweep_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    first = Victim.start(sweep_file, folder, where="local", overrides=("epochs=3000", "oracle=none"))
    assert wait_for(first, between_reports)
    second = Victim.start("resume", folder, where="local")
    second.wait_gone()
    assert second.process.returncode == 1
    assert f"in use by another process (pid {first.process.pid})" in second.output
    kill_driver(first)


@pytest.mark.parametrize("seconds", [0.0, 0.7, 1.5, 3.0])
def test_a_sigterm_while_ray_starts_is_heard(sweep_file: Path, tmp_path: Path, seconds: float) -> None:
    """Ray sets its own handler during its start, which would end the driver without a message."""
    victim = Victim.start(sweep_file, tmp_path / "sweep")
    assert wait_for(victim, lambda one: (root := one.root()) is not None and (root / "r").is_dir())
    time.sleep(seconds)
    victim.process.send_signal(signal.SIGTERM)
    victim.wait_gone()
    assert victim.process.returncode == 0, victim.output
    assert f"interrupted by SIGTERM; continue with: sweeper resume {victim.folder}" in victim.output
