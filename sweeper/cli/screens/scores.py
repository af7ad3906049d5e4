"""The scores of encoders, and how well each criterion orders them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from sweeper.cli.screens.cells import add_row, literal, make_table, number
from sweeper.cli.screens.wide import WideTable
from trainers.formats import accuracy, counted
from trainers.records import ORACLE_PREFIX, oracle_names

LEAST: Final = 3
"""Encoders for which there is a τ: two have an order or the reverse of it."""


def score_parts(rows: Sequence[Mapping[str, Any]], criteria: Sequence[str]) -> list[RenderableType]:
    """One row per encoder; with three or more and an oracle, τ of each criterion below."""
    oracles = [f"{ORACLE_PREFIX}{name}" for name in oracle_names(rows[0])]
    table = WideTable(
        ("encoder", *criteria, *(name.removeprefix(ORACLE_PREFIX) for name in oracles)),
        [
            (
                [row["encoder"], *(number(row[name]) for name in criteria), *(accuracy(row[name]) for name in oracles)],
                None,
            )
            for row in rows
        ],
    )
    parts: list[RenderableType] = [table]
    return parts + ranking_parts(rows) if oracles and len(rows) >= LEAST else parts


def ranking_parts(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Kendall τ of every criterion with the first oracle, and how much such a τ says."""
    ranking = make_table("criterion", "τ", "95% interval", "encoders")
    for row in ranked(rows):
        interval = f"{number(round(row['tau_low'], 2))} to {number(round(row['tau_high'], 2))}"
        known = math.isfinite(row["tau"])
        add_row(ranking, row["criterion"], number(row["tau"]), interval if known else "–", str(row["n"]))
    orders = math.factorial(len(rows)) if len(rows) < 8 else 0
    chance = f": one in {orders:,} orders of {len(rows)} is right by chance" if orders else ""
    text = f"τ with the oracle, over {counted(len(rows), 'encoder')}, is uncertain{chance}"
    return [literal(""), literal(text), ranking]


def ranked(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """ranking.csv of these rows."""
    from pandas import DataFrame

    from analysis.stats.ranking import kendall

    table = kendall(DataFrame(rows).dropna(axis="columns", how="all"))
    return [{str(name): value for name, value in row.items()} for row in table.to_dict(orient="records")]
