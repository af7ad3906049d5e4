"""The sentences of `sweeper best`: whether the choice is any good, and which criterion ranked well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from analysis.stats.worth import ERRORS, Against
from sweeper.cli.choice import Choice
from sweeper.cli.evidence import AVERAGE, Evidence, Leader
from trainers.formats import accuracy, counted, listed
from trainers.records import RAW_PIXELS, UNTRAINED

if TYPE_CHECKING:
    from analysis.stats.leading import Ranked

NAMES: Final[Mapping[str, str]] = {
    UNTRAINED: "the untrained encoder",
    RAW_PIXELS: "raw pixels",
    AVERAGE: "the average trial",
}
LOSS: Final = "loss"
VERDICTS: Final = ("worse", "not clearly better", "better")
"""In the order in which they are said."""


def answer(choice: Choice, evidence: Evidence) -> str:
    """Whether the chosen trial is better than what needs no choice."""
    if choice.accuracy is None:
        return (
            "No oracle has measured it, so it is not known whether it is better than the untrained encoder, than raw "
            "pixels or than the average trial."
        )
    said = {verdict: [NAMES[one.other] for one in evidence.against if one.verdict == verdict] for verdict in VERDICTS}
    parts = [f"{verdict} than {listed(names)}" for verdict, names in said.items() if names]
    unknown = [NAMES[name] for name in NAMES if name not in {one.other for one in evidence.against}]
    unclear = [NAMES[one.other] for one in evidence.against if one.verdict == "not known"]
    lines = [f"By its accuracy, it is {', and '.join(parts)}."] if parts else []
    if unclear:
        lines.append(f"Whether it is better than {listed(unclear)} is not known: the number of test images is missing.")
    if unknown:
        lines.append(f"It is not known beside {listed(unknown)}, which was not measured.")
    return " ".join(lines)


def details(choice: Choice, evidence: Evidence) -> Iterator[str]:
    """The numbers behind the answer, one sentence each."""
    if choice.regret is not None:
        images = f" on {counted(evidence.images, 'test image')}" if evidence.images else ""
        yield (
            f"{choice.oracle}{images}: {accuracy(choice.accuracy)}; the best, trial {choice.best_trial}, has "
            f"{accuracy(choice.best_accuracy)}; the regret is {points(choice.regret)}"
        )
        yield from (beside(one, evidence) for one in evidence.against)
    yield from _ranking(choice, evidence)
    yield from _elsewhere(evidence)


def beside(one: Against, evidence: Evidence) -> str:
    """One comparison.

    >>> found = Against("raw_pixels", 0.5, -0.1, 0.02, "worse")
    >>> beside(found, Evidence(1000, (found,), 4, (), None, None, None, 0))
    '  raw pixels: 50.0%, a difference of −10.0 points; two standard errors are 4.0 points'
    """
    of = f" ({counted(evidence.measured, 'completed trial')})" if one.other == AVERAGE else ""
    sign = "+" if one.difference > 0 else ""
    text = f"  {NAMES[one.other]}{of}: {accuracy(one.accuracy)}, a difference of {sign}{points(one.difference)}"
    if one.standard_error is None:
        return text
    return f"{text}; two standard errors are {points(ERRORS * one.standard_error)}"


def points(difference: float) -> str:
    """A difference of accuracies in percentage points.

    >>> points(0.012), points(-0.1)
    ('1.2 points', '−10.0 points')
    """
    return f"{100 * difference:.1f} points".replace("-", "−")


def _ranking(choice: Choice, evidence: Evidence) -> Iterator[str]:
    """How the criterion ranked the trials, and which one ranked them best."""
    if not evidence.ranked or evidence.here is None:
        why = "no trial has an accuracy" if choice.accuracy is None else "too few trials have an accuracy"
        yield f"Which criterion ranks these trials best is not known: {why}"
        return
    best = evidence.ranked[0]
    own = next((one for one in evidence.ranked if one.criterion == choice.criterion.lstrip("+-")), best)
    if own.criterion != best.criterion:
        yield f"{named(own.criterion)} ranked the trials with {tau(own)}"
    criteria = counted(sum(one.criterion != LOSS for one in evidence.ranked), "criterion").replace(
        "criterions", "criteria"
    )
    among = f"{criteria} and the loss" if any(one.criterion == LOSS for one in evidence.ranked) else criteria
    yield (
        f"Of {among}, {named(best.criterion)} ranked the trials best, with {tau(best)}, and selects "
        f"{chosen(evidence.here)}, which is optimistic, because {named(best.criterion)} was chosen with these labels"
    )


def tau(found: Ranked) -> str:
    """A τ with its interval.

    >>> from analysis.stats.leading import Ranked
    >>> tau(Ranked("lidar", 16, 0.512, -0.1, 0.75))
    'τ 0.51 [−0.10, 0.75] over 16 trials'
    """
    return f"τ {decimals(found.tau)} [{decimals(found.low)}, {decimals(found.high)}] over {counted(found.n, 'trial')}"


def _elsewhere(evidence: Evidence) -> Iterator[str]:
    """Which criterion ranked best in the other sweeps, and what it selects here."""
    if evidence.mean is None or evidence.elsewhere is None:
        yield "Which criterion ranks best in other sweeps is not known: no other sweep of this folder has an oracle"
        return
    mean = evidence.mean
    spread = f", from {decimals(mean.least)} to {decimals(mean.greatest)}" if len(mean.sweeps) > 1 else ""
    yield (
        f"Over {counted(len(mean.sweeps), 'other sweep')} of this folder, without this one, {named(mean.criterion)} "
        f"ranked best (mean τ {decimals(mean.mean)}{spread}) and selects {chosen(evidence.elsewhere)} here"
    )


def named(criterion: str) -> str:
    """A criterion in a sentence.

    >>> named("lidar"), named("loss")
    ('lidar', 'the loss')
    """
    return "the loss" if criterion == LOSS else criterion


def chosen(leader: Leader) -> str:
    """The trial that a criterion selects, with its accuracy."""
    return f"trial {leader.trial}" + (f" ({accuracy(leader.accuracy)})" if leader.accuracy is not None else "")


def decimals(tau: float) -> str:
    """A τ with two decimals.

    >>> decimals(-0.123)
    '−0.12'
    """
    return f"{tau:.2f}".replace("-", "−")
