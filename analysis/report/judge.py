"""Judges every sweep: computes each table of a report, and writes them as CSV files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pandas import DataFrame

from analysis.data.columns import Criteria, ScoreColumn
from analysis.data.criteria import labels_of
from analysis.data.results import Results
from analysis.stats.across import across_sweeps, failed_with_oracle, sound_trials
from analysis.stats.audit import audit
from analysis.stats.axes import by_axis
from analysis.stats.ceiling import ceiling
from analysis.stats.comparison import compare
from analysis.stats.cost import cost
from analysis.stats.epochs import by_epoch, known_from
from analysis.stats.frontier import frontier
from analysis.stats.hyperparameters import partial, select_by_hyperparameter
from analysis.stats.importance import importance
from analysis.stats.judgement import Judgement, tables
from analysis.stats.noise import noise
from analysis.stats.ranking import kendall
from analysis.stats.selection import select
from analysis.text.cautions import cautions
from analysis.text.numbers import label_of
from analysis.text.safe import for_csv

if TYPE_CHECKING:
    from optuna.pruners import BasePruner


def judge(results: Results, criteria: Criteria = None, *, pruners: Mapping[str, BasePruner] | None = None) -> Judgement:
    """Judge every sweep of `results`; nothing is pooled across sweeps."""
    trials, reports = results.trials, results.reports
    criteria = results.score_columns(criteria)
    epochs = by_epoch(trials, reports, criteria)
    ranking = kendall(trials, criteria)
    if len(epochs):
        ranking = ranking.merge(known_from(epochs), on=["sweep", "criterion"], how="left")
    names = {sweep: study_name(settings, sweep) for sweep, settings in results.sweeps.items()}
    given = partial(trials, criteria)
    replayed = len(reports) > 0 and "epoch" in reports
    with labels_of(results.criteria):
        ranking.insert(list(ranking.columns).index("criterion") + 1, "label", ranking["criterion"].map(label_of))
        warnings = cautions(trials, results.baselines, ranking, given, results.sweeps)
    return Judgement(
        ranking=ranking,
        selection=select(trials, criteria),
        selection_by_hyperparameter=select_by_hyperparameter(trials, criteria),
        comparison=compare(trials, criteria),
        partial=given,
        by_axis=by_axis(trials, criteria),
        importance=importance(trials, criteria, sweeps=results.sweeps),
        ceiling=ceiling(trials),
        noise=noise(trials, results.baselines, criteria),
        by_epoch=epochs,
        pruning=frontier(trials, reports, criteria, pruners=pruners, study_names=names) if replayed else DataFrame(),
        audit=audit(trials, results.sweeps),
        cost=cost(trials, reports) if replayed else DataFrame(),
        cautions=warnings,
        across_sweeps=across_sweeps(ranking, ranking_of_sound(trials, criteria)),
    )


def ranking_of_sound(trials: DataFrame, criteria: Criteria) -> DataFrame | None:
    """The ranking of several sweeps without collapsed and diverged trials; None if it is the same or has no trials."""
    sound = sound_trials(trials)
    differs = trials["sweep"].nunique() > 1 and failed_with_oracle(trials) and len(sound) > 0
    return kendall(sound, criteria) if differs else None


def study_name(settings: Mapping[str, object], sweep: str) -> str:
    """The name of the sweep's study, which determines Hyperband's brackets."""
    origin = settings.get("provenance")
    return str(origin.get("study", sweep)) if isinstance(origin, Mapping) else sweep


def has_oracle(results: Results) -> bool:
    """Whether any trial has an oracle."""
    return bool(results.trials["oracle"].notna().any())


def write_tables(judgement: Judgement, folder: Path) -> None:
    """Write one CSV per table; for an empty table, delete the file that an earlier run wrote."""
    for name, table in tables(judgement).items():
        file = folder / f"{name}.csv"
        if table.empty:
            file.unlink(missing_ok=True)
        else:
            for_csv(table).to_csv(file, index=False)


def plain_criteria(results: Results, criteria: Criteria) -> list[ScoreColumn]:
    """The criteria in the figures of a report: the plain ones, or single layers if only these were chosen."""
    chosen = results.score_columns(criteria)
    return [criterion for criterion in chosen if not criterion.layer] or list(chosen)
