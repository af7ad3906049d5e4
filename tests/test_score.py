"""`sweeper score`: the values of an export are those that its sweep recorded, and a table of encoders is judged."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy import stats
from small_sweeps import make_images, mapping
from test_embed import export, run

from sweeper.config.read import parse_config
from sweeper.run.options import RunOptions
from sweeper.run.score import score_config
from sweeper.run.sweep import run_sweep
from trainers.criteria import CRITERIA
from trainers.datasets import open_dataset
from trainers.export import ExportedEncoder, Recipe, load_encoder
from trainers.reader import Reader, resized
from trainers.records import CriteriaSample

pytestmark = pytest.mark.slow

VIT = {"name": "vit", "dim": 32, "depth": 2, "patch": 4}
LR = {"lr": {"type": "float", "low": 1e-3, "high": 1e-2}}
SWEEPS: dict[str, dict[str, Any]] = {
    "simclr": {"fixed": {"projector_hidden_dim": 16, "projection_dim": 8, "mask_ratio": 0.5, "crop_scale_min": 0.3}},
    "data2vec": {"encoder": VIT, "fixed": {"top_blocks": 2, "min_block": 1}},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """As the sweeps; threads of several tests would wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweeper.run.score.usable_cores", lambda: 1)
        yield


def dataset(images: Path) -> str:
    return f"{{name: folder, root: {images}, size: 12, channels: 1, test_share: 0.25}}"


def scores(out: Path) -> list[dict[str, str]]:
    with out.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", SWEEPS)
def test_an_export_has_the_values_of_its_sweep(method: str, images: Path, tmp_path: Path) -> None:
    criteria, oracles = list(CRITERIA), ["lidar_paper", "lbfgs"]
    changes = {"method": method, "trials": 1, "epochs": 2, "criteria": criteria, "oracle": oracles, "space": LR}
    config = parse_config(mapping(images, **changes, **SWEEPS[method]), source="small.yaml")
    run_sweep(config, tmp_path / "sweep", RunOptions(local=True, quiet=True))
    assert run("export", tmp_path / "sweep", "--out", tmp_path / "encoder")[0] == 0
    sample = ["--images", "40", "--views", "3", "--fixed", yaml.safe_dump(SWEEPS[method]["fixed"])]
    arguments = ["--dataset", dataset(images), "--method", method, "--criteria", "all", "--out", tmp_path / "s.csv"]
    code, said = run("score", tmp_path / "encoder", *arguments, *sample)
    assert code == 0, said
    trial = pd.read_parquet(tmp_path / "sweep" / "trials.parquet").iloc[0]
    (row,) = scores(tmp_path / "s.csv")
    for name in criteria:
        expected, found = trial[f"{name}.representation"], float(row[name] or math.nan)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True), name
    assert any(row[name] for name in criteria)
    for name in oracles:
        assert float(row[f"oracle.{name}"]) == pytest.approx(trial[f"oracle.{name}"], abs=1e-6)
    assert float(row["oracle"]) == pytest.approx(trial["oracle"], abs=1e-6)
    assert (row["lidar_n"], row["lidar_q"], row["oracle_n"]) == ("40", "3", str(trial["oracle_n"]))


@pytest.fixture(scope="module")
def three(images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The scores of three encoders, one of which reads larger images, and what was printed."""
    home = tmp_path_factory.mktemp("three")
    names = []
    for seed in range(3):
        export(home / f"e{seed}", {"name": "resnet", "width": 8, "blocks": 1, "stages": 1 + seed}, seed=seed)
        names.append(home / f"e{seed}")
    content = json.loads((home / "e2" / "config.json").read_text())
    content["sweeper"]["image_size"] = 16
    (home / "e2" / "config.json").write_text(json.dumps(content))
    arguments = ["--dataset", dataset(images), "--images", "40", "--views", "3", "--criteria", "lidar,rankme,clid"]
    code, said = run("score", *names, *arguments, "--out", home / "scores.csv")
    assert code == 0, said
    return home / "scores.csv", said


def test_several_encoders_make_a_table_with_tau(three: tuple[Path, str]) -> None:
    out, said = three
    rows = scores(out)
    assert [Path(row["encoder"]).name for row in rows] == ["e0", "e1", "e2"]
    assert "over 3 encoders, is uncertain: one in 6 orders of 3 is right by chance" in said
    tau = stats.kendalltau(*([float(row[name]) for row in rows] for name in ("rankme", "oracle"))).statistic
    line = next(line for line in said.splitlines() if line.startswith("rankme "))
    printed = line.split()[1].replace("−", "-")
    assert printed == ("–" if math.isnan(tau) else f"{tau:.4g}")
    assert "e2 reads the images of 12×12 at 16×16" in said
    assert "an encoder alone has no embedding" in said


def test_the_judge_reads_the_scores_as_they_are(three: tuple[Path, str], tmp_path: Path) -> None:
    code, said = run("analyze", three[0], "--out", tmp_path / "report")
    assert code == 0, said
    ranking = pd.read_csv(tmp_path / "report" / "ranking.csv").set_index("criterion")
    assert {"lidar", "rankme", "clid"} <= set(ranking.index)
    assert set(ranking["n"]) == {3}
    assert bool(ranking.loc["rankme", "higher_is_better"])
    assert "e1" in (tmp_path / "report" / "report.md").read_text()  # the report calls the trials by the encoders' names


def test_without_labels_there_is_no_oracle(images: Path, tmp_path: Path) -> None:
    export(tmp_path / "encoder")
    given = dataset(images).replace("}", ", labels: false}")
    code, said = run("score", tmp_path / "encoder", "--dataset", given, "--out", tmp_path / "s.csv", "--images", "9")
    assert (code, "the data set has no labels, so there is no oracle" in said) == (0, True), said
    (row,) = scores(tmp_path / "s.csv")
    assert not {name for name in row if name.startswith("oracle")}
    assert row["rankme"]


def test_a_criterion_of_both_layers_is_null(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.criteria.base import Criterion

    joint = Criterion(name="ratio", label="Ratio", joint_function=lambda features: 1.0, reads_views=True)
    monkeypatch.setitem(CRITERIA, "ratio", joint)
    export(tmp_path / "encoder")
    arguments = ["--dataset", dataset(images), "--out", tmp_path / "s.csv", "--images", "9"]
    code, said = run("score", tmp_path / "encoder", *arguments, "--criteria", "ratio,rankme")
    assert (code, "ratio: null, since the embedding is needed" in said) == (0, True), said
    (row,) = scores(tmp_path / "s.csv")
    assert (row["ratio"], bool(row["rankme"])) == ("", True)


def test_the_sample_fits_a_small_data_set(images: Path) -> None:
    config = score_config({"method": "simclr", "dataset": {"name": "folder", "root": str(images)}}, "cpu")
    assert config.criteria_sample == CriteriaSample(images=77)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--method", "simcrl"], "score: `method` must be one of"),
        (["--dataset", "fotos"], "score: `dataset.name` must be one of"),
        (["--criteria", "lidra"], "did you mean `lidar`"),
        (["--images", "999"], "`criteria_sample.images` must be at most the 72 images"),
        (["--fixed", "{crop_scale_mim: 1}"], "did you mean `crop_scale_min`"),
        (["--fixed", "1"], "`--fixed` must be a mapping"),
        (["--out", "OUT/s.txt"], "`--out` must end in .csv"),
        (["--method", "ijepa"], "cannot be scored: `encoder` must be a vision transformer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(options: list[str], problem: str, images: Path, tmp_path: Path) -> None:
    export(tmp_path / "encoder")
    filled = [option.replace("OUT", str(tmp_path)) for option in options]
    given = ["--dataset", dataset(images), "--out", tmp_path / "s.csv"]
    code, said = run("score", tmp_path / "encoder", *given, *filled)
    assert (code, problem in said) == (2, True), said
    assert not (tmp_path / "s.csv").exists()


def test_an_image_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    root = make_images(tmp_path / "mine", count=6)
    (root / "rows" / "broken.png").write_bytes(b"no image")
    export(tmp_path / "encoder")
    code, said = run("score", tmp_path / "encoder", "--dataset", dataset(root), "--out", tmp_path / "s.csv")
    assert (code, "broken.png cannot be read" in said, "unexpected" in said) == (2, True, False), said


def test_images_are_resized_in_parts_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gray images of 8 pixels, for an encoder of colours and 12 pixels."""
    export(tmp_path / "encoder", channels=3)
    exported = load_encoder(tmp_path / "encoder")
    images = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        expected = exported.encoder(resized(images, 12))
        monkeypatch.setattr("trainers.reader.BATCH_BYTES", 4 * 3 * 12 * 12 * 2)
        found = Reader(exported)(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_gray_images_are_repeated_for_an_encoder_of_colours(images: Path, tmp_path: Path) -> None:
    from trainers.scoring import Scored

    export(tmp_path / "encoder", channels=3)
    encoder = load_encoder(tmp_path / "encoder")
    config = score_config({"method": "simclr", "dataset": yaml.safe_load(dataset(images))}, "cpu")
    read = open_dataset(config.dataset).images()
    scored = Scored(encoder, "e", config, read)
    chosen = torch.arange(4)
    with torch.no_grad():
        found = scored.network.represent(scored.data.clean(scored.data.test.take(chosen)))
    pixels = torch.from_numpy(np.array(read.test[:4])).permute(0, 3, 1, 2).float().div(255).expand(-1, 3, -1, -1)
    torch.testing.assert_close(found, encoder(pixels), rtol=1e-5, atol=1e-6)


def test_pooled_patches_stay_pooled_with_another_method(tmp_path: Path) -> None:
    exported = export(tmp_path / "vit", VIT)
    pooled = ExportedEncoder(exported.encoder, Recipe(**{**vars(exported.recipe), "pools_patches": True}))
    images = torch.rand(2, 1, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(Reader(pooled)(images), exported.encoder.tokens(images).patches.mean(1))
