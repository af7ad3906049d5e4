"""Parallel coordinates and the picture of the sample: what is drawn, what the page holds, and odd files and names."""

from __future__ import annotations

import base64
import io
import math
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from simulated import World, simulate
from test_loop import config

from analysis.data.results import Results
from analysis.figures.build import FigureFiles
from analysis.figures.parallel import parallel_figure, scaled
from analysis.report.html import Section, make_markdown, make_page
from analysis.report.judge import judge
from analysis.report.write import samples_of
from trainers.datasets.base import Images
from trainers.measure import Sample, untrained
from trainers.pictures import GAP, samples_png

HOSTILE = '<script>alert("x")</script>'


def points(svg: str, group: str) -> np.ndarray:
    """The points of the line or axis with an id, (n, 2)."""
    found = next(one for one in ElementTree.fromstring(svg).iter() if one.get("id") == f"parallel-{group}")
    line = next(one for one in found.iter() if one.tag.endswith("path")).attrib["d"]
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", line), dtype=float)


@pytest.mark.slow
def test_each_trial_is_a_line_through_its_values(tmp_path: Path) -> None:
    trials, reports, baselines = simulate(World(name="s", trials=12, epochs=3, collapsed=1))
    trials["weight"] = 1.0
    trials[f"config.{HOSTILE}"] = [HOSTILE if number % 2 else "b" for number in range(12)]
    results = Results(trials, reports, baselines.assign(sweep="s"))
    (one,) = parallel_figure(results, judge(results), "lidar", FigureFiles(tmp_path))
    axes = [points(one.svg, f"axis-{place}") for place in range(one.svg.count("parallel-axis-"))]
    logs = np.log10(trials["config.lr"].to_numpy())
    for row, share in zip(trials.to_dict("records"), (logs - logs.min()) / np.ptp(logs), strict=True):
        first = points(one.svg, f"trial-{row['trial']}")[0]
        bottom, top = sorted(axes[0][:, 1], reverse=True)
        assert first[0] == pytest.approx(axes[0][0, 0], abs=0.01)
        assert first[1] == pytest.approx(bottom + share * (top - bottom), abs=0.01)
    assert "<script" not in one.svg
    assert "Dashed trials" in one.caption
    page = make_page("s", "", [Section("a", figures=(one,))])
    assert page.count("<script") == 1
    assert 'class="brushed"' in page


def test_an_axis_places_missing_and_constant_values() -> None:
    heights, ticks = scaled("x", [1.0, math.nan, 100.0, 10.0], log=True)
    assert heights == pytest.approx([0, math.nan, 1, 0.5], nan_ok=True)
    assert [text for _, text in ticks] == ["1", "10", "100"]
    assert scaled("x", [2.0, 2.0], log=False)[0].tolist() == [0.5, 0.5]
    assert scaled("x", [-1.0, 1.0], log=True)[0].tolist() == [0.0, 1.0]


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (count, 12, 12, 3), dtype=np.uint8) for count in (64, 32))
    return Images(train=train, test=test)


def test_the_picture_shows_the_views_of_the_sample_and_changes_no_number(images: Images) -> None:
    seen: list[tuple[Sample, bytes]] = []
    with_picture = untrained(config(), images=images, show=lambda sample: seen.append((sample, samples_png(sample))))
    assert with_picture.criteria == untrained(config(), images=images).criteria
    ((sample, content),) = seen
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert (pixels[:12, :12] == sample.images[0].numpy()).all()
    view = next(sample.views())[0][0, 0] * sample.data.std.view(-1, 1, 1) + sample.data.mean.view(-1, 1, 1)
    left = 12 + 2 * GAP
    shown = pixels[:12, left : left + 12] / 255
    assert np.abs(shown - view.clamp(0, 1).permute(1, 2, 0).numpy()).max() < 0.003


def test_hidden_patches_are_grey_and_large_images_are_reduced() -> None:
    data = SimpleNamespace(mean=torch.tensor([0.4]), std=torch.tensor([0.2]))
    views, kept = torch.full((2, 3, 1, 160, 160), 3.0), torch.tensor([[[0], [1], [3]]] * 2)
    images = torch.zeros(2, 160, 160, 1, dtype=torch.uint8)
    method = SimpleNamespace(patch=80)
    sample = SimpleNamespace(views=lambda: iter([(views, kept)]), images=images, data=data, method=method)
    pixels = np.asarray(Image.open(io.BytesIO(samples_png(sample))))  # type: ignore[arg-type]
    assert pixels.shape == (2 * 80 + GAP, 4 * 80 + 4 * GAP, 3)
    first = pixels[:80, 80 + 2 * GAP :][:, :80]
    assert (first[5, 5] == 255).all()
    assert set(first[60, 60].tolist()) == {128}


def test_the_page_holds_a_png_and_nothing_else(tmp_path: Path) -> None:
    analysis = tmp_path / "s" / "analysis"
    analysis.mkdir(parents=True)
    assert samples_of(analysis, analysis) == ()
    assert samples_of(None, analysis) == ()
    file = tmp_path / "s" / "samples.png"
    file.write_bytes(b'"><script>')
    assert samples_of(analysis, analysis) == ()
    Image.new("RGB", (4, 4)).save(file)
    (picture,) = samples_of(analysis, analysis)
    assert base64.b64decode(picture.content) == file.read_bytes()
    section = Section("a", pictures=(picture,))
    assert re.findall(r'src="(.{22})', make_page("s", "", [section])) == ["data:image/png;base64,"]
    assert "](../samples.png)" in make_markdown("s", "", [section])
    file.write_bytes(file.read_bytes() + b"0" * 600_000)
    assert samples_of(analysis, analysis) == ()
