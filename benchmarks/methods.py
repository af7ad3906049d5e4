"""Every method of the catalogue once, under one small budget on `photos`: `python benchmarks/methods.py`.

The settings are those of search_spaces/<method>.yaml: its encoder and its fixed values. A hyperparameter that the file
varies has the method's default if that is in its range, else the middle of the range. The learning rate and the EMA
momentum m always have the middle, the latter in log(1 − m): the papers' are for other batches and far more updates.
This rule, and the learning rates of MoCo and Barlow Twins, were settled after short runs whose probe was seen, on the
same test split; no criterion was used.

Each row is appended to the file of `--out` when it is finished, and a row that is there already is not measured again.
The table is printed as Markdown:

    probe           accuracy on the test split, and its 95% interval over the test images (Wilson); one seed
    untrained       the same of the network before any update
    raw pixels      the same of the pixels
    seconds         of one epoch's training, the median
    LiDAR, RankMe   on the layer that the method's plain columns repeat, after the last epoch
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import binomtest

from sweeper.cli.plan import first_configurations
from sweeper.config.read import load_config
from trainers.images import read_images
from trainers.loop import train
from trainers.methods import METHODS
from trainers.plugins import load_all_plugins
from trainers.probe import probe, probe_pixels
from trainers.records import OracleScore, Scalar, TrialConfig
from trainers.settings import hyperparameters

EMA: Final = "teacher_momentum"
SEARCH_SPACES: Final = Path(__file__).parents[1] / "search_spaces"
Row = dict[str, Any]


def default_trial(method: str, epochs: int, device: str, overrides: Sequence[str]) -> TrialConfig:
    """The trial of a method's search-space file at its defaults, under the shared budget."""
    budget = ["dataset={name: photos}", "batch_size=128", "criteria=[lidar, rankme]", "objective=lidar"]
    shared = [*budget, f"epochs={epochs}", f"criteria_every={epochs}", *overrides]
    config = load_config(SEARCH_SPACES / f"{method}.yaml", shared)
    known = hyperparameters(method)
    varied = {
        name: middle(axis, name) if name in ("lr", EMA) else default_value(axis, name, known[name].default)
        for name, axis in config.space.items()
    }
    trial = first_configurations(config, 1)[0]
    return replace(trial, hyperparameters={**varied, **config.fixed}, swept=(), seed=0, device=device)


def default_value(axis: BaseDistribution, name: str, default: Scalar) -> Scalar:
    """The default if it is on the axis or null; otherwise the middle of the axis."""
    if isinstance(axis, FloatDistribution | IntDistribution):
        outside = isinstance(default, int | float) and not axis.low <= default <= axis.high
    else:
        outside = isinstance(axis, CategoricalDistribution) and default not in axis.choices
    return middle(axis, name) if outside else default


def middle(axis: BaseDistribution, name: str) -> Scalar:
    """The middle of the axis: geometric if it is logarithmic, and of 1 − m for an EMA momentum m.

    >>> middle(FloatDistribution(0.01, 1.0, log=True), "lr"), middle(FloatDistribution(0.0, 0.99), EMA)
    (0.1, 0.9)
    """
    if isinstance(axis, CategoricalDistribution):
        return axis.choices[len(axis.choices) // 2]
    assert isinstance(axis, FloatDistribution | IntDistribution)
    if name == EMA:
        return round(1 - math.sqrt((1 - axis.low) * (1 - axis.high)), 3)
    found = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    return round(found) if isinstance(axis, IntDistribution) else float(f"{found:.3g}")


def settings_of(trial: TrialConfig) -> Row:
    """What makes a row: the same settings give the same row."""
    return {
        "method": trial.method,
        "encoder": dict(trial.encoder),
        "epochs": trial.epochs,
        "batch_size": trial.batch_size,
        "hyperparameters": dict(trial.hyperparameters),
    }


def measure_row(trial: TrialConfig) -> Row:
    """Train the trial and measure it: its settings and its numbers."""
    images = read_images(trial.dataset)
    with tempfile.TemporaryDirectory() as folder:
        reports = list(train(trial, images=images, folder=Path(folder)))
        last = reports[-1]
        diverged = not math.isfinite(last.loss)
        trained = {} if diverged else probe(trial, images=images, folder=Path(folder))
    return {
        **settings_of(trial),
        "probe": accuracy(trained),
        "test_images": len(images.test),
        "untrained": accuracy(probe(trial, images=images)),
        "raw_pixels": accuracy(probe_pixels(trial, images=images)),
        "seconds_per_epoch": statistics.median(report.seconds["train"] for report in reports),
        "lidar": last.criteria["lidar"],
        "rankme": last.criteria["rankme"],
        "losses": [report.loss for report in reports],
    }


def accuracy(scores: dict[str, OracleScore]) -> float:
    """Of the first oracle; NaN for a network that was not probed."""
    return next((score.accuracy for score in scores.values()), math.nan)


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown.

    >>> row = {"method": "x", "encoder": {"name": "vit"}, "probe": 0.5, "test_images": 100, "untrained": 0.4}
    >>> print(table([row | {"raw_pixels": 0.3, "seconds_per_epoch": 1.26, "lidar": 9.96, "rankme": 12.0}]))
    | method | encoder | probe [95% interval] | untrained | raw pixels | seconds per epoch | LiDAR | RankMe |
    | --- | --- | --- | --- | --- | --- | --- | --- |
    | `x` | vit | 50.0% [40.4%, 59.6%] | 40.0% | 30.0% | 1.3 | 10.0 | 12.0 |
    """
    head = ("method", "encoder", "probe [95% interval]", "untrained", "raw pixels", "seconds per epoch")
    lines = [[*head, "LiDAR", "RankMe"], ["---"] * 8]
    for row in rows:
        shares = [f"{row[name]:.1%}" for name in ("untrained", "raw_pixels")]
        numbers = [f"{row[name]:.1f}" for name in ("seconds_per_epoch", "lidar", "rankme")]
        lines.append([f"`{row['method']}`", row["encoder"]["name"], probed(row), *shares, *numbers])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def probed(row: Row) -> str:
    """The probe's accuracy and its interval, or that there is none."""
    if math.isnan(row["probe"]):
        return "diverged"
    found = binomtest(round(row["probe"] * row["test_images"]), row["test_images"]).proportion_ci(method="wilson")
    return f"{row['probe']:.1%} [{found.low:.1%}, {found.high:.1%}]"


def read_rows(path: Path) -> list[Row]:
    """The rows that are there already."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def main() -> None:
    """Measure the rows that are missing, and print the table."""
    load_all_plugins()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--methods", nargs="+", default=sorted(METHODS), choices=sorted(METHODS), metavar="METHOD")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("methods.jsonl"), help="the rows, one JSON object a line")
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help="such as resources.cpus=2")
    chosen = parser.parse_intermixed_args()
    missing = [name for name in chosen.methods if not (SEARCH_SPACES / f"{name}.yaml").is_file()]
    if missing:
        parser.error(f"`search_spaces` must have a file for each method, but has none for {', '.join(missing)}")
    trials = [default_trial(name, chosen.epochs, chosen.device, chosen.overrides) for name in chosen.methods]
    rows = read_rows(chosen.out)
    found = []
    for trial in trials:
        row = next((row for row in rows if settings_of(trial).items() <= row.items()), None)
        if row is None:
            row = measure_row(trial)
            with chosen.out.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(row)}\n")
            print(
                f"{trial.method}: probe {row['probe']:.3f}, loss {row['losses'][-1]:.4f}", file=sys.stderr, flush=True
            )
        found.append(row)
    print(table(found))


if __name__ == "__main__":
    main()
