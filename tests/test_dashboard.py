"""The copy of a study for optuna-dashboard: it has the accuracies, which the study itself never has."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import optuna
import pytest
from small_sweeps import make_images, small_config

from sweeper.cli.commands import execute
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = make_images(tmp_path_factory.mktemp("images"))
    folder = tmp_path_factory.mktemp("results") / "one"
    run_sweep(small_config(images, trials=3, epochs=2), folder, RunOptions(local=True, device="cpu"))
    return folder


def test_the_copy_has_what_the_study_must_not_have(sweep: Path, tmp_path: Path) -> None:
    before = (sweep / "study.db").read_bytes()
    assert execute(["dashboard", str(sweep), "--out", str(tmp_path / "copy.db")]) == 0
    assert (sweep / "study.db").read_bytes() == before
    (name,) = optuna.get_all_study_names(f"sqlite:///{sweep / 'study.db'}")
    own = optuna.load_study(storage=f"sqlite:///{sweep / 'study.db'}", study_name=name)
    copy = optuna.load_study(storage=f"sqlite:///{tmp_path / 'copy.db'}", study_name="one")
    assert copy.metric_names == ["lidar"]
    assert copy.direction == own.direction
    for ours, theirs in zip(own.get_trials(), copy.get_trials(), strict=True):
        assert theirs.params == ours.params
        assert theirs.value == ours.value
        assert theirs.intermediate_values == ours.intermediate_values
        assert not any(key.startswith("oracle") for key in ours.user_attrs)
        assert 0 <= theirs.user_attrs["oracle.lidar_paper"] <= 1
        assert theirs.user_attrs["lidar"] == pytest.approx(ours.value)
        assert theirs.user_attrs["status"] == "completed"


def test_trials_have_their_numbers_beside_one_that_still_runs(sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(sweep, tmp_path / "running")
    url = f"sqlite:///{tmp_path / 'running' / 'study.db'}"
    (name,) = optuna.get_all_study_names(url)
    own = optuna.load_study(storage=url, study_name=name)
    assert [own.ask().number, own.ask().number] == [3, 4]
    own.tell(4, 5.0)
    assert execute(["dashboard", str(tmp_path / "running"), "--out", str(tmp_path / "copy.db")]) == 0
    copy = optuna.load_study(storage=f"sqlite:///{tmp_path / 'copy.db'}", study_name="running")
    assert [trial.state for trial in copy.get_trials()] == [trial.state for trial in own.get_trials()]
    assert copy.get_trials()[4].value == 5.0


def test_an_existing_file_and_a_missing_package_are_refused(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copy.db").touch()
    assert execute(["dashboard", str(sweep), "--out", str(tmp_path / "copy.db")]) == 2
    assert "must be a new file" in capsys.readouterr().err
    assert execute(["dashboard", str(sweep), "--out", str(tmp_path / "nowhere" / "copy.db")]) == 2
    assert "must be in a folder that exists" in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert execute(["dashboard", str(sweep)]) == 2
    assert "pip install 'ssl-sweeper[dashboard]'" in capsys.readouterr().err


def test_the_dashboard_serves_the_copy(sweep: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sweeper", "dashboard", str(sweep), "--port", str(port)]
    served = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    try:
        url = f"http://127.0.0.1:{port}/api/studies"
        for _ in range(300):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    studies = json.load(answer)
                break
            except OSError:
                assert served.poll() is None
                time.sleep(0.2)
        assert "one" in json.dumps(studies)
    finally:
        served.terminate()
        served.wait(30)
