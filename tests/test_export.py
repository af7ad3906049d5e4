"""`sweeper export`: the encoder that was measured, in another process and in timm, without the sweep."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from torch import Tensor

import trainers
from sweeper.cli.commands import execute
from sweeper.config.read import parse_config
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep
from sweeper.search.configurations import make_trial_config
from tests.small_sweeps import make_images, mapping
from trainers.datasets import open_dataset
from trainers.network import load_network
from trainers.records import CHECKPOINT
from trainers.splits import Data

pytestmark = pytest.mark.slow

VIT = {"name": "vit", "dim": 32, "depth": 2, "patch": 4}
SWEEPS: dict[str, dict[str, Any]] = {
    "simclr": {"fixed": {"projector_hidden_dim": 16, "projection_dim": 8, "mask_ratio": 0.5}},
    "dino": {
        "method": "dino",
        "encoder": VIT,
        "space": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2}},
        "fixed": {"prototypes": 16, "head_hidden_dim": 16, "bottleneck_dim": 8, "local_crops": 0},
    },
    "data2vec": {
        "method": "data2vec",
        "encoder": VIT,
        "space": {"lr": {"type": "float", "low": 1e-3, "high": 1e-2}},
        "fixed": {"top_blocks": 2, "min_block": 1},
    },
    "timm": {"encoder": {"name": "timm/resnet10t"}, "fixed": {"projector_hidden_dim": 16, "projection_dim": 8}},
}


@dataclass(frozen=True)
class Exported:
    sweep: Path
    folder: Path
    features: Tensor
    """What the sweep's own network gives for its test images."""
    pixels: Tensor
    """(b, c, h, w) in [0, 1]."""


def run(*arguments: str | Path) -> tuple[int, str]:
    """Run a command line; its exit code and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = execute([str(argument) for argument in arguments])
    return code, said.getvalue()


def one_trial(tmp_path_factory: pytest.TempPathFactory, name: str) -> Exported:
    """A sweep of one epoch, its export, and the features of the network that was measured."""
    home = tmp_path_factory.mktemp(name)
    settings = {"trials": 1, "epochs": 1, "oracle": "none", **SWEEPS[name]}
    config = parse_config(mapping(make_images(home / "images"), **settings), source="small.yaml")
    run_sweep(config, home / name, RunOptions(local=True, quiet=True))
    code, said = run("export", home / name, "--out", home / "out")
    assert code == 0, said
    row = pd.read_parquet(home / name / "trials.parquet").iloc[0]
    trial = make_trial_config(config, 0, {key: row[f"config.{key}"] for key in config.space})
    images = open_dataset(config.dataset).images()
    data = Data(images, "cpu")
    network = load_network(trial, data, home / name / "trials" / "0000" / CHECKPOINT)
    with torch.no_grad():
        features = network.represent(data.clean(data.test.take(torch.arange(len(data.test)))))
    pixels = torch.from_numpy(images.test).permute(0, 3, 1, 2).float() / 255
    shutil.rmtree(home / "images")
    return Exported(home / name, home / "out", features, pixels)


@pytest.fixture(scope="module", params=list(SWEEPS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return one_trial(tmp_path_factory, request.param)


def test_another_process_gets_the_features_without_the_images(exported: Exported, tmp_path: Path) -> None:
    torch.save(exported.pixels, tmp_path / "pixels.pt")
    code = (
        "import sys, torch; from trainers import load_encoder; "
        "torch.save(load_encoder(sys.argv[1])(torch.load(sys.argv[2])), sys.argv[3])"
    )
    files = [str(tmp_path / name) for name in ("pixels.pt", "features.pt")]
    subprocess.run([sys.executable, "-c", code, str(exported.folder), *files], check=True)
    torch.testing.assert_close(torch.load(files[1]), exported.features, rtol=1e-5, atol=1e-5)


def test_timm_reads_its_models(exported: Exported) -> None:
    content = json.loads((exported.folder / "config.json").read_text())
    if "architecture" not in content:
        assert content["sweeper"]["encoder"]["name"] == "resnet"
        return
    model = timm.create_model(f"local-dir:{exported.folder}", pretrained=True).eval()
    given = content["pretrained_cfg"]
    mean, std = (torch.tensor(given[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        found = model((exported.pixels - mean) / std)
    torch.testing.assert_close(found, exported.features, rtol=1e-4, atol=1e-5)
    again = timm.create_model(
        content["architecture"],
        num_classes=0,
        **content["model_args"],
        checkpoint_path=str(exported.folder / "model.safetensors"),
    )
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_torchscript_gives_the_same_features(exported: Exported, tmp_path: Path) -> None:
    from trainers.convert import to_torchscript

    file = to_torchscript(trainers.load_encoder(exported.folder), tmp_path)
    with pytest.warns(Warning, match="deprecated"):
        loaded = torch.jit.load(str(file))
    torch.testing.assert_close(loaded(exported.pixels), exported.features, rtol=1e-4, atol=1e-5)


def test_a_conversion_that_differs_is_refused(exported: Exported, tmp_path: Path) -> None:
    from trainers.convert import check_equal

    encoder, file = trainers.load_encoder(exported.folder), tmp_path / "wrong"
    file.touch()
    with pytest.raises(ValueError, match="differ by"):
        check_equal(encoder, lambda pixels: encoder(pixels) * 1.001, file)
    assert not file.exists()


def test_the_card_and_the_config_say_where_it_is_from(exported: Exported) -> None:
    ours = json.loads((exported.folder / "config.json").read_text())["sweeper"]
    assert (ours["sweep"], ours["trial"], ours["image_size"], ours["channels"]) == (exported.sweep.name, 0, 12, 1)
    assert ours["criteria"]["lidar"] > 0
    assert not ours["oracles"]
    card = (exported.folder / "README.md").read_text()
    assert "load_encoder" in card
    assert f"| sweep | {exported.sweep.name} |" in card


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_trial(tmp_path_factory, "simclr").sweep


class TestMistakes:
    """One clear line and exit 2."""

    def test_a_trial_that_is_not_there(self, sweep: Path, tmp_path: Path) -> None:
        code, said = run("export", sweep, "--trial", "7", "--out", tmp_path / "out")
        assert (code, "has no trial 7" in said, (tmp_path / "out").exists()) == (2, True, False)

    def test_a_trial_without_checkpoint(self, sweep: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(sweep, copy)
        (copy / "trials" / "0000" / CHECKPOINT).unlink()
        code, said = run("export", copy, "--out", tmp_path / "out")
        assert (code, "kept no checkpoint (kept: none)" in said) == (2, True)

    def test_a_folder_that_holds_something(self, sweep: Path, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        code, said = run("export", sweep, "--out", tmp_path)
        assert (code, "must be a new or an empty folder" in said) == (2, True)

    def test_a_package_that_is_missing(self, sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainers.convert.find_spec", lambda name: None if name == "onnxscript" else True)
        code, said = run("export", sweep, "--out", tmp_path / "out", "--onnx")
        assert (code, "`--onnx` needs the package onnxscript" in said, (tmp_path / "out").exists()) == (2, True, False)

    def test_images_that_have_gone(self, sweep: Path, tmp_path: Path) -> None:
        code, said = run("export", sweep, "--out", tmp_path / "out")
        assert (code, len(said.splitlines())) == (2, 1)

    def test_both_ways_to_choose(self, sweep: Path, tmp_path: Path) -> None:
        code, said = run("export", sweep, "--trial", "0", "--criterion", "lidar", "--out", tmp_path / "out")
        assert (code, "must not be given together" in said) == (2, True)


@pytest.mark.parametrize("content", ["", "{}", '{"sweeper": {"format": 99}}', '{"sweeper": {"format": 1}}'])
def test_a_folder_that_is_no_export_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match="must be a folder that `sweeper export` wrote, but"):
        trainers.load_encoder(tmp_path)


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    recipe = {"encoder": {"name": "resnet", "width": 8, "blocks": 1, "stages": 1}, "image_size": 12, "channels": 1}
    more = {"mean": [0.5], "std": [0.5], "pools_patches": False, "dim": 8, "format": 1}
    (tmp_path / "config.json").write_text(json.dumps({"sweeper": recipe | more}))
    (tmp_path / "model.safetensors").write_bytes(np.arange(9).tobytes())
    with pytest.raises(ValueError, match="must be a folder that `sweeper export` wrote, but"):
        trainers.load_encoder(tmp_path)
