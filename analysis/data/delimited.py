"""CSV files as people and programs write them: other separators, decimal commas, two heading rows, compression."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import LINE
from analysis.data.headings import join_names, with_headings

ENDINGS: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SEPARATORS: Final = (",", ";", "\t", "|")
SAMPLE: Final = 100
"""Rows from which the separator is found."""
LONGEST_FIELD: Final = 2**31 - 1
"""Letters of a field; the csv module's own limit of 131,072 is below what a list or a configuration takes."""

SEPARATOR_LINE: Final = re.compile(r"""^"?sep=(.)"?\s*$""")
"""The first line that Excel reads as the name of the separator."""
DECIMAL: Final = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
"""A number with a decimal comma, or a whole number."""
THOUSANDS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
"""What is a whole number in English and a fraction elsewhere."""


def read_delimited(path: Path) -> DataFrame:
    """Read a CSV or TSV, in UTF-8 or UTF-16; its rows are not longer than its header, apart from empty fields.

    With longer rows, pandas would use the first column as the index and shift every column name by one.

    Raises:
        ValueError: a row has a non-empty field beyond the header (the message names the line), or two columns have the
            same name.
    """
    with long_fields():
        separator, skipped = find_separator(path)
        with opened(path, skipped) as file:
            rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
            first = list(itertools.islice((row for row in rows if row), 3))
        headings, count = heading_rows(first)
        lines = row_lines(path, separator, skipped, len(headings))[count:]
    with opened(path, skipped) as file:
        # With `usecols` pandas drops the fields beyond the header, in any row.
        table = pd.read_csv(
            file,
            sep=separator,
            index_col=False,
            usecols=range(len(headings)) if headings else None,
            skiprows=range(1, count),
            skipinitialspace=True,
        )
    table.columns = pd.Index(headings)
    table = with_headings(table)
    if len(lines) == len(table):  # else pandas took another line for an empty one
        table.index = pd.Index(lines, name=LINE)
    return with_decimal_points(table, separator)


@contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module read long fields within the block."""
    usual = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


@contextmanager
def opened(path: Path, skipped: int = 0) -> Iterator[TextIO]:
    """The file as text, after so many lines."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as raw:
        start = raw.read(2)
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with opener(path, "rt", encoding=encoding, newline="") as file:
        for _ in range(skipped):
            file.readline()
        yield file


def find_separator(path: Path) -> tuple[str, int]:
    """The separator of fields, and the number of lines before the header.

    It is the one that splits the header into several fields, and most rows into as many.
    """
    with opened(path) as file:
        if named := SEPARATOR_LINE.match(file.readline(1024)):
            return named[1], 1
    candidates = ("\t", *SEPARATORS) if ".tsv" in path.name.lower() else SEPARATORS
    return max(candidates, key=lambda separator: fit(path, separator)), 0


def fit(path: Path, separator: str) -> tuple[bool, float, int]:
    """How well a separator splits the first rows: whether it splits the header, the share of equal rows, the width."""
    with opened(path) as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        try:
            rows = [trimmed(row) for row in itertools.islice((row for row in reader if row), SAMPLE)]
        except csv.Error:
            return False, 0.0, 0
    width = len(rows[0]) if rows else 0
    equal = sum(len(row) == width for row in rows[1:])
    return width > 1, equal / max(1, len(rows) - 1), width


def trimmed(row: Sequence[str]) -> list[str]:
    """The row without empty fields at its end."""
    last = max((place for place, cell in enumerate(row) if cell.strip()), default=-1)
    return list(row[: last + 1])


def heading_rows(rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """The names of the columns, and the number of rows that they take.

    pandas writes columns with two levels of names as two rows, and the name of the index as a third one.

    >>> heading_rows([["number", "params", "params"], ["", "lr", "std"], ["0", "0.1", "0.2"]])
    (['number', 'params_lr', 'params_std'], 2)
    """
    if not rows:
        return [], 0
    first, second = rows[0], rows[1] if len(rows) > 1 else []
    names = [name.strip() for name in first]
    below = dict(enumerate(cell.strip() for cell in second))
    words = any(below.values()) and not any(is_number(cell) for cell in below.values())
    repeated = len({name for name in names if name}) < len([name for name in names if name])
    optuna = "number" in names and below.get(names.index("number")) == ""
    if len(second) != len(first) or not words or not (repeated or optuna):
        return names, 1
    joined = [join_names((name, below[place])) for place, name in enumerate(names)]
    if len(rows) > 2 and rows[2][0].strip() and not any(cell.strip() for cell in rows[2][1:]):
        return [rows[2][0].strip(), *joined[1:]], 3
    return joined, 2


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def row_lines(path: Path, separator: str, skipped: int, width: int) -> list[int]:
    """The line of the file in which each row begins, the header's rows included.

    Raises:
        ValueError: a row has a non-empty field beyond the header.
    """
    lines, line = [], skipped + 1
    with opened(path, skipped) as file:
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        for row in reader:
            if row:
                lines.append(line)
            line = reader.line_num + skipped + 1
            if any(cell.strip() for cell in row[width:]):
                text = f"line {lines[-1]} has {len(row)} fields, but the header has {width}"
                doubled = separator == "," and len(row) == 2 * width
                raise ValueError(f"{text} (decimal commas need another separator)" if doubled else text)
    return lines


def with_decimal_points(table: DataFrame, separator: str) -> DataFrame:
    """The table with decimal commas read as numbers.

    `1,234` is a whole number in English. It is read as a fraction only if another cell shows that the comma is decimal,
    or if the separator is no comma; never beside decimal points. Otherwise it stays text.
    """
    texts = table.select_dtypes(["object", "str"])
    words = {name: texts[name].dropna().astype(str).str.strip() for name in texts.columns}
    found = {name: cells for name, cells in words.items() if is_decimal(cells)}
    sure = {name for name, cells in found.items() if not cells[cells.str.contains(",")].map(is_thousands).all()}
    floats = table.select_dtypes("float")
    points = bool(((floats % 1).fillna(0) != 0).any(axis=None))
    chosen = set(found) if not points and (separator != "," or sure) else sure
    read = {
        name: pd.to_numeric(cells.str.replace(".", "").str.replace(",", "."))
        for name, cells in found.items()
        if name in chosen
    }
    return table.assign(**{name: values.reindex(table.index).astype(float) for name, values in read.items()})


def is_decimal(cells: Series[str]) -> bool:
    """Whether all cells are numbers, and at least one has a decimal comma."""
    return len(cells) > 0 and bool(cells.str.contains(",").any()) and bool(cells.str.fullmatch(DECIMAL).all())


def is_thousands(cell: str) -> bool:
    """Whether a number with commas may be a whole one."""
    return THOUSANDS.fullmatch(cell) is not None
