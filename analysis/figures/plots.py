"""Table -> Figure. Nothing is computed here: every plotted number is in the table that is saved beside the figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from pandas import DataFrame, Series

from analysis.figures.axes import (
    BESIDE,
    PATCH,
    accuracy_axis,
    colour_key,
    epoch_ticks,
    few_ticks,
    label_ends,
    level_line,
    log_ticks,
    row_names,
)
from analysis.figures.style import GOOD, INK, MUTED, RULE, STEPS, colour_of, name_axes, new_figure, new_grid, quiet
from analysis.text.numbers import label_of, number, points
from analysis.text.safe import for_figure, for_hover
from trainers.formats import accuracy, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHAPES = ("o", "s", "^", "D", "v")
"""One marker per criterion, in figures that show several criteria."""
ORACLE: Final = "oracle"
BANDS: Final = 3
"""The most criteria in a figure over epochs that shows their intervals; more bands hide one another."""
NO_ORACLE = -1
"""The colour step of a trial without an oracle."""


def scatter(table: DataFrame, criterion: str, baselines: DataFrame | None = None) -> Figure:
    """Criterion against oracle, one dot per trial.

    Columns: trial, value, oracle, selected, higher_is_better, note; of `baselines`: baseline, oracle.
    """
    with quiet():
        figure, axes = new_figure()
        colour = colour_of(criterion, [criterion])
        better_right = bool(table["higher_is_better"].all())
        dots = axes.scatter(table["value"], table["oracle"], s=22, color=colour, alpha=0.8, linewidths=0, zorder=3)
        dots.set_urls([for_hover(note) for note in table["note"]])
        for row in table[table["selected"].astype(bool)].to_dict("records"):
            x, y = float(row["value"]), float(row["oracle"])
            axes.scatter([x], [y], s=95, facecolors="none", edgecolors=colour, linewidths=1.4, zorder=4)
            note = f"selected: {accuracy(y)}"
            axes.text(1, 1.035, note, ha="right", transform=axes.transAxes, fontsize=8, color=colour)
        far = []
        for row in [] if baselines is None else baselines.to_dict("records"):
            level, name = float(row["oracle"]), str(row["baseline"]).replace("_", " ")
            if is_near(table["oracle"], level):
                level_line(axes, level, name, left=emptier_left(table, level))
            elif math.isfinite(level):
                far.append(f"{name} {accuracy(level)}")
        if far:
            note = for_figure(f"off the scale: {', '.join(far)}")
            axes.text(0.5, 1.035, note, ha="center", transform=axes.transAxes, fontsize=7.5, color=MUTED)
        accuracy_axis(axes.yaxis, table["oracle"])
        few_ticks(axes.xaxis)
        name_axes(axes, label_of(criterion) + ("" if better_right else " (lower is better)"), "oracle accuracy")
        axes.margins(x=0.06, y=0.12)
    return figure


def is_near(values: Series[float], level: float) -> bool:
    """Whether a level is within the range of the values, extended by its width on both sides; a line further away would
    leave the values in a narrow band.

    >>> is_near(Series([0.5, 0.6]), 0.41), is_near(Series([0.5, 0.6]), 0.2), is_near(Series([0.5]), 0.2)
    (True, False, True)
    """
    low, high = float(values.min()), float(values.max())
    return not high > low or low - (high - low) <= level <= high + (high - low)


def emptier_left(table: DataFrame, level: float) -> bool:
    """Whether at most as many dots lie near a level on the left as on the right, so that its label goes to the left.

    >>> emptier_left(DataFrame({"value": [1.0, 2.0, 9.0], "oracle": [0.9, 0.2, 0.5]}), 0.9)
    False
    """
    x, y = (table[name].to_numpy(dtype=float) for name in ("value", "oracle"))
    about = x[np.abs(y - level) < 0.12 * (max(y.max(), level) - min(y.min(), level))]
    third = np.ptp(x) / 3
    return int((about < x.min() + third).sum()) <= int((about > x.max() - third).sum())


def curves(table: DataFrame, criterion: str) -> Figure:
    """A criterion over epochs, one line per trial, in a darker colour for a higher final oracle.

    Columns: trial, epoch, value, oracle, step (0 to 8, or -1 without an oracle), note.
    """
    with quiet():
        figure, axes = new_figure()
        judged = bool((table["step"] != NO_ORACLE).any())
        unknown = RULE if judged else colour_of(criterion, [criterion])
        for _, line in sorted(table.groupby("trial"), key=lambda part: int(part[1]["step"].iloc[0])):
            step = int(line["step"].iloc[0])
            colour = unknown if step == NO_ORACLE else STEPS[step]
            (drawn,) = axes.plot(line["epoch"], line["value"], color=colour, linewidth=1.1, solid_capstyle="round")
            drawn.set_url(for_hover(str(line["note"].iloc[0])))
        name_axes(axes, "epoch", label_of(criterion))
        epoch_ticks(axes, table["epoch"])
        if judged:
            colour_key(axes, table)
    return figure


def slices(table: DataFrame, names: Sequence[str], scores: Sequence[str]) -> Figure:
    """One row of panels per score (`oracle` or a criterion), one column per hyperparameter, one dot per trial.

    Columns: the names, the scores, selected, and `log.<name>`, the same in all rows.
    """
    with quiet():
        figure, grid = new_grid(len(scores), len(names))
        for row, score in enumerate(scores):
            colour = INK if score == ORACLE else colour_of(score, [score])
            for place, name in enumerate(names):
                axes = grid[row][place]
                x, y = table[name], table[score]
                axes.scatter(x, y, s=12, color=colour, alpha=0.75, linewidths=0, zorder=3)
                chosen = table["selected"].astype(bool)
                axes.scatter(x[chosen], y[chosen], s=52, facecolors="none", edgecolors=colour, linewidths=1.2, zorder=4)
                if bool(table[f"log.{name}"].iloc[0]):
                    axes.set_xscale("log")
                    log_ticks(axes.xaxis, x)
                elif table[name].dtype.kind in "biuf":
                    few_ticks(axes.xaxis, 3)
                axes.tick_params(axis="x", labelbottom=row == len(scores) - 1, which="both")
                axes.tick_params(axis="y", labelleft=place == 0)
                axes.margins(0.09)
                accuracy_axis(axes.yaxis, y) if score == ORACLE else few_ticks(axes.yaxis)
                if row == len(scores) - 1:
                    axes.set_xlabel(for_figure(name, BESIDE))
            grid[row][0].set_ylabel("accuracy" if score == ORACLE else for_figure(label_of(score), BESIDE))
    return figure


def over_epochs(table: DataFrame, value: str, title: str) -> Figure:
    """One line per criterion over epochs; of few criteria with the interval, if the table has one.

    Columns: criterion, epoch, the one named by `value`, and optionally `<value>_low` and `<value>_high`.
    """
    with quiet():
        figure, axes = new_figure()
        names = [str(name) for name in dict.fromkeys(table["criterion"])]
        last_epoch = float(table["epoch"].max())
        ends = []
        for name in names:
            line = table[table["criterion"] == name].dropna(subset=[value])
            if line.empty:
                continue
            colour = colour_of(name, names)
            if f"{value}_low" in line and len(names) <= BANDS:
                low, high = line[f"{value}_low"].astype(float), line[f"{value}_high"].astype(float)
                axes.fill_between(line["epoch"].astype(float), low, high, color=colour, alpha=0.13, linewidth=0)
            (drawn,) = axes.plot(line["epoch"], line[value], color=colour, linewidth=1.7, zorder=3)
            last = number(float(line[value].iloc[-1]))
            drawn.set_url(for_hover(f"{label_of(name)} · {last} at the last epoch"))
            ends.append((last_epoch, float(line[value].iloc[-1]), label_of(name), colour))
        if value == "regret":
            accuracy_axis(axes.yaxis, table["best_oracle"])
            top = max(float(np.nanmax(table[value])), 1e-3)
            axes.set_ylim(-0.04 * top, 1.08 * top)
        else:
            axes.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
        epoch_ticks(axes, table["epoch"])
        name_axes(axes, "epoch", title)
        label_ends(axes, ends)
    return figure


def kept(table: DataFrame) -> Figure:
    """The accuracy of each choice: columns choice, criterion, oracle, kind (criterion or reference)."""
    with quiet():
        figure, axes = new_figure(height=0.75 + 0.27 * len(table))
        names = [str(name) for name in table["criterion"]]
        for place, row in enumerate(table.to_dict("records")):
            reference = row["kind"] == "reference"
            colour = MUTED if reference else colour_of(str(row["criterion"]), names)
            value = float(row["oracle"])
            face = "none" if reference else colour
            axes.scatter([value], [place], s=38, facecolors=face, edgecolors=colour, linewidths=1.3, zorder=3)
            text = accuracy(value)
            axes.annotate(
                text, (value, place), xytext=(9, 0), textcoords="offset points", va="center", fontsize=8, bbox=PATCH
            )
        for best in table.loc[table["choice"] == "best trial", "oracle"]:
            axes.axvline(float(best), color=GOOD, linewidth=1.0, zorder=1)
        row_names(axes, range(len(table)), [str(name) for name in table["choice"]])
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.margins(x=0.16)
        accuracy_axis(axes.xaxis, table["oracle"])
        name_axes(axes, "oracle accuracy of the chosen trial", "")
    return figure


def frontier(table: DataFrame) -> Figure:
    """Epochs saved against regret, one dot per pruner and criterion: columns criterion, pruner, epochs_saved, regret.

    For each criterion, a line joins the Pareto-optimal dots (`efficient`).
    """
    with quiet():
        figure, axes = new_figure()
        names = [str(name) for name in dict.fromkeys(table["criterion"])]
        ends = []
        for name in names:
            part = table[table["criterion"] == name].sort_values(["epochs_saved", "regret"])
            colour = colour_of(name, names)
            shape = SHAPES[names.index(name) % len(SHAPES)]
            dots = axes.scatter(
                part["epochs_saved"], part["regret"], s=26, color=colour, marker=shape, alpha=0.75, lw=0, zorder=3
            )
            dots.set_urls(
                [
                    for_hover(
                        f"{label_of(name)} · {row['pruner']} · {percent(row['epochs_saved'])} of epochs saved · "
                        f"regret {points(row['regret'], row['best_oracle'])}"
                    )
                    for row in part.to_dict("records")
                ]
            )
            best = part[part["efficient"].astype(bool)]
            axes.step(best["epochs_saved"], best["regret"], where="pre", color=colour, linewidth=1.2, alpha=0.9)
            if len(best):
                last = best.iloc[-1]
                ends.append((float(last["epochs_saved"]), float(last["regret"]), label_of(name), colour))
        accuracy_axis(axes.xaxis, table["epochs_saved"])
        accuracy_axis(axes.yaxis, table["best_oracle"])
        axes.set_xlim(-0.03, 1.0)
        top = float(np.nanmax(np.append(table["regret"].to_numpy(dtype=float), 0.01)))
        axes.set_ylim(-0.06 * top, 1.15 * top)
        name_axes(axes, "epochs saved", "regret of the selected trial")
        label_ends(axes, ends)
    return figure


def forest(table: DataFrame) -> Figure:
    """τ and its interval for every sweep and criterion: columns sweep, criterion, n, tau, tau_low, tau_high."""
    with quiet():
        sweeps = list(dict.fromkeys(table["sweep"]))
        figure, axes = new_figure(height=0.75 + 0.2 * len(table) + 0.3 * len(sweeps))
        names = [str(name) for name in dict.fromkeys(table["criterion"])]
        place, ticks, labels = 0.0, [], []
        for sweep in sweeps:
            part = table[table["sweep"] == sweep]
            head = f"{sweep}  (n = {int(part['n'].max())})"
            axes.text(-1.02, place, for_figure(head), fontsize=8.5, fontweight="bold", va="center")
            for row in part.to_dict("records"):
                place += 1
                criterion = str(row["criterion"])
                tau, low, high = (float(row[name]) for name in ("tau", "tau_low", "tau_high"))
                colour = colour_of(criterion, names)
                axes.plot([low, high], [place, place], color=colour, linewidth=1.8, solid_capstyle="butt")
                dot = axes.scatter([tau], [place], s=30, color=colour, zorder=3)
                known = f"τ {number(tau)} [{number(low)}, {number(high)}]"
                dot.set_urls([for_hover(f"{sweep} · {label_of(criterion)} · {known}")])
                ticks.append(place)
                labels.append(label_of(criterion))
            place += 1.5
        axes.axvline(0, color=MUTED, linewidth=0.8)
        row_names(axes, ticks, labels)
        axes.set_xlim(-1.05, 1.05)
        axes.set_ylim(place - 0.7, -0.8)
        name_axes(axes, "Kendall τ with the oracle, 95% interval", "")
    return figure
