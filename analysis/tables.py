"""One table, four ways to read it: on a terminal, as Markdown, as LaTeX, as HTML."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from pandas import DataFrame
from rich.table import Table

from analysis.plots import accuracy, label_of


@dataclass(frozen=True)
class Column:
    """One column of a printed table: its heading, and how a row becomes its cell."""

    heading: str
    cell: Callable[[dict[str, object]], str]
    words: bool = False
    """Words are set left, numbers right."""


@dataclass(frozen=True)
class Printed:
    """A table ready to print: headings and cells as text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[bool, ...]
    note: str = ""


def print_table(title: str, table: DataFrame, columns: Sequence[Column], note: str = "") -> Printed:
    """Cells as text, row by row; columns of which every cell is empty are left out."""
    records: list[dict[str, object]] = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    cells = [tuple(column.cell(row) for column in columns) for row in records]
    used = [place for place in range(len(columns)) if any(row[place] not in ("", "–") for row in cells)]
    return Printed(
        title,
        tuple(columns[place].heading for place in used),
        tuple(tuple(row[place] for place in used) for row in cells),
        tuple(columns[place].words for place in used),
        note,
    )


def to_rich(printed: Printed) -> Table:
    """For the terminal."""
    table = Table(title=printed.title, title_justify="left", title_style="bold", caption=printed.note or None)
    table.caption_justify = "left"
    for heading, words in zip(printed.headings, printed.words, strict=True):
        table.add_column(heading, justify="left" if words else "right", no_wrap=not words)
    for row in printed.rows:
        table.add_row(*row)
    return table


def to_markdown(printed: Printed) -> str:
    """For a repository's page."""
    lines = ["| " + " | ".join(printed.headings) + " |"]
    lines.append("|" + "|".join(":--" if words else "--:" for words in printed.words) + "|")
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in printed.rows]
    return "\n".join(lines) + "\n"


TEX = {
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "−": "$-$",
    "–": "--",
    "≥": r"$\ge$",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
}


def to_latex(printed: Printed) -> str:
    """For a paper; needs the package booktabs."""

    def escape(text: str) -> str:
        return "".join(TEX.get(letter, letter) for letter in text)

    lines = [r"\begin{tabular}{" + "".join("l" if words else "r" for words in printed.words) + "}", r"\toprule"]
    lines += [" & ".join(escape(heading) for heading in printed.headings) + r" \\", r"\midrule"]
    lines += [" & ".join(escape(cell) for cell in row) + r" \\" for row in printed.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def to_html(printed: Printed) -> str:
    """For the page, which styles it."""
    kinds = ["w" if words else "n" for words in printed.words]
    head = "".join(f'<th class="{k}">{html.escape(h)}</th>' for k, h in zip(kinds, printed.headings, strict=True))
    body = "".join(
        "<tr>" + "".join(f'<td class="{k}">{html.escape(c)}</td>' for k, c in zip(kinds, row, strict=True)) + "</tr>"
        for row in printed.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def number(value: object, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none.

    >>> number(-0.1234), number(float("nan")), number(12)
    ('−0.12', '–', '12')
    """
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    text = str(value) if isinstance(value, int) else f"{float(str(value)):.{digits}f}"
    return text.replace("-", "−")


def probability(value: object) -> str:
    """A p-value, never rounded to nothing.

    >>> probability(0.00004), probability(0.0312)
    ('<0.001', '0.031')
    """
    known = isinstance(value, float) and math.isfinite(value)
    return ("<0.001" if float(str(value)) < 0.001 else number(value, 3)) if known else "–"


def with_interval(row: dict[str, object], name: str) -> str:
    """τ [low, high]."""
    middle = number(row[name])
    return middle if middle == "–" else f"{middle} [{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"


def share(value: object) -> str:
    """An accuracy or a regret as the reader sees it."""
    return accuracy(float(str(value))) if isinstance(value, float | int) else "–"


SUMMARY = (
    Column("sweep", lambda row: str(row["sweep"]), words=True),
    Column("criterion", lambda row: label_of(str(row["criterion"])), words=True),
    Column("n", lambda row: number(row["n"])),
    Column("τ [95%]", lambda row: with_interval(row, "tau")),
    Column("p", lambda row: probability(row["tau_p"])),
    Column("ρ", lambda row: number(row["rho"])),
    Column("accuracy kept", lambda row: share(row["oracle"])),
    Column("best", lambda row: share(row["best_oracle"])),
    Column("regret", lambda row: share(row["regret"])),
    Column("trial", lambda row: number(row["trial"])),
    Column("covers", lambda row: str(row["states"]), words=True),
)
"""The table that everyone asks for first."""
