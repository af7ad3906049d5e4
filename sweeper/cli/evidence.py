"""What the recorded numbers of a sweep say about the chosen trial: against what it is better, and who ranked well."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sweeper.cli.choice import Choice
from sweeper.errors import ResultsError
from sweeper.store.layout import sweep_names
from sweeper.store.listing import Listing, settings_criteria, written_trials
from sweeper.store.manifest import PROVENANCE, read_settings
from trainers.records import COMPLETED, RAW_PIXELS, UNTRAINED

if TYPE_CHECKING:
    from analysis.data.columns import ScoreColumn
    from analysis.stats.leading import MeanTau, Ranked
    from analysis.stats.worth import Against

logger = logging.getLogger(__name__)

AVERAGE: Final = "average"
"""The mean over the completed trials: what a choice at random gives."""


@dataclass(frozen=True)
class Leader:
    """The trial that the best-ranking criterion selects here."""

    criterion: str
    trial: int
    accuracy: float | None


@dataclass(frozen=True)
class Evidence:
    """What is known of a choice."""

    images: int | None
    """Test images of the oracle."""
    against: tuple[Against, ...]
    measured: int
    """Completed trials with an oracle."""
    ranked: tuple[Ranked, ...]
    """The criteria and the loss by their τ in this sweep, the best first; empty without an oracle."""
    here: Leader | None
    """By the criterion with the greatest τ here. It is optimistic: the criterion was chosen with the same labels."""
    elsewhere: Leader | None
    """By the criterion with the greatest mean τ over the other sweeps of the results folder."""
    mean: MeanTau | None
    """That mean."""
    others: int
    """The other sweeps with an oracle, of which the mean is."""


def gather(listing: Listing, choice: Choice) -> Evidence:
    """What the tables of the sweep, and of the others in its folder, say about the choice."""
    from analysis.stats.leading import mean_taus, rank_criteria

    completed = [row for row in listing.trials if row["status"] == COMPLETED]
    columns = criteria_of(listing.settings)
    ranked = rank_criteria(listing.trials, columns, listing.settings)
    elsewhere = taus_elsewhere(listing)
    named = {column.name: column for column in columns}
    means = mean_taus({name: [one for one in taus if one.criterion in named] for name, taus in elsewhere.items()})
    row = next(row for row in completed if row["trial"] == choice.trial)
    return Evidence(
        images=row.get("oracle_n"),
        against=tuple(compare_with(listing, row, completed)),
        measured=sum(one.get("oracle") is not None for one in completed),
        ranked=tuple(ranked),
        here=_leader(named[ranked[0].criterion], completed) if ranked else None,
        elsewhere=_leader(named[means[0].criterion], completed) if means else None,
        mean=means[0] if means else None,
        others=len(elsewhere),
    )


def criteria_of(settings: Mapping[str, Any]) -> list[ScoreColumn]:
    """The criteria on their default layers, and the loss."""
    from analysis.data.columns import make_score_column
    from analysis.data.criteria import LOSS, known_criteria

    known = known_criteria(settings)
    return [make_score_column(name, known) for name in (*settings_criteria(settings), LOSS)]


def compare_with(listing: Listing, row: Mapping[str, Any], completed: Sequence[Mapping[str, Any]]) -> list[Against]:
    """The chosen trial against the untrained encoder, raw pixels and the average trial, where they are known."""
    from analysis.stats.worth import against

    if row.get("oracle") is None:
        return []
    others = {one["baseline"]: one for one in listing.baselines if one.get("oracle") is not None}
    found = [
        against(name, row["oracle"], row.get("oracle_n"), others[name]["oracle"], others[name].get("oracle_n"))
        for name in (UNTRAINED, RAW_PIXELS)
        if name in others
    ]
    accuracies = [one["oracle"] for one in completed if one.get("oracle") is not None]
    if len(accuracies) > 1:
        mean = sum(accuracies) / len(accuracies)
        found.append(against(AVERAGE, row["oracle"], row.get("oracle_n"), mean, row.get("oracle_n")))
    return found


def taus_elsewhere(listing: Listing) -> dict[str, list[Ranked]]:
    """Sweep -> its criteria by τ, for the other sweeps of the same folder that have an oracle; no copy of this one.

    A sweep that cannot be read is left out, and the log names it.
    """
    from analysis.stats.leading import rank_criteria

    home, mine = listing.folder.resolve().parent, _identity(listing.settings)
    found: dict[str, list[Ranked]] = {}
    for name in sweep_names(home):
        if name == listing.name:
            continue
        try:
            settings = read_settings(home / name)
            if mine is None or _identity(settings) != mine:
                ranked = rank_criteria(written_trials(home / name, settings), criteria_of(settings), settings)
                found |= {name: ranked} if ranked else {}
        except (ResultsError, ValueError, TypeError, AttributeError) as error:  # a sweep.yaml may hold anything
            logger.warning("left out of the other sweeps: %s: %s", name, error)
    return found


def _identity(settings: Mapping[str, Any]) -> object:
    """What a copy of a sweep has in common with it."""
    return (settings.get(PROVENANCE) or {}).get("id")


def _leader(column: ScoreColumn, completed: Sequence[Mapping[str, Any]]) -> Leader | None:
    """The trial that a criterion selects; None if it is finite for none."""
    import pandas as pd

    from analysis.stats.selection import best_trial

    try:
        number = int(best_trial(pd.DataFrame(completed), column)["trial"])
    except ValueError:
        return None
    row = next(row for row in completed if row["trial"] == number)
    return Leader(column.name, number, row.get("oracle"))
