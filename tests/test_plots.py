"""Figures: drawn from a table that is saved beside them, readable on light and dark pages, and inline SVG."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from simulated import World, simulate

from analysis.data.columns import make_score_column
from analysis.data.results import Results
from analysis.figures import build as figures
from analysis.figures import plots
from analysis.figures.style import (
    CRITERION_COLOURS,
    INK,
    LOSS_COLOUR,
    MUTED,
    ON_DARK,
    PAPER,
    RULE,
    STEPS,
    colour_of,
    quiet,
    settle,
    to_svg,
    write_png,
)
from analysis.report.judge import judge
from analysis.stats.judgement import Judgement
from trainers.criteria import CRITERIA, DEFAULT_CRITERIA

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def results() -> Results:
    trials, reports, baselines = simulate(World(name="s", trials=14, epochs=6, collapsed=1, failed=1))
    return Results(trials.assign(weight=1.0), reports, baselines.assign(sweep="s"))


@pytest.fixture(scope="module")
def judgement(results: Results) -> Judgement:
    return judge(results)


def make_all(results: Results, judgement: Judgement, files: figures.FigureFiles) -> list[figures.Drawn]:
    criteria = [make_score_column(name) for name in ("lidar", "rankme", "loss")]
    return [
        *figures.ranking_figures(results, judgement, criteria, files),
        *figures.curve_figures(results, criteria, files),
        *figures.epoch_figures(judgement, files),
        *figures.selection_figure(results, judgement, files),
        *figures.pruning_figure(judgement, files),
        *figures.forest_figure(judgement, files),
    ]


@pytest.fixture(scope="module")
def drawn(results: Results, judgement: Judgement, tmp_path_factory: pytest.TempPathFactory) -> dict[str, figures.Drawn]:
    folder = tmp_path_factory.mktemp("figures")
    return {one.name: one for one in make_all(results, judgement, figures.FigureFiles(folder))} | {"folder": folder}  # type: ignore[dict-item]


def test_every_figure_is_on_disk_as_png_with_its_table(drawn: dict[str, figures.Drawn]) -> None:
    folder = Path(str(drawn["folder"]))
    names = {name for name in drawn if name != "folder"}
    assert names == {
        *(f"{kind}-{name}" for kind in ("oracle", "epochs") for name in ("lidar", "rankme", "loss")),
        *("epochs-tau", "epochs-regret", "selection", "pruning", "forest"),
    }
    for name in names:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len(pd.read_csv(folder / f"{name}.csv"))
    assert len(list(folder.iterdir())) == 2 * len(names)


def test_a_figure_is_a_pdf_too_if_it_is_asked_for(results: Results, judgement: Judgement, tmp_path: Path) -> None:
    (one,) = figures.selection_figure(results, judgement, figures.FigureFiles(tmp_path, pdf=True))
    assert (tmp_path / f"{one.name}.pdf").read_bytes().startswith(b"%PDF")


def test_names_that_differ_in_odd_characters_or_case_are_files_of_their_own() -> None:
    names = figures.file_names(["a/b", "a b", "A b", "tau", "é" * 300, "é" * 301, "lidar.embedding"])
    assert len({name.casefold() for name in names.values()}) == 7
    assert names["lidar.embedding"] == "lidar.embedding"
    assert all(len(f"epochs-{name}.png".encode()) < 255 for name in names.values())
    assert "tau" not in names.values()


def test_a_settled_figure_is_the_png_that_matplotlib_saves(tmp_path: Path) -> None:
    def draw() -> Figure:
        trials, _, baselines = simulate(World(trials=6, epochs=2))
        table = trials[["trial", "oracle"]].assign(
            value=trials["lidar"], selected=False, higher_is_better=True, note=""
        )
        return plots.scatter(table, "lidar", baselines)

    with quiet():
        saved, written = draw(), draw()
        saved.draw_without_rendering()  # the layout, at the resolution at which `settle` computes it
        saved.set_layout_engine("none")
        saved.savefig(tmp_path / "saved.png")
        settle(written)
        write_png(written, tmp_path / "written.png")
    assert (tmp_path / "written.png").read_bytes() == (tmp_path / "saved.png").read_bytes()


def test_an_svg_is_the_pages_own(drawn: dict[str, figures.Drawn]) -> None:
    seen: set[str] = set()
    for name, one in drawn.items():
        if name == "folder":
            continue
        root = ElementTree.fromstring(one.svg)
        ids = re.findall(r'\bid="([^"]+)"', one.svg)
        assert len(ids) == len(set(ids))
        assert not seen & set(ids)
        seen |= set(ids)
        assert set(re.findall(r"url\(#([^)]+)\)", one.svg)) <= set(ids)
        assert set(re.findall(r'href="#([^"]+)"', one.svg)) <= set(ids)
        assert not re.search(r"#[0-9a-f]{6}\b", one.svg), f"{name} has a colour that a dark page cannot turn"
        assert "width" not in root.attrib
        assert "viewBox" in root.attrib
        assert "<text" in one.svg
        assert not root.findall(f".//{SVG}a")
        assert not root.findall(f".//{SVG}metadata")


def titles(svg: str) -> list[str]:
    return [str(title.text) for title in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def test_every_dot_of_a_scatter_says_what_it_is(drawn: dict[str, figures.Drawn], results: Results) -> None:
    done = results.trials[results.trials["oracle"].notna()]
    found = titles(drawn["oracle-lidar"].svg)
    assert len(found) == len(done)
    row = done.iloc[0]
    assert any(
        f"trial {row['trial']} · LiDAR {row['lidar']:.2f} · oracle {100 * row['oracle']:.1f}%" in t for t in found
    )


def test_every_trial_with_reports_has_a_line(drawn: dict[str, figures.Drawn], results: Results) -> None:
    assert len(titles(drawn["epochs-lidar"].svg)) == results.reports["trial"].nunique()


def test_the_table_of_a_scatter_is_what_was_drawn(results: Results, judgement: Judgement) -> None:
    table = figures.scatter_table(results.trials, judgement.selection, make_score_column("lidar"))
    figure = plots.scatter(table, "lidar", results.baselines)
    offsets = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(offsets), table[["value", "oracle"]].to_numpy())
    assert table["selected"].sum() == 1
    best = results.trials[results.trials["status"] == "completed"].sort_values("lidar").iloc[-1]
    assert table.loc[table["selected"], "trial"].iloc[0] == best["trial"]


def words_of(figure: Figure) -> str:
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts] + [axes.get_xlabel(), axes.get_title(loc="left")]
    return " | ".join([*texts, *(label.get_text() for label in axes.get_yticklabels())])


def test_the_figures_say_what_they_show(results: Results, judgement: Judgement) -> None:
    table = figures.scatter_table(results.trials, judgement.selection, make_score_column("loss"))
    words = words_of(plots.scatter(table, "loss", results.baselines))
    for expected in ("untrained 55.0%", "raw pixels 74.0%", "selected:", "loss (lower is better)", "oracle accuracy"):
        assert expected in words
    words = words_of(plots.over_epochs(judgement.by_epoch, "tau", "τ"))
    assert all(name in words for name in ("LiDAR", "RankMe", "loss", "epoch"))
    words = words_of(plots.kept(figures.selection_table(judgement.selection, results.baselines)))
    for expected in ("best trial", "LiDAR", "random choice", "untrained encoder", "raw pixels"):
        assert expected in words


def test_the_better_the_oracle_the_stronger_the_line(results: Results) -> None:
    table, shown, there = figures.curve_table(results, make_score_column("lidar"))
    assert shown == there == results.reports["trial"].nunique()
    steps = table.groupby("trial")[["oracle", "step"]].first().sort_values("oracle").dropna()
    assert steps["step"].is_monotonic_increasing
    assert (steps["step"].iloc[0], steps["step"].iloc[-1]) == (0, len(STEPS) - 1)
    assert (table.loc[table["oracle"].isna(), "step"] == plots.NO_ORACLE).all()


def test_of_many_trials_some_are_drawn_evenly_and_the_caption_says_so(tmp_path: Path) -> None:
    trials, reports, baselines = simulate(World(name="s", trials=300, epochs=2))
    many = Results(trials, reports, baselines)
    table, shown, there = figures.curve_table(many, make_score_column("lidar"))
    assert (shown, there, table["trial"].nunique()) == (figures.LINES, 300, figures.LINES)
    assert {trials["oracle"].min(), trials["oracle"].max()} <= set(table["oracle"])
    (one,) = figures.curve_figures(many, [make_score_column("lidar")], figures.FigureFiles(tmp_path))
    assert "80 of 300 trials" in one.caption


def test_labels_at_the_right_do_not_overlap() -> None:
    table = DataFrame({"criterion": ["a", "b", "c"], "epoch": 1, "tau": [0.50, 0.501, 0.502]})
    axes = plots.over_epochs(table, "tau", "τ").axes[0]
    heights = sorted(text.xy[1] for text in axes.texts)
    low, high = axes.get_ylim()
    assert min(np.diff(heights)) >= 0.05 * (high - low)


@pytest.mark.parametrize(
    ("table", "make"),
    [
        (
            {"trial": [0], "value": [1.0], "oracle": [0.5], "selected": True, "higher_is_better": True, "note": "x"},
            "scatter",
        ),
        ({"trial": [0], "epoch": 1, "value": 1.0, "oracle": np.nan, "step": -1, "note": "x"}, "curves"),
    ],
)
def test_a_single_trial_can_be_drawn(table: dict[str, object], make: str) -> None:
    figure = getattr(plots, make)(DataFrame(table), "lidar")
    assert "<svg" in to_svg(figure, "one")


def test_an_oracle_in_percent_is_not_multiplied_again() -> None:
    table = {
        "value": [1.0, 2.0],
        "oracle": [60.0, 70.0],
        "selected": [False, True],
        "higher_is_better": True,
        "note": "x",
    }
    figure = plots.scatter(DataFrame(table), "lidar")
    figure.draw_without_rendering()
    assert not any("%" in label.get_text() for label in figure.axes[0].get_yticklabels())
    assert "selected: 70" in words_of(figure)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_seen_on_paper_and_on_a_dark_page() -> None:
    for colour in (INK, MUTED):
        assert contrast(colour, "#ffffff") >= 4.5
        assert contrast(ON_DARK[colour], ON_DARK[PAPER]) >= 4.5
    for colour in (*CRITERION_COLOURS[:2], LOSS_COLOUR):
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(ON_DARK[colour], ON_DARK[PAPER]) >= 3
    assert contrast(RULE, "#ffffff") < contrast(MUTED, "#ffffff")
    for steps, page in ((STEPS, "#ffffff"), ([ON_DARK[step] for step in STEPS], ON_DARK[PAPER])):
        seen = [contrast(step, page) for step in steps]
        assert seen == sorted(seen)


def seen_without(colour: str, kind: str) -> np.ndarray:
    """The colour as it is seen without red or green cones (Machado, Oliveira & Fernandes 2009, severity 1), linear."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }
    channels = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    seen: np.ndarray = np.array(matrices[kind]) @ (channels**2.2)
    return np.clip(seen, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_criteria_can_be_told_apart_by_the_colour_blind(kind: str) -> None:
    colours = (*CRITERION_COLOURS[:2], LOSS_COLOUR)
    for palette in (colours, [ON_DARK[colour] for colour in colours]):
        seen = [seen_without(colour, kind) for colour in palette]
        apart = [float(np.linalg.norm(a - b)) for i, a in enumerate(seen) for b in seen[:i]]
        assert min(apart) > 0.15


def test_each_criterion_keeps_its_colour_and_a_layer_has_its_criterions() -> None:
    names = ["lidar", "new", "other", "new.embedding"]
    assert colour_of("lidar.embedding", names) == colour_of("lidar", names)
    known, colours = len(CRITERIA), len(CRITERION_COLOURS)
    assert colour_of("new", names) == colour_of("new.embedding", names) == CRITERION_COLOURS[known % colours]
    assert colour_of("other", names) == CRITERION_COLOURS[(known + 1) % colours]
    assert [colour_of(name, names) for name in ("lidar", "rankme")] == list(CRITERION_COLOURS[:2])
    assert len({colour_of(name, DEFAULT_CRITERIA) for name in DEFAULT_CRITERIA}) == len(DEFAULT_CRITERIA)


def test_matplotlib_is_not_imported_before_a_figure_is_drawn_nor_optuna_before_a_replay() -> None:
    late = ["matplotlib", "optuna", "torch", "ray", "scipy.stats"]
    code = f"import sys, analysis; print([m for m in {late} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
