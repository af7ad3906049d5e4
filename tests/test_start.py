"""`encoder.weights`: training starts from a file of weights, on every worker, and a file that changes is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from small_sweeps import make_images, mapping
from test_embed import export, run

from sweeper.config.model import SweepConfig, to_mapping
from sweeper.config.read import parse_config
from sweeper.errors import ConfigError, ResultsError
from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from sweeper.search.configurations import make_trial_config
from trainers.datasets import open_dataset
from trainers.export import load_encoder
from trainers.measure import Sample, embed_clean
from trainers.network import build_method, load_network
from trainers.records import REPRESENTATION, TrialConfig
from trainers.settings import resolve
from trainers.splits import Data
from trainers.weights import weights_digest

pytestmark = pytest.mark.slow

RESNET = {"name": "resnet", "width": 8, "blocks": 1, "stages": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    export(tmp_path / "start", RESNET, seed=5)
    return tmp_path / "start"


def config_of(images: Path, **encoder: Any) -> SweepConfig:
    settings = {"trials": 1, "epochs": 1, "oracle": "none", "encoder": {**RESNET, **encoder}}
    return parse_config(mapping(images, **settings), source="small.yaml")


def trial_of(config: SweepConfig) -> TrialConfig:
    return make_trial_config(config, 0, {"lr": 0.01, "temperature": 0.5})


def data_of(config: SweepConfig) -> Data:
    return Data(open_dataset(config.dataset).images(), "cpu")


def equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[key], other[key]) for key in one)


def test_the_encoder_has_the_weights_and_the_rest_is_drawn_as_without(images: Path, weights: Path) -> None:
    given = load_encoder(weights).encoder.state_dict()
    for name in (weights, weights / "model.safetensors"):
        config = config_of(images, weights=str(name))
        method = build_method(trial_of(config), data_of(config))
        assert equal(method.encoder.state_dict(), given)
    without = build_method(trial_of(config_of(images)), data_of(config)).state_dict()
    assert not equal(without, method.state_dict())
    rest = {key: value for key, value in method.state_dict().items() if not key.startswith("encoder.")}
    assert rest
    assert equal(rest, {key: value for key, value in without.items() if not key.startswith("encoder.")})


def test_a_teacher_starts_there_too(images: Path, weights: Path) -> None:
    fixed = {"prototypes": 16, "head_hidden_dim": 16, "bottleneck_dim": 8, "local_crops": 0}
    changes = {"method": "dino", "space": {}, "fixed": fixed, "encoder": {**RESNET, "weights": str(weights)}}
    config = parse_config(mapping(images, **changes), source="small.yaml")
    method = build_method(make_trial_config(config, 0, {}), data_of(config))
    assert equal(method.measured_encoder.state_dict(), load_encoder(weights).encoder.state_dict())


def test_the_baseline_is_the_encoder_of_the_file(images: Path, weights: Path) -> None:
    """Its BatchNorm keeps the statistics of the file."""
    config = config_of(images, weights=str(weights))
    trial, data = trial_of(config), data_of(config)
    network = load_network(trial, data, None)
    sample = Sample(network, data, trial.criteria_sample, resolve(trial))
    encoder = load_encoder(weights).encoder
    with torch.no_grad():
        expected = encoder(data.clean(sample.images))
    torch.testing.assert_close(embed_clean(network, sample)[REPRESENTATION], expected)


def test_a_file_without_weights_is_written_as_before(images: Path) -> None:
    assert set(to_mapping(config_of(images))["encoder"]) == {*RESNET, "stem_stride", "mask_patch"}


@pytest.mark.parametrize("where", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_sweep_starts_there_and_notices_another_file(
    images: Path, weights: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)  # the workers run in other folders
    config, options = config_of(images, weights="start"), RunOptions(local=where == "local", quiet=True, jobs=1)
    run_sweep(config, tmp_path / "sweep", options)
    content = yaml.safe_load((tmp_path / "sweep" / "sweep.yaml").read_text())
    assert content["encoder"]["weights"] == str(weights)
    assert content["provenance"]["weights"] == weights_digest(str(weights))
    baselines = pd.read_parquet(tmp_path / "sweep" / "baselines.parquet")
    trained = pd.read_parquet(tmp_path / "sweep" / "trials.parquet").iloc[0]
    assert trained["status"] == "completed"
    random = pd.read_parquet(other_sweep(images, tmp_path) / "baselines.parquet")
    assert baselines["rankme.representation"][0] != random["rankme.representation"][0]
    if where == "ray":
        return
    assert run("export", tmp_path / "sweep", "--out", tmp_path / "out")[0] == 0
    assert "weights" not in json.loads((tmp_path / "out" / "config.json").read_text())["sweeper"]["encoder"]
    assert load_encoder(tmp_path / "out").recipe.dim == 8
    shutil.rmtree(weights)
    export(weights, RESNET, seed=6)
    with pytest.raises(ResultsError, match=r"`encoder.weights` .*start has changed since the sweep began"):
        resume_sweep(tmp_path / "sweep", options, trials=2)
    shutil.rmtree(weights)
    with pytest.raises(ConfigError, match=r"`encoder.weights` is wrong: .*start does not exist"):
        resume_sweep(tmp_path / "sweep", options, trials=2)


def other_sweep(images: Path, tmp_path: Path) -> Path:
    """The same sweep from random weights."""
    run_sweep(config_of(images), tmp_path / "random", RunOptions(local=True, quiet=True))
    return tmp_path / "random"


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        ({"weights": "none"}, r"`encoder.weights` is wrong: .*none does not exist"),
        ({"weights": "START", "width": 16}, r"stem.0.weight is 8×1×3×3 where resnet has 16×1×3×3.*\"width\": 8"),
        ({"weights": "START", "blocks": 2}, r"lacks 10 tensors .*it is an export of \{\"name\": \"resnet\""),
        ({"weights": "START", "prefix": "a."}, r"must have tensors with the prefix `a.`"),
        ({"prefix": "a."}, r"`encoder.prefix` must be given with `encoder.weights`"),
        ({"weights": "START", "name": "vit", "dim": 32, "depth": 1}, r"weights of vit, but is an export of"),
        ({"weights": 3}, r"`encoder.weights` must be text or null"),
        ({"weight": "START"}, r"did you mean `weights`"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_found_before_the_start(
    encoder: dict[str, Any], problem: str, images: Path, weights: Path
) -> None:
    given = {key: str(weights) if value == "START" else value for key, value in encoder.items()}
    own = {} if encoder.get("name") else RESNET
    with pytest.raises(ConfigError, match=problem):
        parse_config(mapping(images, encoder={**own, **given}), source="small.yaml")


def test_a_timm_model_starts_from_a_file_with_a_prefix(images: Path, tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    state = timm.create_model("resnet10t", num_classes=5, in_chans=1).state_dict()
    torch.save({"state_dict": {f"backbone.{key}": value for key, value in state.items()}}, tmp_path / "model.pt")
    encoder = {"name": "timm/resnet10t", "weights": str(tmp_path / "model.pt"), "prefix": "backbone."}
    config = parse_config(mapping(images, encoder=encoder), source="small.yaml")
    method = build_method(trial_of(config), data_of(config))
    found = {key.removeprefix("model."): value for key, value in method.encoder.state_dict().items()}
    assert equal(found, {key: value for key, value in state.items() if not key.startswith("fc.")})
