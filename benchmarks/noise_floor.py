"""LiDAR's noise floor on one set of networks, of which only q changes: `python benchmarks/noise_floor.py --out DIR`.

It trains the first configurations of a search-space file, embeds the same images with the most views once, and
computes the four criteria of LiDAR's family from the first q views: on these views, and on views shuffled between
images. The oracle is the file's. It prints a table and writes it:

    networks.csv   one row per network, q and column: value, null, oracle
    floor.csv      one row per column and q: τ with the oracle and its interval, mean value, mean null, untrained value
    floor.png      τ over q, and the values over q beside their nulls
"""

from __future__ import annotations

import argparse
import tempfile
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
from sweeper.config.read import load_config
from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.datasets import open_dataset
from trainers.datasets.base import Images
from trainers.loop import train
from trainers.measure import Sample, embed_clean, embed_views, null_values
from trainers.network import load_network
from trainers.probe import probe
from trainers.records import CHECKPOINT, LAYERS, NULL, CriteriaSample, TrialConfig, criterion_columns
from trainers.settings import resolve
from trainers.splits import Data

FAMILY: Final = ("lidar", "lidar_debiased", "lda_information", "lda_trace")


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
            for column in criterion_columns(name):
                null = nulls[column.replace(name, f"{name}{NULL}", 1)]
                rows.append({"q": q, "column": column, "value": values[column], "null": null})
    return DataFrame(rows)


def networks_table(trials: Sequence[TrialConfig], images: Images, views: Sequence[int]) -> DataFrame:
    """Train each trial, and give its values, its nulls and its oracle."""
    parts = []
    for trial in trials:
        with tempfile.TemporaryDirectory() as folder:
            # Between and after the epochs only a few images are measured; the study's sample comes from the checkpoint.
            few = replace(trial, criteria=("rankme",), criteria_every=trial.epochs)
            few = replace(few, criteria_sample=CriteriaSample(images=64, views=2))
            loss = [report.loss for report in train(few, images=images, folder=Path(folder))][-1]
            (score, *_) = probe(few, images=images, folder=Path(folder)).values()
            found = values_by_q(trial, images, Path(folder) / CHECKPOINT, views)
        print(f"network {trial.trial}: loss {loss:.4g}, oracle {score.accuracy:.4f}", flush=True)
        parts.append(found.assign(trial=trial.trial, oracle=score.accuracy))
    return pd.concat(parts, ignore_index=True)


def floor_table(networks: DataFrame, untrained: DataFrame) -> DataFrame:
    """One row per column and q: τ with its interval, the means over the networks, and the untrained value."""
    start = untrained.set_index(["q", "column"])["value"]
    rows = []
    for q, part in networks.groupby("q"):
        wide = part.pivot_table(index=["trial", "oracle"], columns="column", values="value", dropna=False)
        trials = wide.reset_index().assign(status="completed", sweep="")
        ranks = kendall(trials, list(part["column"].unique())).set_index("criterion")
        for column, own in part.groupby("column", sort=False):
            tau = ranks.loc[column, ["n", "tau", "tau_low", "tau_high"]].to_dict()
            means = {"value": own["value"].mean(), "null": own["null"].mean(), "untrained": start.loc[(q, column)]}
            rows.append({"column": column, "q": q, **tau, **means})
    return DataFrame(rows).sort_values(["column", "q"], ignore_index=True)


def figure(table: DataFrame, file: Path) -> None:
    """τ over q on the left, the ratio of value and null over q on the right; the plain columns."""
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
    """Train, measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=Path("search_spaces/simclr.yaml"))
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--images", type=int, default=500, help="n")
    parser.add_argument("--views", type=int, nargs="+", default=[5, 10, 20, 50], help="every q")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the file; before the options")
    given = parser.parse_args()
    overrides = [*given.overrides, f"trials={given.networks}", "seeds=1"]
    overrides += [f"criteria_sample.images={given.images}", f"criteria_sample.views={max(given.views)}"]
    config = load_config(given.file, overrides)
    if not config.oracle or given.networks < 3:
        parser.error("the file must have an oracle, and --networks must be at least 3")
    trials, images = first_configurations(config, given.networks), open_dataset(config.dataset).images()
    networks = networks_table(trials, images, given.views)
    table = floor_table(networks, values_by_q(trials[0], images, None, given.views))
    given.out.mkdir(parents=True, exist_ok=True)
    networks.to_csv(given.out / "networks.csv", index=False)
    table.to_csv(given.out / "floor.csv", index=False)
    mpl.use("agg")
    figure(table, given.out / "floor.png")
    print(table[table["column"].isin(FAMILY)].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
