"""Simulated sweeps with known truth: the tables of a results folder, made without training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from pandas import DataFrame


@dataclass(frozen=True)
class World:
    """The parameters of a simulated sweep."""

    name: str = "dino-simulated"
    method: str = "dino"
    dataset: str = "mnist5k"
    trials: int = 24
    epochs: int = 20
    seed: int = 0
    seeds: int = 1
    follows: float = 0.85
    """How closely the final LiDAR follows quality; RankMe follows it half as closely."""
    collapsed: int = 0
    failed: int = 0
    lowest: float = 0.35
    highest: float = 0.92
    oracle_n: int = 1000


def simulate(world: World) -> tuple[DataFrame, DataFrame, DataFrame]:
    """The tables trials, reports and baselines of a simulated sweep."""
    generator = np.random.default_rng(world.seed)
    configurations = world.trials
    lr = np.exp(generator.uniform(np.log(1e-4), np.log(1e-1), configurations)).repeat(world.seeds)
    decay = np.exp(generator.uniform(np.log(1e-6), np.log(1e-1), configurations)).repeat(world.seeds)
    ratio = generator.uniform(0, 0.6, configurations).repeat(world.seeds)
    n = len(lr)
    quality = 1 - ((np.log10(lr) + 2.3) / 2.3) ** 2 - 0.4 * ratio + 0.02 * generator.standard_normal(n)
    quality = (quality - quality.min()) / np.ptp(quality) if n > 1 else quality * 0 + 0.5
    accuracy = (
        generator.binomial(world.oracle_n, world.lowest + (world.highest - world.lowest) * quality) / world.oracle_n
    )
    final = {
        "lidar": 20 + 30 * (world.follows * quality + (1 - world.follows) * generator.uniform(size=n)),
        "rankme": 10 + 20 * (world.follows / 2 * quality + (1 - world.follows / 2) * generator.uniform(size=n)),
        "loss": 9 - 3 * (0.4 * np.log10(lr / 1e-4) / 3 + 0.3 * quality + 0.3 * generator.uniform(size=n)),
    }
    start = {"lidar": 52.0, "rankme": 28.0, "loss": 9.0}
    pace = 3 + 8 * generator.uniform(size=n)
    rows = []
    for epoch in range(1, world.epochs + 1):
        left = np.exp(-epoch / pace)
        values = {
            name: left * start[name] + (1 - left) * final[name] + 0.2 * generator.standard_normal(n) for name in final
        }
        for trial in range(n):
            rows.append(
                {
                    "sweep": world.name,
                    "trial": trial,
                    "epoch": epoch,
                    "step": 16 * epoch,
                    "loss": values["loss"][trial],
                    "lidar": values["lidar"][trial],
                    "lidar.representation": values["lidar"][trial] * 0.7 + generator.standard_normal(),
                    "lidar.embedding": values["lidar"][trial],
                    "rankme": values["rankme"][trial],
                    "rankme.representation": values["rankme"][trial] * 0.6 + generator.standard_normal(),
                    "rankme.embedding": values["rankme"][trial],
                    "train_seconds": 1.0 + 0.1 * generator.uniform(),
                    "criteria_seconds": 0.2 + 0.02 * generator.uniform(),
                    "images_per_second": 4000.0,
                    "spread": 0.05,
                }
            )
    reports = DataFrame(rows)
    reports = reports.sort_values(["trial", "epoch"], ignore_index=True)
    reports["sequence"] = range(len(reports))
    reports["reported_at"] = 1.7e9 + reports["sequence"] * 1.3
    status = np.array(["completed"] * n, dtype=object)
    if world.collapsed:
        status[np.argsort(accuracy)[: world.collapsed]] = "collapsed"
    if world.failed:
        status[generator.choice(n, world.failed, replace=False)] = "failed"
    trials = DataFrame(
        {
            "sweep": world.name,
            "trial": range(n),
            "configuration": np.arange(n) // world.seeds,
            "seed": np.arange(n) % world.seeds,
            "method": world.method,
            "dataset": world.dataset,
            "encoder": "vit",
            "status": status,
            "reason": np.where(status == "completed", "", "RankMe under 1.5 in two epochs"),
            "epochs": world.epochs,
            "oracle": np.where(status == "completed", accuracy, np.nan),
            "oracle_n": world.oracle_n,
            "oracle_seconds": 2.5,
            "config.lr": lr,
            "config.weight_decay": decay,
            "config.mask_ratio": ratio,
            "lidar_n": 1000,
            "lidar_q": 10,
            "lidar_delta": 1e-4,
            "lidar_epsilon": 1e-8,
            "rankme_n": 1000,
            "seconds": 1.3 * world.epochs + 2.5,
            "audited": False,
            "would_prune_epoch": pd.array([pd.NA] * n, dtype="Int64"),
            "checkpoint": [f"trials/{trial:04d}/checkpoint.pt" for trial in range(n)],
        }
    )
    measured = ["loss", "lidar", "rankme"] + [
        f"{name}.{layer}" for name in ("lidar", "rankme") for layer in ("representation", "embedding")
    ]
    trials = trials.merge(reports.loc[reports["epoch"] == world.epochs, ["trial", *measured]], on="trial")
    stopped = trials.loc[trials["status"] != "completed", "trial"]
    cut = reports["trial"].isin(stopped) & (reports["epoch"] > world.epochs // 2)
    reports = reports[~cut].reset_index(drop=True)
    trials.loc[trials["trial"].isin(stopped), "epochs"] = world.epochs // 2
    baselines = DataFrame(
        {
            "baseline": ["untrained", "raw_pixels"],
            "oracle": [0.55, 0.74],
            "oracle_n": world.oracle_n,
            "lidar": [51.0, np.nan],
            "rankme": [27.5, np.nan],
        }
    )
    return trials, reports, baselines


def write_sweep(results: Path, world: World, **settings: object) -> Path:
    """A results folder as a sweep leaves it; `settings` go into its sweep.yaml."""
    folder = results / world.name
    folder.mkdir(parents=True)
    trials, reports, baselines = simulate(world)
    trials.to_parquet(folder / "trials.parquet")
    reports.to_parquet(folder / "reports.parquet")
    baselines.to_parquet(folder / "baselines.parquet")
    sweep = {
        "method": world.method,
        "dataset": {"name": world.dataset},
        "epochs": world.epochs,
        "trials": world.trials,
        "seeds": world.seeds,
        "criteria": ["lidar", "rankme"],
        "objective": "lidar",
        "oracle": "lidar_paper",
        "search": {"sampler": "random", "seed": 0},
        "pruner": {"name": "none", "audit": 0.0},
        "fixed": {},
        **settings,
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    return folder


def three_methods(results: Path, **changes: object) -> list[Path]:
    """Three sweeps, of which the third ranks badly."""
    worlds = [
        World(name="dino", method="dino", follows=0.85, seed=1),
        World(name="simclr", method="simclr", follows=0.5, seed=2, lowest=0.8, highest=0.95),
        World(name="vicreg", method="vicreg", follows=0.05, seed=3, trials=12, collapsed=2, failed=1),
    ]
    return [write_sweep(results, replace(world, **changes)) for world in worlds]  # type: ignore[arg-type]
