"""No label reaches the search: with every label permuted, a sweep differs in the oracle's columns and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from small_sweeps import MEASURED, make_images, small_config

from sweeper.progress import make_progress
from sweeper.sweep import RunOptions, run_sweep
from trainers.datasets.folder import Folder

CLOCK = [*MEASURED, "seconds", "oracle_seconds", "started_at", "finished_at", "checkpoint"]


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Every table of a sweep without what a clock or the folder's name wrote."""
    return {
        name: pd.read_parquet(folder / f"{name}.parquet").drop(columns=CLOCK, errors="ignore")
        for name in ("trials", "reports", "baselines")
    }


def test_permuted_labels_change_only_the_oracle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_config(make_images(tmp_path / "images"), search={"sampler": "tpe"}, pruner={"name": "median"})
    progress = make_progress(0, quiet=True, as_json=False)
    run_sweep(config, tmp_path / "true", RunOptions(local=True), progress)
    read = Folder.labels

    def permuted(self: Folder, split: str) -> NDArray[np.int64] | None:
        labels = read(self, split)
        return None if labels is None else np.random.default_rng(1).permutation(labels)

    monkeypatch.setattr(Folder, "labels", permuted)
    run_sweep(config, tmp_path / "permuted", RunOptions(local=True), progress)
    true, shuffled = tables(tmp_path / "true"), tables(tmp_path / "permuted")
    for name, table in true.items():
        oracle = [column for column in table if column == "oracle" or column.startswith("oracle.")]
        pd.testing.assert_frame_equal(table.drop(columns=oracle), shuffled[name].drop(columns=oracle))
    accuracy, chance = true["trials"]["oracle"], shuffled["trials"]["oracle"]
    assert accuracy.notna().any()
    assert not accuracy.equals(chance)
