"""Parallel coordinates: one line per trial through its hyperparameters, the criterion of the search and the oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from analysis.data.columns import ScoreColumn
from analysis.data.headings import NAME
from analysis.data.results import Results
from analysis.figures.axes import BESIDE, PATCH, log_steps
from analysis.figures.build import Drawn, FigureFiles, save, slice_axes, slice_scores, slice_table
from analysis.figures.plots import NO_ORACLE, ORACLE
from analysis.figures.style import INK, MUTED, STEPS, new_figure, quiet
from analysis.stats.importance import as_plain
from analysis.stats.judgement import Judgement
from analysis.text import captions
from analysis.text.numbers import label_of
from analysis.text.safe import for_figure, for_hover
from trainers.formats import accuracy, plain
from trainers.records import COMPLETED, CONFIG_PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST: Final = 2
"""Fewer hyperparameters give no parallel coordinates: the figure of slices shows the same."""
LINES: Final = 200
"""The most lines; of more trials, a sample spread evenly over the ranks is drawn."""
TICKS: Final = 4
"""The most ticks of an axis with numbers."""
NAMES: Final = 8
"""The most ticks of an axis with words."""


def parallel_figure(results: Results, judgement: Judgement, criterion: str, files: FigureFiles) -> Iterator[Drawn]:
    """One line per trial over the swept hyperparameters, the criterion and the oracle; the page's script brushes it."""
    logs, scores = slice_axes(results), slice_scores(results, criterion)[::-1]
    if len(logs) < FEWEST or not scores:
        return
    table = slice_table(results.trials, judgement.selection, criterion, logs, scores)
    by = ScoreColumn(ORACLE) if ORACLE in scores else direction_of(results, criterion)
    trials = len(table)
    ranks = by.scores(table).rank(method="first", na_option="top")
    table = table.assign(step=steps_of(by.scores(table)))
    kept = np.unique(np.linspace(0, trials - 1, min(LINES, trials)).round().astype(int))
    table = table.iloc[np.argsort(ranks.to_numpy(), kind="stable")[kept]]  # the best are drawn last, above the others
    known = results.trials.set_index("trial")
    table["status"] = table["trial"].map(known["status"])
    names = [*(name.removeprefix(CONFIG_PREFIX) for name in logs), *scores]
    labels = {name: "accuracy" if name == ORACLE else label_of(name) if name in scores else name for name in names}
    shown = table["trial"].map(known[NAME]) if NAME in known else table["trial"]
    table["note"] = [
        captions.trial_values(trial, {labels[name]: cell(name, row[name]) for name in names}, row["status"])
        for trial, row in zip(shown, table.to_dict("records"), strict=True)
    ]
    table = table.reset_index(drop=True)
    caption = captions.parallel(
        criterion,
        len(table),
        trials,
        has_oracle=ORACLE in scores,
        has_others=bool((table["status"] != COMPLETED).any()),
    )
    yield replace(save("parallel", table, parallel(table, labels), caption, files), brushed=True)


def direction_of(results: Results, criterion: str) -> ScoreColumn:
    """A criterion with its direction."""
    return next((one for one in results.score_columns() if one.name == criterion), ScoreColumn(criterion))


def steps_of(scores: Series[float]) -> Series[int]:
    """The colour step of each score, from the lowest to the highest; -1 for none.

    >>> steps_of(Series([0.0, 1.0, math.nan])).tolist()
    [0, 8, -1]
    """
    low, high = scores.min(), scores.max()
    places = (scores - low) / (high - low) if high > low else scores * 0 + 0.5
    return (places * len(STEPS)).clip(0, len(STEPS) - 1).fillna(NO_ORACLE).astype(int)  # rounds down


def cell(name: str, value: Any) -> str:
    """A value as text."""
    if isinstance(value, str):
        return value
    return accuracy(value) if name == ORACLE else plain(value) if pd.notna(value) else "–"


def parallel(table: DataFrame, labels: Mapping[str, str]) -> Figure:
    """One line per trial over axes of the columns `labels` (column -> heading), each on its own scale.

    Further columns: trial, step (0 to 8, or -1), selected, status, note, and `log.<name>` for a log scale.
    """
    with quiet():
        figure, axes = new_figure(1.2 + 1.15 * len(labels), 3.5)
        axes.set_axis_off()
        heights = np.full((len(table), len(labels)), math.nan)
        for place, (name, heading) in enumerate(labels.items()):
            log = f"log.{name}" in table and bool(table[f"log.{name}"].all())
            heights[:, place], ticks = scaled(name, as_plain(table[name]), log=log)
            draw_axis(axes, place, heading, ticks, high=len(labels) > 6 and place % 2 == 1)
        for row, line in zip(table.to_dict("records"), heights, strict=True):
            (drawn,) = axes.plot(
                range(len(labels)),
                line,
                color=STEPS[row["step"]] if row["step"] != NO_ORACLE else MUTED,
                linewidth=2.6 if row["selected"] else 1.1,
                linestyle="-" if row["status"] == COMPLETED else (0, (3, 2)),
                zorder=4 if row["selected"] else 3,
                clip_on=False,
                gid=f"trial-{row['trial']}",
            )
            drawn.set_url(for_hover(row["note"]))
        axes.set_xlim(-0.35, len(labels) - 1 + 0.35)
        axes.set_ylim(-0.02, 1.02)
    return figure


def scaled(name: str, values: Sequence[Any], *, log: bool) -> tuple[Any, list[tuple[float, str]]]:
    """The height of each value in [0, 1], NaN for a missing one, and the ticks of the axis.

    >>> scaled("x", [1.0, 3.0], log=False)[0].tolist(), scaled("x", ["b", "a", "b"], log=False)
    ([0.0, 1.0], (array([1., 0., 1.]), [(0.0, 'a'), (1.0, 'b')]))
    """
    if isinstance(values[0], str):
        words = sorted(set(values))
        where = {word: place / max(1, len(words) - 1) for place, word in enumerate(words)}
        ticks = [(where[word], word) for word in words[:: math.ceil(len(words) / NAMES)]]
        return np.array([where[value] for value in values]), ticks
    found = np.asarray(values, dtype=float)
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    if not high > low:
        return found * 0 + 0.5, [(0.5, cell(name, low))]
    if log and low > 0:
        heights, _ = scaled(name, np.log10(found).tolist(), log=False)
        return heights, [
            (math.log10(tick / low) / math.log10(high / low), plain(tick)) for tick in log_steps(low, high)
        ]
    return (found - low) / (high - low), [((tick - low) / (high - low), cell(name, tick)) for tick in steps(low, high)]


def steps(low: float, high: float) -> list[float]:
    """A few round numbers between two numbers."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in found if low <= tick <= high]


def draw_axis(axes: Axes, place: int, heading: str, ticks: Sequence[tuple[float, str]], *, high: bool) -> None:
    """A vertical axis with its heading above it and its ticks at the left; `high`: the heading is a line higher."""
    axes.plot([place, place], [0, 1], color=MUTED, linewidth=0.8, zorder=5, clip_on=False, gid=f"axis-{place}")
    name = for_figure(heading, BESIDE)
    axes.annotate(name, (place, 1), xytext=(0, 20 if high else 8), textcoords="offset points", ha="center",
                  fontsize=8, color=INK, annotation_clip=False)  # fmt: skip
    for height, text in ticks:
        axes.plot([place - 0.02, place], [height, height], color=MUTED, linewidth=0.8, zorder=5, clip_on=False)
        axes.annotate(
            for_figure(text, 14), (place, height), xytext=(-4, 0), textcoords="offset points", ha="right", va="center",
            fontsize=7, color=MUTED, bbox={**PATCH, "alpha": 0.75}, zorder=6, annotation_clip=False,
        )  # fmt: skip
