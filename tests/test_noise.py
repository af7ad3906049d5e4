"""noise.csv: each criterion beside shuffled views and the untrained encoder."""

from __future__ import annotations

import numpy as np
import pytest
from pandas import DataFrame

from analysis.stats.noise import noise
from analysis.text.findings import trained_and_untrained


def trials_and_baselines() -> tuple[DataFrame, DataFrame]:
    """Two sweeps; the second has no untrained encoder and no nulls."""
    trials = DataFrame(
        {
            "sweep": ["a"] * 4 + ["b"],
            "trial": [0, 1, 2, 3, 0],
            "status": ["completed", "completed", "completed", "collapsed", "completed"],
            "lidar": [10.0, 30.0, np.nan, 1000.0, 4.0],
            "lidar_null": [20.0, 20.0, 20.0, 20.0, np.nan],
            "lidar.embedding": [10.0, 30.0, np.nan, 1000.0, 4.0],
            "lidar_null.embedding": [5.0, 5.0, 5.0, 5.0, np.nan],
            "loss": [1.0, 3.0, 5.0, 0.0, 1.0],
        }
    )
    base = {"sweep": ["a", "a"], "baseline": ["untrained", "raw_pixels"], "lidar": [15.0, np.nan]}
    return trials, DataFrame({**base, "lidar.embedding": [5.0, np.nan]})


def test_only_completed_trials_with_a_value_count() -> None:
    found = noise(*trials_and_baselines()).set_index(["sweep", "criterion"])
    row = found.loc[("a", "lidar")]
    assert (row["n"], row["value"], row["null"], row["untrained"]) == (2, 20.0, 20.0, 15.0)
    assert (row["above_null"], row["above_untrained"]) == (0.5, 0.5)


def test_a_layer_has_its_own_null_and_untrained_value() -> None:
    row = noise(*trials_and_baselines()).set_index(["sweep", "criterion"]).loc[("a", "lidar.embedding")]
    assert (row["null"], row["untrained"], row["above_null"], row["above_untrained"]) == (5.0, 5.0, 1.0, 1.0)


def test_a_sweep_without_nulls_and_baselines_has_no_row() -> None:
    found = noise(*trials_and_baselines())
    assert set(found["sweep"]) == {"a"}
    assert "loss" not in set(found["criterion"])  # the untrained encoder has no loss


@pytest.mark.parametrize(("criterion", "share"), [("-lidar", 0.5), ("+lidar", 0.5), ("-other", 1.0)])
def test_better_follows_the_direction(criterion: str, share: float) -> None:
    trials, base = trials_and_baselines()
    trials["other"], base["other"] = 1.0, 2.0
    row = noise(trials, base, [criterion]).iloc[0]
    assert row["above_untrained"] == share


def test_tables_without_baselines_give_an_empty_table() -> None:
    assert noise(DataFrame({"lidar": [1.0]}), DataFrame()).empty
    assert trained_and_untrained(noise(DataFrame({"lidar": [1.0]}), DataFrame())) == ()


def test_the_finding_names_the_criteria_on_both_sides() -> None:
    trials, base = trials_and_baselines()
    base["lidar"] = [5.0, np.nan]
    trials["rankme"], base["rankme"] = 1.0, 2.0
    above, below = trained_and_untrained(noise(trials, base, ["lidar", "rankme"]))
    assert above == "Most trials are better than the untrained encoder by LiDAR (100.0%)."
    assert below.endswith("better than the untrained encoder: RankMe (0.0%).")
