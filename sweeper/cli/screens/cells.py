"""Tables and texts of what a results folder holds: names and values are data, which no terminal obeys."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table
from rich.text import Text

from trainers.formats import one_line, plain


def make_table(*columns: str) -> Table:
    """An empty table with these headings, which are shown literally."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(literal(column), overflow="fold")
    return table


def add_row(table: Table, *cells: str | Text, style: str | None = None) -> None:
    """Add a row; its strings are shown literally."""
    table.add_row(*(cell if isinstance(cell, Text) else literal(cell) for cell in cells), style=style)


def literal(value: str) -> Text:
    """Names and values of a sweep are data: no terminal obeys them, and rich reads no markup in them."""
    return Text(one_line(value))


def number(value: object) -> str:
    """A number with four significant digits; other values unchanged; a dash for None.

    >>> number(0.000123456), number(12), number(None), number("adamw")
    ('0.0001235', '12', '–', 'adamw')
    """
    return str(value) if isinstance(value, int | str) else plain(value)


def date(moment: str) -> str:
    """The local time to the minute; a dash if there is no time."""
    try:
        return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return "–"
