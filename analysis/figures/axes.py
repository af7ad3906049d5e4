"""Parts that figures share: percent ticks, labels at line ends, dashed levels, a colour key."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pandas import DataFrame

from analysis.figures.style import INK, MUTED, PAPER, STEPS
from analysis.text.safe import for_figure
from trainers.formats import accuracy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATCH = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.8}
"""The background of a text that covers a line."""
MOST_TICKS: Final = 6
"""Epochs that are named on an axis."""

BESIDE = 30
"""The longest name beside the axes, in letters; a longer one would shrink the axes."""


def level_line(axes: Axes, level: float, name: str, *, left: bool) -> None:
    """A dashed horizontal line, labelled at one end."""
    if not math.isfinite(level):
        return
    axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        for_figure(f"{name} {accuracy(level)}"),
        (0.01 if left else 0.99, level),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
        ha="left" if left else "right",
        bbox=PATCH,
        zorder=2,
    )


def colour_key(axes: Axes, table: DataFrame) -> None:
    """A colour scale of nine squares, from the lowest oracle to the highest, above the axes at the right."""
    from matplotlib.patches import Rectangle

    width, bottom = 0.018, 1.035
    for place, colour in enumerate(STEPS):
        corner = (0.66 + width * place, bottom)
        axes.add_patch(Rectangle(corner, width, 0.03, color=colour, lw=0, transform=axes.transAxes, clip_on=False))
    low, high = (accuracy(value) for value in (table["oracle"].min(), table["oracle"].max()))
    for x, text, side in ((0.65, f"final oracle {low}", "right"), (0.67 + width * len(STEPS), high, "left")):
        axes.text(x, bottom, text, ha=side, va="baseline", transform=axes.transAxes, fontsize=7.5, color=MUTED)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """The label of each line (x and y of its end, name, colour) at its right, moved up if it would overlap another."""
    low, high = axes.get_ylim()
    placed = -math.inf
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        placed = max(y, placed + 0.065 * (high - low))
        axes.annotate(
            for_figure(text, BESIDE), (x, placed), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8,
            color=colour, annotation_clip=False,
        )  # fmt: skip


def row_names(axes: Axes, places: Sequence[float] | range, names: Sequence[str]) -> None:
    """One name per row at the left, without an axis line."""
    axes.set_yticks(list(places), [for_figure(name, BESIDE) for name in names])
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def accuracy_axis(axis: Any, values: Any) -> None:
    """Show fractions as percent, and other values unchanged."""
    from matplotlib.ticker import FuncFormatter

    few_ticks(axis)
    if np.nanmax(np.abs(np.append(np.asarray(values, dtype=float), 0.0))) <= 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.10g}%"))


def few_ticks(axis: Any, most: int = 5) -> None:
    """A few ticks at round numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))


def log_ticks(axis: Any, values: Any) -> None:
    """At most three ticks on a log axis; matplotlib's own labels overlap in a narrow panel."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_major_locator(FixedLocator(log_steps(float(np.min(values)), float(np.max(values)))))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}" if value >= 0.001 else f"{value:.0e}"))


def log_steps(low: float, high: float) -> list[float]:
    """At most three round numbers between two positive numbers, for a log axis.

    >>> log_steps(0.0004, 0.3), log_steps(0.05, 0.3)
    ([0.001, 0.01, 0.1], [0.05, 0.1, 0.2])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) > 1:
            break
    return ticks[:: max(1, math.ceil(len(ticks) / 3))]


def epoch_ticks(axes: Axes, epochs: Iterable[int]) -> None:
    """Ticks at the measured epochs if they are few, else at whole epochs."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    measured = sorted(set(epochs))
    few = len(measured) <= MOST_TICKS
    axes.xaxis.set_major_locator(FixedLocator(measured) if few else MaxNLocator(MOST_TICKS, integer=True))
