"""A sweep in this process that measures its criteria every second epoch, with a pruner, and broken off in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
import pytest
import yaml
from small_sweeps import make_images, same_reports, small_config
from test_sweep import LOCAL, Broken

from analysis import load, replay
from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError
from sweeper.run.sweep import resume_sweep, run_sweep
from sweeper.store.layout import SweepFolder
from trainers.criteria import CRITERIA, DEFAULT_CRITERIA
from trainers.records import null_columns

pytestmark = pytest.mark.slow
MEDIAN = {"name": "median", "n_startup_trials": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


def sparse(images: Path, **changes: Any) -> SweepConfig:
    return small_config(images, **({"epochs": 5, "criteria_every": 2, "pruner": MEDIAN} | changes))


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep that the tests only read."""
    folder = tmp_path_factory.mktemp("results") / "done"
    counts = run_sweep(sparse(images), folder, LOCAL).counts
    assert set(counts) == {"completed", "pruned"}
    return folder


def rows_of(file: Path) -> list[dict[str, Any]]:
    return list(pq.ParquetFile(file).read().to_pylist())


def test_epochs_between_are_null_in_the_tables_and_absent_in_the_study(done: Path) -> None:
    rows = rows_of(done / "reports.parquet")
    assert {row["epoch"] for row in rows if row["lidar"] is None} == {1, 3}
    assert all(isinstance(row["lidar"], float) for row in rows if row["epoch"] in (2, 4, 5))
    assert all(row["spread"] > 0 and row["embedding_rank"] >= 1 for row in rows)
    study = optuna.load_study(storage=f"sqlite:///{done / 'study.db'}", study_name="simclr-folder")
    for trial in study.trials:
        steps = sorted(trial.intermediate_values)
        assert steps == ([2, 4, 5] if trial.state.name == "COMPLETE" else [2, 4][: len(steps)])


def test_trials_have_nulls_at_their_end(done: Path) -> None:
    trials = rows_of(done / "trials.parquet")
    for row in trials:
        values = [row[name] for name in null_columns("lidar")]
        assert all(value is None for value in values) == (row["status"] != "completed")
        assert row["epochs"] in ((5,) if row["status"] == "completed" else (2, 4))
        assert isinstance(row["lidar"], float)
    baselines = {row["baseline"]: row for row in rows_of(done / "baselines.parquet")}
    assert baselines["untrained"]["lidar_null"] > 0
    assert baselines["raw_pixels"]["lidar_null"] is None


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_sweep_that_broke_goes_on_to_the_same_numbers(images: Path, done: Path, tmp_path: Path, after: int) -> None:
    with pytest.raises(SystemExit):
        run_sweep(sparse(images), tmp_path / "s", LOCAL, [Broken(after)])
    resume_sweep(tmp_path / "s", LOCAL)
    same_reports(done, tmp_path / "s")
    assert [row["status"] for row in rows_of(tmp_path / "s" / "trials.parquet")] == [
        row["status"] for row in rows_of(done / "trials.parquet")
    ]


def test_lost_reports_come_back_from_the_table(images: Path, done: Path, tmp_path: Path) -> None:
    run_sweep(sparse(images, trials=3), tmp_path / "s", LOCAL)
    (tmp_path / "s" / "reports.jsonl").unlink()
    resume_sweep(tmp_path / "s", LOCAL, trials=4)
    same_reports(done, tmp_path / "s")


def test_the_replay_prunes_as_the_sweep_did(images: Path, done: Path, tmp_path: Path) -> None:
    run_sweep(sparse(images, pruner={"name": "none"}), tmp_path / "full", LOCAL)
    full, pruned = load(tmp_path / "full"), load(done)
    played = replay(full.reports, optuna.pruners.MedianPruner(n_startup_trials=1), trials=full.trials, epochs=5)
    assert played["status"].tolist() == pruned.trials["status"].tolist()
    assert played["epochs"].tolist() == pruned.trials["epochs"].tolist()


def test_a_sweep_of_an_earlier_version_continues_with_every_epoch(images: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(SystemExit):
        run_sweep(small_config(images, trials=2), folder, LOCAL, [Broken(2)])
    made = yaml.safe_load((folder / "sweep.yaml").read_text())
    del made["criteria_every"]
    (folder / "sweep.yaml").write_text(yaml.safe_dump(made))
    study = optuna.load_study(storage=f"sqlite:///{folder / 'study.db'}", study_name="simclr-folder")
    settings = dict(study.user_attrs["settings"])
    del settings["criteria_every"]
    study.set_user_attr("settings", settings)
    log = SweepFolder(folder).reports_log
    old = [json.loads(line) for line in log.read_text().splitlines()]
    for row in old:
        del row["embedding_rank"]
    log.write_text("".join(json.dumps(row) + "\n" for row in old))
    assert resume_sweep(folder, LOCAL).counts == {"completed": 2}
    assert all(row["lidar"] is not None for row in rows_of(folder / "reports.parquet"))


def test_default_and_all_are_sets_of_criteria(images: Path) -> None:
    assert small_config(images, criteria="default").criteria == DEFAULT_CRITERIA
    assert small_config(images, criteria="all").criteria == tuple(CRITERIA)


def test_a_pruner_must_see_a_criterion_before_the_last_epoch(images: Path) -> None:
    with pytest.raises(ConfigError, match="`criteria_every` must be less than the 5 epochs of a trial for the median"):
        sparse(images, criteria_every=5)
    assert sparse(images, criteria_every=5, pruner={"name": "none"}).criteria_every == 5
