"""The verdicts on results/reference/HYPOTHESES.md, from the tables of one study.

    python benchmarks/hypotheses.py results/reference/photos-simclr

The folder holds a finished sweep. An `axes` sweep decides (d). Every other sweep decides the rest, and also needs the
networks.csv that `benchmarks/noise_floor.py` wrote to noise_floor/. It prints the verdicts as Markdown and writes them
to verdicts.csv in the folder. It trains and measures nothing.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from pandas import DataFrame
from scipy import stats

from analysis import frontier, load
from analysis.data.columns import swept
from analysis.stats.axes import largest_alone
from analysis.stats.bootstrap import RESAMPLES, draw_counts, make_pairs, tau_of_counts
from analysis.stats.ranking import holm
from analysis.stats.selection import redrawn
from sweeper.store.manifest import read_manifest
from trainers.records import COMPLETED, CONFIG_PREFIX, LAYERS, UNTRAINED

Floats = NDArray[np.float64]

COLUMNS: Final = (
    "hypothesis",
    "accuracy",
    "first",
    "layer",
    "n",
    "value",
    "low",
    "high",
    "epochs_saved",
    "p_holm",
    "verdict",
)
"""What is printed of a verdict."""

ORACLES: Final = ("oracle", "oracle.lbfgs")
CANDIDATES: Final = ("lidar_debiased", "lda_information")
INFORMATION: Final = "lda_information"
FEW, MANY = 10, 50
LEVEL: Final = 0.05
COLLAPSE: Final = ("variance_weight", "covariance_weight")
"""Hyperparameters along which a rank should follow accuracy."""
FLAT: Final = ("lr", "temperature")
"""Hyperparameters along which it should not."""
USELESS: Final = 0.2
"""A τ below this says nothing."""
PRUNERS: Final[dict[str, BasePruner]] = {
    "none": NopPruner(),
    "median": MedianPruner(n_startup_trials=5),
    "successive halving": SuccessiveHalvingPruner(min_resource=10, reduction_factor=2),
}


def configurations(trials: DataFrame, values: Sequence[str], oracle: str) -> DataFrame:
    """The means over the seeds of each configuration, for configurations with all values."""
    done = trials[trials["status"] == COMPLETED] if "status" in trials else trials
    return done.groupby("configuration")[[*values, oracle]].mean().dropna()


def differences(networks: DataFrame, oracle: str) -> DataFrame:
    """(a) and (b): one row per difference of two τ, with its interval and p."""
    wide = networks[networks["trial"] >= 0].pivot_table(
        index=["trial", "configuration", oracle], columns=["column", "q"], values="value", dropna=False
    )
    wide.columns = [f"{column}@{q}" for column, q in wide.columns]
    table = configurations(wide.dropna(how="all").reset_index(), list(wide.columns), oracle)
    counts = draw_counts(np.arange(len(table)), RESAMPLES, np.random.default_rng(0))
    every = np.vstack([np.ones((1, len(table)), dtype=np.float32), counts])  # the first row is the study itself
    truth = table[oracle].to_numpy()
    taus = {name: tau_of_counts(make_pairs(table[name].to_numpy(), truth), every) for name in wide.columns}
    rows = []
    for layer in LAYERS:
        gaps = {
            (name, q): taus[f"{name}.{layer}@{q}"] - taus[f"lidar.{layer}@{q}"]
            for name in CANDIDATES
            for q in (FEW, MANY)
        }
        for name in CANDIDATES:
            few, many = gaps[name, FEW], gaps[name, MANY]
            about = {"first": name, "layer": layer, "n": len(table)}
            tau = {"tau": taus[f"{name}.{layer}@{FEW}"][0], "tau_lidar": taus[f"lidar.{layer}@{FEW}"][0]}
            rows.append({"hypothesis": "a", **about, **tau, **tested(few)})
            rows.append({"hypothesis": "b", **about, **tested(few - many)})
    found = DataFrame(rows).sort_values(["hypothesis", "layer"], kind="stable", ignore_index=True)
    found["p_holm"] = holm(found["p"].to_numpy(dtype=float))
    found["verdict"] = [
        ("supported" if row["value"] > 0 else "refuted") if row["p_holm"] < LEVEL else "open"
        for row in found.to_dict("records")
    ]
    return found


def tested(drawn: Floats) -> dict[str, float]:
    """The value, its percentile interval and its p, from a statistic of the study and of its resamples."""
    known = drawn[1:][np.isfinite(drawn[1:])]
    if not len(known):  # a constant criterion or accuracy has no τ
        return dict.fromkeys(("value", "low", "high", "p"), math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    wrong = min((known <= 0).mean(), (known >= 0).mean())
    return {"value": drawn[0], "low": low, "high": high, "p": min(1.0, max(2 * wrong, 2 / RESAMPLES))}


def above_untrained(trials: DataFrame, baselines: DataFrame, oracle: str) -> Iterator[dict[str, Any]]:
    """(c): of the trials clearly above the untrained encoder, the share that a criterion puts above it."""
    start = baselines[baselines["baseline"] == UNTRAINED].iloc[0]
    done = trials[trials["status"] == COMPLETED].dropna(subset=[oracle])
    error = np.sqrt(done[oracle] * (1 - done[oracle]) / done["oracle_n"])
    better = done[done[oracle] - start[oracle] > error]
    for column in (f"{INFORMATION}.representation", "lidar", "lidar_debiased", "rankme"):
        known = better[column].dropna()
        above = int((known > start[column]).sum())
        interval = stats.binomtest(above, len(known)).proportion_ci(method="wilson") if len(known) else None
        low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
        verdict = "supported" if low > 0.8 else "refuted" if high < 0.8 else "open"
        row = {"hypothesis": "c", "first": column, "n": len(known), "value": above / max(1, len(known))}
        yield {**row, "low": low, "high": high, "verdict": verdict if column.startswith(INFORMATION) else ""}


def regret(trials: DataFrame, oracle: str) -> dict[str, Any]:
    """(e): the regret of choosing a configuration by `lda_information`, in points."""
    table = configurations(trials, [INFORMATION], oracle).sort_values(INFORMATION, ascending=False, kind="stable")
    truth = table[oracle].to_numpy()
    drawn, _ = redrawn(truth, np.arange(len(truth)), RESAMPLES, 0)
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    verdict = "supported" if high <= 1 else "refuted" if low > 1 else "open"
    value = 100 * (truth.max() - truth[0])
    row = {"hypothesis": "e", "first": INFORMATION, "n": len(truth), "value": value}
    return {**row, "low": low, "high": high, "verdict": verdict}


def pruning(trials: DataFrame, reports: DataFrame, oracle: str) -> Iterator[dict[str, Any]]:
    """(f): epochs saved, and the points lost against no pruning, in a replay."""
    played = frontier(trials, reports, [INFORMATION], oracle=oracle, pruners=PRUNERS).set_index("pruner")
    for name in list(PRUNERS)[1:]:
        row = played.loc[name]
        lost = 100 * (row["regret"] - played.loc["none", "regret"])
        verdict = "supported" if row["epochs_saved"] >= 0.5 and lost <= 0.5 else "refuted"
        about = {"hypothesis": "f", "first": f"{INFORMATION}, {name}", "n": row["n"]}
        yield {**about, "value": lost, "epochs_saved": row["epochs_saved"], "verdict": f"{verdict} in replay"}


def along_axes(trials: DataFrame, oracle: str) -> Iterator[dict[str, Any]]:
    """(d): τ of RankMe and LiDAR along one hyperparameter at a time, over the means of the configurations."""
    names = swept(trials)
    settings = trials.groupby("configuration")[names].first()
    for criterion in ("rankme", "lidar"):
        table = configurations(trials, [criterion], oracle).join(settings)
        for axis in (name.removeprefix(CONFIG_PREFIX) for name in names):
            column = f"{CONFIG_PREFIX}{axis}"
            alone = largest_alone(table, column, [name for name in names if name != column])
            counts = draw_counts(np.arange(len(alone)), RESAMPLES, np.random.default_rng(0))
            every = np.vstack([np.ones((1, len(alone)), dtype=np.float32), counts])
            found = tested(tau_of_counts(make_pairs(alone[criterion].to_numpy(), alone[oracle].to_numpy()), every))
            about = {"hypothesis": "d", "first": f"{criterion} along {axis}", "n": len(alone)}
            yield {**about, **found, "verdict": verdict_along(axis, found["low"], found["high"])}


def verdict_along(axis: str, low: float, high: float) -> str:
    """Whether τ along the axis is as (d) says; empty for an axis of which it says nothing.

    >>> verdict_along("lr", -0.4, 0.1), verdict_along("variance_weight", -0.4, 0.1), verdict_along("mask_ratio", 0, 1)
    ('supported', 'open', '')
    """
    if axis in COLLAPSE:
        return "supported" if low > 0 else "refuted" if high < 0 else "open"
    if axis in FLAT:
        return "supported" if high < USELESS else "refuted" if low > USELESS else "open"
    return ""


def verdicts(folder: Path) -> DataFrame:
    """Every row, for both oracles."""
    results = load([folder])
    if read_manifest(folder)[1].search.sampler == "axes":
        parts = [DataFrame(along_axes(results.trials, oracle)).assign(accuracy=oracle) for oracle in ORACLES]
        return pd.concat(parts, ignore_index=True)
    networks = pd.read_csv(folder / "noise_floor" / "networks.csv")
    parts = []
    for oracle in ORACLES:
        rows = [
            *differences(networks, oracle).to_dict("records"),
            *above_untrained(results.trials, results.baselines, oracle),
            regret(results.trials, oracle),
            *pruning(results.trials, results.reports, oracle),
        ]
        parts.append(DataFrame(rows).assign(accuracy=oracle))
    return pd.concat(parts, ignore_index=True)


def main() -> None:
    """Print the verdicts and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    folder = parser.parse_args().study
    found = verdicts(folder)
    found.to_csv(folder / "verdicts.csv", index=False)
    print("| hypothesis | accuracy | criterion | layer | n | value [95% interval] | p (Holm) | verdict |")
    print("|:--|:--|:--|:--|--:|:--|--:|:--|")
    for row in found.reindex(columns=COLUMNS).to_dict("records"):
        interval = f" [{row['low']:.2f}, {row['high']:.2f}]" if math.isfinite(row["low"]) else ""
        saved = f", {row['epochs_saved']:.0%} of the epochs saved" if math.isfinite(row["epochs_saved"]) else ""
        p = f"{row['p_holm']:.4f}" if math.isfinite(row["p_holm"]) else ""
        layer = row["layer"] if isinstance(row["layer"], str) else ""
        cells = (row["hypothesis"], row["accuracy"], row["first"], layer, f"{row['n']:.0f}")
        print("|", " | ".join((*cells, f"{row['value']:.2f}{interval}{saved}", p, row["verdict"])), "|")


if __name__ == "__main__":
    main()
