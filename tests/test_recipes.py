"""The papers' recipes among the search-space files: each is valid, has the numbers of its source, and trains."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from small_sweeps import ROOT, make_images

from sweeper.config.model import SweepConfig
from sweeper.config.read import load_config
from sweeper.errors import ConfigError
from sweeper.search.configurations import configuration, make_trial_config
from sweeper.search.samplers import check_trials
from trainers.loop import train
from trainers.methods import METHODS
from trainers.records import TrialConfig
from trainers.settings import check_data

FOLDER = ROOT / "search_spaces"
FILES = {
    f"{path.parent.name}/{path.stem}": path for path in sorted(FOLDER.glob("*/*.yaml")) if path.parent.name != "studies"
}
IMAGES = {"cifar10": 50_000, "tiny_imagenet": 100_000, "imagenet": 1_281_167}
"""Training images of each data set."""

# The numbers of the sources, written down apart from the files. A number is in `fixed`, or within its axis; a pair
# is the ends of an axis.
INFORMATION = {"epochs": 800, "batch_size": 512, "oracle": "vicreg_paper", "optimizer": "sgd", "lr": 0.5}
INFORMATION |= {"weight_decay": 1e-4, "momentum": 0.9}
SOLO = {"epochs": 1000, "batch_size": 256, "oracle": "vicreg_paper", "optimizer": "sgd", "warmup": 10 / 1000}
LIDAR = {"epochs": 600, "batch_size": 2048, "oracle": "lidar_paper"}
BASE = 2048 / 256
"""By how much a reference code multiplies its learning rate."""

SOURCES: dict[str, dict[str, Any]] = {
    "cifar/simclr": {**INFORMATION, "temperature": 0.2, "projector_hidden_dim": 2048, "projection_dim": 256},
    "cifar/vicreg": {**INFORMATION, "expander_dim": 2048, "crop_scale_min": 0.2, "covariance_weight": 1.0},
    "cifar/byol": {**SOLO, "lr": 1.0, "weight_decay": 1e-5, "teacher_momentum": 0.99, "projector_hidden_dim": 4096},
    "cifar/barlow_twins": {**SOLO, "lr": 0.1 * 0.3, "redundancy_weight": 5e-3, "projector_dim": 2048},
    "cifar/moco": {**SOLO, "lr": 0.3, "weight_decay": 1e-4, "temperature": 0.2, "queue_size": 32768}
    | {"teacher_momentum": 0.99, "final_teacher_momentum": 0.999},
    "cifar/swav": {**SOLO, "lr": 0.6, "weight_decay": 1e-6, "prototypes": 3000, "freeze_prototypes": 2 / 1000}
    | {"queue_size": 3840, "queue_start": 50 / 1000, "temperature": 0.1, "epsilon": 0.05},
    "cifar/dino": {**SOLO, "lr": 0.3, "weight_decay": 1e-6, "prototypes": 4096, "teacher_momentum": 0.9995}
    | {"student_temperature": 0.1, "teacher_temperature": 0.07, "freeze_prototypes": 1 / 1000},
    "tiny-imagenet/simclr": {**INFORMATION, "weight_decay": (1e-7, 1e-2), "temperature": (0.05, 0.4)},
    "tiny-imagenet/vicreg": {**INFORMATION, "variance_weight": 25.0, "covariance_weight": 1.0},
    "imagenet/vicreg": {**LIDAR, "optimizer": "lars", "lr": (0.1 * BASE, 0.5 * BASE), "weight_decay": (1e-7, 1e-3)}
    | {"covariance_weight": (0.4, 16.0), "variance_weight": 25.0, "expander_dim": 8192},
    "imagenet/simclr": {**LIDAR, "optimizer": "lars", "lr": 0.3 * BASE, "temperature": 0.1},
    "imagenet/dino": {**LIDAR, "optimizer": "adamw", "lr": (1.25e-4, 7.5e-3), "student_temperature": (0.07, 0.4)}
    | {"teacher_temperature": (0.01, 0.05), "weight_decay": 0.04, "final_weight_decay": 0.4, "prototypes": 65536},
    "imagenet/ijepa": {**LIDAR, "optimizer": "adamw", "lr": (4e-5, 3e-4), "context_scale_min": (0.4, 0.9)}
    | {"target_scale_min": (0.075, 0.2), "target_scale_max": (0.2, 0.25), "teacher_momentum": 0.996},
    "imagenet/data2vec": {**LIDAR, "optimizer": "adamw", "mask_ratio": 120 / 196, "top_blocks": 6, "beta": 2.0}
    | {"teacher_momentum": 0.999, "final_teacher_momentum": 0.9998, "min_block": 16},
}
CENTRES = {
    "imagenet/vicreg": {"lr": 0.2 * BASE, "weight_decay": 1e-6, "covariance_weight": 1.0},
    "imagenet/simclr": {"lr": 0.3 * BASE, "temperature": 0.1},
    "imagenet/dino": {"lr": 5e-4 * BASE, "student_temperature": 0.1, "teacher_temperature": 0.04},
    "imagenet/ijepa": {"target_scale_min": 0.15, "target_scale_max": 0.2, "context_scale_min": 0.85},
    "imagenet/data2vec": {"mask_ratio": 120 / 196, "teacher_momentum": 0.999},
}
"""What the reference codes have, around which one axis at a time varies."""

SMALL: dict[str, str] = {
    "expander_dim": "16",
    "projector_dim": "16",
    "projector_hidden_dim": "16",
    "projection_dim": "8",
    "head_hidden_dim": "16",
    "bottleneck_dim": "8",
    "prototypes": "4",
    "predictor_dim": "16",
    "predictor_depth": "1",
    "queue_size": "4",
    "batch_groups": "2",
}
"""Widths and counts of a network that trains in a moment."""


def content(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILES[name].read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Data set -> an override that gives the file a few images of that data set's shape and layout.

    torchvision compares CIFAR with known digests, so that a folder of images of its size takes its place.
    """
    folder = tmp_path_factory.mktemp("images")
    images = {size: make_images(folder / str(size), count=6, size=size) for size in (32, 64)}
    for split in ("train", "val"):
        for synset in ("rows", "columns"):
            (folder / "layout" / split).mkdir(parents=True, exist_ok=True)
            (folder / "layout" / split / synset).symlink_to(images[64] / synset)
    layout = f"dataset.root={folder / 'layout'}"
    cifar = f"dataset={{name: folder, root: {images[32]}, size: 32, test_share: 0}}"
    return {"cifar10": cifar, "tiny_imagenet": layout, "imagenet": layout}


def load(name: str, roots: Mapping[str, str], *overrides: str) -> SweepConfig:
    """The recipe on a few images; on a cluster, so that it may ask for a GPU that this machine lacks."""
    given = (roots[content(name)["dataset"]["name"]], *overrides)
    return load_config(FILES[name], given, cluster=True)


def test_every_recipe_is_compared_with_its_source() -> None:
    assert set(FILES) == set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_numbers_of_its_source(name: str) -> None:
    file = content(name)
    values = {**file, **file["fixed"]}
    for key, expected in SOURCES[name].items():
        axis = file["space"].get(key)
        if isinstance(expected, tuple):
            assert (axis["low"], axis["high"]) == pytest.approx(expected, rel=1e-12), key
        elif axis is not None:
            assert axis["low"] <= expected * (1 + 1e-9), key
            assert expected <= axis["high"] * (1 + 1e-9), key
        elif isinstance(expected, float):
            assert values[key] == pytest.approx(expected, rel=1e-12), key
        else:
            assert values[key] == expected, key
    for key, expected in CENTRES.get(name, {}).items():
        assert file["fixed"][key] == pytest.approx(expected, rel=1e-12), key
    assert file.get("search", {}).get("sampler") == ("axes" if name in CENTRES else None)


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_fits_its_data_set(name: str) -> None:
    file = content(name)
    images, sample = IMAGES[file["dataset"]["name"]], file["criteria_sample"]
    assert sample["images"] * sample["views"] == 50_000
    assert sample["images"] <= images
    values = {key: value for key, value in file["fixed"].items() if key not in file["space"]}
    check_data(
        TrialConfig(file["method"], {}, {}, epochs=1, batch_size=file["batch_size"], hyperparameters=values), images
    )
    share = file["fixed"].get("warmup", METHODS[file["method"]].optimizer.warmup)
    assert math.isclose(share * file["epochs"], round(share * file["epochs"]), abs_tol=0.05)  # whole epochs


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_is_valid_at_its_full_size(name: str, roots: Mapping[str, str]) -> None:
    # The networks are as large as in the file, but have no numbers. Only a queue must have fewer rows than the images.
    queue = ("fixed.queue_size=4",) if "queue_size" in content(name)["fixed"] else ()
    prototypes = ("fixed.prototypes=4",) if name == "cifar/swav" else ()
    config = load(name, roots, *queue, *prototypes)
    assert config.method == content(name)["method"]
    check_trials(config)
    if config.search.sampler == "axes":  # all of them are run
        with pytest.raises(ConfigError, match=f"at most the {config.trials} configurations"):
            configuration(config, config.trials)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_trains(name: str, roots: Mapping[str, str]) -> None:
    file = content(name)
    known = {**vars(METHODS[file["method"]].Params())}
    small = [f"fixed.{key}={value}" for key, value in SMALL.items() if key in known and key not in file["space"]]
    if str(file["encoder"]["name"]).startswith("timm/vit"):
        small.append("encoder={name: vit, dim: 16, depth: 6, patch: 4}")
    else:
        small.append("encoder={name: resnet, width: 8, blocks: 1, stages: 2, stem_stride: 4}")
    if file["dataset"]["name"] == "imagenet":
        small.append("dataset.size=56")  # 14×14 patches of 4 pixels, as 224 pixels have of 16
    small += ["epochs=1", "batch_size=4", "criteria=[lidar, rankme]", "criteria_sample={images: 4, views: 2}"]
    config = load(name, roots, *small)
    number = config.trials - 1  # of `axes`, the end of the last axis
    (report,) = train(make_trial_config(config, number, configuration(config, number)))
    assert report.step == 1
    assert math.isfinite(report.loss)
    assert set(report.criteria) >= {"lidar", "rankme"}


@pytest.mark.slow
def test_the_entropies_of_the_information_theory_paper_take_the_place_of_two_terms(roots: Mapping[str, str]) -> None:
    head = FILES["cifar/vicreg"].read_text(encoding="utf-8")
    (space,) = re.findall(r"^#   method=vicreg_logdet space='(.*)'$", head, flags=re.MULTILINE)
    for method in ("vicreg_logdet", "vicreg_pairdist"):
        config = load("cifar/vicreg", roots, f"method={method}", f"space={space}")
        assert (config.method, set(config.space)) == (method, {"lr"})
