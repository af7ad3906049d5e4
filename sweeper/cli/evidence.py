"""What the recorded numbers of a sweep say about the chosen trial: against what it is better, and who ranked well."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sweeper.cli.choice import Choice
from sweeper.errors import ResultsError
from sweeper.store.layout import sweep_names
from sweeper.store.listing import Listing, settings_criteria, written_trials
from sweeper.store.manifest import PROVENANCE, read_settings
from trainers.records import COMPLETED, RAW_PIXELS, UNTRAINED

if TYPE_CHECKING:
    from analysis.data.columns import ScoreColumn
    from analysis.stats.leading import MeanTau, Ranked

logger = logging.getLogger(__name__)

Verdict = Literal["better", "not clearly better", "worse", "not known"]

AVERAGE: Final = "average"
"""The mean over the completed trials: what a choice at random gives."""
ERRORS: Final = 2
"""Standard errors within which a difference is not clear."""


@dataclass(frozen=True)
class Against:
    """The accuracy of the chosen trial minus another one, and what its standard error says of it."""

    other: str
    """untrained · raw_pixels · average"""
    accuracy: float
    """Of the other."""
    difference: float
    standard_error: float | None
    """Of the difference; None if the number of test images is not known."""
    verdict: Verdict


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


def against(other: str, mine: float, n: int | None, theirs: float, m: int | None) -> Against:
    """Two accuracies over n and m test images, compared.

    The standard errors are those of independent images (Agresti & Caffo 2000, The American Statistician 54: one right
    and one wrong answer are added to each). The images are the same, and the tables do not say which were right, so
    the true error of the difference is usually less. The average trial counts as one encoder of that accuracy.

    >>> [against("untrained", mine, 1000, 0.5, 1000).verdict for mine in (0.6, 0.52, 0.48, 0.4)]
    ['better', 'not clearly better', 'not clearly better', 'worse']
    """
    difference = mine - theirs
    errors = [squared_error(mine, n), squared_error(theirs, m)]
    if any(error is None for error in errors):
        return Against(other, theirs, difference, None, "not known")
    error = math.sqrt(sum(one for one in errors if one is not None))
    if abs(difference) <= ERRORS * error:
        return Against(other, theirs, difference, error, "not clearly better")
    return Against(other, theirs, difference, error, "better" if difference > 0 else "worse")


def squared_error(accuracy: float, n: int | None) -> float | None:
    """The squared standard error of an accuracy over n images; None if it is no share, or n is not known.

    >>> squared_error(0.5, 98), squared_error(0.5, None), squared_error(69.1, 100)
    (0.0025, None, None)
    """
    if n is None or n <= 0 or not 0 <= accuracy <= 1:
        return None
    share = (accuracy * n + 1) / (n + 2)
    return share * (1 - share) / (n + 2)


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
