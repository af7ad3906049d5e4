"""What a report holds, section by section."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis.data.columns import ScoreColumn, is_layer
from analysis.data.load import Results
from analysis.figures import build as figures
from analysis.report import crosstabs
from analysis.report import table_columns as printed
from analysis.report import unlabelled as unjudged
from analysis.report.html import Section
from analysis.report.judgement import Judgement
from analysis.text import findings as sentences
from analysis.text.findings import METHOD, known_rows
from analysis.text.numbers import accuracy, listed
from trainers.records import STATUSES


def headline(results: Results) -> str:
    """One line on what was judged."""
    trials = results.trials
    parts = [str(trials[name].iloc[0]) for name in ("method", "dataset", "encoder") if name in trials]
    counts = trials["status"].value_counts()
    states = ", ".join(f"{counts[status]} {status}" for status in STATUSES if status in counts)
    oracle = trials["oracle"].dropna()
    text = f"{' · '.join(parts)} · {len(trials)} trials ({states})" if parts else f"{len(trials)} trials ({states})"
    if len(oracle):
        text += f" · oracle from {accuracy(oracle.min())} to {accuracy(oracle.max())}"
        n = trials["oracle_n"].max() if "oracle_n" in trials else float("nan")
        text += f" over {n:.0f} test images" if pd.notna(n) else ""
    return text


def sweep_sections(
    results: Results, judgement: Judgement, criteria: Sequence[ScoreColumn], folder: Path
) -> list[Section]:
    """The report of one sweep; figures are written below `folder`."""
    judged = unjudged.has_oracle(results)
    short = sentences.in_short(judgement) if judged else (unjudged.chosen_words(results, judgement),)
    made = [
        Section("In short", text=short, warnings=tuple(judgement.cautions["text"])),
        Section("What does each criterion select?", tables=() if judged else unjudged.chosen(results, judgement)),
        Section(
            "How well does each criterion rank the trials?",
            tables=(printed.summary(results, judgement),) if judged else (),
            figures=tuple(figures.ranking_figures(results, judgement, criteria, folder)),
        ),
        Section(
            "What does selecting by it keep?",
            tables=(*chosen_tables(judgement),),
            figures=tuple(figures.kept_figure(results, judgement, folder)),
        ),
        Section(
            "Which criterion is better?",
            tables=printed.of("Pairs of criteria", with_trials(judgement.comparison), printed.COMPARISON),
        ),
        Section(
            "When is it known?" if judged else "How does each criterion develop?",
            text=sentences.known_words(judgement.ranking),
            figures=(
                *figures.epoch_figures(judgement, folder),
                *figures.curve_figures(results, criteria, folder),
            ),
        ),
        Section(
            "Would pruning by it have paid?" if judged else "What would pruning by it have saved?",
            text=(*sentences.audit_words(judgement.audit), *sentences.pruning_words(judgement, results)),
            tables=(
                *printed.of("As it ran", judgement.audit, printed.AUDIT),
                *crosstabs.pruning(judgement.pruning),
            ),
            figures=tuple(figures.pruning_figure(judgement, folder)),
        ),
        Section(
            "Is it more than a proxy of a hyperparameter?",
            tables=printed.of("τ given each hyperparameter", known_rows(judgement.partial, "tau"), printed.PARTIAL),
        ),
        Section(
            "How far could any criterion come?",
            text=sentences.ceiling_words(judgement.ceiling),
            tables=printed.of("The oracle against itself", judgement.ceiling, printed.CEILING),
        ),
        Section(
            "What does it cost?",
            text=sentences.cost_words(judgement.cost),
            tables=printed.of("Seconds", judgement.cost, printed.COST),
        ),
        Section(
            "Every criterion on every layer",
            tables=printed.of("All rows of ranking.csv", with_trials(judgement.ranking), printed.RANKING),
        ),
        Section("How this was computed", text=METHOD if judged else METHOD[-1:]),
    ]
    return [section for section in made if section.text or section.tables or section.figures or section.warnings]


def with_trials(table: DataFrame) -> DataFrame:
    """The rows that rest on any trial."""
    return table[table["n"] > 0] if "n" in table else table


def chosen_tables(judgement: Judgement) -> list[Any]:
    """Selection, and selection by hyperparameter, where there is an oracle."""
    plain = judgement.selection[~judgement.selection["criterion"].map(is_layer)]
    if plain["oracle"].isna().all():
        return []
    tables = list(printed.of("Selection", plain, printed.SELECTION))
    cells = judgement.selection_by_hyperparameter
    several = len(cells) and cells["hyperparameter"].nunique() > 1  # besides what is overall
    return [*tables, crosstabs.by_hyperparameter(cells)] if several else tables


def combined_sections(results: Results, judgement: Judgement, across: Sequence[str], folder: Path) -> list[Section]:
    """The report over several sweeps: what can be put side by side, and nothing pooled."""
    said: dict[str, list[str]] = {}
    for row in judgement.cautions.to_dict("records"):
        said.setdefault(row["text"], []).append(str(row["sweep"]))
    audited = judgement.audit["sweep"] if len(judgement.audit) else ()
    made = [
        Section(
            "All sweeps",
            tables=(printed.summary(results, judgement),),
            figures=tuple(figures.forest_figure(judgement, folder)),
            warnings=tuple(across),
        ),
        Section(
            "What to know of each sweep", warnings=tuple(f"{listed(names)}: {text}" for text, names in said.items())
        ),
        Section(
            "Which criterion is better?",
            tables=printed.of("Pairs of criteria", with_trials(judgement.comparison), printed.COMPARISON),
        ),
        Section(
            "Pruned as they ran",
            text=tuple(
                f"{sweep}: {line}" for sweep, line in zip(audited, sentences.audit_words(judgement.audit), strict=True)
            ),
            tables=printed.of("As they ran", judgement.audit, printed.AUDIT),
        ),
        Section(
            "Every criterion on every layer",
            tables=printed.of("All rows of ranking.csv", with_trials(judgement.ranking), printed.RANKING),
        ),
        Section("How this was computed", text=METHOD),
    ]
    return [section for section in made if section.text or section.tables or section.figures or section.warnings]
