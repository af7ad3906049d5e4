"""The sections of a report; each answers one question with text, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from pandas import DataFrame, Series

from analysis.data.columns import ScoreColumn, is_layer
from analysis.data.results import Results
from analysis.figures import build as figures
from analysis.figures.parallel import parallel_figure
from analysis.report import crosstabs, table_columns
from analysis.report.html import Picture, Section
from analysis.report.judge import has_oracle
from analysis.report.setup_table import setup_table
from analysis.report.summary import selected_without_oracle, summary
from analysis.report.table_columns import optional_table
from analysis.report.tables import TextTable
from analysis.report.trial_table import hyperparameters_of, trial_table
from analysis.stats.judgement import Judgement, rows_with, without_layers
from analysis.text import captions, cautions, findings, pruning_findings, questions
from analysis.text.answer import answer, steering

LONG: Final = 12
"""The most rows of a table of details that the page shows without being asked."""
COSTS: Final = 2
"""The sentences on costs that the page shows without being asked: the probe, and the first criterion."""


def sweep_sections(
    results: Results,
    judgement: Judgement,
    criteria: Sequence[ScoreColumn],
    files: figures.FigureFiles,
    address: Callable[[int], str] = lambda _: "",
    pictures: tuple[Picture, ...] = (),
) -> list[Section]:
    """The sections of one sweep's report; its figures are written to `files`.

    `address`: trial -> the address of its files, or "". `pictures`: of the images.
    """
    measured = has_oracle(results)
    settings = next(iter(results.sweeps.values()), {})
    steered = steering(judgement.ranking, settings)
    scatters = list(figures.ranking_figures(results, judgement, criteria, files))
    curves = list(figures.curve_figures(results, criteria, files))
    replayed = judgement.pruning
    steers = replayed["criterion"] == steered if len(replayed) else Series(dtype=bool)
    picture = figures.of_criterion(scatters if measured else curves, steered)
    return not_empty(
        Section(
            questions.ANSWER if measured else questions.ANSWER_WITHOUT_ORACLE,
            text=answer(
                steered,
                judgement.ranking,
                judgement.selection,
                results.baselines,
                findings.test_images(results.trials),
            ),
            facts=selected_hyperparameters(results, judgement, steered),
            warnings=tuple(judgement.cautions["text"]),
            figures=picture,
            beside=True,
        ),
        Section(questions.TRIALS, tables=(trial_table(results, judgement, criteria, steered, address),)),
        Section(
            questions.SELECTION_WITHOUT_ORACLE,
            tables=() if measured else selected_without_oracle(results, judgement),
        ),
        Section(
            questions.RANKING,
            tables=(summary(results, judgement),) if measured else (),
            figures=tuple(one for one in scatters if one not in picture),
            details=findings.relations_and_selections(judgement) if measured else (),
        ),
        Section(
            questions.SELECTION,
            tables=selection_tables(judgement),
            figures=tuple(figures.selection_figure(results, judgement, files)),
        ),
        comparison_section(judgement),
        Section(
            questions.EPOCHS if measured else questions.EPOCHS_WITHOUT_ORACLE,
            text=findings.earliest_epochs(judgement.ranking),
            figures=(*figures.epoch_figures(judgement, files), *(one for one in curves if one not in picture)),
        ),
        Section(
            questions.PRUNING if measured else questions.PRUNING_WITHOUT_ORACLE,
            text=(
                *pruning_findings.pruning_as_it_ran(judgement.audit),
                *pruning_findings.replayed_pruners(replayed[steers]),
                *pruning_findings.replayed_trials(judgement, results),
            ),
            tables=(
                *optional_table("Pruning as the sweep ran", judgement.audit, table_columns.AUDIT),
                *crosstabs.pruning(judgement.pruning),
            ),
            details=pruning_findings.replayed_pruners(replayed[~steers]),
            figures=tuple(figures.pruning_figure(judgement, files, steered)),
        ),
        Section(
            questions.HYPERPARAMETERS if measured else questions.HYPERPARAMETERS_WITHOUT_ORACLE,
            tables=(
                *crosstabs.importance(judgement.importance),
                *crosstabs.by_axis(judgement.by_axis),
                *folded_if_long(
                    optional_table(
                        "τ given each hyperparameter", rows_with(judgement.partial, "tau"), table_columns.PARTIAL
                    )
                ),
            ),
            figures=(
                *figures.slice_figure(results, judgement, steered, files),
                *parallel_figure(results, judgement, steered, files),
            ),
            wide=True,
        ),
        Section(
            questions.NOISE,
            text=findings.trained_and_untrained(judgement.noise),
            tables=optional_table(
                "Values, noise and the untrained encoder",
                without_layers(judgement.noise) if len(judgement.noise) else judgement.noise,
                table_columns.NOISE,
                captions.NOISE,
            ),
        ),
        Section(
            questions.CEILING,
            text=findings.ceilings(judgement.ceiling),
            tables=optional_table("The oracle against itself", judgement.ceiling, table_columns.CEILING),
        ),
        Section(
            questions.COST,
            text=findings.costs(judgement.cost)[:COSTS],
            details=findings.costs(judgement.cost)[COSTS:],
            tables=optional_table("Time", judgement.cost, table_columns.COST),
        ),
        layers_section(judgement),
        Section(questions.SETUP, tables=setup_table(settings), pictures=pictures),
        Section(questions.METHOD, text=questions.METHOD_ANSWER if measured else (questions.METHOD_FILES,)),
    )


def combined_sections(
    results: Results, judgement: Judgement, across: Sequence[str], files: figures.FigureFiles
) -> list[Section]:
    """The sections of the report over several sweeps; no statistic is pooled across sweeps."""
    audited = judgement.audit["sweep"] if len(judgement.audit) else ()
    pruned = zip(audited, pruning_findings.pruning_as_it_ran(judgement.audit), strict=True)
    return not_empty(
        Section(
            questions.ACROSS,
            text=findings.over_sweeps(judgement.across_sweeps),
            tables=crosstabs.across_sweeps(judgement.across_sweeps),
            figures=tuple(figures.forest_figure(judgement, files)),
            beside=True,
        ),
        Section(
            questions.RANKING,
            tables=(summary(results, judgement),),
            warnings=tuple(across),
        ),
        Section(questions.CAUTIONS, warnings=cautions.of_each_sweep(judgement.cautions)),
        comparison_section(judgement),
        Section(
            questions.PRUNED_SWEEPS,
            text=tuple(f"{sweep}: {line}" for sweep, line in pruned),
            tables=optional_table("Pruning as the sweeps ran", judgement.audit, table_columns.AUDIT),
        ),
        layers_section(judgement),
        Section(questions.METHOD, text=(questions.METHOD_ACROSS, *questions.METHOD_ANSWER)),
    )


def folded_if_long(tables: Sequence[TextTable]) -> tuple[TextTable, ...]:
    """The tables, folded away on the page if they have many rows."""
    return tuple(replace(table, folded=len(table.rows) > LONG) for table in tables)


def selected_hyperparameters(results: Results, judgement: Judgement, criterion: str) -> tuple[tuple[str, str], ...]:
    """The swept hyperparameters of the trial that a criterion selects."""
    chosen = judgement.selection.loc[judgement.selection["criterion"] == criterion, "trial"].dropna()
    return hyperparameters_of(results.trials, chosen.iloc[0]) if len(chosen) else ()


def comparison_section(judgement: Judgement) -> Section:
    """The section that compares every pair of criteria."""
    pairs = rows_with_trials(judgement.comparison)
    tables = optional_table("Pairs of criteria", pairs, table_columns.COMPARISON)
    several = pairs["sweep"].nunique() > 1 if len(pairs) else False
    return Section(
        questions.COMPARISON,
        text=() if several else findings.comparisons(judgement.comparison),
        tables=folded_if_long(tables),
    )


def layers_section(judgement: Judgement) -> Section:
    """The section with every criterion on every layer."""
    rows = rows_with_trials(judgement.ranking)
    means = crosstabs.across_sweeps(judgement.across_sweeps, layers=True)
    tables = optional_table("All rows of ranking.csv", rows, table_columns.RANKING)
    return Section(questions.LAYERS, tables=(*means, *tables))


def selection_tables(judgement: Judgement) -> tuple[TextTable, ...]:
    """The tables of selection and of selection by hyperparameter; none without an oracle."""
    plain = judgement.selection[~judgement.selection["criterion"].map(is_layer)]
    if plain["oracle"].isna().all():
        return ()
    tables = optional_table("The selected trials", plain, table_columns.SELECTION, captions.SELECTED)
    cells = judgement.selection_by_hyperparameter
    several = len(cells) and cells["hyperparameter"].nunique() > 1  # one of them is the sweep as a whole
    return (*tables, crosstabs.by_hyperparameter(cells)) if several else tables


def rows_with_trials(table: DataFrame) -> DataFrame:
    """The rows with at least one trial."""
    return table[table["n"] > 0] if "n" in table else table


def not_empty(*sections: Section) -> list[Section]:
    """The sections with any content."""
    return [section for section in sections if section.has_content]
