"""The sweeps of a folder in a table, and one of them with its config and its trials."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.cli.choice import choose, trials_with_checkpoint
from sweeper.cli.order import chosen_trials, is_oracle
from sweeper.cli.screens.cells import add_row, date, literal, make_table, number
from sweeper.cli.screens.search_space import NARROW, yaml_narrow
from sweeper.cli.screens.trials import legend, trials_table
from sweeper.errors import ResultsError
from sweeper.run.rows import STATUS_STYLES
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import FINISHED, INTERRUPTED, Listing, created
from sweeper.store.manifest import NOTES, PROVENANCE, UNREADABLE

SHOWN_NAMES: Final = 2
"""Criteria that are named beside a trial."""


def list_data(listings: Iterable[Listing]) -> list[dict[str, Any]]:
    """One row per sweep."""
    rows = []
    for listing in listings:
        try:
            choice = choose(listing)
        except ResultsError:  # no trial has completed yet
            choice = None
        rows.append(
            {
                "name": listing.name,
                "method": listing.settings["method"],
                "dataset": listing.settings["dataset"]["name"],
                "state": listing.state,
                "runs": listing.runs,
                "trials": listing.counts,
                "objective": listing.objective,
                "best_trial": choice.trial if choice else None,
                "best_value": choice.value if choice else None,
                "created": created(listing),
                "folder": str(listing.folder),
            }
        )
    return rows


def list_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """The table of the sweeps in a folder."""
    table = make_table("name", "method", "data set", "trials", "best by objective", "date")
    for row in rows:
        best = f"{row['objective']} {number(row['best_value'])} (trial {row['best_trial']})"
        add_row(
            table,
            row["name"],
            row["method"],
            row["dataset"],
            count_words(row["trials"], row["runs"], row["state"]),
            best if row["best_trial"] is not None else "–",
            date(row["created"]),
        )
    return table


def count_words(counts: Mapping[str, int], runs: int, state: str) -> Text:
    """The counts as text, such as `9 completed, 2 pruned`; with the planned number if the sweep is not finished."""
    text = Text(", ").join(Text(f"{count} {status}", style=STATUS_STYLES[status]) for status, count in counts.items())
    if state != FINISHED:
        text += Text(f"{' ' if counts else '0 '}of {runs}")
        text += Text("" if state in counts else f", {state}", style=STATUS_STYLES.get(state, ""))
    return text


def sweep_parts(listing: Listing) -> list[RenderableType]:
    """The output for one sweep: its trials, the chosen ones marked, then its config."""
    config = {key: value for key, value in listing.settings.items() if key != PROVENANCE}
    chosen = chosen_trials(listing)
    parts: list[RenderableType] = [trials_table(listing, chosen), *legend(listing, chosen)]
    counts = literal(f"{listing.name}: ") + count_words(listing.counts, listing.runs, listing.state)
    parts.append(counts)
    parts += [literal(line) for line in _checkpoints(listing, chosen)]
    parts += [literal(f"dataset: {note}") for note in _dataset_notes(listing)]
    if listing.state == INTERRUPTED:
        parts.append(literal(f"continue with: sweeper resume {listing.folder}"))
    return [*parts, Text(f"\n{yaml_narrow(config).rstrip()}")]


def _checkpoints(listing: Listing, chosen: Mapping[str, int]) -> list[str]:
    """The trials that have a checkpoint, each with the criteria that select it; no line if there are none."""
    named = []
    for kept in trials_with_checkpoint(listing):
        by = [name for name, trial in chosen.items() if trial == kept and not is_oracle(name)]
        named.append(f"trial {kept}{f' ({one_of(by)})' if by else ''}")
    line = f"checkpoints: {', '.join(named)}" if named else ""
    return textwrap.wrap(line, NARROW, subsequent_indent="  ", break_on_hyphens=False)


def one_of(names: Sequence[str]) -> str:
    """Names for a line of limited length.

    >>> one_of(["lidar", "rankme", "clid", "nesum"])
    'lidar, rankme and 2 more'
    """
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + f" and {more} more" if more > 1 else ", ".join(names)


def _dataset_notes(listing: Listing) -> list[str]:
    """What the data set said of its images, and where the files are listed that it left out."""
    origin = listing.settings.get(PROVENANCE) or {}
    notes = [str(note) for note in origin.get(NOTES) or ()]
    if origin.get(UNREADABLE):
        place = SweepFolder(listing.folder).unreadable
        notes.append(f"files that could not be read and were left out: {origin[UNREADABLE]}, listed in {place}")
    return notes
