"""The table of criteria and studies, from the tables of the studies in results/reference.

    python benchmarks/evidence.py results/reference/photos-simclr results/reference/photos-vicreg

It writes the tables of each study also as CSV (trials.csv, reports.csv, baselines.csv) beside the parquet files. It
prints one row per criterion and layer as Markdown: in each study, Kendall τ with the first oracle and its 95% interval,
the regret of the trial that it selects, and the share of the trials that it ranks above the untrained encoder. It
trains and measures nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis import kendall, load, select
from analysis.data.columns import find_criteria
from analysis.data.results import Results
from analysis.stats.noise import noise


def rows_of(results: Results) -> DataFrame:
    """One row per criterion: τ with its interval, regret in points, share of the trials above the untrained encoder."""
    names = find_criteria(results.trials.columns)
    ranks = kendall(results.trials, names).set_index("criterion")
    chosen = select(results.trials, names).set_index("criterion")
    floor = noise(results.trials, results.baselines, names).set_index("criterion")
    return DataFrame(
        {
            **{name: ranks[name] for name in ("n", "tau", "tau_low", "tau_high")},
            "regret": 100 * chosen["regret"],
            "above_untrained": floor["above_untrained"],
        }
    )


def markdown(studies: dict[str, DataFrame]) -> str:
    """The table; the criteria in order of their mean τ."""
    means = DataFrame({name: rows["tau"] for name, rows in studies.items()}).mean(axis=1).sort_values(ascending=False)
    head = [
        "criterion",
        *(f"{name}: {what}" for name in studies for what in ("τ [95% CI]", "regret", "above untrained")),
    ]
    lines = [head, [":--", *["--:"] * (len(head) - 1)]]
    for criterion in means.index:
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


def main() -> None:
    """Write the CSV files and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="+")
    studies = {}
    for folder in parser.parse_args().studies:
        for name in ("trials", "reports", "baselines"):
            pd.read_parquet(folder / f"{name}.parquet").to_csv(folder / f"{name}.csv", index=False)
        studies[folder.resolve().name] = rows_of(load([folder]))
    print(markdown(studies))


if __name__ == "__main__":
    main()
