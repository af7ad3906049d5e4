"""The batch and the criteria's sample where they are not given, or given for another data set; and the test split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sweeps import make_images, mapping
from torch import nn

import sweeper
from sweeper.config.examples import examples
from sweeper.config.model import to_mapping
from sweeper.config.passes import IMAGES, VIEWS, Work, fitting_batch, sample_size
from sweeper.config.read import load_config, parse_config
from sweeper.errors import ConfigError
from trainers.encoders import check_encoder
from trainers.encoders.base import Encoder
from trainers.loop import train
from trainers.methods import METHODS
from trainers.records import CriteriaSample, TrialConfig


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 images in two folders."""
    return make_images(tmp_path_factory.mktemp("labelled"))


@pytest.fixture(scope="module")
def flat(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in one folder."""
    folder = tmp_path_factory.mktemp("flat")
    for file in labelled.rglob("*.png"):
        (folder / file.name).symlink_to(file)
    return folder


def without(images: Path, *keys: str, **changes: Any) -> dict[str, Any]:
    """A search-space file without some keys; the data set has no `test_share`."""
    changed = {
        **mapping(images, **changes),
        "dataset": {"name": "folder", "root": str(images), "size": 12, "channels": 1},
    }
    return {key: value for key, value in changed.items() if key not in keys}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [line for line in caplog.messages if line.startswith("for ")]
    caplog.clear()
    return lines


# the work


@pytest.mark.slow
def test_a_trial_makes_the_passes_that_are_counted(flat: Path) -> None:
    rows = {True: 0, False: 0}

    def count(module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
        if isinstance(module, Encoder):
            images = len(inputs[0])
            rows[torch.is_grad_enabled()] += images if images > 1 else 0  # one alone shows how many fit into a pass

    config = TrialConfig(
        "simclr", {"name": "folder", "root": str(flat), "size": 12, "channels": 1},
        {"name": "resnet", "width": 8, "blocks": 1, "stages": 1}, epochs=3, batch_size=20, criteria_every=2,
        hyperparameters={"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd"},
        criteria_sample=CriteriaSample(images=30, views=4),
    )  # fmt: skip
    handle = nn.modules.module.register_module_forward_hook(count)
    try:
        assert len(list(train(config))) == 3
    finally:
        handle.remove()
    work = Work(images=96, batch_size=20, epochs=3, every=2)
    assert work.training == 3 * rows[True] == 3 * 2 * 80 * 3
    assert work.share(30, 4) == rows[False] / (3 * rows[True])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_how_many_whole_views_it_trains_on(method: str) -> None:
    kind = METHODS[method]
    encoder = check_encoder({"name": "vit", "dim": 16, "depth": 2, "heads": 1, "patch": 4}, 32, 3)
    with torch.device("meta"):
        built = kind(encoder, kind.Params())
    images = torch.zeros(16, 32, 32, 3, dtype=torch.uint8)
    batch = built.make_batch(images, replace(kind.augmentation, local_size=12), torch.Generator().manual_seed(0))
    assert kind.trained_views == sum(view.shape[-1] == 32 for view in batch.views)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    images=st.integers(2, 300_000), batch=st.integers(1, 1024), epochs=st.integers(1, 300), every=st.integers(1, 20),
    views=st.floats(1, 5), width=st.none() | st.integers(1, 9000),
)  # fmt: skip
def test_a_sample_takes_a_tenth_unless_lidar_needs_more(
    images: int, batch: int, epochs: int, every: int, views: float, width: int | None
) -> None:
    work = Work(images, min(batch, images), epochs, every, views)
    n, q = sample_size(work, images, width)
    assert 2 <= n <= min(images, IMAGES)
    assert VIEWS[0] <= q <= VIEWS[1]
    least = min(images, IMAGES, max(2, 2 * width) if width else IMAGES)
    assert n >= least
    if n > least or q > VIEWS[0]:
        assert work.share(n, q) <= 0.1 + 1e-9
    if n < min(images, IMAGES):
        assert work.share(n + 1, q) > 0.1
    elif q < VIEWS[1] and n == IMAGES:
        assert work.share(n, q + 1) > 0.1
    assert sample_size(work, images, width) == (n, q)


@given(images=st.integers(4, 10**6))
def test_a_batch_fits_twice_and_is_the_largest_power_of_two(images: int) -> None:
    batch = fitting_batch(images)
    assert batch & (batch - 1) == 0
    assert images // batch >= 2
    assert batch == 128 or images // (2 * batch) < 2


# the file


@pytest.mark.slow
def test_what_is_not_given_is_sized_said_and_kept(flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = parse_config(without(flat, "batch_size", "criteria_sample", "oracle"), source="file")
    assert (config.batch_size, config.criteria_sample) == (32, CriteriaSample(images=16, views=10))
    assert said(caplog) == [
        "for 96 training images: no image is held out, because none has a label; `batch_size` is 32; "
        "`criteria_sample` is {images: 16, views: 10}, 30.6% of the training's passes, because LiDAR needs so many for "
        "8 dimensions"
    ]
    assert config.dataset["test_share"] == 0.0
    written = yaml.safe_load(yaml.safe_dump(to_mapping(config)))
    assert parse_config(written, source="sweep.yaml") == config
    assert said(caplog) == []


@pytest.mark.slow
def test_more_epochs_between_measurements_are_a_larger_sample(flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = parse_config(without(flat, "criteria_sample", epochs=40, criteria_every=20), source="file")
    assert config.criteria_sample == CriteriaSample(images=38, views=10)
    assert said(caplog)[0].endswith("`criteria_sample` is {images: 38, views: 10}, 9.9% of the training's passes")


@pytest.mark.slow
def test_what_is_given_stays(flat: Path, labelled: Path, caplog: pytest.LogCaptureFixture) -> None:
    for sample in (CriteriaSample(40, 3), CriteriaSample(70)):
        asked = {"images": sample.images, "views": sample.views}
        config = parse_config(without(labelled, criteria_sample=asked), source="file")
        assert (config.batch_size, config.criteria_sample) == (24, sample)
    assert said(caplog) == []
    config = parse_config(without(flat, criteria_sample={"views": 4}), source="file")
    assert config.criteria_sample == CriteriaSample(images=96, views=4)
    assert said(caplog)[0].endswith("`criteria_sample.images` is lowered from 1000 to 96")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"batch_size": 97}, "`batch_size` must be at most the 96 training images, but got 97"),
        (
            {"criteria_sample": {"images": 97}},
            "`criteria_sample.images` must be at most the 96 images of the train split, but got 97",
        ),
        ({"criteria_sample": {"split": "test"}}, "`criteria_sample.images` must be at most the 0 images of the test"),
    ],
)
def test_given_keys_that_do_not_fit_are_refused(flat: Path, keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_config(without(flat, **keys), source="file")


@pytest.mark.slow
def test_an_example_fits_a_small_folder(flat: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = f"dataset={{name: folder, root: {flat}, size: 16}}"
    config = load_config(examples()["simclr"], [dataset, "oracle=none"])
    assert (config.batch_size, config.criteria_sample) == (32, CriteriaSample(images=96, views=10))
    assert said(caplog) == [
        "for 96 training images: no image is held out, because none has a label; `batch_size` is lowered from 128 to "
        "32; `criteria_sample.images` is lowered from 500 to 96"
    ]
    with pytest.raises(ConfigError) as caught:
        load_config(examples()["simclr"], [dataset, "batch_size=128", "criteria_sample.images=500"])
    assert [line.partition(": ")[0] for line in caught.value.lines] == [
        "override batch_size=128",
        "override criteria_sample.images=500",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(examples()))
def test_the_examples_do_not_change(name: str, caplog: pytest.LogCaptureFixture) -> None:
    content = yaml.safe_load(examples()[name].read_text())
    config = load_config(examples()[name])
    assert config.batch_size == content["batch_size"]
    assert config.criteria_sample == CriteriaSample(**content["criteria_sample"])
    assert said(caplog) == []


# the test split


@pytest.mark.slow
def test_labels_hold_the_same_fifth_out(labelled: Path) -> None:
    config = parse_config(without(labelled), source="file")
    assert config.dataset["test_share"] == 0.2
    before = {**without(labelled), "dataset": {**without(labelled)["dataset"], "test_share": 0.2}}
    assert parse_config(before, source="file") == config


@pytest.mark.slow
def test_a_sweep_without_labels_trains_on_all_images(flat: Path, tmp_path: Path) -> None:
    config = without(flat, "batch_size", "criteria_sample", epochs=1, trials=1)
    sweep = sweeper.run(config, "oracle=none", name="all", results=tmp_path, local=True, device="cpu", quiet=True)
    recorded = yaml.safe_load((sweep.folder / "sweep.yaml").read_text())
    assert recorded["provenance"]["images"]["train"] == 96
    assert (recorded["batch_size"], recorded["dataset"]["test_share"]) == (32, 0.0)
    assert recorded["criteria_sample"] == {"images": 16, "views": 10, "split": "train", "seed": 0}
    table = sweep.results.trials
    assert (table["lidar_n"].item(), table["lidar_q"].item(), table["status"].item()) == (16, 10, "completed")
