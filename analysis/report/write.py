"""Writes the report of sweeps: report.md, a self-contained report.html, figures and CSV tables."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pandas import DataFrame
from rich.console import RenderableType

from analysis.data.columns import Criteria, ResultsUnreadable, find_criteria
from analysis.data.criteria import labels_of
from analysis.data.folders import folders_below
from analysis.data.load import load
from analysis.data.results import Results
from analysis.figures.build import FigureFiles
from analysis.report.html import Picture, Section, make_markdown, make_page
from analysis.report.judge import judge, plain_criteria, write_tables
from analysis.report.sections import combined_sections, sweep_sections
from analysis.report.terminal import on_terminal
from analysis.stats.judgement import Judgement, of_sweep, rows_of
from analysis.text import captions, findings, questions
from analysis.text.cautions import across
from trainers.records import SAMPLES

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


PNG: Final = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG file (W3C's PNG specification, section 5.2)."""
LARGEST_PICTURE: Final = 500_000
"""Bytes of a picture on the page; a sweep's own takes less, and base64 adds a third."""


@dataclass(frozen=True)
class Report:
    """The result of `analyze`: the terminal's view, the tables as data, and the folders of the files."""

    folder: Path
    """The folder of the report over all sweeps."""
    terminal: RenderableType
    judgement: Judgement
    folders: tuple[Path, ...] = ()
    """The folders of all reports, those of single sweeps first."""
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """The sweeps of a folder that cannot be read, each with the reason."""

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
    hyperparameters: Sequence[str] = (),
    pruners: Mapping[str, BasePruner] | None = None,
    pdf: bool = False,
) -> Report:
    """Analyse the sweeps at `paths`, and write the reports to each sweep's analysis/, or to `out`.

    Several sweeps get one report each, and one over all of them. `pruners`: name -> pruner to replay. `pdf`: write
    each figure as PDF too.

    Raises:
        ResultsUnreadable: there are no trials to analyse, or a column is missing.
    """
    results = load(list(paths), oracle=oracle, criteria=criteria, hyperparameters=hyperparameters)
    with labels_of(results.criteria):
        return write_report(results, out, criteria, pruners, pdf=pdf)


def write_report(
    results: Results,
    out: Path | None,
    criteria: Criteria,
    pruners: Mapping[str, BasePruner] | None,
    *,
    pdf: bool = False,
) -> Report:
    """Analyse the results, and write all files."""
    home, folders = where(results, out)
    figures = {folder: FigureFiles(prepared(folder), pdf) for folder in dict.fromkeys([*folders.values(), home])}
    judgement = judge(results, criteria, pruners=pruners)
    absent = {sweep: absent_criteria(results, sweep) if criteria is None else set() for sweep in folders}
    for sweep, folder in folders.items():
        part, own = only(results, sweep, absent[sweep]), of_sweep(judgement, sweep, absent[sweep])
        address = addresses_of_trials(results.folders.get(sweep), folder)
        pictures = samples_of(results.folders.get(sweep), folder) if sweep in results.sweeps else ()
        sections = sweep_sections(part, own, plain_criteria(part, criteria), figures[folder], address, pictures)
        write_files(folder, sweep, findings.headline(part), sections, own)
    if len(folders) > 1:
        sections = combined_sections(results, judgement, across(results.trials), figures[home])
        links = [(sweep, relative(folder / "report.html", home)) for sweep, folder in folders.items()]
        write_files(home, questions.TRUST, findings.headline_of_all(results), sections, judgement, links)
    return Report(
        home,
        on_terminal(
            [(only(results, sweep, names), of_sweep(judgement, sweep, names)) for sweep, names in absent.items()],
            results.notes,
            judgement.across_sweeps,
        ),
        judgement,
        tuple(figures),
        results.notes,
        results.left_out,
    )


def where(results: Results, out: Path | None) -> tuple[Path, dict[str, Path]]:
    """The folder of the report over all sweeps, and of each sweep's report; they are the same for a single sweep."""
    home = out or results.home
    if home is None:
        raise ResultsUnreadable("`--out` must name a folder for the report, because the sweeps are in different ones")
    if out is None and len(results.folders) > 1:
        return home, dict(results.folders)
    return home, folders_below(home, list(results.folders))


def addresses_of_trials(analysis: Path | None, folder: Path) -> Callable[[int], str]:
    """Trial -> the address of its files from the page in `folder`, or "" if there are none.

    `analysis` is the default folder of the sweep's analysis, which is in the sweep's own.
    """

    def address(trial: int) -> str:
        files = analysis.parent / "trials" / f"{trial:04d}" if analysis else None
        return f"{relative(files, folder)}/" if files and files.is_dir() else ""

    return address


def samples_of(analysis: Path | None, folder: Path) -> tuple[Picture, ...]:
    """The picture of a sweep's sample, for the page in `folder`; none if there is no such file, or another one.

    `analysis` is the default folder of the sweep's analysis, which is in the sweep's own.
    """
    file = analysis.parent / SAMPLES if analysis else None
    if file is None or not file.is_file() or file.stat().st_size > LARGEST_PICTURE:
        return ()
    content = file.read_bytes()
    if not content.startswith(PNG):
        return ()
    return (Picture(relative(file, folder), b64encode(content).decode("ascii"), captions.SAMPLES),)


def absent_criteria(results: Results, sweep: str) -> set[str]:
    """The criteria that other sweeps have, and of which this one has no value."""
    tables = [table for table in (results.trials, results.reports) if "sweep" in table]
    names = find_criteria(results.trials.columns, results.criteria)

    def measured(name: str, *, here: bool) -> bool:
        return any(
            table.loc[(table["sweep"] == sweep) == here, name].notna().any() for table in tables if name in table
        )

    return {name for name in names if measured(name, here=False) and not measured(name, here=True)}


def only(results: Results, sweep: str, absent: Collection[str] = ()) -> Results:
    """The tables of one sweep, without the columns of criteria that are `absent` from it."""

    def own(table: DataFrame) -> DataFrame:
        return rows_of(table, sweep).drop(columns=list(absent), errors="ignore")

    return Results(
        own(results.trials),
        own(results.reports),
        own(results.baselines),
        {sweep: results.sweeps[sweep]} if sweep in results.sweeps else {},
        criteria=results.criteria,
    )


def prepared(folder: Path) -> Path:
    """The folder for figures: created if it is missing, and cleared of the figures that an earlier report shows."""
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ResultsUnreadable(f"`{folder}` must be a writable folder, but it is not: {error}") from error
    earlier = shown_in(folder / "report.md")
    for file in figures.iterdir():
        if file.suffix in (".png", ".pdf", ".csv") and file.stem in earlier:
            file.unlink()
    return figures


def shown_in(report: Path) -> set[str]:
    """The names of the figures in a report.md; none if there is no such file."""
    text = report.read_text(encoding="utf-8", errors="replace") if report.is_file() else ""
    return set(re.findall(r"\(figures/(.+?)\.png\)", text))


def write_files(
    folder: Path,
    title: str,
    line: str,
    sections: Sequence[Section],
    judgement: Judgement,
    links: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the tables and pages of one report; its figures exist already."""
    write_tables(judgement, folder)
    (folder / "report.html").write_text(make_page(title, line, sections, links), encoding="utf-8")
    (folder / "report.md").write_text(make_markdown(title, line, sections), encoding="utf-8")


def relative(path: Path, start: Path) -> str:
    """The relative address of a file, from a folder."""
    return Path(os.path.relpath(path.resolve(), start.resolve())).as_posix()
