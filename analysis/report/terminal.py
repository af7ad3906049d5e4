"""What a terminal shows, 80 columns wide: one table per sweep, and what a colleague would say before believing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.data.load import Results
from analysis.report.judgement import Judgement
from analysis.report.table_columns import covered, summary_rows, tau_with_interval
from analysis.report.tables import Column, Printed, Row, print_table
from analysis.report.unlabelled import CHOSEN, chosen_rows, chosen_words, has_oracle
from analysis.text.findings import audit_words
from analysis.text.numbers import accuracy, number, points, probability
from analysis.text.safe import for_terminal

BRIEF = (
    Column("chosen by", lambda row: str(row["choice"]).removesuffix(" encoder"), words=True),
    Column("τ [95%]", tau_with_interval, always=True),
    Column("n", lambda row: number(row.get("n") or None, 0), always=True),
    Column("p", lambda row: probability(row.get("tau_p"))),
    Column("ρ", lambda row: number(row.get("rho"))),
    Column("kept", lambda row: accuracy(row.get("oracle"))),
    Column("regret", lambda row: points(row.get("regret"), row.get("best_oracle"))),
    Column("trial", lambda row: number(row.get("trial"), 0)),
)


def on_terminal(sweeps: Sequence[tuple[Results, Judgement]], notes: Sequence[str] = ()) -> RenderableType:
    """One block per sweep, given its own tables and what was found."""
    parts = [part for results, judgement in sweeps for part in of_one(results, judgement)]
    return Group(*parts, *(line(f"! {note}", "yellow") for note in notes))


def of_one(results: Results, judgement: Judgement) -> Iterator[RenderableType]:
    """A heading, the table, the warnings."""
    sweep = str(results.trials["sweep"].iloc[0])
    if has_oracle(results):
        rows = summary_rows(results, judgement)
        yield line(heading(sweep, rows), "bold")
        yield to_rich(print_table("", rows, BRIEF))
    else:
        yield line(f"{sweep}: {chosen_words(results, judgement)}", "bold")
        yield to_rich(print_table("", chosen_rows(results, judgement), CHOSEN))
    for text in audit_words(judgement.audit):
        yield line(text)
    for text in judgement.cautions["text"]:
        yield line(f"! {text}", "yellow")
    yield Text("")


def line(text: str, style: str = "") -> Text:
    """Words as they are: no markup is read in them."""
    return Text(for_terminal(text), style=style)


def heading(sweep: str, rows: Sequence[Row]) -> str:
    """The sweep, its best trial, and the states that its τ cover."""
    first = rows[0]
    best = f"best {accuracy(first['best_oracle'])} (trial {number(first['best_trial'], 0)})"
    states = list(dict.fromkeys(covered(row) for row in rows if row.get("states")))
    parts = [best] if accuracy(first["best_oracle"]) != "–" else []
    parts += [f"τ over {' or '.join(states)}"] if states else []
    return f"{sweep}: {', '.join(parts)}" if parts else sweep


def to_rich(printed: Printed) -> Table:
    """Columns two blanks apart, no lines."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading, words in zip(printed.headings, printed.words, strict=True):
        table.add_column(line(heading), justify="left" if words else "right", no_wrap=True)
    for row in printed.rows:
        table.add_row(*map(line, row))
    return table
