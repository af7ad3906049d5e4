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
    images = make_images(tmp_path / "images")
    config = small_config(images, trials=13, search={"sampler": "tpe"}, pruner=pruner, oracle_pruned=True)
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
    accuracy, chance = true["trials"]["oracle"], shuffled["trials"]["oracle"]
    assert accuracy.notna().any()
    assert not accuracy.equals(chance)
