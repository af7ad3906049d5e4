"""A report's table as text, Markdown and LaTeX; the template of the page formats it as HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from analysis.text.safe import for_latex, for_markdown

Row = Mapping[str, Any]


@dataclass(frozen=True)
class TextColumn:
    """One column of a report's table: its heading, and the function that formats a row's cell."""

    heading: str
    cell: Callable[[Row], str]
    is_text: bool = False
    """Text is aligned left, numbers are aligned right."""
    always: bool = False
    """Whether it is shown even if all its cells are empty."""


@dataclass(frozen=True)
class TextTable:
    """A report's table, with headings and cells as text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_text: tuple[bool, ...]
    note: str = ""
    groups: tuple[int, ...] = ()
    """The rows that have a line above them."""
    marked: tuple[int, ...] = ()
    """The rows that stand out."""
    addresses: tuple[str, ...] = ()
    """The address to which the first cell of each row leads, or nothing for it."""
    trials: tuple[int, ...] = ()
    """The trial of each row, if the page hides the rows of the trials that a figure leaves out."""
    sortable: bool = False
    """Whether the page can sort the rows by a column."""
    folded: bool = False
    """Whether the page shows it only if it is asked for."""
    copies: bool = True
    """Whether the page offers the table as LaTeX and Markdown."""


def format_table(
    title: str, table: DataFrame | Sequence[Row], columns: Sequence[TextColumn], note: str = "", group: str = ""
) -> TextTable:
    """Format the cells as text, without empty columns; a line is drawn where the value of `group` changes."""
    records: Sequence[Row] = table.to_dict("records") if isinstance(table, DataFrame) else table  # type: ignore[assignment]
    cells = [tuple(column.cell(row) for column in columns) for row in records]
    if group and columns[0].heading == group:  # only the first row of a group shows its name
        again = [place > 0 and records[place][group] == records[place - 1][group] for place in range(len(records))]
        cells = [("", *row[1:]) if repeated else row for row, repeated in zip(cells, again, strict=True)]
    empty = [all(row[place] in ("", "–") for row in cells) for place in range(len(columns))]
    used = [place for place, column in enumerate(columns) if column.always or not empty[place]]
    breaks = [place for place in range(1, len(records)) if group and records[place][group] != records[place - 1][group]]
    return TextTable(
        title,
        tuple(columns[place].heading for place in used),
        tuple(tuple(row[place] for place in used) for row in cells),
        tuple(columns[place].is_text for place in used),
        note,
        tuple(breaks),
    )


def to_markdown(table: TextTable) -> str:
    """The table as Markdown.

    >>> print(to_markdown(TextTable("", ("name", "n"), (("a|b", "3"),), (True, False))), end="")
    | name | n |
    |:--|--:|
    | a\\|b | 3 |
    """

    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(map(for_markdown, row)) + " |"

    lines = [cells(table.headings)]
    lines.append("|" + "|".join(":--" if is_text else "--:" for is_text in table.is_text) + "|")
    lines += map(cells, table.rows)
    return "\n".join(lines) + "\n"


def to_latex(table: TextTable) -> str:
    """The table as LaTeX, with the package booktabs.

    >>> to_latex(TextTable("", ("τ", "kept"), (("−0.5", "50%"),), (False, False))).splitlines()[4]
    '$-$0.5 & 50\\\\% \\\\\\\\'
    """

    def escaped(cells: Sequence[str]) -> str:
        return " & ".join(map(for_latex, cells)) + r" \\"

    lines = [r"\begin{tabular}{" + "".join("l" if is_text else "r" for is_text in table.is_text) + "}", r"\toprule"]
    lines += [escaped(table.headings), r"\midrule"]
    for place, row in enumerate(table.rows):
        lines += [r"\midrule"] * (place in table.groups) + [escaped(row)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
