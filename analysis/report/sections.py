"""The sections of a report; each answers one question with text, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence

from pandas import DataFrame

from analysis.data.columns import ScoreColumn, is_layer
from analysis.data.results import Results
from analysis.figures import build as figures
from analysis.report import crosstabs, table_columns
from analysis.report.html import Section
from analysis.report.judge import has_oracle
from analysis.report.summary import selected_without_oracle, summary
from analysis.report.table_columns import optional_table
from analysis.report.tables import TextTable
from analysis.stats.judgement import Judgement, rows_with, without_layers
from analysis.text import captions, cautions, findings, pruning_findings, questions


def sweep_sections(
    results: Results, judgement: Judgement, criteria: Sequence[ScoreColumn], files: figures.FigureFiles
) -> list[Section]:
    """The sections of one sweep's report; its figures are written to `files`."""
    measured = has_oracle(results)
    found = (
        findings.relations_and_selections(judgement)
        if measured
        else (findings.selections_without_oracle(results, judgement),)
    )
    return not_empty(
        Section(questions.SUMMARY, text=found, warnings=tuple(judgement.cautions["text"])),
        Section(
            questions.SELECTION_WITHOUT_ORACLE,
            tables=() if measured else selected_without_oracle(results, judgement),
        ),
        Section(
            questions.RANKING,
            tables=(summary(results, judgement),) if measured else (),
            figures=tuple(figures.ranking_figures(results, judgement, criteria, files)),
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
            figures=(*figures.epoch_figures(judgement, files), *figures.curve_figures(results, criteria, files)),
        ),
        Section(
            questions.PRUNING if measured else questions.PRUNING_WITHOUT_ORACLE,
            text=(
                *pruning_findings.pruning_as_it_ran(judgement.audit),
                *pruning_findings.replayed_pruners(judgement.pruning),
                *pruning_findings.replayed_trials(judgement, results),
            ),
            tables=(
                *optional_table("Pruning as the sweep ran", judgement.audit, table_columns.AUDIT),
                *crosstabs.pruning(judgement.pruning),
            ),
            figures=tuple(figures.pruning_figure(judgement, files)),
        ),
        Section(
            questions.HYPERPARAMETERS,
            tables=(
                *crosstabs.by_axis(judgement.by_axis),
                *optional_table(
                    "τ given each hyperparameter", rows_with(judgement.partial, "tau"), table_columns.PARTIAL
                ),
            ),
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
            text=findings.costs(judgement.cost),
            tables=optional_table("Time", judgement.cost, table_columns.COST),
        ),
        layers_section(judgement),
        Section(questions.METHOD, text=questions.METHOD_ANSWER if measured else (questions.METHOD_FILES,)),
    )


def combined_sections(results: Results, judgement: Judgement, across: Sequence[str], files: figures.FigureFiles) -> list[Section]:
    """The sections of the report over several sweeps; no statistic is pooled across sweeps."""
    audited = judgement.audit["sweep"] if len(judgement.audit) else ()
    pruned = zip(audited, pruning_findings.pruning_as_it_ran(judgement.audit), strict=True)
    return not_empty(
        Section(
            questions.ACROSS,
            text=findings.over_sweeps(judgement.across_sweeps),
            tables=crosstabs.across_sweeps(judgement.across_sweeps),
        ),
        Section(
            questions.RANKING,
            tables=(summary(results, judgement),),
            figures=tuple(figures.forest_figure(judgement, files)),
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


def comparison_section(judgement: Judgement) -> Section:
    """The section that compares every pair of criteria."""
    pairs = rows_with_trials(judgement.comparison)
    return Section(questions.COMPARISON, tables=optional_table("Pairs of criteria", pairs, table_columns.COMPARISON))


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
    tables = optional_table("The selected trials", plain, table_columns.SELECTION)
    cells = judgement.selection_by_hyperparameter
    several = len(cells) and cells["hyperparameter"].nunique() > 1  # one of them is the sweep as a whole
    return (*tables, crosstabs.by_hyperparameter(cells)) if several else tables


def rows_with_trials(table: DataFrame) -> DataFrame:
    """The rows with at least one trial."""
    return table[table["n"] > 0] if "n" in table else table


def not_empty(*sections: Section) -> list[Section]:
    """The sections with any content."""
    return [section for section in sections if section.text or section.tables or section.figures or section.warnings]
