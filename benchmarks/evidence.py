"""The studies in results/reference side by side: a table, and the figure of the README.

    python benchmarks/evidence.py results/reference/photos-simclr results/reference/photos-vicreg

It writes the tables of each study also as CSV (trials.csv, reports.csv, baselines.csv) beside the parquet files, and to
the folder above them:

    evidence.csv   one row per study, criterion and layer: Kendall τ with the first oracle and its 95% interval, the
                   regret of the trial that it selects, and the share of the trials that it ranks above the untrained
                   encoder
    evidence.png   τ of the default criteria; LiDAR's family of the untrained encoder against trained ones, over q

It prints evidence.csv as Markdown. It trains and measures nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from pandas import DataFrame

from analysis import kendall, load, select
from analysis.data.columns import find_criteria
from analysis.data.results import Results
from analysis.figures.style import MUTED, colour_of, quiet
from analysis.stats.noise import noise
from analysis.text.numbers import label_of
from trainers.criteria import DEFAULT_CRITERIA

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One per study."""
LINES: Final = ("-", "--", ":", "-.")
SHOWN: Final = (*DEFAULT_CRITERIA, "loss")
FAMILY: Final = ("lidar", "lidar_debiased", "lda_information")


def rows_of(results: Results) -> DataFrame:
    """One row per criterion: τ with its interval, regret in points, share of the trials above the untrained encoder."""
    names = find_criteria(results.trials.columns)
    ranks = kendall(results.trials, names).set_index("criterion")
    chosen = select(results.trials, names).set_index("criterion")
    floor = noise(results.trials, results.baselines, names).set_index("criterion")
    return DataFrame(
        {
            **{name: ranks[name] for name in ("n", "configurations", "tau", "tau_low", "tau_high")},
            "regret": 100 * chosen["regret"],
            "above_untrained": floor["above_untrained"],
        }
    )


def in_order(studies: Mapping[str, DataFrame]) -> list[str]:
    """The criteria by their mean τ, the best first."""
    means = DataFrame({name: rows["tau"] for name, rows in studies.items()}).mean(axis=1)
    return [str(name) for name in means.sort_values(ascending=False, kind="stable").index]


def markdown(studies: Mapping[str, DataFrame]) -> str:
    """The table."""
    columns = [f"{name}: {what}" for name in studies for what in ("τ [95% CI]", "regret", "above untrained")]
    lines = [["criterion", *columns], [":--", *["--:"] * len(columns)]]
    for criterion in in_order(studies):
        cells = [f"`{criterion}`"]
        for rows in studies.values():
            cells += cells_of(rows.loc[criterion]) if criterion in rows.index else ["–", "–", "–"]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cells_of(row: Any) -> list[str]:
    """τ with its interval, regret, and the share above the untrained encoder."""
    tau = f"{row['tau']:.2f} [{row['tau_low']:.2f}, {row['tau_high']:.2f}]".replace("-", "−")
    share = "–" if pd.isna(row["above_untrained"]) else f"{row['above_untrained']:.0%}"
    return [tau, f"{row['regret']:.1f}", share]


def draw_taus(axes: Axes, studies: Mapping[str, DataFrame]) -> None:
    """τ of the default criteria and the loss, one marker per study."""
    names = [name for name in in_order(studies) if name in SHOWN]
    for place, criterion in enumerate(names):
        for k, rows in enumerate(studies.values()):
            if criterion not in rows.index:
                continue
            row, y = rows.loc[criterion], place + 0.3 * (k / max(1, len(studies) - 1) - 0.5)
            colour = colour_of(criterion, names)
            axes.plot([row["tau_low"], row["tau_high"]], [y, y], color=colour, linewidth=1.2)
            axes.plot([row["tau"]], [y], MARKERS[k % len(MARKERS)], color=colour, markersize=4.5)
    for k, name in enumerate(studies):
        axes.plot([], [], MARKERS[k % len(MARKERS)], color=MUTED, label=name, markersize=4.5)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.set(xlim=(-1.05, 1.05), ylim=(len(names) - 0.5, -0.5), xlabel="Kendall τ with accuracy, 95% interval")
    axes.set_yticks(range(len(names)), labels=[label_of(name) for name in names])
    axes.legend(loc="upper left", fontsize=7, frameon=False)


def draw_untrained(axes: Axes, floors: Mapping[str, DataFrame]) -> None:
    """The value of the untrained encoder over the mean of the trained ones, over the views q."""
    for k, table in enumerate(floors.values()):
        for column in FAMILY:
            own = table[table["column"] == column].sort_values("q")
            label = label_of(column) if k == 0 else None
            style = {
                "color": colour_of(column, list(FAMILY)),
                "linestyle": LINES[k % len(LINES)],
                "marker": MARKERS[k % len(MARKERS)],
            }
            axes.plot(own["q"], own["untrained"] / own["value"], label=label, markersize=4, linewidth=1.3, **style)
    axes.axhline(1, color=MUTED, linewidth=0.8)
    ticks = sorted({int(q) for table in floors.values() for q in table["q"]})
    axes.set_xscale("log")
    axes.set_xticks(ticks, labels=[str(q) for q in ticks])
    axes.minorticks_off()
    axes.set(xlabel="views per image, q", ylim=(0, None))
    axes.set_title(
        "untrained encoder / mean of the trained ones", loc="left", fontsize=8.5, color=MUTED, fontweight="normal"
    )
    axes.legend(fontsize=7, frameon=False)


def main() -> None:
    """Write the files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+")
    folders = [folder.resolve() for folder in parser.parse_args().studies]
    studies, floors = {}, {}
    for folder in folders:
        for name in ("trials", "reports", "baselines"):
            pd.read_parquet(folder / f"{name}.parquet").to_csv(folder / f"{name}.csv", index=False)
        studies[folder.name] = rows_of(load([folder]))
        floors[folder.name] = pd.read_csv(folder / "noise_floor" / "floor.csv")
    home = folders[0].parent
    pd.concat(studies, names=["study"]).reset_index().to_csv(home / "evidence.csv", index=False)
    mpl.use("agg")
    with quiet():
        left, right = plt.subplots(1, 2, figsize=(8.2, 3.2), layout="constrained", width_ratios=(1.15, 1))[1]
        draw_taus(left, studies)
        draw_untrained(right, floors)
        plt.savefig(home / "evidence.png")
    print(markdown(studies))


if __name__ == "__main__":
    main()
