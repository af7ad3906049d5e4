"""What a report says, section by section; each sentence is made of the numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from analysis import crosstabs, figures, printed
from analysis.columns import Criterion, is_layer
from analysis.comparison import UNDECIDED
from analysis.judgement import Judgement
from analysis.load import Results
from analysis.page import Section
from analysis.words import accuracy, label_of, listed, number, points, sentence
from trainers.records import STATUSES

METHOD = (
    "τ is Kendall's τ-b; its interval is Fisher's z of τ with the delete-one jackknife's error, over configurations "
    "where they were run with several seeds. p is of the hypothesis that criterion and oracle have nothing to do with "
    "each other (exact where there are no ties and few trials, else asymptotic); the interval assumes nothing of the "
    "kind, is on the wide side below some 20 trials, and may hold 0 where p is small. Holm's correction counts every "
    "criterion and layer tried. Trials with a missing value are left out, and n says what is left.",
    "Two criteria are compared on the same trials; better means a higher τ. Regret is the best oracle among completed "
    "trials less that of the selected one, in percentage points (pp); of equals the lowest trial number is selected. "
    "Expected regret and hits are over 2,000 sweeps drawn again from these trials. No label reaches a criterion, a "
    "search or a pruner.",
    "Every number is in the CSV files beside this page, every figure in figures/ as PNG and PDF with the table it was "
    "drawn from.",
)


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


def in_short(judgement: Judgement) -> tuple[str, ...]:
    """The findings of one sweep in a few sentences."""
    ranking = judgement.ranking[~judgement.ranking["criterion"].map(is_layer)]
    ranking = ranking if len(ranking) else judgement.ranking
    chosen = judgement.selection.set_index("criterion")
    lines = []
    for row in ranking.dropna(subset=["tau"]).to_dict("records"):
        kept = chosen.loc[row["criterion"]]
        lines.append(sentence(f"{label_of(row['criterion'])} {verdict_on(row)} {what_it_kept(kept)}"))
    pairs = judgement.comparison
    if len(pairs):
        decided = pairs[~pairs["verdict"].str.startswith(UNDECIDED)]
        for better, won in decided.groupby("verdict", sort=False):
            beaten = listed([label_of(loser(row)) for row in won.to_dict("records")])
            lines.append(sentence(f"{label_of(str(better))} ranks better than {beaten}."))
        open_pairs = pairs[pairs["verdict"].str.startswith(UNDECIDED)]
        names = [f"{label_of(row['first'])} or {label_of(row['second'])}" for row in open_pairs.to_dict("records")]
        if names:
            lines.append(
                f"Which of two ranks better cannot be told at n = {open_pairs['n'].max()}: {'; '.join(names)}."
            )
    return tuple(lines)


def verdict_on(row: dict[Any, Any]) -> str:
    """What the interval of a τ allows to be said."""
    text = f"τ = {number(row['tau'])} [{number(row['tau_low'])}, {number(row['tau_high'])}], n = {row['n']}"
    if row["tau_low"] > 0:
        return f"ranks the trials ({text})."
    if row["tau_high"] < 0:
        return f"ranks the trials backwards ({text})."
    return f"cannot be told from a useless criterion ({text})."


def what_it_kept(row: Any) -> str:
    """What selecting by it kept."""
    if pd.isna(row["oracle"]):
        return "The trial that it selects was not measured."
    if row["regret"] <= 0:
        return f"Selecting by it keeps {accuracy(row['oracle'])}, the best there is."
    kept, best = accuracy(row["oracle"]), accuracy(row["best_oracle"])
    regret = points(row["regret"], row["best_oracle"])
    return f"Selecting by it keeps {kept} of {best}: a regret of {regret}."


def loser(row: dict[Any, Any]) -> str:
    """The other of a pair."""
    return str(row["second"] if row["verdict"] == row["first"] else row["first"])


def sweep_sections(
    results: Results, judgement: Judgement, criteria: Sequence[Criterion], folder: Path
) -> list[Section]:
    """The report of one sweep; figures are written below `folder`."""
    made = [
        Section("In short", text=in_short(judgement), warnings=tuple(judgement.cautions["text"])),
        Section(
            "How well does each criterion rank the trials?",
            tables=(printed.summary(results, judgement),),
            figures=tuple(figures.ranking_figures(results, judgement, criteria, folder)),
        ),
        Section(
            "What does selecting by it keep?",
            tables=(*chosen_tables(judgement),),
            figures=tuple(figures.kept_figure(results, judgement, folder)),
        ),
        Section(
            "Which criterion is better?",
            tables=printed.of("Pairs of criteria", judgement.comparison, printed.COMPARISON),
        ),
        Section(
            "When is it known?",
            text=known_words(judgement.ranking),
            figures=(
                *figures.epoch_figures(judgement, folder),
                *figures.curve_figures(results, criteria, folder),
            ),
        ),
        Section(
            "Would pruning by it have paid?",
            text=pruning_words(judgement, results),
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
            tables=printed.of("The oracle against itself", judgement.ceiling, printed.CEILING),
        ),
        Section("What does it cost?", tables=printed.of("Seconds", judgement.cost, printed.COST)),
        Section(
            "Every criterion on every layer",
            tables=printed.of("All rows of ranking.csv", judgement.ranking, printed.RANKING),
        ),
        Section("How this was computed", text=METHOD),
    ]
    return [section for section in made if section.text or section.tables or section.figures or section.warnings]


def known_rows(table: DataFrame, column: str) -> DataFrame:
    """The rows with a value."""
    return table.dropna(subset=[column]) if column in table else table


def chosen_tables(judgement: Judgement) -> list[Any]:
    """Selection, and selection by hyperparameter, where there is an oracle."""
    plain = judgement.selection[~judgement.selection["criterion"].map(is_layer)]
    if plain["oracle"].isna().all():
        return []
    tables = list(printed.of("Selection", plain, printed.SELECTION))
    cells = judgement.selection_by_hyperparameter
    return [*tables, crosstabs.by_hyperparameter(cells)] if len(cells) else tables


def known_words(ranking: DataFrame) -> tuple[str, ...]:
    """The earliest epoch from which it is worth pruning on each criterion."""
    if "known_from" not in ranking:
        return ()
    said: dict[str, list[str]] = {}
    for row in ranking[~ranking["criterion"].map(is_layer)].dropna(subset=["tau"]).to_dict("records"):
        known = f"τ is clearly above 0 from epoch {number(row['known_from'], 0)} on."
        unknown = "there is no epoch from which on τ is clearly above 0."
        said.setdefault(unknown if pd.isna(row["known_from"]) else known, []).append(label_of(row["criterion"]))
    return tuple(f"{sentence(listed(names))}: {text}" for text, names in said.items())


def pruning_words(judgement: Judgement, results: Results) -> tuple[str, ...]:
    """What the replay rests on."""
    if judgement.pruning.empty:
        return ()
    completed = int((results.trials["status"] == "completed").sum())
    n = int(judgement.pruning["n"].max())
    lines = ["Optuna's pruners, replayed over the curves of trials that ran to their end, in the order of arrival."]
    if n < completed:
        lines.append(f"Replayed on the first {n} of {len(results.trials)} trials.")
    return tuple(lines)


def combined_sections(results: Results, judgement: Judgement, across: Sequence[str], folder: Path) -> list[Section]:
    """The report over several sweeps: what can be put side by side, and nothing pooled."""
    warnings = [f"{row['sweep']}: {row['text']}" for row in judgement.cautions.to_dict("records")]
    made = [
        Section(
            "All sweeps",
            tables=(printed.summary(results, judgement),),
            figures=tuple(figures.forest_figure(judgement, folder)),
            warnings=(*across, *warnings),
        ),
        Section(
            "Which criterion is better?",
            tables=printed.of("Pairs of criteria", judgement.comparison, printed.COMPARISON),
        ),
        Section("Pruned as they ran", tables=printed.of("As they ran", judgement.audit, printed.AUDIT)),
        Section(
            "Every criterion on every layer",
            tables=printed.of("All rows of ranking.csv", judgement.ranking, printed.RANKING),
        ),
        Section("How this was computed", text=METHOD),
    ]
    return [section for section in made if section.text or section.tables or section.figures or section.warnings]
