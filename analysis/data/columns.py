"""Which columns of a table are the criteria and the oracle, and which way each criterion points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from analysis.data.criteria import LOSS, Known, shelf
from analysis.text.safe import one_line
from trainers.records import (
    CONFIG_PREFIX,
    EMBEDDING,
    EPOCH_COLUMNS,
    LAYERS,
    ORACLE_PREFIX,
    TRIAL_COLUMNS,
    criterion_columns,
    names_of,
)

SIGNS = ("-", "+")
"""What may stand before a criterion's name: less is better, more is better."""


class ResultsUnreadable(ValueError):
    """What was given to the judge cannot be judged; the message is one line and says what to do next."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


@dataclass(frozen=True)
class ScoreColumn:
    """One column that claims to rank trials, and whether more of it is better."""

    name: str
    higher_is_better: bool = True

    @property
    def layer(self) -> str:
        """The layer that the name asks for, or "" for the plain column."""
        return self.name.rpartition(".")[2] if is_layer(self.name) else ""

    def scores(self, table: DataFrame) -> Series[float]:
        """The column with its sign set so that more is better; all NaN where the table lacks it."""
        if self.name not in table:
            return pd.Series(np.nan, index=table.index, dtype=float)
        values = pd.to_numeric(table[self.name], errors="coerce").astype(float)
        values = values.where(np.isfinite(values))
        return values if self.higher_is_better else -values


Criteria = Sequence[str | ScoreColumn] | None
"""Which criteria to judge, by name or as columns; None stands for all that a table holds."""


def is_layer(column: str) -> bool:
    """Does the column hold one layer's value of a criterion?

    >>> is_layer("lidar.embedding"), is_layer("lidar")
    (True, False)
    """
    return column.rpartition(".")[2] in LAYERS and "." in column


def make_score_column(criterion: str | ScoreColumn, known: Known | None = None) -> ScoreColumn:
    """The column of a name: of `-name` less is better, of `+name` more, of a bare name what is known of the criterion.

    `known` is what a sweep says of its criteria (`load(...).criteria`), the catalogue's by default.

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


def without_sign(name: str) -> str:
    """The column that a name with or without a sign asks for.

    >>> without_sign("-loss"), without_sign("+loss"), without_sign("loss")
    ('loss', 'loss', 'loss')
    """
    return name[1:] if name.startswith(SIGNS) else name


def known_direction(column: str, known: Known | None = None) -> bool:
    """Is more of a column better, by what is known of its criterion? Of an unknown one it is."""
    info = (known or shelf()).get(column.rpartition(".")[0] if is_layer(column) else column)
    return info.higher_is_better if info else True


def find_criteria(columns: Iterable[str], known: Known | None = None) -> list[str]:
    """The criterion columns of a table: the known ones, and whatever was measured on both layers; plain ones first.

    >>> find_criteria(["trial", "loss", "lidar", "lidar.embedding", "lidar_n", "config.lr", "oracle"])
    ['lidar', 'loss', 'lidar.embedding']
    """
    names = list(columns)
    measured = {name for name in names if f"{name}.{EMBEDDING}" in names}
    plain = [name for name in known or shelf() if name in names]
    plain += [name for name in names if name in measured and name not in plain]
    layers = [layer for name in plain for layer in criterion_columns(name)[1:] if layer in names]
    return [name for name in plain if name != LOSS] + [name for name in plain if name == LOSS] + layers


def condition_columns(columns: Iterable[str]) -> list[str]:
    """The columns that say under which conditions the criteria of a table were measured.

    Of a criterion that is not in the catalogue these are all columns that begin with its name and an underscore.

    >>> condition_columns(["lidar", "lidar_n", "lidar_seconds", "new", "new.embedding", "new_q", "oracle_n"])
    ['lidar_n', 'new_q']
    """
    names = list(columns)
    criteria = find_criteria(names)
    exact = {f"{name}_{condition}" for name, info in shelf().items() for condition in info.conditions}
    prefixes = tuple(f"{name}_" for name in criteria if name not in shelf() and not is_layer(name))
    return [name for name in names if name in exact or (name.startswith(prefixes) and name not in criteria)]


def parse_criteria(
    columns: Iterable[str], criteria: Criteria = None, path: Path | None = None, *, known: Known | None = None
) -> tuple[ScoreColumn, ...]:
    """The criteria asked for, or all that the columns hold; `known` is what a sweep says of them.

    Raises:
        ResultsUnreadable: a criterion that is not a column, or no criterion at all.
    """
    names = list(columns)
    where = f"`{path}`" if path else "the table"
    # A column found in the table is named as it is, also where its name begins with a sign.
    found = (
        [ScoreColumn(name, known_direction(name, known)) for name in find_criteria(names, known)]
        if criteria is None
        else [make_score_column(criterion, known) for criterion in dict.fromkeys(criteria)]
    )
    missing = [criterion.name for criterion in found if criterion.name not in names]
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        raise ResultsUnreadable(
            f"{where} must have the {columns} {', '.join(missing)}, but it has {', '.join(could_be_criteria(names))}"
        )
    if not found:
        raise ResultsUnreadable(
            f"{where} must have a criterion column, but none of {', '.join(known or shelf())} is there; "
            f"name yours with --criteria (columns: {', '.join(could_be_criteria(names)) or 'none'})"
        )
    if len({criterion.name for criterion in found}) < len(found):
        raise ResultsUnreadable(f"`criteria` must name each column once, but got {', '.join(map(str, criteria or ()))}")
    return tuple(found)


def could_be_criteria(columns: Sequence[str]) -> list[str]:
    """The columns that are no part of the contract: what a user may have meant."""
    known = {*names_of((*TRIAL_COLUMNS, *EPOCH_COLUMNS)), *condition_columns(columns), "weight"} - {LOSS}
    return [name for name in columns if name not in known and not name.startswith((CONFIG_PREFIX, ORACLE_PREFIX))]


def oracle_column(columns: Iterable[str], oracle: str | None, path: Path | None = None) -> str | None:
    """The column that holds the oracle, None where none was asked for and none is there.

    Raises:
        ResultsUnreadable: the oracle asked for is not a column.
    """
    names = list(columns)
    if oracle is None:
        return "oracle" if "oracle" in names else None
    for name in (oracle, f"{ORACLE_PREFIX}{oracle}"):
        if name in names:
            return name
    known = set(could_be_criteria(names)) - {column for column in names if is_layer(column)}
    others = [name for name in names if name in known or name == "oracle" or name.startswith(ORACLE_PREFIX)]
    raise ResultsUnreadable(
        f"`{path or 'the table'}` must have the oracle column {oracle}, but it has {', '.join(map(str, others))}"
    )


def numbers(values: Series[float], name: str, path: Path) -> Series[float]:
    """A column as floats.

    Raises:
        ResultsUnreadable: something in it is not a number.
    """
    converted = pd.to_numeric(values, errors="coerce").astype(float)
    strange = values[converted.isna() & values.notna()]
    if len(strange):
        raise ResultsUnreadable(
            f"`{name}` in `{path}` must be numbers, but got {strange.iloc[0]!r} in row {strange.index[0]}"
        )
    return converted


def swept(trials: DataFrame) -> list[str]:
    """The config columns that differ between trials: what the sweep was over."""
    config = [name for name in trials.columns if name.startswith(CONFIG_PREFIX)]
    return [name for name in config if trials[name].nunique(dropna=False) > 1]


def configuration_of(trials: DataFrame) -> Series[int]:
    """Which trials are runs of one configuration, as labels from 0; every trial its own where nothing says so."""
    if "configuration" in trials and trials["configuration"].notna().all():
        return pd.Series(pd.factorize(trials["configuration"])[0], index=trials.index)
    return pd.Series(range(len(trials)), index=trials.index)
