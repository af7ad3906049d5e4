"""The terminal's view of a report, 80 columns wide: a heading, a table and the cautions of each sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pandas import DataFrame
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.data.columns import is_layer
from analysis.data.results import Results
from analysis.report import crosstabs
from analysis.report.judge import has_oracle
from analysis.report.summary import NARROW, WITHOUT_ORACLE, covered, selected_trials, summary_rows
from analysis.report.table_columns import CRITERION
from analysis.report.tables import Row, TextColumn, TextTable, format_table
from analysis.stats.judgement import Judgement
from analysis.text import findings, pruning_findings
from analysis.text.safe import for_terminal


def on_terminal(
    sweeps: Sequence[tuple[Results, Judgement]], notes: Sequence[str] = (), across: DataFrame | None = None
) -> RenderableType:
    """One block per sweep, then the means over sweeps (`across`: across_sweeps.csv) and the notes."""
    parts = [part for results, judgement in sweeps for part in of_one(results, judgement)]
    parts += [] if across is None else over_all(across)
    return Group(*parts, *(line(f"! {note}", "yellow") for note in notes))


def of_one(results: Results, judgement: Judgement) -> Iterator[RenderableType]:
    """The block of one sweep."""
    sweep = str(results.trials["sweep"].iloc[0])
    if has_oracle(results):
        rows = summary_rows(results, judgement)
        states = dict.fromkeys(covered(row) for row in rows if row.get("states"))
        heading, table = (
            findings.best_and_states(rows[0], list(states)),
            format_table("", [narrow(row) for row in rows], NARROW),
        )
    else:
        heading = findings.selections_without_oracle(results, judgement)
        table = format_table("", selected_trials(results, judgement), WITHOUT_ORACLE)
    yield line(f"{sweep}: {heading}" if heading else sweep, "bold")
    yield to_rich(table)
    for text in pruning_findings.pruning_as_it_ran(judgement.audit):
        yield line(text)
    for text in judgement.cautions["text"]:
        yield line(f"! {text}", "yellow")
    yield Text("")


def over_all(across: DataFrame) -> list[RenderableType]:
    """The block over all sweeps: the mean τ of each plain criterion; nothing for a single sweep."""
    tables = crosstabs.across_sweeps(across)
    if not tables:
        return []
    rows = across[~across["criterion"].map(is_layer)]
    columns = (CRITERION, crosstabs.MEAN, TextColumn("τ > 0 in", lambda row: f"{row['positive']} of {row['sweeps']}"))
    return [line("all sweeps", "bold"), to_rich(format_table("", rows, columns)), Text("")]


def narrow(row: Row) -> Row:
    """The row with a shorter name for the untrained encoder."""
    return {**row, "choice": str(row["choice"]).removesuffix(" encoder")}


def line(text: str, style: str = "") -> Text:
    """Text shown literally: Rich markup in it is not interpreted."""
    return Text(for_terminal(text), style=style)


def to_rich(table: TextTable) -> Table:
    """A Rich table with columns two spaces apart and without lines."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading, is_text in zip(table.headings, table.is_text, strict=True):
        shown.add_column(line(heading), justify="left" if is_text else "right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*map(line, row))
    return shown
