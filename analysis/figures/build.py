"""The figures of a report, each drawn from a table that is saved as CSV beside its PNG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pandas import DataFrame

from analysis.data.columns import ScoreColumn, is_layer, swept
from analysis.data.headings import NAME
from analysis.data.results import Results
from analysis.figures import plots
from analysis.figures.style import STEPS, quiet, settle, to_svg, write_png
from analysis.stats.importance import as_plain, is_log
from analysis.stats.judgement import Judgement, without_layers
from analysis.text import captions
from analysis.text.answer import BASELINES
from analysis.text.numbers import label_of
from analysis.text.safe import for_csv
from trainers.records import COMPLETED, CONFIG_PREFIX

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = 80
"""The most trials in a figure of curves; of more trials, a sample spread evenly over the oracle's ranks is drawn."""
FRONTIERS = 3
"""The most criteria in the figure of pruners."""
COLUMNS = 7
"""The most hyperparameters in the figure of slices."""
LONGEST_STEM = 200
"""Bytes of a criterion in a file's name, which also holds the figure's kind and an ending."""


@dataclass(frozen=True)
class FigureFiles:
    """Where figures are written."""

    folder: Path
    pdf: bool = False
    """Whether each figure is also written as PDF, which takes as long as everything else about it."""


@dataclass(frozen=True)
class Drawn:
    """A figure on disk as PNG and CSV, and as inline SVG."""

    name: str
    svg: str
    caption: str
    criterion: str = ""
    """The criterion that it is about, if it is about one."""
    brushed: bool = False
    """Whether the page's script names its lines and filters them; their ids end with `trial-<number>`."""


def of_criterion(figures: Iterable[Drawn], criterion: str) -> tuple[Drawn, ...]:
    """The figure of a criterion, if there is one."""
    return tuple(figure for figure in figures if figure.criterion == criterion)


def save(name: str, table: DataFrame, figure: Figure, caption: str, files: FigureFiles, criterion: str = "") -> Drawn:
    """Write the PNG, the CSV and, if asked for, the PDF of one figure."""
    for_csv(table).to_csv(files.folder / f"{name}.csv", index=False)
    with quiet():
        settle(figure)
        write_png(figure, files.folder / f"{name}.png")
        if files.pdf:
            figure.savefig(files.folder / f"{name}.pdf", metadata={"CreationDate": None})
    return Drawn(name, to_svg(figure, name), caption, criterion)


def ranking_figures(
    results: Results, judgement: Judgement, criteria: Sequence[ScoreColumn], files: FigureFiles
) -> Iterator[Drawn]:
    """Criterion against oracle, one figure per criterion that has data."""
    names = file_names([criterion.name for criterion in criteria])
    for criterion in criteria:
        table = scatter_table(results.trials, judgement.selection, criterion)
        if table.empty:
            continue
        row = judgement.ranking.set_index("criterion").loc[criterion.name]
        caption = captions.scatter(criterion.name, row.to_dict())
        baselines = results.baselines if "oracle" in results.baselines else None
        figure = plots.scatter(table, criterion.name, baselines)
        yield save(f"oracle-{names[criterion.name]}", table, figure, caption, files, criterion.name)


def scatter_table(trials: DataFrame, selection: DataFrame, criterion: ScoreColumn) -> DataFrame:
    """The columns trial, value, oracle, status, selected, higher_is_better and note."""
    shown = [name for name in ("trial", NAME, "oracle", "status") if name in trials]
    chosen = selection.loc[selection["criterion"] == criterion.name, "trial"].dropna()
    table = trials[shown].assign(
        value=pd.to_numeric(trials[criterion.name], errors="coerce"), higher_is_better=criterion.higher_is_better
    )
    table["selected"] = table["trial"].isin(chosen) & (table["status"] == COMPLETED)
    table["note"] = [captions.trial_dot(label_of(criterion.name), row) for row in table.to_dict("records")]
    finite = np.isfinite(table[["value", "oracle"]].to_numpy(dtype=float)).all(axis=1)
    return table.iloc[np.flatnonzero(finite)].reset_index(drop=True)


def curve_figures(results: Results, criteria: Sequence[ScoreColumn], files: FigureFiles) -> Iterator[Drawn]:
    """Each criterion over epochs, one line per trial."""
    names = file_names([criterion.name for criterion in criteria])
    for criterion in criteria:
        if criterion.name not in results.reports or "epoch" not in results.reports:
            continue
        table, drawn, trials = curve_table(results, criterion)
        if table.empty:
            continue
        has_oracle = bool((table["step"] != plots.NO_ORACLE).any())
        caption = captions.curves(criterion.name, drawn, trials, has_oracle=has_oracle)
        figure = plots.curves(table, criterion.name)
        yield save(f"epochs-{names[criterion.name]}", table, figure, caption, files, criterion.name)


def curve_table(results: Results, criterion: ScoreColumn) -> tuple[DataFrame, int, int]:
    """The columns trial, epoch, value, oracle, step and note; the number of trials drawn; the number of all trials."""
    oracle = results.trials.set_index("trial")["oracle"]
    reports = results.reports
    table = reports[["trial", "epoch"]].assign(value=reports[criterion.name].astype(float))
    table = table[np.isfinite(table["value"])]
    order = oracle[oracle.index.isin(table["trial"])].sort_values(kind="stable").index
    kept = order[np.unique(np.linspace(0, len(order) - 1, min(LINES, len(order))).round().astype(int))]
    table = table[table["trial"].isin(kept)].assign(oracle=lambda rows: rows["trial"].map(oracle))
    low, high = oracle.min(), oracle.max()
    place = (table["oracle"] - low) / (high - low) if high > low else table["oracle"] * 0 + 0.5
    steps = np.floor(place * len(STEPS)).clip(0, len(STEPS) - 1)
    table["step"] = steps.fillna(plots.NO_ORACLE).astype(int)
    names = results.trials.set_index("trial")[NAME] if NAME in results.trials else pd.Series(dtype=object)
    table["note"] = [
        captions.trial_line(names.get(trial, trial), value)
        for trial, value in zip(table["trial"], table["oracle"], strict=True)
    ]
    return table.reset_index(drop=True), len(kept), len(order)


def epoch_figures(judgement: Judgement, files: FigureFiles) -> Iterator[Drawn]:
    """τ and regret of each criterion at each epoch."""
    table = judgement.by_epoch
    if "tau" in table and table["tau"].notna().any():
        figure = plots.over_epochs(table, "tau", "τ with the accuracy at the end")
        banded = table["criterion"].nunique() <= plots.BANDS
        caption = f"{captions.TAU_BY_EPOCH} {captions.BAND}" if banded else captions.TAU_BY_EPOCH
        yield save("epochs-tau", table, figure, caption, files)
    if "regret" in table and table["regret"].notna().any():
        figure = plots.over_epochs(table, "regret", "regret of selecting at the epoch")
        yield save("epochs-regret", table, figure, captions.REGRET_BY_EPOCH, files)


def selection_figure(results: Results, judgement: Judgement, files: FigureFiles) -> Iterator[Drawn]:
    """The accuracy of the trial that each criterion selects."""
    table = selection_table(judgement.selection, results.baselines)
    if len(table):
        yield save("selection", table, plots.kept(table), captions.SELECTION, files)


def selection_table(selection: DataFrame, baselines: DataFrame) -> DataFrame:
    """The columns choice, criterion, oracle and kind: the best trial, the criteria, a random choice, the baselines."""
    plain = without_layers(selection)
    if plain["best_oracle"].isna().all():
        return DataFrame()
    rows = [("best trial", "", plain["best_oracle"].iloc[0], "reference")]
    rows += [
        (label_of(row["criterion"]), row["criterion"], row["oracle"], "criterion") for row in plain.to_dict("records")
    ]
    rows += [("random choice", "", plain["random_oracle"].iloc[0], "reference")]
    rows += [(name, "", value, "reference") for name, value in baseline_rows(baselines)]
    table = DataFrame(rows, columns=["choice", "criterion", "oracle", "kind"])
    return table[table["oracle"].notna()].reset_index(drop=True)


def baseline_rows(baselines: DataFrame) -> list[tuple[str, float]]:
    """The display name of each baseline, and its oracle."""
    if "oracle" not in baselines:
        return []
    labels = {name: text.removeprefix("the ") for name, text in BASELINES.items()}
    return [
        (labels.get(str(row["baseline"]), str(row["baseline"])), row["oracle"]) for row in baselines.to_dict("records")
    ]


def slice_figure(results: Results, judgement: Judgement, criterion: str, files: FigureFiles) -> Iterator[Drawn]:
    """Accuracy and one criterion against each swept hyperparameter."""
    logs, scores = slice_axes(results), slice_scores(results, criterion)
    if not logs or not scores:
        return
    table = slice_table(results.trials, judgement.selection, criterion, logs, scores)
    short = [name.removeprefix(CONFIG_PREFIX) for name in logs]
    caption = captions.slices(criterion) if plots.ORACLE in scores else captions.slices_without_oracle(criterion)
    yield save("hyperparameters", table, plots.slices(table, short, scores), caption, files)


def slice_axes(results: Results) -> dict[str, bool]:
    """The column of each swept hyperparameter that is shown -> whether it is on a log scale."""
    names = [name for name in swept(results.trials) if results.trials[name].notna().all()][:COLUMNS]
    settings = next(iter(results.sweeps.values()), {})
    return {name: is_log(name, as_plain(results.trials[name]), settings) for name in names}


def slice_scores(results: Results, criterion: str) -> list[str]:
    """The oracle and the criterion, without those that have no values."""
    scores = (plots.ORACLE, criterion)
    return [name for name in scores if name in results.trials and results.trials[name].notna().any()]


def slice_table(
    trials: DataFrame, selection: DataFrame, criterion: str, logs: Mapping[str, bool], scores: Sequence[str]
) -> DataFrame:
    """The columns trial, the scores, the hyperparameters with `log.<name>` each, and selected."""
    chosen = selection.loc[selection["criterion"] == criterion, "trial"].dropna()
    table = DataFrame({"trial": trials["trial"]})
    for score in scores:
        found = pd.to_numeric(trials[score], errors="coerce").astype(float)
        table[score] = found.where(np.isfinite(found))
    for name, log in logs.items():
        table[name.removeprefix(CONFIG_PREFIX)] = as_plain(trials[name])
        table[f"log.{name.removeprefix(CONFIG_PREFIX)}"] = log
    table["selected"] = table["trial"].isin(chosen) & (trials["status"] == COMPLETED)
    return table.dropna(subset=list(scores), how="all").reset_index(drop=True)


def pruning_figure(judgement: Judgement, files: FigureFiles, criterion: str = "") -> Iterator[Drawn]:
    """Epochs saved against regret, of the criterion and of those with the highest τ."""
    table = judgement.pruning
    if "regret" not in table or table["regret"].isna().all():
        return
    by_tau = judgement.ranking.sort_values("tau", ascending=False, kind="stable")["criterion"]
    names = [name for name in dict.fromkeys([criterion, *by_tau]) if name in set(table["criterion"])][:FRONTIERS]
    table = table[table["criterion"].isin(names)].dropna(subset=["regret", "epochs_saved"])
    left = captions.BEST_FEW if len(names) < judgement.pruning["criterion"].nunique() else ""
    yield save("pruning", table, plots.frontier(table), f"{captions.PRUNING} {left}".strip(), files)


def forest_figure(judgement: Judgement, files: FigureFiles) -> Iterator[Drawn]:
    """A forest plot: τ of every sweep and plain criterion."""
    table = judgement.ranking[~judgement.ranking["criterion"].map(is_layer)].dropna(subset=["tau"])
    if len(table):
        yield save("forest", table, plots.forest(table), captions.FOREST, files)


def file_names(criteria: Iterable[str]) -> dict[str, str]:
    """criterion -> its part of a file's name: letters, digits, dots, dashes and underscores; no two are equal.

    >>> file_names(["a/b", "a b", "tau"])
    {'a/b': 'a-b', 'a b': 'a-b-2', 'tau': 'tau-2'}
    """
    names: dict[str, str] = {}
    taken = {"tau", "regret"}  # the figures of all criteria over epochs
    for criterion in criteria:
        plain = "".join(letter if letter.isalnum() or letter in ".-_" else "-" for letter in criterion)
        stem = plain.encode()[:LONGEST_STEM].decode(errors="ignore")
        count = 1
        while (name := stem if count == 1 else f"{stem}-{count}").casefold() in taken:
            count += 1
        taken.add(name.casefold())  # some file systems do not tell case apart
        names[criterion] = name
    return names
