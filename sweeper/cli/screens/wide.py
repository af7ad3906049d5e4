"""A table that is as wide as the terminal: the columns for which there is no room are in further tables below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.cli.screens.cells import add_row, literal, make_table

GAP: Final = 2
"""Blanks between two columns."""


@dataclass(frozen=True)
class WideTable:
    """Rows of cells below headings; every table repeats the first column."""

    headings: Sequence[str]
    rows: Sequence[tuple[Sequence[str | Text], str | None]]
    """The cells of each row, and its style."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        for number, columns in enumerate(self.groups(options.max_width)):
            if number:
                yield Text("")
            yield self._table(columns)

    def groups(self, width: int) -> list[list[int]]:
        """The columns of each table; a column that is wider than the terminal has a table of its own."""
        widths = [self._width(column) for column in range(len(self.headings))]
        groups = [[0]]
        for column in range(1, len(widths)):
            taken = sum(widths[one] + GAP for one in groups[-1])
            if taken + widths[column] > width and len(groups[-1]) > 1:
                groups.append([0])
            groups[-1].append(column)
        return groups

    def _width(self, column: int) -> int:
        cells = [self.headings[column], *(row[column] for row, _ in self.rows)]
        return max(cell_len((cell if isinstance(cell, Text) else literal(cell)).plain) for cell in cells)

    def _table(self, columns: Sequence[int]) -> Table:
        table = make_table(*(self.headings[column] for column in columns))
        for cells, style in self.rows:
            add_row(table, *(cells[column] for column in columns), style=style)
        return table
