"""One table as text: its cells, and the whole as Markdown and as LaTeX; the page's template makes HTML of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from analysis.text.safe import for_latex, for_markdown

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of a printed table: its heading, and how a row becomes its cell."""

    heading: str
    cell: Callable[[Row], str]
    words: bool = False
    """Words are set left, numbers right."""
    always: bool = False
    """Shown even where all its cells are empty."""


@dataclass(frozen=True)
class Printed:
    """A table ready to print: headings and cells as text."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[bool, ...]
    note: str = ""
    groups: tuple[int, ...] = ()
    """Rows above which a line is drawn."""


def print_table(
    title: str, table: DataFrame | Sequence[Row], columns: Sequence[Column], note: str = "", group: str = ""
) -> Printed:
    """Cells as text, row by row; a column of empty cells is left out; `group` draws lines where it changes."""
    records: Sequence[Row] = table.to_dict("records") if isinstance(table, DataFrame) else table  # type: ignore[assignment]
    cells = [tuple(column.cell(row) for column in columns) for row in records]
    if group and columns[0].heading == group:  # named once, on the first of its rows
        again = [place > 0 and records[place][group] == records[place - 1][group] for place in range(len(records))]
        cells = [("", *row[1:]) if repeated else row for row, repeated in zip(cells, again, strict=True)]
    empty = [all(row[place] in ("", "–") for row in cells) for place in range(len(columns))]
    used = [place for place, column in enumerate(columns) if column.always or not empty[place]]
    breaks = [place for place in range(1, len(records)) if group and records[place][group] != records[place - 1][group]]
    return Printed(
        title,
        tuple(columns[place].heading for place in used),
        tuple(tuple(row[place] for place in used) for row in cells),
        tuple(columns[place].words for place in used),
        note,
        tuple(breaks),
    )


def to_markdown(printed: Printed) -> str:
    """For a repository's page.

    >>> print(to_markdown(Printed("", ("name", "n"), (("a|b", "3"),), (True, False))), end="")
    | name | n |
    |:--|--:|
    | a\\|b | 3 |
    """

    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(map(for_markdown, row)) + " |"

    lines = [cells(printed.headings)]
    lines.append("|" + "|".join(":--" if words else "--:" for words in printed.words) + "|")
    lines += map(cells, printed.rows)
    return "\n".join(lines) + "\n"


def to_latex(printed: Printed) -> str:
    """For a paper; needs the package booktabs.

    >>> to_latex(Printed("", ("τ", "kept"), (("−0.5", "50%"),), (False, False))).splitlines()[4]
    '$-$0.5 & 50\\\\% \\\\\\\\'
    """

    def escaped(cells: Sequence[str]) -> str:
        return " & ".join(map(for_latex, cells)) + r" \\"

    lines = [r"\begin{tabular}{" + "".join("l" if words else "r" for words in printed.words) + "}", r"\toprule"]
    lines += [escaped(printed.headings), r"\midrule"]
    for place, row in enumerate(printed.rows):
        lines += [r"\midrule"] * (place in printed.groups) + [escaped(row)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"
