"""Tables and figures of a sweep become report.md, one self-contained report.html, and CSV files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame
from rich.console import Group, RenderableType
from rich.text import Text

from analysis import plots
from analysis.columns import Criterion, ResultsUnreadable, is_layer, parse_criteria
from analysis.load import Results, load
from analysis.page import Section, Shown, make_page, to_page_markdown
from analysis.ranking import kendall
from analysis.selection import select
from analysis.style import STEPS, quiet
from analysis.tables import SUMMARY, Printed, number, print_table, share, to_rich


@dataclass(frozen=True)
class Report:
    """What `analyze` made: tables as data, and where the files are."""

    folder: Path
    """The folder of the report over everything that was asked for."""
    terminal: RenderableType
    """What a terminal shows."""
    ranking: DataFrame
    selection: DataFrame
    folders: tuple[Path, ...] = ()
    """Every folder written, the sweeps' own first."""
    notes: tuple[str, ...] = ()


def analyze(
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    oracle: str | None = None,
    criteria: Sequence[str] | None = None,
) -> Report:
    """Judge the sweeps below `paths` and write what was found below each one's analysis/, or below `out`.

    Raises:
        ResultsUnreadable: there is nothing to judge, or a column is missing.
    """
    results = load(list(paths), oracle=oracle, criteria=criteria)
    sweeps = list(results.folders)
    home = out or results.home
    if home is None:
        raise ResultsUnreadable("`--out` must name a folder, since these sweeps lie in different ones")
    written = []
    for sweep in sweeps:
        folder = results.folders[sweep] if out is None else out / sweep.replace("/", "-") if len(sweeps) > 1 else out
        write_report(only(results, sweep), folder, criteria)
        written.append(folder)
    if len(sweeps) > 1:
        write_report(results, home, criteria)
        written.append(home)
    ranking, selection = kendall(results.trials, criteria), select(results.trials, criteria)
    summary = summary_table(ranking, selection)
    terminal = Group(
        to_rich(summary), *baseline_lines(results), *(Text(note, style="yellow") for note in results.notes)
    )
    return Report(home, terminal, ranking, selection, tuple(written), results.notes)


def only(results: Results, sweep: str) -> Results:
    """The tables of one sweep."""

    def rows(table: DataFrame) -> DataFrame:
        return table[table["sweep"] == sweep].reset_index(drop=True) if "sweep" in table else table

    settings = {sweep: results.sweeps[sweep]} if sweep in results.sweeps else {}
    return Results(rows(results.trials), rows(results.reports), rows(results.baselines), settings)


def summary_table(ranking: DataFrame, selection: DataFrame) -> Printed:
    """The plain criteria of each sweep: τ, and what selecting by them keeps."""
    merged = ranking.merge(selection.drop(columns="n"), on=["sweep", "criterion"])
    plain = merged[~merged["criterion"].map(is_layer)]
    return print_table("How far can each criterion be trusted?", plain if len(plain) else merged, SUMMARY)


def baseline_lines(results: Results) -> list[RenderableType]:
    """One line per sweep: the untrained encoder and raw pixels, which a trial should beat."""
    if results.baselines.empty or "oracle" not in results.baselines:
        return []
    return [
        Text(f"{sweep} baselines: " + ", ".join(baseline_words(row) for row in part.to_dict("records")))
        for sweep, part in results.baselines.groupby("sweep", sort=False)
    ]


def baseline_words(row: dict[object, object]) -> str:
    """One baseline: its oracle, and its criteria where it has any."""
    values = [f"{plots.label_of(name)} {number(row[name])}" for name in ("lidar", "rankme") if pd.notna(row.get(name))]
    name = str(row["baseline"]).replace("_", " ")
    return f"{name} {share(row['oracle'])}" + (f" ({', '.join(values)})" if values else "")


def write_report(results: Results, folder: Path, criteria: Sequence[str] | None) -> None:
    """Every file of one analysis folder."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    ranking, selection = kendall(results.trials, criteria), select(results.trials, criteria)
    ranking.to_csv(folder / "ranking.csv", index=False)
    selection.to_csv(folder / "selection.csv", index=False)
    chosen = [criterion for criterion in parse_criteria(results.trials.columns, criteria) if not criterion.layer]
    sections = [Section("Ranking and selection", tables=(summary_table(ranking, selection),))]
    for sweep in results.folders or list(dict.fromkeys(results.trials["sweep"])):
        part = only(results, sweep)
        shown = [
            draw(f"{sweep}-{criterion.name}-oracle", *scatter_of(part, criterion), figures) for criterion in chosen
        ]
        sections.append(Section(f"{sweep}: criterion against oracle", figures=tuple(shown)))
        lines = [curves_of(part, criterion) for criterion in chosen]
        shown = [
            draw(f"{sweep}-{criterion.name}-epochs", table, plots.curves(table, criterion.name), figures)
            for criterion, table in zip(chosen, lines, strict=True)
            if len(table)
        ]
        if shown:
            sections.append(Section(f"{sweep}: criteria over epochs", figures=tuple(shown)))
    title = ", ".join(dict.fromkeys(results.trials["sweep"]))
    (folder / "report.html").write_text(make_page(title, sections), encoding="utf-8")
    (folder / "report.md").write_text(to_page_markdown(title, sections), encoding="utf-8")


def draw(name: str, table: DataFrame, figure: plots.Figure, folder: Path) -> Shown:
    """A figure on disk as PNG and PDF with its table as CSV, and ready for the page."""
    name = name.replace("/", "-")
    table.to_csv(folder / f"{name}.csv", index=False)
    with quiet():
        figure.savefig(folder / f"{name}.png")
        figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None})
    return Shown.from_figure(name, figure)


def scatter_of(results: Results, criterion: Criterion) -> tuple[DataFrame, plots.Figure]:
    """The table of criterion against oracle, and its figure."""
    trials = results.trials
    table = DataFrame({"trial": trials["trial"], "value": trials[criterion.name], "oracle": trials["oracle"]})
    chosen = select(trials, [criterion.name if criterion.higher_is_better else criterion.name])["trial"].iloc[0]
    table["selected"] = table["trial"] == chosen
    table["status"] = trials["status"]
    table["higher_is_better"] = criterion.higher_is_better
    table["note"] = [
        f"{plots.label_of(criterion.name)} {number(float(value))} · oracle {share(float(oracle))}"
        for value, oracle in zip(table["value"], table["oracle"], strict=True)
    ]
    table = table.dropna(subset=["value", "oracle"])
    return table, plots.scatter(table, criterion.name, results.baselines if "oracle" in results.baselines else None)


def curves_of(results: Results, criterion: Criterion) -> DataFrame:
    """The table of a criterion over epochs; empty where it was not reported."""
    reports = results.reports
    if criterion.name not in reports:
        return DataFrame()
    oracle = results.trials.set_index("trial")["oracle"]
    table = reports[["trial", "epoch"]].assign(value=reports[criterion.name], oracle=reports["trial"].map(oracle))
    low, high = table["oracle"].min(), table["oracle"].max()
    place = (table["oracle"] - low) / (high - low) if high > low else table["oracle"] * 0
    table["step"] = np.floor(place * len(STEPS)).clip(0, len(STEPS) - 1).fillna(-1).astype(int)
    table["note"] = ["oracle " + share(float(value)) for value in table["oracle"]]
    return table.dropna(subset=["value"])
