"""LiDAR's noise floor on the networks of one sweep, of which only q changes.

    python benchmarks/noise_floor.py SWEEP [--views 5 10 20 50] [--out DIR]

SWEEP is a folder whose trials have kept their last checkpoints (`keep_checkpoints: last`). Each network embeds the
sweep's own sample once. The criteria of LiDAR's family are computed from the first q views of each image, and from
views shuffled between images. It writes to DIR, by default SWEEP/noise_floor:

    networks.csv   one row per network, q and column: value, null (on shuffled views), oracles; trial −1 is untrained
    floor.csv      one row per column and q: τ with the oracle and its interval, mean value, mean null, untrained value
    floor.png      τ over q, and null / value over q
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from pandas import DataFrame

from analysis import kendall
from sweeper.cli.plan import first_configurations
from sweeper.config.model import SweepConfig
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import read_manifest
from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.datasets.base import Images
from trainers.images import read_images
from trainers.measure import Sample, embed_clean, embed_views, null_values
from trainers.network import load_network
from trainers.records import COMPLETED, LAYERS, TrialConfig, criterion_columns, null_columns
from trainers.settings import resolve
from trainers.splits import Data

FAMILY: Final = ("lidar", "lidar_debiased", "lda_information", "lda_trace")
UNTRAINED_TRIAL: Final = -1
"""The number of the untrained network, which is no trial."""


def values_by_q(trial: TrialConfig, images: Images, checkpoint: Path | None, views: Sequence[int]) -> DataFrame:
    """The columns q, column, value and null of one network; without a checkpoint, of the untrained one."""
    data = Data(images, trial.device)
    network = load_network(trial, data, checkpoint)
    sample = Sample(network, data, trial.criteria_sample, resolve(trial))
    embedded, clean = embed_views(network, sample), embed_clean(network, sample)
    rows = []
    for q in views:
        features = {layer: Features(embedded[layer][:, :q], clean[layer]) for layer in LAYERS}
        nulls = null_values(features, FAMILY, trial.method, trial.criteria_sample.seed)
        for name in FAMILY:
            values = CRITERIA[name].measure(features, trial.method)
            for column, null in zip(criterion_columns(name), null_columns(name), strict=True):
                rows.append({"q": q, "column": column, "value": values[column], "null": nulls[null]})
    return DataFrame(rows)


def networks_table(config: SweepConfig, folder: SweepFolder, views: Sequence[int]) -> DataFrame:
    """The values of every completed trial and of the untrained network, with the trial's oracles.

    The sample has the most views; a sweep that measured fewer gets more here.
    """
    images = read_images(config.dataset)
    sample = replace(config.criteria_sample, views=max(views))
    trials = pd.read_parquet(folder.trials_table)
    drawn = [replace(one, criteria_sample=sample) for one in first_configurations(config, config.trials * config.seeds)]
    about = [name for name in trials if name in ("configuration", "seed") or name.split(".")[0] == "oracle"]
    parts = [values_by_q(drawn[0], images, None, views).assign(trial=UNTRAINED_TRIAL)]
    for row in trials[trials["status"] == COMPLETED].to_dict("records"):
        trial = drawn[row["trial"]]
        for name, value in trial.hyperparameters.items():
            known = row[f"config.{name}"]
            if known != value and not (value is None and pd.isna(known)):  # parquet reads null as NaN
                raise SystemExit(f"trial {trial.trial}: {name} is {known} in trials.parquet, but {value} here")
        found = values_by_q(trial, images, folder.checkpoint(trial.trial), views)
        parts.append(found.assign(trial=trial.trial, **{name: row[name] for name in about}))
        print(f"trial {trial.trial} of {len(trials)}", flush=True)
    return pd.concat(parts, ignore_index=True)


def floor_table(networks: DataFrame) -> DataFrame:
    """One row per column and q: τ with its interval, the means over the networks, and the untrained value."""
    start = networks[networks["trial"] == UNTRAINED_TRIAL].set_index(["q", "column"])["value"]
    rows = []
    for q, part in networks[networks["trial"] != UNTRAINED_TRIAL].groupby("q"):
        keys = ["trial", "configuration", "oracle"]
        wide = part.pivot_table(index=keys, columns="column", values="value", dropna=False).dropna(how="all")
        trials = wide.reset_index().assign(status=COMPLETED, sweep="")
        ranks = kendall(trials, list(part["column"].unique())).set_index("criterion")
        for column, own in part.groupby("column", sort=False):
            tau = ranks.loc[column, ["n", "configurations", "tau", "tau_low", "tau_high"]].to_dict()
            means = {"value": own["value"].mean(), "null": own["null"].mean(), "untrained": start.loc[(q, column)]}
            rows.append({"column": column, "q": q, **tau, **means})
    return DataFrame(rows).sort_values(["column", "q"], ignore_index=True)


def figure(table: DataFrame, file: Path) -> None:
    """τ over q on the left, null / value over q on the right; the plain columns."""
    left, right = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")[1]
    for column in FAMILY:
        own = table[table["column"] == column]
        left.plot(own["q"], own["tau"], marker="o", label=CRITERIA[column].label)
        right.plot(own["q"], own["null"] / own["value"], marker="o")
    left.axhline(0, color="0.7", linewidth=1)
    right.axhline(1, color="0.7", linewidth=1)
    left.set(xscale="log", xlabel="views per image, q", ylabel="Kendall τ with the oracle", ylim=(-1.05, 1.05))
    right.set(xscale="log", xlabel="views per image, q", ylabel="shuffled views / views, means")
    for axes in (left, right):
        axes.set_xticks(sorted(table["q"].unique()), labels=[str(q) for q in sorted(table["q"].unique())])
        axes.minorticks_off()
    left.legend()
    plt.savefig(file, dpi=150)
    plt.close()


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("--views", type=int, nargs="+", default=[5, 10, 20, 50], help="every q")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    folder, config, _ = read_manifest(given.sweep)
    out = given.out or given.sweep / "noise_floor"
    networks = networks_table(config, folder, given.views)
    table = floor_table(networks)
    out.mkdir(parents=True, exist_ok=True)
    networks.to_csv(out / "networks.csv", index=False)
    table.to_csv(out / "floor.csv", index=False)
    mpl.use("agg")
    figure(table, out / "floor.png")
    print(table[table["column"].isin(FAMILY)].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
