"""No label reaches the search: if all labels are permuted, only the oracle's columns of a sweep change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from numpy.typing import NDArray
from small_sweeps import MEASURED, make_images, small_config

from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep
from trainers.datasets.folder import Folder
from trainers.oracles import ORACLES

CLOCK = [*MEASURED, "seconds", "oracle_seconds", "started_at", "finished_at", "checkpoint"]


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Every table of a sweep, without times and the folder's name."""
    return {
        name: pd.read_parquet(folder / f"{name}.parquet").drop(columns=CLOCK, errors="ignore")
        for name in ("trials", "reports", "baselines")
    }


def values_of(folder: Path) -> list[tuple[str, float | None, dict[int, float]]]:
    """State, value and intermediate values of every trial in the study."""
    (name,) = optuna.study.get_all_study_names(f"sqlite:///{folder / 'study.db'}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'study.db'}")
    return [(trial.state.name, trial.value, trial.intermediate_values) for trial in study.trials]


@pytest.mark.slow
def test_permuted_labels_change_only_the_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TPE learns from its 11th trial on, and the pruner stops trials, so a leak of an accuracy would be visible."""
    pruner = {"name": "median", "n_startup_trials": 2}
    images, others = make_images(tmp_path / "images"), make_images(tmp_path / "others", count=48, size=16)
    elsewhere = {"probe": "knn", "dataset": {"name": "folder", "root": str(others), "size": 16}}
    short = {"probe": "vicreg_paper", "epochs": 2}
    oracle = ["lidar_paper", short, "lbfgs", "knn", {"probe": "few_label", "draws": 2}, elsewhere]
    config = small_config(
        images, trials=13, search={"sampler": "tpe"}, pruner=pruner, oracle_pruned=True, oracle=oracle
    )
    assert {choice.probe for choice in config.oracle_choices.values()} | set(config.oracle) >= set(ORACLES)
    run_sweep(config, tmp_path / "true", RunOptions(local=True))
    read = Folder.labels

    def permuted(self: Folder, split: str) -> NDArray[np.int64] | None:
        labels = read(self, split)
        return None if labels is None else np.random.default_rng(1).permutation(labels)

    monkeypatch.setattr(Folder, "labels", permuted)
    run_sweep(config, tmp_path / "permuted", RunOptions(local=True))
    true, shuffled = tables(tmp_path / "true"), tables(tmp_path / "permuted")
    assert (true["trials"]["status"] == "pruned").any()
    assert values_of(tmp_path / "true") == values_of(tmp_path / "permuted")
    for name, table in true.items():
        oracle = [column for column in table if column == "oracle" or column.startswith("oracle.")]
        pd.testing.assert_frame_equal(table.drop(columns=oracle), shuffled[name].drop(columns=oracle))
    for name in config.oracle:
        accuracy, chance = (table["trials"][f"oracle.{name}"] for table in (true, shuffled))
        assert accuracy.notna().any()
        assert not accuracy.equals(chance)
    assert set(true["baselines"]["oracle.knn@folder_n"]) == {10}
