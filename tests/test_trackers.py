"""TensorBoard, Weights & Biases and MLflow, each with the real library and without a network."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_sweeps import make_images, small_config

from sweeper.errors import ConfigError
from sweeper.run.observers import make_observer
from sweeper.run.observers.base import Observers, SweepStart
from sweeper.run.observers.tracker import Tracker
from sweeper.store.manifest import create_folder
from trainers.records import EpochReport, OracleScore, TrialConfig, TrialResult

pytestmark = pytest.mark.slow

SCORES = {"lidar_paper": OracleScore(0.875, 24, 1.0)}


def report(trial: int, epoch: int, lidar: float) -> EpochReport:
    criteria = {"lidar": lidar, "lidar.embedding": lidar, "rankme": 3.0}
    return EpochReport(trial, epoch, epoch, 0.25, criteria, 0.1, {"train": 1.0, "criteria": 0.5}, 10.0)


def trial(number: int) -> TrialConfig:
    values: dict[str, Any] = {"lr": 0.1, "optimizer": "sgd"}
    return TrialConfig("simclr", {"name": "photos"}, {"name": "vit"}, 2, 4, hyperparameters=values, trial=number)


@pytest.fixture
def start(tmp_path: Path) -> SweepStart:
    config = small_config(make_images(tmp_path / "images"), trials=2, epochs=2)
    return SweepStart(config, create_folder(tmp_path / "sweep", config, study="s").path, 2)


def follow(options: Mapping[str, Any], start: SweepStart) -> None:
    """A sweep that is interrupted in its second trial, and continued by another process's observer."""
    messages: list[str] = []

    def observers() -> Observers:
        made = Observers([make_observer(dict(options), key="observers")])
        made.on_message = messages.append  # type: ignore[method-assign]
        return made

    first = observers()
    first.on_begin(start)
    first.on_trial_start(trial(0))
    first.on_trial_start(trial(1))  # two at a time
    first.on_report(report(0, 1, 12.5))
    first.on_report(report(1, 1, 20.0))
    first.on_report(report(0, 2, math.nan))
    first.on_trial_end(TrialResult(0, "completed", "", 2, SCORES))
    first.close()
    again = observers()
    again.on_begin(start)
    again.on_trial_start(trial(1))
    again.on_report(report(1, 2, 21.0))
    again.on_trial_end(TrialResult(1, "failed", "ValueError: no", 2))
    again.close()
    assert messages == []


def test_tensorboard_has_curves_hyperparameters_and_accuracy(start: SweepStart) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow({"name": "tensorboard"}, start)
    found = {}
    for number in range(2):
        events = EventAccumulator(str(start.folder / "tensorboard" / f"trial-{number:04d}"))
        events.Reload()
        found[number] = {
            tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]
        }
        assert "_hparams_/session_start_info" in events.summary_metadata
    assert found[0]["lidar"] == [(1, 12.5)]
    assert found[0]["rankme"] == [(1, 3.0), (2, 3.0)]
    assert found[0]["oracle.lidar_paper"][0][1] == 0.875
    assert found[1]["lidar"] == [(1, 20.0), (2, 21.0)]


@pytest.mark.filterwarnings("default")  # MLflow's own, about SQLAlchemy
def test_mlflow_has_one_run_per_trial_with_its_state(start: SweepStart) -> None:
    mlflow = pytest.importorskip("mlflow")
    follow({"name": "mlflow"}, start)
    client = mlflow.MlflowClient(f"sqlite:///{start.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sweep")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"trial-0000", "trial-0001"}
    first, second = runs["trial-0000"], runs["trial-0001"]
    assert first.data.metrics["oracle.lidar_paper"] == 0.875
    assert first.data.params["lr"] == "0.1"
    assert first.info.status == "FINISHED"
    assert second.info.status == "FAILED"
    assert second.data.tags["sweeper.status"] == "failed ValueError: no"
    history = client.get_metric_history(second.info.run_id, "lidar")
    assert [(one.step, one.value) for one in history] == [(1, 20.0), (2, 21.0)]


def records(data: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log with W&B's header of 7 bytes: blocks of 32 KiB, each record in one part or more."""
    place, whole = 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def test_wandb_writes_runs_offline(start: SweepStart) -> None:
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    follow({"name": "wandb", "mode": "offline", "project": "p"}, start)
    rows: dict[str, list[dict[str, str]]] = {}
    summaries: dict[str, dict[str, str]] = {}
    for file in sorted((start.folder / "wandb").glob("offline-run-*/*.wandb")):
        number = file.stem.rpartition("-")[2]
        for data in records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            rows.setdefault(number, []).extend([items] if items else [])
            changed = {item.key or "/".join(item.nested_key): item.value_json for item in record.summary.update}
            summaries.setdefault(number, {}).update(changed)
    assert [row["lidar"] for row in rows["0"] if "lidar" in row] == ["12.5"]
    assert [float(row["lidar"]) for row in rows["1"]] == [20.0, 21.0]
    assert summaries["0"]["oracle.lidar_paper"] == "0.875"
    assert summaries["1"]["status"] == '"failed"'


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_says_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked, *rest: None if asked == name else find(asked, *rest))
    with pytest.raises(
        ConfigError, match=rf"the observer {name} cannot be used: it needs {name}: `pip install '"
    ) as caught:
        make_observer(name, key="--observer")
    assert f"pip install 'ssl-sweeper[{name}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_tracker_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, sweeper.run.observers; print([m for m in ('tensorboard', 'wandb', 'mlflow') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_tracker_is_told_nothing_of_trials_that_it_has_not_seen(start: SweepStart) -> None:
    class Silent(Tracker):
        package = "json"

        def open(self, config: TrialConfig, values: Mapping[str, Any]) -> Any:
            raise AssertionError

        log = end = open  # type: ignore[assignment]

    silent = Silent()
    silent.on_begin(start)
    silent.on_report(report(7, 1, 1.0))
    silent.on_trial_end(TrialResult(7, "completed"))
    silent.close()
