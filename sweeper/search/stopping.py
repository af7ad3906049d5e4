"""The decision after each report: the trial continues, is collapsed, is pruned, or runs on for the audit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sweeper.config.model import CollapseRule
from sweeper.search.seeds import audit_draw
from sweeper.search.study import Study
from trainers.records import COLLAPSED, DIVERGED, EMBEDDING, PRUNED, EpochReport

AUDITED: Final = "audited"
"""The verdict on a trial that the pruner would have stopped, but that runs on for the audit."""


@dataclass(frozen=True)
class Decision:
    """The decision after a report; `verdict` is "", collapsed, diverged, pruned or audited."""

    verdict: str = ""
    reason: str = ""

    @property
    def stops(self) -> bool:
        """Whether the trial ends here."""
        return self.verdict in (COLLAPSED, DIVERGED, PRUNED)


def decide(study: Study, reports: Sequence[EpochReport], *, may_prune: bool) -> Decision:
    """Record the last report of a trial in the study, and decide whether the trial continues.

    Divergence and collapse are checked first, because the median pruner prunes on NaN. The pruner is not asked at the
    last epoch, nor at an epoch whose criteria were not measured, of which the study does not hear.

    Args:
        study: the study of the sweep.
        reports: of one trial, oldest first.
        may_prune: whether to ask the pruner.
    """
    config, report = study.config, reports[-1]
    if report.measured:
        study.report(report.trial, report.epoch, report.criteria[config.objective])
    diverged = divergence_reason(report)
    if diverged:
        return Decision(DIVERGED, diverged)
    collapsed = collapse_reason(
        reports, config.collapse, objective=config.objective, epochs=config.epochs, maximize=study.maximize
    )
    if collapsed:
        return Decision(COLLAPSED, collapsed)
    if config.pruner.name == "none" or report.epoch >= config.epochs or not may_prune or not report.measured:
        return Decision()
    if not study.should_prune(report.trial):
        return Decision()
    value = report.criteria[config.objective]
    reason = f"{config.pruner.name} pruner at epoch {report.epoch}: {config.objective} {value:.4g}"
    others = study.median_of_completed(report.epoch) if config.pruner.name == "median" else math.nan
    if math.isfinite(others):
        reason += f", median of the completed trials {others:.4g}"
    audited = is_audited(config.search.seed, report.trial, config.pruner.audit)
    return Decision(AUDITED if audited else PRUNED, reason)


def divergence_reason(report: EpochReport) -> str:
    """Why the trial has diverged, if the loss or the embeddings of this report are not finite, else ""."""
    if not math.isfinite(report.loss):
        return f"loss is {report.loss} at epoch {report.epoch}"
    if not math.isfinite(report.spread):
        return f"the embeddings are not finite at epoch {report.epoch}"
    return ""


def collapse_reason(
    reports: Sequence[EpochReport], rule: CollapseRule, *, objective: str, epochs: int, maximize: bool = True
) -> str:
    """Why the trial with these reports has collapsed, or "" if it has not.

    An objective that is not finite, of finite embeddings, is a collapse immediately. The thresholds must be violated in
    two consecutive epochs after the warm-up, so that a slow start is not a collapse. LiDAR does not detect a collapse
    onto a point, so the rule also uses the spread of the embeddings and the RankMe of the uncentred embeddings, which
    every report has. The rule on the peak of the objective compares measured epochs.

    Args:
        reports: of one trial, oldest first.
        rule: the thresholds.
        objective: the criterion that the search watches.
        epochs: epochs of a full trial; the warm-up is a share of them.
        maximize: whether more of the objective is better; otherwise the rule on its peak does not apply.
    """
    last = reports[-1]
    if last.measured and not math.isfinite(last.criteria[objective]):
        return f"{objective} is {last.criteria[objective]} at epoch {last.epoch}"
    if len(reports) < 2:
        return ""
    if reports[-2].epoch > rule.warmup * epochs:
        before, now = (_shortfalls(report, rule) for report in reports[-2:])
        for name, text in now.items():
            if name in before:
                return f"{text} at epochs {reports[-2].epoch} and {last.epoch}"
    return _fall(reports, rule, objective, epochs) if maximize and last.measured else ""


def _shortfalls(report: EpochReport, rule: CollapseRule) -> Mapping[str, str]:
    """The thresholds that a report is below: name -> text for the reason."""
    found: dict[str, str] = {}
    rankme = report.criteria.get(f"rankme.{EMBEDDING}", report.embedding_rank)
    if rankme < rule.rankme:
        found["rankme"] = f"RankMe of the embeddings under {rule.rankme:g}: {rankme:.3g}"
    if report.spread < rule.spread:
        found["spread"] = f"spread of the embeddings under {rule.spread:g}: {report.spread:.3g}"
    return found


def _fall(reports: Sequence[EpochReport], rule: CollapseRule, objective: str, epochs: int) -> str:
    """The reason, if the objective is below its share of the peak at the last two measured epochs, else ""."""
    values = {report.epoch: report.criteria[objective] for report in reports if report.measured}
    if rule.peak_share is None or len(values) < 2:
        return ""
    (before, earlier), (epoch, value) = list(values.items())[-2:]
    peak = max(values.values())
    if before <= rule.warmup * epochs or max(earlier, value) >= rule.peak_share * peak:
        return ""
    return f"{objective} under {rule.peak_share:g} of its peak {peak:.3g}: {value:.3g} at epochs {before} and {epoch}"


def is_audited(seed: int, number: int, share: float) -> bool:
    """Whether trial `number` is in the audit: a random draw that depends only on the sweep's seed and the number.

    >>> sum(is_audited(0, number, 0.2) for number in range(10_000)) / 10_000
    0.2002
    """
    return audit_draw(seed, number) < share
