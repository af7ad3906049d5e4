"""Sweeps in, files out: report.md, one self-contained report.html, figures and CSV tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pandas import DataFrame
from rich.console import RenderableType

from analysis.data.columns import Criteria, ResultsUnreadable
from analysis.data.criteria import labels_of
from analysis.data.load import Results, folders_below, load
from analysis.report.html import Section, make_markdown, make_page
from analysis.report.judgement import Judgement, judge, of_sweep, plain_criteria, rows_of, write_tables
from analysis.report.sections import combined_sections, sweep_sections
from analysis.report.terminal import on_terminal
from analysis.text import findings, questions
from analysis.text.cautions import across

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class Report:
    """What `analyze` made: what a terminal shows, the tables as data, and where the files are."""

    folder: Path
    """The folder of the report over everything that was asked for."""
    terminal: RenderableType
    judgement: Judgement
    folders: tuple[Path, ...] = ()
    """Every folder written, the sweeps' own first."""
    notes: tuple[str, ...] = ()

    @property
    def ranking(self) -> DataFrame:
        """One row per sweep and criterion: ranking.csv."""
        return self.judgement.ranking

    @property
    def selection(self) -> DataFrame:
        """One row per sweep and criterion: selection.csv."""
        return self.judgement.selection


def analyze(
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    oracle: str | None = None,
    criteria: Criteria = None,
    pruners: Mapping[str, BasePruner] | None = None,
) -> Report:
    """Judge the sweeps below `paths`; write what was found below each one's analysis/, or below `out`.

    Several sweeps get a report each, and one over all of them. `pruners` are those of the frontier, by name.

    Raises:
        ResultsUnreadable: there is nothing to judge, or a column is missing.
    """
    results = load(list(paths), oracle=oracle, criteria=criteria)
    with labels_of(results.criteria):
        return write_report(results, out, criteria, pruners)


def write_report(
    results: Results, out: Path | None, criteria: Criteria, pruners: Mapping[str, BasePruner] | None
) -> Report:
    """Judge what was read, and write every file."""
    home, folders = where(results, out)
    figures = {folder: prepared(folder) for folder in dict.fromkeys([*folders.values(), home])}
    judgement = judge(results, criteria, pruners=pruners)
    for sweep, folder in folders.items():
        part, own = only(results, sweep), of_sweep(judgement, sweep)
        sections = sweep_sections(part, own, plain_criteria(part, criteria), figures[folder])
        write_files(folder, sweep, findings.headline(part), sections, own)
    if len(folders) > 1:
        sections = combined_sections(results, judgement, across(results.trials), figures[home])
        links = [(sweep, relative(folder / "report.html", home)) for sweep, folder in folders.items()]
        write_files(home, questions.TRUST, findings.headline_of_all(results), sections, judgement, links)
    return Report(
        home,
        on_terminal([(only(results, sweep), of_sweep(judgement, sweep)) for sweep in folders], results.notes),
        judgement,
        tuple(figures),
        results.notes,
    )


def where(results: Results, out: Path | None) -> tuple[Path, dict[str, Path]]:
    """The folder of the report over everything, and that of each sweep; the same one where there is but one sweep."""
    home = out or results.home
    if home is None:
        raise ResultsUnreadable("`--out` must name a folder for the report, since these sweeps lie in different ones")
    if out is None and len(results.folders) > 1:
        return home, dict(results.folders)
    return home, folders_below(home, list(results.folders))


def only(results: Results, sweep: str) -> Results:
    """The tables of one sweep."""
    return Results(
        rows_of(results.trials, sweep),
        rows_of(results.reports, sweep),
        rows_of(results.baselines, sweep),
        {sweep: results.sweeps[sweep]} if sweep in results.sweeps else {},
        criteria=results.criteria,
    )


def prepared(folder: Path) -> Path:
    """The folder for figures, made if need be, without the figures of an earlier run."""
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ResultsUnreadable(f"`{folder}` must be a folder that can be written, but it is not: {error}") from error
    for file in figures.iterdir():
        if file.suffix in (".png", ".pdf", ".csv"):
            file.unlink()
    return figures


def write_files(
    folder: Path,
    title: str,
    line: str,
    sections: Sequence[Section],
    judgement: Judgement,
    links: Sequence[tuple[str, str]] = (),
) -> None:
    """Tables and pages of one folder; its figures are there already."""
    write_tables(judgement, folder)
    (folder / "report.html").write_text(make_page(title, line, sections, links), encoding="utf-8")
    (folder / "report.md").write_text(make_markdown(title, line, sections), encoding="utf-8")


def relative(path: Path, start: Path) -> str:
    """The address of a file as seen from a folder."""
    return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
