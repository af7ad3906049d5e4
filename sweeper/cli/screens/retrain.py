"""What `sweeper retrain` says: to which epoch the trial was trained, and whether its reports are the recorded ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sweeper.cli.again import retrain_command
from sweeper.cli.screens.cells import literal
from sweeper.cli.screens.wide import WideTable
from sweeper.run.differences import Comparison
from sweeper.run.retrain import Retrained
from sweeper.store.listing import Listing
from trainers.formats import counted, plain
from trainers.records import COMPLETED


def retrain_parts(listing: Listing, row: Mapping[str, Any], done: Retrained) -> list[RenderableType]:
    """The outcome as text, and a table of what differs."""
    number = row["trial"]
    if done.kept:
        return [literal(f"trial {number} has its checkpoint already: {done.checkpoint}")]
    if done.interrupted:
        again = retrain_command(listing.folder, number)
        return [literal(f"{done.interrupted} after epoch {done.epochs} of {row['epochs']}; continue with: {again}")]
    assert done.comparison is not None
    parts: list[RenderableType] = [literal(_what(listing, row, done)), *_verdict(done.comparison)]
    parts += [literal(f"not as in the sweep: {note}") for note in done.notes]
    if not done.comparison.equal and not done.notes:
        parts.append(literal("the device, the machine and the recorded versions are those of the sweep"))
    return [*parts, literal(f"checkpoint: {done.checkpoint}")]


def _what(listing: Listing, row: Mapping[str, Any], done: Retrained) -> str:
    """Which trial was trained, and to which epoch."""
    planned = listing.settings.get("epochs")
    what = f"trial {row['trial']} of {listing.name} was trained again to epoch {done.epochs} of {planned}"
    return what if row["status"] == COMPLETED else f"{what}, where it was {row['status']}"


def _verdict(found: Comparison) -> list[RenderableType]:
    """Whether the reports are equal, and the largest difference of each column."""
    missing = f"; epoch {found.missing[0]} was not recorded" if found.missing else ""
    if len(found.missing) > 1:
        missing = f"; {counted(len(found.missing), 'epoch')} were not recorded"
    over = f"{counted(found.values, 'value')} in {counted(found.epochs, 'report')}"
    if not found.values:
        return [literal(f"no report is recorded, so nothing could be compared{missing}")]
    if not found.differences:
        return [literal(f"its reports are equal to the bit: {over}{missing}")]
    table = WideTable(
        ("column", "difference", "epoch", "recorded", "again"),
        [
            ([one.column, plain_size(one.size), str(one.epoch), repr(one.recorded), repr(one.again)], None)
            for one in sorted(found.differences, key=lambda one: one.column.count("."))
        ],
    )
    head = f"its reports differ ({over}{missing}); the largest difference of each column:"
    return [literal(head), table, Text("")]


def plain_size(size: float) -> str:
    """A difference; in words if one of the two values is not finite.

    >>> plain_size(0.00012), plain_size(float("inf"))
    ('0.00012', 'not finite')
    """
    return plain(size) if size != float("inf") else "not finite"
