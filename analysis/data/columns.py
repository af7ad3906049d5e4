"""The criterion and oracle columns of a table, and the direction of each criterion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from analysis.data.criteria import LOSS, Known, shelf
from trainers.formats import one_line
from trainers.names import did_you_mean
from trainers.records import (
    CONFIG_PREFIX,
    COUNT,
    EMBEDDING,
    EPOCH_COLUMNS,
    LAYERS,
    NULL,
    ORACLE_PREFIX,
    TRIAL_COLUMNS,
    criterion_columns,
    names_of,
)

SIGNS = ("-", "+")
"""The prefixes of a criterion's name: `-` if less is better, `+` if more is better."""


class ResultsUnreadable(ValueError):
    """The input cannot be analysed; the message is one line and says what to do."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class ColumnUnknown(ResultsUnreadable):
    """An option names a column that a table does not have."""


LINE = "line"
"""The name of a table's index that holds the line of the file in which each row begins."""


def place_of(values: Series[Any] | DataFrame) -> str:
    """Where the first row of these is in its file: the line of a CSV, or the row counted from 1.

    >>> place_of(pd.Series([0.5], index=pd.Index([7], name=LINE))), place_of(pd.Series([0.5], index=[7]))
    ('line 7', 'row 8')
    """
    first = values.index[0]
    return f"line {first}" if values.index.name == LINE else f"row {first + 1}"


@dataclass(frozen=True)
class ScoreColumn:
    """A column that ranks trials, and its direction."""

    name: str
    higher_is_better: bool = True

    @property
    def layer(self) -> str:
        """The layer in the name, or "" for the plain column."""
        return self.name.rpartition(".")[2] if is_layer(self.name) else ""

    def scores(self, table: DataFrame) -> Series[float]:
        """The column, negated if less is better; all NaN if the table lacks it, and NaN for infinite values."""
        if self.name not in table:
            return pd.Series(np.nan, index=table.index, dtype=float)
        values = pd.to_numeric(table[self.name], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        values = np.where(np.isfinite(values), values if self.higher_is_better else -values, np.nan)
        return pd.Series(values, index=table.index, name=self.name)


Criteria = Sequence[str | ScoreColumn] | None
"""The criteria to judge, by name or as columns; None means all criteria in the table."""


def is_layer(column: str) -> bool:
    """Whether the column is a criterion on one layer.

    >>> is_layer("lidar.embedding"), is_layer("lidar")
    (True, False)
    """
    return column.rpartition(".")[2] in LAYERS and "." in column


def is_null(column: str) -> bool:
    """Whether the column is a criterion on shuffled views, which ranks no trials.

    >>> is_null("lidar_null"), is_null("lidar_null.embedding"), is_null("lidar_noise")
    (True, True, False)
    """
    return (column.rpartition(".")[0] if is_layer(column) else column).endswith(NULL)


def make_score_column(criterion: str | ScoreColumn, known: Known | None = None) -> ScoreColumn:
    """The column of a name: `-name` means less is better, `+name` more is better, `name` the criterion's own direction.

    `known` describes the criteria of a sweep (`load(...).criteria`); the default is the catalogue.

    >>> make_score_column("loss").higher_is_better, make_score_column("-loss").higher_is_better
    (False, False)
    >>> make_score_column("+loss").higher_is_better, make_score_column("lidar").higher_is_better
    (True, True)
    >>> make_score_column("-uniformity")
    ScoreColumn(name='uniformity', higher_is_better=False)
    """
    if isinstance(criterion, ScoreColumn):
        return criterion
    if criterion.startswith(SIGNS):
        return ScoreColumn(without_sign(criterion), criterion.startswith("+"))
    return ScoreColumn(criterion, known_direction(criterion, known))


def check_directed(criterion: str | ScoreColumn) -> None:
    """Without a sweep, a name needs a known direction: that of the catalogue, or a sign.

    Raises:
        ValueError: the name has no sign, and no criterion of the catalogue has it.

    >>> check_directed("lidar.embedding"), check_directed("-mine")
    (None, None)
    """
    if isinstance(criterion, ScoreColumn) or criterion.startswith(SIGNS):
        return
    if (criterion.rpartition(".")[0] if is_layer(criterion) else criterion) not in shelf():
        raise ValueError(
            f"`criterion` must be -{criterion} (less is better) or +{criterion} (more is better), because it is not in "
            f"the catalogue, but got {criterion!r}"
        )


def without_sign(name: str) -> str:
    """The column of a name, without its sign.

    >>> without_sign("-loss"), without_sign("+loss"), without_sign("loss")
    ('loss', 'loss', 'loss')
    """
    return name[1:] if name.startswith(SIGNS) else name


def known_direction(column: str, known: Known | None = None) -> bool:
    """Whether more of a column is better, by its criterion's description; true for an unknown criterion."""
    info = (known or shelf()).get(column.rpartition(".")[0] if is_layer(column) else column)
    return info.higher_is_better if info else True


def find_criteria(columns: Iterable[str], known: Known | None = None) -> list[str]:
    """The criterion columns of a table: known criteria, and columns measured on both layers; plain columns come first.

    >>> find_criteria(["trial", "loss", "lidar", "lidar.embedding", "lidar_n", "config.lr", "oracle"])
    ['lidar', 'loss', 'lidar.embedding']
    """
    names = list(columns)
    measured = {name for name in names if f"{name}.{EMBEDDING}" in names and not is_null(name)}
    plain = [name for name in known or shelf() if name in names]
    plain += [name for name in names if name in measured and name not in plain]
    layers = [layer for name in plain for layer in criterion_columns(name)[1:] if layer in names]
    return [name for name in plain if name != LOSS] + [name for name in plain if name == LOSS] + layers


def condition_columns(columns: Iterable[str]) -> list[str]:
    """The columns with the conditions under which the criteria of a table were measured.

    For a criterion that is not in the catalogue, these are all columns that start with its name and an underscore.

    >>> condition_columns(["lidar", "lidar_n", "lidar_seconds", "new", "new.embedding", "new_q", "oracle_n"])
    ['lidar_n', 'new_q']
    """
    names = list(columns)
    criteria = find_criteria(names)
    exact = {f"{name}_{condition}" for name, info in shelf().items() for condition in info.conditions}
    prefixes = tuple(f"{name}_" for name in criteria if name not in shelf() and not is_layer(name))
    return [
        name
        for name in names
        if name in exact or (name.startswith(prefixes) and name not in criteria and not is_null(name))
    ]


def parse_criteria(
    columns: Iterable[str], criteria: Criteria = None, path: Path | None = None, *, known: Known | None = None
) -> tuple[ScoreColumn, ...]:
    """The chosen criteria, or all in the table; `known` describes the criteria of the sweep.

    Raises:
        ColumnUnknown: a criterion is not a column.
        ResultsUnreadable: a column is named twice, or there is no criterion.
    """
    names = list(columns)
    where = f"`{path}`" if path else "the table"
    # A column found in the table keeps its name, even if the name starts with a sign.
    found = (
        [ScoreColumn(name, known_direction(name, known)) for name in find_criteria(names, known)]
        if criteria is None
        else [make_score_column(criterion, known) for criterion in dict.fromkeys(criteria)]
    )
    missing = [criterion.name for criterion in found if criterion.name not in names]
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        known_names = could_be_criteria(names)
        raise ColumnUnknown(
            f"{where} must have the {columns} {', '.join(missing)}, but it has {', '.join(known_names)}"
            + did_you_mean(missing[0], known_names)
        )
    if not found:
        raise ResultsUnreadable(
            f"{where} must have a criterion column, but it has none of {', '.join(known or shelf())}; "
            f"choose a column with --criteria (columns: {', '.join(could_be_criteria(names)) or 'none'})"
        )
    if len({criterion.name for criterion in found}) < len(found):
        raise ResultsUnreadable(f"`criteria` must name each column once, but got {', '.join(map(str, criteria or ()))}")
    return tuple(found)


def could_be_criteria(columns: Sequence[str]) -> list[str]:
    """The columns outside the documented tables, which may be criteria of the user."""
    known = {*names_of((*TRIAL_COLUMNS, *EPOCH_COLUMNS)), *condition_columns(columns), "weight"} - {LOSS}
    columns = [name for name in columns if not is_null(name)]
    return [name for name in columns if name not in known and not name.startswith((CONFIG_PREFIX, ORACLE_PREFIX))]


def oracle_column(columns: Iterable[str], oracle: str | None, path: Path | None = None) -> str | None:
    """The oracle's column; None if no oracle is named and the table has none.

    Raises:
        ColumnUnknown: the named oracle is not a column.
    """
    names = list(columns)
    if oracle is None:
        return "oracle" if "oracle" in names else None
    for name in (oracle, f"{ORACLE_PREFIX}{oracle}"):
        if name in names:
            return name
    known = set(could_be_criteria(names)) - {column for column in names if is_layer(column)}
    others = [name for name in names if name in known or name == "oracle" or name.startswith(ORACLE_PREFIX)]
    raise ColumnUnknown(
        f"`{path or 'the table'}` must have the oracle column {oracle}, but it has {', '.join(map(str, others))}"
        + did_you_mean(oracle, [*others, *(name.removeprefix(ORACLE_PREFIX) for name in others)])
    )


def count_column(oracle: str, columns: Iterable[str]) -> str | None:
    """The column with the number of test images behind an oracle, or behind one of its further metrics.

    >>> count_column("oracle.knn.top5", ["oracle_n", "oracle.knn", "oracle.knn_n", "oracle.knn.top5"])
    'oracle.knn_n'
    >>> count_column("oracle.knn", ["oracle_n", "oracle.knn"])
    'oracle_n'
    """
    names = list(columns)
    own = f"{ORACLE_PREFIX}{oracle.removeprefix(ORACLE_PREFIX).partition('.')[0]}{COUNT}"
    return next((name for name in (own, "oracle_n") if name in names), None)


def numbers(values: Series[float], name: str, path: Path) -> Series[float]:
    """A column as floats.

    Raises:
        ResultsUnreadable: a value is not a number.
    """
    converted = pd.to_numeric(values, errors="coerce").astype(float)
    strange = values[converted.isna() & values.notna()]
    if len(strange):
        comma = " (is its comma a decimal one?)" if "," in str(strange.iloc[0]) else ""
        raise ResultsUnreadable(
            f"`{name}` in `{path}` must be numbers, but got {strange.iloc[0]!r} in {place_of(strange)}{comma}"
        )
    return converted


def swept(trials: DataFrame) -> list[str]:
    """The config columns that differ between trials: the swept hyperparameters."""
    config = [name for name in trials.columns if name.startswith(CONFIG_PREFIX)]
    return [name for name in config if trials[name].nunique(dropna=False) > 1]


def configuration_of(trials: DataFrame) -> Series[int]:
    """The configuration of each trial, as labels from 0; without that column, each trial is its own configuration."""
    if "configuration" in trials and trials["configuration"].notna().all():
        return pd.Series(pd.factorize(trials["configuration"])[0], index=trials.index)
    return pd.Series(range(len(trials)), index=trials.index)
