"""Table -> Figure. Nothing is computed here: every number drawn is in the table that is saved beside the figure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas import DataFrame

from analysis.style import GOOD, INK, MUTED, RULE, STEPS, colour_of, new_figure, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {"lidar": "LiDAR", "rankme": "RankMe", "loss": "loss"}


def label_of(criterion: str) -> str:
    """A criterion as people write it.

    >>> label_of("lidar"), label_of("lidar.embedding"), label_of("nesum")
    ('LiDAR', 'LiDAR, embedding', 'nesum')
    """
    plain, _, layer = criterion.partition(".")
    return LABELS.get(plain, plain) + (f", {layer}" if layer else "")


def accuracy_axis(axis: Any, values: Any) -> None:
    """Fractions shown as percent; anything else as it is."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(5))
    if np.nanmax(np.abs(np.append(values, 0.0))) <= 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))


def accuracy(value: float) -> str:
    """An oracle value in words: fractions as percent.

    >>> accuracy(0.9134), accuracy(69.1), accuracy(float("nan"))
    ('91.3%', '69.1', '–')
    """
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f}%" if abs(value) <= 1 else f"{value:g}"


def scatter(table: DataFrame, criterion: str, baselines: DataFrame | None = None) -> Figure:
    """Criterion against oracle, one dot per trial: columns trial, value, oracle, selected, status, note."""
    with quiet():
        figure, axes = new_figure()
        colour = colour_of(criterion, [criterion])
        dots = axes.scatter(table["value"], table["oracle"], s=22, color=colour, alpha=0.8, linewidths=0, zorder=3)
        dots.set_urls([f"trial {row.trial} · {row.note}" for row in table.itertuples()])
        chosen = table[table["selected"].astype(bool)]
        axes.scatter(
            chosen["value"], chosen["oracle"], s=90, facecolors="none", edgecolors=colour, linewidths=1.4, zorder=4
        )
        for row in chosen.itertuples():
            axes.annotate(
                f"selected: {accuracy(float(row.oracle))}",  # type: ignore[arg-type]
                (float(row.value), float(row.oracle)),  # type: ignore[arg-type]
                xytext=(-8 if row.higher_is_better else 8, -10),
                textcoords="offset points",
                ha="right" if row.higher_is_better else "left",
                va="top",
                fontsize=8,
            )
        if baselines is not None:
            for row in baselines.itertuples():
                level_line(axes, float(row.oracle), str(row.baseline).replace("_", " "))  # type: ignore[arg-type]
        accuracy_axis(axes.yaxis, table["oracle"])
        axes.set_xlabel(label_of(criterion) + (" (lower is better)" if not table["higher_is_better"].all() else ""))
        axes.set_ylabel("oracle accuracy")
        axes.margins(x=0.06, y=0.1)
    return figure


def level_line(axes: Axes, level: float, name: str) -> None:
    """A dashed line across, named at its left end."""
    if not math.isfinite(level):
        return
    axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"{name} {accuracy(level)}",
        (0.01, level),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=7.5,
        color=MUTED,
        va="bottom",
    )


def curves(table: DataFrame, criterion: str) -> Figure:
    """A criterion over epochs, one line per trial, the darker the better its final oracle.

    Columns trial, epoch, value, oracle, step (0 to 8, or -1 where there is no oracle), note.
    """
    with quiet():
        figure, axes = new_figure()
        for _, line in sorted(table.groupby("trial"), key=lambda part: int(part[1]["step"].iloc[0])):
            step = int(line["step"].iloc[0])
            colour = STEPS[step] if step >= 0 else RULE
            (drawn,) = axes.plot(line["epoch"], line["value"], color=colour, linewidth=1.1, solid_capstyle="round")
            drawn.set_url(f"trial {line['trial'].iloc[0]} · {line['note'].iloc[0]}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(label_of(criterion))
        whole_epochs(axes)
        if (table["step"] >= 0).any():
            colour_key(axes, table)
    return figure


def colour_key(axes: Axes, table: DataFrame) -> None:
    """Nine small squares from the lowest oracle to the highest, above the axes."""
    for index, colour in enumerate(STEPS):
        axes.add_patch(rectangle(0.62 + 0.021 * index, 1.03, 0.021, 0.028, colour, axes))
    low, high = (accuracy(float(value)) for value in (table["oracle"].min(), table["oracle"].max()))
    style = {"transform": axes.transAxes, "fontsize": 7.5, "color": MUTED, "va": "center"}
    axes.text(0.61, 1.044, f"final oracle {low}", ha="right", **style)
    axes.text(0.82, 1.044, high, ha="left", **style)


def rectangle(left: float, bottom: float, width: float, height: float, colour: str, axes: Axes) -> Any:
    """A patch in the axes' own coordinates, drawn outside them too."""
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), width, height, color=colour, linewidth=0, transform=axes.transAxes, clip_on=False)


def whole_epochs(axes: Axes) -> None:
    """Epochs are whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def kept(table: DataFrame) -> Figure:
    """The accuracy kept by each way of choosing: columns choice, criterion, oracle, kind (criterion · reference)."""
    with quiet():
        figure, axes = new_figure(height=0.9 + 0.32 * len(table))
        names = [str(name) for name in table["choice"]]
        for place, row in enumerate(table.itertuples()):
            reference = row.kind == "reference"
            colour = MUTED if reference else colour_of(str(row.criterion), [str(name) for name in table["criterion"]])
            value = float(row.oracle)  # type: ignore[arg-type]
            axes.plot(
                [value], [place], "o", color="white" if reference else colour, markeredgecolor=colour, markersize=6
            )
            axes.annotate(
                accuracy(value), (value, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8
            )
        best = table.loc[table["choice"] == "best trial", "oracle"]
        if len(best):
            axes.axvline(float(best.iloc[0]), color=GOOD, linewidth=1.0, zorder=1)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="x")
        axes.margins(x=0.2, y=0.1)
        accuracy_axis(axes.xaxis, table["oracle"])
        axes.set_xlabel("oracle accuracy of the chosen trial")
        axes.spines["left"].set_visible(False)
    return figure


def forest(table: DataFrame) -> Figure:
    """τ with its interval for every sweep and criterion: columns sweep, criterion, n, tau, tau_low, tau_high."""
    with quiet():
        sweeps = list(dict.fromkeys(table["sweep"]))
        figure, axes = new_figure(height=0.8 + 0.23 * (len(table) + len(sweeps)))
        place, ticks, names = 0.0, [], []
        for sweep in sweeps:
            part = table[table["sweep"] == sweep]
            axes.text(
                -1.0, place, f"{sweep}  (n = {int(part['n'].max())})", fontsize=8.5, fontweight="bold", va="center"
            )
            place += 1
            for row in part.itertuples():
                colour = colour_of(str(row.criterion), [str(name) for name in table["criterion"]])
                axes.plot([row.tau_low, row.tau_high], [place, place], color=colour, linewidth=1.6)  # type: ignore[list-item]
                (dot,) = axes.plot([row.tau], [place], "o", color=colour, markersize=5)  # type: ignore[list-item]
                dot.set_url(
                    f"{sweep} · {label_of(str(row.criterion))} · τ {row.tau:.2f} [{row.tau_low:.2f}, {row.tau_high:.2f}]"
                )
                ticks.append(place)
                names.append(label_of(str(row.criterion)))
                place += 1
            place += 0.4
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(ticks, names)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlim(-1.05, 1.05)
        axes.set_ylim(place - 0.2, -0.8)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("Kendall τ with the oracle, 95% interval")
        axes.spines["left"].set_visible(False)
    return figure
