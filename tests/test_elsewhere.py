"""Oracles on another data set, with other constants, and several on one pass over the images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from small_sweeps import make_images, mapping, small_config
from torchvision.transforms.v2 import functional

from sweeper.config.model import to_mapping
from sweeper.config.read import parse_config
from sweeper.errors import ConfigError
from sweeper.run.options import RunOptions
from sweeper.run.sweep import probe_sweep, run_sweep
from sweeper.search.configurations import make_trial_config
from trainers.datasets import open_dataset
from trainers.methods.base import Method
from trainers.network import load_network
from trainers.oracles import ORACLES
from trainers.oracles.lbfgs import LBFGS
from trainers.probe import probe, probe_pixels
from trainers.records import OracleChoice
from trainers.splits import Data
from trainers.transforms import as_read


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Another data set, of 20×20 colour images of three kinds."""
    root, rng = tmp_path_factory.mktemp("colours"), np.random.default_rng(1)
    for kind in range(3):
        (root / str(kind)).mkdir()
        for index in range(20):
            pixels = rng.integers(0, 100, (20, 20, 3)) + 60 * kind
            Image.fromarray(pixels.astype(np.uint8)).save(root / str(kind) / f"{index}.png")
    return {"name": "folder", "root": str(root), "size": 20, "test_share": 0.5}


# the search-space file


def test_an_entry_is_a_name_a_short_form_or_a_mapping(images: Path, colours: dict[str, Any]) -> None:
    oracle = ["knn", "knn@mnist5k", {"probe": "lbfgs", "held_out": 0.1}, {"probe": "lidar_paper", "dataset": colours}]
    config = small_config(images, oracle=oracle)
    assert config.oracle == ("knn", "knn@mnist5k", "lbfgs", "lidar_paper@folder")
    assert config.oracle_choices["knn@mnist5k"] == OracleChoice("knn", {"name": "mnist5k"})
    assert config.oracle_choices["lbfgs"] == OracleChoice("lbfgs", None, {"held_out": 0.1})
    assert "knn" not in config.oracle_choices
    dataset = config.oracle_choices["lidar_paper@folder"].dataset
    assert dataset is not None
    assert dict(dataset) == {**dict(small_config(images).dataset), **colours, "channels": 3}
    written = yaml.safe_load(yaml.safe_dump(to_mapping(config)))
    assert parse_config(written, source="again") == config
    assert small_config(images, oracle="knn@mnist5k").oracle == ("knn@mnist5k",)
    assert small_config(images, oracle="none").oracle == ()


@pytest.mark.parametrize(
    ("oracle", "line"),
    [
        ("kn", r"`oracle` must be among lidar_paper.* or be none, but got \"kn\"; did you mean `knn`\?"),
        ({"prob": "knn"}, "`oracle` must be among .*, but has no `probe`"),
        ("knn@mnist", r"`oracle.dataset.name` must be one of .*, but got \"mnist\"; did you mean `mnist5k`\?"),
        ({"probe": "knn", "dataset": {"name": "folder", "root": "/nowhere"}}, "`oracle.dataset.root` must be a folder"),
        ({"probe": "knn", "kk": 5}, "`oracle.kk` is not a constant of knn"),
        ({"probe": "few_label", "images": 0}, "`oracle.images` must be a whole number of at least 1, but got 0"),
        ({"probe": "lbfgs", "penalties": []}, r"`oracle` `penalties` must name at least one penalty, but got \[\]"),
        (["knn", {"probe": "knn", "k": 5}], r"`oracle` must name each once, but got \[\"knn\", \"knn\"\]"),
        (3, "`oracle` must be among .*, but got 3"),
    ],
)
def test_a_wrong_entry_is_one_clear_line(images: Path, oracle: object, line: str) -> None:
    with pytest.raises(ConfigError, match=line) as caught:
        small_config(images, oracle=oracle)
    assert len(caught.value.lines) == 1


def test_another_data_set_without_labels_is_refused_before_the_first_trial(images: Path, tmp_path: Path) -> None:
    blind = {"name": "folder", "root": str(images), "size": 12, "labels": False}
    config = small_config(images, oracle=["knn", {"probe": "knn", "dataset": blind}])
    with pytest.raises(ConfigError, match="`dataset` folder of the oracle knn@folder has no labels"):
        run_sweep(config, tmp_path / "sweep", RunOptions(local=True))
    assert not (tmp_path / "sweep").exists()


# the images


def test_other_images_are_read_as_torchvision_resizes_them() -> None:
    pictures = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    for size in (12, 33):
        gray = functional.rgb_to_grayscale(pictures)
        expected = functional.resize(gray, [size, size], antialias=True)
        torch.testing.assert_close(as_read(pictures, size, 1), expected, rtol=0, atol=1e-6)
        coloured = as_read(gray, size, 3)
        assert coloured.shape == (4, 3, size, size)
        torch.testing.assert_close(coloured, expected.expand(-1, 3, -1, -1), rtol=0, atol=1e-6)
    assert as_read(pictures, 20, 3) is pictures


def test_the_network_reads_the_other_images_and_their_own_labels(images: Path, colours: dict[str, Any]) -> None:
    config = small_config(images, oracle=["lbfgs", {"probe": "lbfgs", "dataset": colours}])
    trial = make_trial_config(config, 0, {})
    data = Data(open_dataset(trial.dataset).images(), "cpu")
    network = load_network(trial, data, None)
    other = open_dataset(colours)
    pictures = other.images()
    labels = [torch.from_numpy(other.labels(split)) for split in ("train", "test")]
    features, pixels = [], []
    for split in (pictures.train, pictures.test):
        floats = functional.rgb_to_grayscale(torch.from_numpy(split).permute(0, 3, 1, 2) / 255)
        small = functional.resize(floats, [12, 12], antialias=True)
        pixels.append(small.flatten(1))
        with torch.no_grad():
            features.append(network.represent((small - data.mean) / data.std))
    found, raw = probe(trial), probe_pixels(trial)
    assert list(found) == list(raw) == ["lbfgs", "lbfgs@folder"]
    for score, rows in ((found["lbfgs@folder"], features), (raw["lbfgs@folder"], pixels)):
        assert score.n == 30
        assert score.accuracy == LBFGS.score(rows[0], labels[0], rows[1], labels[1]).accuracy
    assert found["lbfgs"].n == 24
    alone = probe(replace(trial, oracle=("lbfgs",)))["lbfgs"]
    assert found["lbfgs"].accuracy == alone.accuracy


def test_each_data_set_is_read_once_for_all_of_its_oracles(
    images: Path, colours: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [{"probe": probe, "dataset": colours} for probe in ("knn", "lbfgs")]
    config = small_config(images, oracle=["knn", elsewhere[0], "lbfgs", elsewhere[1], {"probe": "few_label"}])
    passes, represent = [], Method.represent

    def counted(self: Method, batch: torch.Tensor) -> torch.Tensor:
        passes.append(len(batch))
        return represent(self, batch)

    monkeypatch.setattr(Method, "represent", counted)
    assert list(probe(make_trial_config(config, 0, {}))) == list(config.oracle)
    many = [count for count in passes if count > 1]  # one alone shows how many fit into a pass
    assert many == [72, 72, 24, 30, 30]  # the first is for the statistics of BatchNorm


def test_constants_of_the_file_reach_the_protocol(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    kind = type(ORACLES["few_label"])
    score = kind.score

    def noted(self: Any, *arguments: Any, **named: Any) -> Any:
        seen.append(self)
        return score(self, *arguments, **named)

    monkeypatch.setattr(kind, "score", noted)
    config = small_config(images, oracle={"probe": "few_label", "images": 3, "draws": 2})
    probe_pixels(make_trial_config(config, 0, {}))
    assert seen == [replace(ORACLES["few_label"], images=3, draws=2)]  # type: ignore[type-var]


# a sweep


@pytest.mark.slow
def test_a_sweep_has_a_column_for_each_and_probe_adds_further_ones(
    images: Path, colours: dict[str, Any], tmp_path: Path
) -> None:
    oracle = ["lidar_paper", {"probe": "lidar_paper", "dataset": colours}]
    about = {"trials": 1, "epochs": 1, "keep_checkpoints": "last", "oracle": oracle}
    folder = tmp_path / "sweep"
    run_sweep(parse_config(mapping(images, **about), source="test"), folder, RunOptions(local=True))
    probe_sweep(folder, RunOptions(local=True), oracles=("knn@mnist5k", "lidar_paper@folder"))
    trials, baselines = (pd.read_parquet(folder / f"{name}.parquet") for name in ("trials", "baselines"))
    assert trials["oracle"].equals(trials["oracle.lidar_paper"])
    counts = {"lidar_paper": 24, "lidar_paper@folder": 30, "knn@mnist5k": 1000}
    assert {name: int(trials[f"oracle.{name}_n"][0]) for name in counts} == counts
    assert {"oracle.lidar_paper@folder.balanced", "oracle.knn@mnist5k.k20", "oracle.knn@mnist5k.top5"} <= {*trials}
    assert baselines["oracle.lidar_paper@folder"].notna().all()  # the untrained encoder and raw pixels
    with pytest.raises(ConfigError, match=r"`--oracle` must be among lidar_paper.*, but got \"kn\""):
        probe_sweep(folder, RunOptions(local=True), oracles=("kn",))
