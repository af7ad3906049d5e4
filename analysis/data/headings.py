"""The names of a table's columns: text without blanks around it, each name once; an index becomes a column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pandas as pd
from pandas import DataFrame

NAME: Final = "name"
"""The column with the names of runs, which a report shows in place of the trials' numbers."""
UNNAMED: Final = re.compile(r"(Unnamed: \d+)?(_level_\d+)?")
"""What a column without a name is called: nothing, or what pandas wrote."""
JOINED: Final = ("params", "user_attrs", "system_attrs", "values", "value", "intermediate_values")
"""Groups that Optuna joins to a name with an underscore."""


def with_headings(table: DataFrame) -> DataFrame:
    """The table with flat text names, without columns that only number the rows, and with its index as a column.

    Raises:
        ValueError: two columns have the same name.
    """
    words = pd.api.types.is_string_dtype(table.index.dtype) and not isinstance(table.index, pd.MultiIndex)
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    elif words and len(table):
        table = table.rename_axis(index=NAME).reset_index() if NAME not in table else table.reset_index(drop=True)
    else:
        table = table.reset_index(drop=True)
    names = [as_text(name) for name in table.columns]
    blank = [place for place, name in enumerate(names) if UNNAMED.fullmatch(name)]
    for place in blank:
        is_words = not pd.api.types.is_numeric_dtype(table.iloc[:, place])
        names[place] = NAME if place == 0 and is_words and NAME not in names else f"column {place + 1}"
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns are named {twice!r}")
    table.columns = pd.Index(names, dtype=object)
    empty = [names[place] for place in blank if table.iloc[:, place].isna().all() or counts_rows(table, place)]
    return table.drop(columns=empty)


def as_text(name: object) -> str:
    """The name of a column as text; the levels of a name are joined.

    >>> as_text(("params", "lr")), as_text(("lidar", "embedding")), as_text(("oracle", "")), as_text(3), as_text(" a ")
    ('params_lr', 'lidar.embedding', 'oracle', '3', 'a')
    """
    if isinstance(name, tuple):
        return join_names([as_text(part) for part in name])
    return (name.decode(errors="replace") if isinstance(name, bytes) else str(name)).strip()


def join_names(parts: Sequence[str]) -> str:
    """The levels of one name, joined as Optuna does for its groups, else with a dot."""
    known = [part for part in parts if not UNNAMED.fullmatch(part)]
    return ("_" if known and known[0] in JOINED else ".").join(known)


def counts_rows(table: DataFrame, place: int) -> bool:
    """Whether a column counts the rows from 0 or from 1, as pandas writes its index."""
    values = table.iloc[:, place].tolist()
    return values in (list(range(len(values))), list(range(1, len(values) + 1)))
