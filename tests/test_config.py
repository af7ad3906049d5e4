"""From a search-space file to a SweepConfig: values, defaults, and the message for each mistake."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import jsonschema
import optuna
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.docs import schema
from sweeper.config.model import MADE, SweepConfig, to_mapping
from sweeper.config.pruners import make_pruner
from sweeper.config.read import load_config, parse_config
from sweeper.config.yaml_file import read_document
from sweeper.errors import ConfigError
from trainers.criteria import CRITERIA, DEFAULT_CRITERIA
from trainers.encoders import ENCODERS
from trainers.methods import METHODS
from trainers.names import did_you_mean
from trainers.oracles import ORACLES
from trainers.records import CriteriaSample

METHOD_NAMES, CRITERIA_NAMES, ENCODER_NAMES, ORACLE_NAMES = map(", ".join, (METHODS, CRITERIA, ENCODERS, ORACLES))

FILE = """\
method: dino
dataset: {name: mnist5k}
encoder: {name: resnet, width: 8, blocks: 1, stages: 2}
epochs: 10
batch_size: 128
trials: 12
space:
  lr:
    type: float
    low: 1e-4
    high: 1.0e-1
    log: true
  mask_ratio: {type: float, low: 0.0, high: 0.6}
  prototypes: {type: int, low: 64, high: 1024, log: true}
fixed: {teacher_momentum: 0.97, local_crops: 0}
"""
GIVEN = "criteria_sample={images: 40, views: 3}"
"""An override without which the sample is sized, and a line says so."""
LINES = {"encoder": 3, "trials": 6, "space.lr": 8, "space.lr.low": 10, "space.mask_ratio": 13, "fixed": 15}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(FILE)
    return path


def complaints(path: Path, *overrides: str) -> tuple[str, ...]:
    """The lines about a bad file or bad overrides."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == 2
    assert not [line for line in caught.value.lines if "\n" in line]
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


def complaint(path: Path, *overrides: str) -> str:
    """The line about a file or an override with one mistake."""
    (line,) = complaints(path, *overrides)
    return line


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.slow
def test_what_is_read(file: Path) -> None:
    config = load_config(file)
    assert (config.method, config.epochs, config.batch_size, config.trials) == ("dino", 10, 128, 12)
    assert config.space == {
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "mask_ratio": FloatDistribution(0.0, 0.6),
        "prototypes": IntDistribution(64, 1024, log=True),
    }
    assert config.fixed == {"teacher_momentum": 0.97, "local_crops": 0}


@pytest.mark.slow
def test_every_default_is_written_out(file: Path) -> None:
    config = load_config(file)
    assert config.criteria == DEFAULT_CRITERIA
    assert config.criteria_sample == CriteriaSample(images=512, views=10)  # two for each dimension of the bottleneck
    assert config.oracle == ("lidar_paper",)
    assert config.points == {"lr": 5, "mask_ratio": 5, "prototypes": 5}
    assert config.encoder == {
        "name": "resnet",
        "width": 8,
        "blocks": 1,
        "stages": 2,
        "stem_stride": 1,
        "mask_patch": None,
    }
    written = to_mapping(config)
    assert set(written) == {field.name for field in fields(SweepConfig)} - {*MADE}
    assert written["space"]["lr"] == {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "points": 5}
    assert written["pruner"] == {"name": "none", "audit": 0.0}


CHANGES = [
    (),
    ("oracle=none",),
    ("oracle=[lidar_paper]", "oracle_pruned=true"),
    ("space={}",),
    ("space.lr.points=3", "search.sampler=axes", "fixed.lr=0.01"),
    ("space.optimizer={type: categorical, choices: [adamw, sgd]}", "space.prototypes=null"),
    ("space.clip_norm={type: categorical, choices: [null, 3.0]}",),
    ("pruner.name=hyperband", "pruner.audit=0.2"),
    ("pruner={name: patient, patience: 2, wrapped_pruner: {name: percentile, percentile: 25}}",),
    ("pruner={name: patient, patience: 2, wrapped_pruner: null}",),
    ("resources.gpus=0", "resources.cpus=0.5", "jobs=3", "storage='sqlite:///x.db'", "collapse.peak_share=0.5"),
    ("encoder={name: timm/resnet10t}", "seeds=3", "criteria=lidar", "criteria_sample.images=20"),
]


@pytest.mark.slow
@pytest.mark.parametrize("overrides", CHANGES, ids=" ".join)
def test_the_resolved_config_reads_back_as_itself(file: Path, overrides: tuple[str, ...]) -> None:
    config = load_config(file, overrides)
    text = yaml.safe_dump(to_mapping(config), sort_keys=False)
    assert parse_config(yaml.safe_load(text), source="sweep.yaml") == config


@pytest.mark.slow
def test_the_embedded_sweeps_are_valid() -> None:
    found = sorted((Path(__file__).parents[1] / "search_spaces").glob("*.yaml"))
    assert len(found) >= 3
    for path in found:
        config = load_config(path)
        assert config.method == path.stem
        assert config.trials >= 12


# Overrides


def test_overrides_are_read_as_yaml(file: Path) -> None:
    config = load_config(
        file,
        ["trials=40", "space.lr.high=0.3", "space.mask_ratio=null", "oracle=none", "search={sampler: qmc, seed: 7}"],
    )
    assert (config.trials, config.oracle, config.search.sampler, config.search.seed) == (40, (), "qmc", 7)
    assert config.space["lr"] == FloatDistribution(1e-4, 0.3, log=True)
    assert set(config.space) == {"lr", "prototypes"}


def test_a_later_override_wins(file: Path) -> None:
    assert load_config(file, ["trials=3", "trials=4"]).trials == 4


@pytest.mark.slow
def test_null_takes_only_hyperparameters_out_of_the_space(file: Path) -> None:
    assert load_config(file, ["fixed.clip_norm=null"]).fixed["clip_norm"] is None
    assert "temperature" not in load_config(file, ["space.hue=null"]).space
    assert "`space.lrr` is not a hyperparameter of dino; did you mean `lr`?" in complaint(file, "space.lrr=null")


def test_an_override_leaves_another_key_of_the_same_anchor_alone(file: Path) -> None:
    edited(
        file,
        "  mask_ratio: {type: float, low: 0.0, high: 0.6}",
        "  weight_decay: &decay {type: float, low: 0.1, high: 0.6}",
    )
    edited(file, "  prototypes: {type: int, low: 64, high: 1024, log: true}", "  mask_ratio: *decay")
    config = load_config(file, ["space.weight_decay.high=0.2"])
    assert config.space == {
        "lr": FloatDistribution(1e-4, 1e-1, log=True),
        "weight_decay": FloatDistribution(0.1, 0.2),
        "mask_ratio": FloatDistribution(0.1, 0.6),
    }


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trials", "override 'trials' must be key=value, such as trials=40"),
        ("=3", "override '=3' must be key=value"),
        ("space..low=3", "must be key=value"),
        ("trials=[1", "override trials=[1, line 1: not valid YAML"),
        ("trials.x=3", "override trials.x=3: `trials` is 12, so it cannot have `x`"),
        ("space.lr=0.1", "override space.lr=0.1: `space.lr` must be a mapping (key: value), but got 0.1"),
    ],
)
def test_an_override_that_is_none(file: Path, override: str, said: str) -> None:
    assert said in complaint(file, override)


# Numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "number"), [("1e-3", 1e-3), ("1E+1", 10.0), ("-2", None), (".5", 0.5), ("1.e-2", 0.01)]
)
def test_a_number_that_yaml_reads_as_text_is_a_number(file: Path, written: str, number: float | None) -> None:
    if number is None:
        assert "must be at least 0, but got -2.0" in complaint(file, f"fixed.weight_decay={written}")
    else:
        assert load_config(file, [f"fixed.weight_decay={written}"]).fixed["weight_decay"] == number


def test_yaml_does_read_it_as_text() -> None:
    assert yaml.safe_load("1e-4") == "1e-4"


@pytest.mark.slow
def test_a_number_is_read_as_its_kind(file: Path) -> None:
    config = load_config(file, ["epochs=1e1", "fixed.teacher_momentum=1", "space.lr.low=0.01"])
    assert (config.epochs, type(config.epochs)) == (10, int)
    assert type(config.fixed["teacher_momentum"]) is float
    choices = load_config(file, ["space.lr={type: categorical, choices: [1e-3, 1]}"]).space["lr"]
    assert choices == CategoricalDistribution((1e-3, 1.0))


# What each mistake is told: the override, the key, what was expected, what came, the nearest right name

MISTAKES = [
    ("trials=0", "`trials` must be a whole number from 1 to 1,000,000, but got 0"),
    ("epochs=0", "`epochs` must be a whole number from 1 to 1,000,000, but got 0"),
    ("epochs=1.5", "`epochs` must be a whole number from 1 to 1,000,000, but got 1.5"),
    ("epochs=ten", '`epochs` must be a whole number from 1 to 1,000,000, but got "ten"'),
    ("epochs=true", "`epochs` must be a whole number from 1 to 1,000,000, but got true"),
    ("epochs=.inf", "`epochs` must be a whole number from 1 to 1,000,000, but got Infinity"),
    ("epochs=", "`epochs` must be a whole number from 1 to 1,000,000, but got null"),
    ("batch_size=1", "`batch_size` must be a whole number from 2 to 10,000,000, but got 1"),
    ("batch_size=5000", "`batch_size` must be at most the 4000 training images, but got 5000"),
    ("seeds=0", "`seeds` must be a whole number from 1 to 10,000, but got 0"),
    ("oracle_pruned=1", "`oracle_pruned` must be true or false, but got 1"),
    ("jobs=0", "`jobs` must be a whole number from 1 to 10,000 or auto, but got 0"),
    ("jobs=Auto", '`jobs` must be a whole number from 1 to 10,000 or auto, but got "Auto"; did you mean `auto`?'),
    ("storage=3", "`storage` must be text or null, but got 3"),
    ("keep_checkpoints=bst", 'one of best, last, all, none, but got "bst"; did you mean `best`?'),
    ("max_retries=-1", "`max_retries` must be a whole number from 0 to 1,000, but got -1"),
    # names
    ("method=simclrr", f'`method` must be one of {METHOD_NAMES}, but got "simclrr"; did you mean `simclr`?'),
    ("method=Sim-CLR", "did you mean `simclr`?"),
    ("method=", f"`method` is missing; it must be one of {METHOD_NAMES}"),
    ("dataset.name=mnist", 'but got "mnist"; did you mean `mnist5k`?'),
    ("dataset=5", "`dataset` must be a name or a mapping (key: value), but got 5"),
    ("dataset=mnist", "override dataset=mnist: `dataset.name` must be one of"),
    ("encoder=timm/resnet18x", "did you mean timm/resnet18?"),
    ("dataset.rot=x", "`dataset.rot` is not an option of mnist5k"),
    ("dataset.name=folder", "`dataset.root` must be a folder of images"),
    ("encoder.name=resnett", f'one of {ENCODER_NAMES} or timm/MODEL, but got "resnett"; did you mean `resnet`?'),
    ("encoder.widht=3", "`encoder.widht` is not an option of resnet; did you mean `width`?"),
    ("encoder.width=0", "`encoder.width` must be a whole number from 1 to 16,384, but got 0"),
    ("encoder.width=wide", '`encoder.width` must be a whole number from 1 to 16,384, but got "wide"'),
    ("encoder={name: vit, patch: 5}", "a patch must divide the image size, but 28 is not a multiple of 5"),
    ("encoder={name: timm/resnet18x}", "did you mean timm/resnet18?"),
    (
        "criteria=lida",
        f'`criteria` must be among {CRITERIA_NAMES} or be default or all, but got "lida"; did you mean `lidar`?',
    ),
    ("criteria_every=0", "`criteria_every` must be a whole number from 1 to 1,000,000, but got 0"),
    ("criteria_every=1.5", "`criteria_every` must be a whole number from 1 to 1,000,000, but got 1.5"),
    ("criteria=[lidar, lidar]", "`criteria` must name each once"),
    ("criteria=[]", "`criteria` must name at least one criterion, but got []"),
    ("criteria=3", "`criteria` must be a list of names, but got 3"),
    (
        "oracle=lidar_papr",
        f'`oracle` must be among {ORACLE_NAMES} or be none, but got "lidar_papr"; did you mean `lidar_paper`?',
    ),
    ("oracle=[none]", f'`oracle` must be among {ORACLE_NAMES} or be none, but got "none"'),
    (
        "objective=lidr",
        f'`objective` must be one of the criteria {CRITERIA_NAMES}, but got "lidr"; did you mean `lidar`?',
    ),
    ("objective=accuracy", "the search uses criteria, which need no labels"),
    ("objective=lidar_paper", f"must be one of the criteria {CRITERIA_NAMES}"),
    ("objective=loss", "the search uses criteria, which need no labels"),
    (
        "criteria=rankme",
        "`objective` must be one of the `criteria` of this sweep (rankme), but got lidar; add it to `criteria`",
    ),
    ("search.sampler=tpee", 'but got "tpee"; did you mean `tpe`?'),
    (
        "search.sampler=bayes",
        'must be one of random, tpe, gp, cmaes, qmc, grid, axes, but got "bayes"; did you mean `tpe` or `gp`, which do',
    ),
    ("search=tpe", '`search` must be a mapping (key: value), but got "tpe"; write `search.sampler`'),
    ("search.seed=-1", "`search.seed` must be a whole number of at least 0, but got -1"),
    # keys
    ("trails=3", "`trails` is not a key of a sweep; did you mean `trials`?"),
    ("sampler=tpe", "`sampler` is not a key of a sweep; did you mean `search.sampler`?"),
    ("gpus=1", "`gpus` is not a key of a sweep; did you mean `resources.gpus`?"),
    ("points=3", "`points` is not a key of a sweep"),
    (
        "student_temperature=0.1",
        "`student_temperature` is a hyperparameter: hold it below `fixed:` or vary it below `space:`",
    ),
    ("resources.gpu=1", "`resources.gpu` is not a key of `resources`; did you mean `gpus`?"),
    ("collapse.warm=1", "`collapse.warm` is not a key of `collapse`; did you mean `warmup`?"),
    # space
    ("space.temperature={type: float, low: 1, high: 2}", "`space.temperature` is not a hyperparameter of dino"),
    ("space.student_temprature={type: float, low: 1, high: 2}", "did you mean `student_temperature`?"),
    ("space.lr.low=1", "`space.lr.low` must be at most `high`, but got low 1.0 and high 0.1; swap them"),
    ("space.lr.low=0", "`space.lr.low` must be above 0 with log: true, but got 0.0; raise it or set log: false"),
    ("space.lr.low=small", '`space.lr.low` must be a number, but got "small"'),
    ("space.lr.low=.nan", "`space.lr.low` must be a number, but got NaN"),
    ("space.lr.hihg=1", "`space.lr.hihg` is not a key of `space.lr`; did you mean `high`?"),
    ("space.lr.log=maybe", '`space.lr.log` must be true or false, but got "maybe"'),
    ("space.lr.type=uniform", '`space.lr.type` must be one of float, int, categorical, but got "uniform"'),
    ("space.lr.points=0", "`space.lr.points` must be a whole number from 1 to 10,000, but got 0"),
    ("space.lr={low: 1, high: 2}", "`space.lr.type` is missing; it must be one of float, int, categorical"),
    ("space.lr={type: float, low: 1}", "`space.lr.high` is missing; it must be a number"),
    (
        "space.local_crops={type: float, low: 0, high: 2}",
        "must be int or categorical, because local_crops is a whole number",
    ),
    (
        "space.optimizer={type: float, low: 0, high: 2}",
        "must be categorical, because optimizer is one of adamw, sgd, lars",
    ),
    ("space.optimizer={type: categorical, choices: [adam]}", 'one of adamw, sgd, lars, but got "adam"'),
    ("space.lr={type: categorical, choices: []}", "`space.lr.choices` must hold at least one value, but got []"),
    ("space.lr={type: categorical, choices: [1e-3, 0.001]}", "must differ from each other, but 0.001 is there twice"),
    ("space.lr={type: categorical, choices: [{a: 1}]}", "`space.lr.choices` must be a list of values"),
    ("space.mask_ratio.high=1.5", "`mask_ratio` must be in [0, 1), but got 1.5"),
    ("space.hue={type: float, low: 0.1, high: 0.7}", "`hue` must be in [0, 0.5], but got 0.7"),
    # fixed
    ("fixed.lrr=1", "`fixed.lrr` is not a hyperparameter of dino; did you mean `lr`?"),
    (
        "fixed.optimizer=adam",
        '`fixed.optimizer` must be one of adamw, sgd, lars, but got "adam"; did you mean `adamw`?',
    ),
    ("fixed.momentum=high", '`fixed.momentum` must be a number, but got "high"'),
    ("fixed.local_crops=0.5", "`fixed.local_crops` must be a whole number, but got 0.5"),
    ("fixed.momentum=2", "`momentum` must be in [0, 1], but got 2.0"),
    # sample and resources
    ("criteria_sample.images=1", "`criteria_sample.images` must be a whole number from 2 to 10,000,000, but got 1"),
    ("criteria_sample.images=5000", "`criteria_sample.images` must be at most the 4000 images of the train split"),
    ("criteria_sample={split: test, images: 1001}", "at most the 1000 images of the test split, but got 1001"),
    (
        "criteria_sample.split=tset",
        '`criteria_sample.split` must be train or test, but got "tset"; did you mean `test`?',
    ),
    ("resources.gpus=1", "`resources.gpus` must be at most the 0 GPUs here, but got 1"),
    ("resources.gpus=2", "`resources.gpus` must be at most 1, because a trial trains on one GPU, but got 2"),
    ("resources.gpus=1.5", "`resources.gpus` must be at most 1, because a trial trains on one GPU, but got 1.5"),
    ("resources.gpus=all", '`resources.gpus` must be a number of at least 0 or auto, but got "all"'),
    ("resources.cpus=0", "`resources.cpus` must be a number of at least 0.01, but got 0"),
    ("resources.cpus=4096", "`resources.cpus` must be at most the"),
    # pruner
    ("pruner=[median]", '`pruner` must be a name or a mapping (key: value), but got ["median"]'),
    ("pruner=medain", "override pruner=medain: `pruner.name` must be one of"),
    ("pruner=percentile", "`pruner.percentile` is missing"),
    ("pruner.name=medain", "did you mean `median`?"),
    ("pruner.audit=0.5", "`pruner.name` is missing; it must be one of median"),
    ("pruner={name: none, audit: 2}", "`pruner.audit` must be a number from 0 to 1, but got 2"),
    ("pruner.name=wilcoxon", "wilcoxon is refused: it pairs the steps of two trials as instances of one problem"),
    ("pruner={name: patient, patience: 1, wrapped_pruner: {name: wilcoxon}}", "wilcoxon is refused"),
    (
        "pruner={name: median, n_startup: 3}",
        "`pruner.n_startup` is not an argument of the median pruner; did you mean `n_startup_trials`?",
    ),
    ("pruner={name: none, patience: 3}", "`pruner.patience` is not an argument of the none pruner"),
    ("pruner={name: percentile}", "`pruner.percentile` is missing; it must be a number"),
    (
        "pruner={name: percentile, percentile: 200}",
        "Optuna refuses this percentile pruner: Percentile must be between 0 and 100",
    ),
    ("pruner={name: threshold}", "Optuna refuses this threshold pruner: Either lower or upper must be specified"),
    (
        "pruner={name: hyperband, reduction_factor: 1}",
        "Optuna refuses this hyperband pruner: The value of `reduction_factor` is 1, but must be",
    ),
    (
        "pruner={name: successive_halving, reduction_factor: 1}",
        "Optuna refuses this successive_halving pruner: The value of `reduction_factor` is 1, but must be",
    ),
    ("pruner={name: hyperband, bootstrap_count: -1}", "The value of `bootstrap_count` is -1, but must be"),
    (
        "pruner={name: patient, patience: 1, wrapped_pruner: {name: hyperband, reduction_factor: 1}}",
        "Optuna refuses this patient pruner: The value of `reduction_factor` is 1, but must be",
    ),
    ("pruner={name: hyperband, max_resource: many}", "must be a whole number of at least 1 or auto"),
    (
        "pruner={name: patient, patience: 2}",
        "`pruner.wrapped_pruner` is missing; it must be a pruner, such as {name: median}",
    ),
    ("pruner={name: patient, wrapped_pruner: null}", "`pruner.patience` is missing"),
    (
        "pruner={name: patient, patience: 2, wrapped_pruner: {name: median, n_starup_trials: 1}}",
        "did you mean `n_startup_trials`?",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("override", "said"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_a_mistake_is_told_in_one_line(file: Path, override: str, said: str) -> None:
    message = complaint(file, override)
    assert message.startswith((f"override {override}: ", f"{file}, line ", f"{file} with {override}: "))
    assert said in message


@pytest.mark.slow
def test_an_error_names_file_and_line(file: Path) -> None:
    wrong = {
        "trials": ("trials: 12", "trials: 0"),
        "space.lr.low": ("low: 1e-4", "low: small"),
        "space.mask_ratio": ("  mask_ratio:", "  mask_ration:"),
        "fixed": ("local_crops: 0", "local_cops: 0"),
    }
    for key, (old, new) in wrong.items():
        file.write_text(FILE)
        assert complaint(edited(file, old, new)).startswith(f"{file}, line {LINES[key]}: `{key[:10]}")


def test_an_override_is_named_beside_the_line_that_it_made_wrong(file: Path) -> None:
    message = complaint(file, "encoder.name=vit")
    assert message.startswith(
        f"{file}, line {LINES['encoder']} with encoder.name=vit: `encoder.width` is not an option"
    )
    low, high = complaints(file, "space.lr.type=int")
    assert low.startswith(f"{file}, line {LINES['space.lr.low']} with space.lr.type=int: `space.lr.low`")
    assert high.startswith(f"{file}, line {LINES['space.lr.low'] + 1} with space.lr.type=int: `space.lr.high`")


# Several mistakes

FIVE_MISTAKES = """\
method: dino
dataset: {name: mnist5k}
encoder: {name: resnet, widht: 8, blocks: 1, stages: 2}
epochs: true
batch_size: 128
trails: 12
trials: 12
space:
  lr:
    type: float
    low: 1
    high: 1.0e-1
pruner: {name: medain}
"""


def test_all_mistakes_of_a_file_are_told_in_the_order_of_its_lines(file: Path) -> None:
    file.write_text(FIVE_MISTAKES)
    said = {
        3: "`encoder.widht` is not an option of resnet; did you mean `width`?",
        4: "`epochs` must be a whole number from 1 to 1,000,000, but got true",
        6: "`trails` is not a key of a sweep; did you mean `trials`?",
        11: "`space.lr.low` must be at most `high`, but got low 1.0 and high 0.1; swap them",
        13: "`pruner.name` must be one of median, percentile, successive_halving, hyperband, patient, threshold, none, "
        'but got "medain"; did you mean `median`?',
    }
    assert complaints(file) == tuple(f"{file}, line {line}: {problem}" for line, problem in said.items())


def test_the_mistakes_of_overrides_come_after_those_of_the_file_as_they_were_typed(file: Path) -> None:
    edited(file, "batch_size: 128", "batch_size: 1")
    wrong = ["trials=0", "nonsense", "space.hue={type: int, low: 2, high: 1}", "space.lr.low=small", "seeds=0"]
    lines = complaints(file, *wrong)
    assert lines[0].startswith(f"{file}, line 5: `batch_size`")
    assert [line.partition(":")[0].removeprefix("override ") for line in lines[1:]] == [
        *("trials=0", "'nonsense' must be key=value, such as trials=40 or space.lr.high=0.3"),
        *("space.hue={type", "space.lr.low=small", "seeds=0"),
    ]


@pytest.mark.slow
def test_every_mistake_of_a_section_is_told(file: Path) -> None:
    wrong = "pruner={name: patient, audit: 2, patiense: 3, wrapped_pruner: {name: percentile, percentile: high, x: 1}}"
    problems = [line.removeprefix(f"override {wrong}: `pruner.") for line in complaints(file, wrong)]
    assert sorted(problem.partition("`")[0] for problem in problems) == [
        *("audit", "patience", "patiense", "wrapped_pruner.percentile", "wrapped_pruner.x")
    ]
    assert len(complaints(file, "criteria=[lida, rankmee]")) == 2
    assert len(complaints(file, "resources={cpus: 4096, gpus: 2}")) == 2
    assert len(complaints(file, "space.mask_ratio.high=1.5", "space.hue={type: float, low: 0.1, high: 0.7}")) == 2


def test_a_check_that_needs_a_wrong_part_is_skipped(file: Path) -> None:
    (line,) = complaints(file, "method=dinno", "space.lr.low=small")
    assert "did you mean `dino`?" in line
    assert len(complaints(file, "dataset.name=mnist", "batch_size=5000")) == 1


def test_every_key_that_is_written_twice_is_told(file: Path) -> None:
    file.write_text("method: dino\nmethod: dino\nspace:\n  lr: 1\n  lr: 2\n3: x\n")
    assert [line.partition(": ")[0] for line in complaints(file)] == [f"{file}, line {line}" for line in (2, 5, 6)]


# Files that are none


def test_a_missing_file_is_told_the_nearest(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"did you mean {file}?" in complaint(file.with_name("sweap.yaml"))
    monkeypatch.chdir(Path(__file__).parents[1])
    assert "dino: no such file; did you mean search_spaces/dino.yaml?" in complaint(Path("dino"))
    assert "nothing_like_it.yaml: no such file; the sweeps that come with sweeper" in complaint(
        Path("nothing_like_it.yaml")
    )


def test_a_folder_is_no_file(file: Path) -> None:
    assert "this is a folder; it holds sweep.yaml" in complaint(file.parent)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("- method\n- dino\n", "line 1: the file must be a mapping (key: value), but got"),
        ("dino", "line 1: the file must be a mapping"),
        ("method: dino\nspace: {lr: [}\n", "line 2: not valid YAML"),
        (
            "method: dino\nspace:\n\tlr: 3\n",
            "line 3: not valid YAML: found character '\\t' that cannot start any token; indent with",
        ),
        ("method: dino\n---\nmethod: simclr\n", "line 2: not valid YAML"),
        ("method: dino\nmethod: simclr\n", "line 2: `method` is written twice, first on line 1; keep one"),
        ("method: dino\nspace:\n  lr: 1\n  lr: 2\n", "line 4: `space.lr` is written twice, first on line 3; keep one"),
        ("method: dino\n3: x\n", 'line 2: a key must be text, but got "3"'),
        ("on: x\n", 'line 1: a key must be text, but got "on"'),
        ("method: !!python/object:os.system x\n", "line 1: a tag (tag:yaml.org,2002:python/object:os.system) is not"),
        ("method: &a {x: *a}\n", "line 1: an anchor must not contain itself"),
        ("day: 2026-13-45\n", "not valid YAML: month must be in 1..12"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_text_that_is_no_search_space(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    message = complaint(file)
    assert message.startswith(str(file))
    assert said in message


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"method: \xff\xfe")
    assert "must be UTF-8 text, but byte 8 is not" in complaint(file)


@pytest.mark.parametrize("key", ["method", "dataset", "encoder", "epochs", "trials"])
def test_a_missing_key_is_named(file: Path, key: str) -> None:
    file.write_text("".join(line for line in FILE.splitlines(keepends=True) if not line.startswith(f"{key}:")))
    assert f"`{key}" in (message := complaint(file))
    assert "is missing; it must be" in message


@pytest.mark.slow
def test_a_section_with_nothing_below_it_is_as_if_it_were_not_there(file: Path) -> None:
    plain = load_config(file)
    file.write_text(FILE + "search:\npruner:\nresources:\ncollapse:\ncriteria_sample:\n")
    assert load_config(file) == plain


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_any_text_at_all_is_a_config_or_a_config_error(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    assert complaints(file)


LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.integers(), max_size=2)
)
VALUES = st.recursive(LEAVES, lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)


@settings(max_examples=150, deadline=None)
@given(key=st.sampled_from([field.name for field in fields(SweepConfig)]), value=VALUES)
@pytest.mark.slow
def test_any_value_of_any_key_is_accepted_or_refused(key: str, value: Any) -> None:
    mapping = {**yaml.safe_load(FILE), key: value}
    with contextlib.suppress(ConfigError):
        config = parse_config(mapping, source="mapping")
        assert parse_config(to_mapping(config), source="mapping") == config


# space and fixed


def test_a_hyperparameter_in_both_is_held_and_a_line_says_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sweeper"):
        config = load_config(file, ["fixed.lr=0.01", GIVEN])
    assert "lr" not in config.space
    assert "lr" not in config.points
    assert config.fixed["lr"] == 0.01
    assert caplog.messages == ["`lr` is in `space` and in `fixed`: it is held at 0.01"]


def test_the_sweep_yaml_of_a_sweep_is_told_from_a_search_space(file: Path) -> None:
    file.write_text(file.read_text() + "\nprovenance: {study: a}\n")
    with pytest.raises(ConfigError, match=r"line \d+: `provenance` is in the sweep.yaml of a sweep: `sweeper resume`"):
        load_config(file)
    assert load_config(file, ["provenance=null"]).method == load_config(file, ["provenance=null", "trials=3"]).method


@pytest.mark.slow
def test_an_empty_space_is_said_to_be_so(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = "`space` is empty: all 4 trials have the same hyperparameters and differ in their seed"
    with caplog.at_level(logging.WARNING, "sweeper"):
        assert load_config(file, ["space={}", "trials=2", "seeds=2", GIVEN]).space == {}
        assert caplog.messages == [said]
        load_config(file, ["space={}", "trials=1", "seeds=1", GIVEN])  # there is nothing else that could differ
        load_config(file, ["trials=4", GIVEN])
    assert caplog.messages == [said]


@pytest.mark.slow
def test_for_axes_it_is_the_centre(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(file, ["fixed.lr=0.01", "search.sampler=axes", GIVEN])
    assert "lr" in config.space
    assert config.fixed["lr"] == 0.01
    assert not caplog.messages
    assert "is the centre of its axis, so it must be from 0.0001 to 0.1, but got 0.5" in complaint(
        file, "fixed.lr=0.5", "search.sampler=axes"
    )
    choices = "space.optimizer={type: categorical, choices: [adamw, sgd]}"
    assert 'must be one of "adamw", "sgd", but got "lars"' in complaint(
        file, choices, "fixed.optimizer=lars", "search.sampler=axes"
    )


@pytest.mark.slow
def test_ends_that_only_fit_together_are_not_refused(file: Path) -> None:
    together = [
        "space.crop_scale_min={type: float, low: 0.05, high: 0.2}",
        "space.crop_scale_max={type: float, low: 0.3, high: 1.0}",
    ]
    assert set(load_config(file, together).space) >= {"crop_scale_min", "crop_scale_max"}
    assert "`crop_scale_min` and `crop_scale_max` must be" in complaint(file, together[1])  # dino's own minimum is 0.4


# Pruners


@pytest.mark.parametrize(
    ("pruner", "kind"),
    [
        ("{name: none}", optuna.pruners.NopPruner),
        ("{name: median, n_startup_trials: 2}", optuna.pruners.MedianPruner),
        ("{name: percentile, percentile: 25}", optuna.pruners.PercentilePruner),
        ("{name: successive_halving}", optuna.pruners.SuccessiveHalvingPruner),
        ("{name: hyperband}", optuna.pruners.HyperbandPruner),
        ("{name: patient, patience: 2, wrapped_pruner: {name: median}}", optuna.pruners.PatientPruner),
        ("{name: threshold, lower: 1.5}", optuna.pruners.ThresholdPruner),
    ],
)
def test_a_pruner_is_optunas(file: Path, pruner: str, kind: type[optuna.pruners.BasePruner]) -> None:
    assert type(make_pruner(load_config(file, [f"pruner={pruner}"]))) is kind


def test_a_pruner_prunes_as_its_arguments_say(file: Path) -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner(load_config(file)))
    config = load_config(file, ["pruner={name: median, n_startup_trials: 1, n_warmup_steps: 2}"])

    def would_prune(config: SweepConfig, step: int) -> bool:
        study = optuna.create_study(direction="maximize", pruner=make_pruner(config))
        for value in (10.0, 1.0):
            trial = study.ask()
            for at in range(1, step + 1):
                trial.report(value, at)
            if value == 10.0:
                study.tell(trial, value)
        return trial.should_prune()

    assert study.pruner is not None
    assert [would_prune(config, step) for step in (1, 2, 3)] == [False, True, True]
    late = replace(config, pruner=replace(config.pruner, arguments={**config.pruner.arguments, "n_startup_trials": 2}))
    assert not would_prune(late, 3)


def test_what_optuna_would_guess_from_the_first_trials_is_the_epochs(file: Path) -> None:
    hyperband = make_pruner(load_config(file, ["pruner.name=hyperband", "epochs=27"]))
    assert hyperband._max_resource == 27  # type: ignore[attr-defined]
    halving = make_pruner(load_config(file, ["pruner.name=successive_halving", "epochs=300"]))
    assert halving._min_resource == 3  # type: ignore[attr-defined]


def test_a_hyperparameter_may_be_one_of_some_names(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Annotated as Literal, the names are what `space` and `fixed` accept."""
    from trainers.methods.dino import DINO

    @dataclass(frozen=True)
    class Params(DINO.Params):  # type: ignore[name-defined, misc]
        head: Literal["mlp", "linear"] = "mlp"

    monkeypatch.setattr(DINO, "Params", Params)
    space = load_config(file, ["space.head={type: categorical, choices: [mlp, linear]}"]).space["head"]
    assert space == CategoricalDistribution(("mlp", "linear"))
    with pytest.raises(ConfigError, match="must be one of mlp, linear, but got"):
        load_config(file, ["fixed.head=linaer"])


# Machines


def test_a_cluster_may_have_what_this_machine_has_not(file: Path) -> None:
    config = load_config(file, ["resources={gpus: 1, cpus: 4096}"], cluster=True)
    assert (config.resources.gpus, config.resources.cpus) == (1.0, 4096.0)
    with pytest.raises(ConfigError, match="a trial trains on one GPU, but got 2"):
        load_config(file, ["resources.gpus=2"], cluster=True)


def test_names_that_are_nothing_like_it_are_not_guessed() -> None:
    assert did_you_mean("resnet", ["dino", "simclr"]) == ""
    assert did_you_mean("BarlowTwins", ["dino", "barlow_twins"]) == "; did you mean `barlow_twins`?"


# The JSON schema

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "search_spaces" / "schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def by_schema(path: Path, *overrides: str) -> list[str]:
    """What the schema has against a file with overrides."""
    return [error.message for error in VALIDATOR.iter_errors(read_document(path, overrides).values)]


@pytest.fixture
def plain_file(file: Path) -> Path:
    """A file whose numbers PyYAML reads as numbers, as the YAML of editors does."""
    return edited(file, "1e-4", "1.0e-4")


@pytest.mark.slow
def test_the_schema_is_current() -> None:
    written = (ROOT / "search_spaces" / "schema.json").read_text(encoding="utf-8")
    assert written == schema.write(), "run: python -m sweeper.config.reference search_spaces"
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_embedded_sweeps_fit_the_schema_that_their_first_line_names() -> None:
    for path in sorted((ROOT / "search_spaces").rglob("*.yaml")):
        key, _, name = path.read_text(encoding="utf-8").partition("\n")[0].partition("=")
        assert key == "# yaml-language-server: $schema"
        assert (path.parent / name).resolve() == ROOT / "search_spaces" / "schema.json"
        assert not by_schema(path)


@pytest.mark.parametrize("overrides", CHANGES, ids=" ".join)
def test_what_is_read_fits_the_schema(plain_file: Path, overrides: tuple[str, ...]) -> None:
    assert not by_schema(plain_file, *overrides)


@pytest.mark.parametrize(
    "override",
    [
        *("trails=3", "trials=0", "epochs=true", "jobs=Auto", "storage=3", "keep_checkpoints=bst", "points=3"),
        *("method=simclrr", "dataset.name=mnist", "dataset.rot=x", "encoder.widht=3", "encoder.name=resnett"),
        *("encoder.name=timm/", "criteria=lida", "criteria=[]", "oracle=lidar_papr", "objective=accuracy"),
        *("search.sampler=tpee", "resources.cpus=0", "collapse.warmup=2", "criteria_sample.split=tset"),
        *("pruner.name=medain", "pruner={name: none, patience: 3}", "pruner={name: percentile}"),
        *("pruner={name: median, audit: 2}", "pruner={name: patient, patience: 2, wrapped_pruner: {name: x}}"),
        *("space.temperature={type: float, low: 1, high: 2}", "space.lr={type: float, low: 1}", "space.lr.hihg=1"),
        *("space.local_crops={type: float, low: 0, high: 2}", "space.optimizer={type: int, low: 0, high: 2}"),
        *("space.optimizer={type: categorical, choices: [adam]}", "fixed.lrr=1", "fixed.optimizer=adam"),
        *("fixed.temperature=0.1", "fixed.local_crops=0.5", "fixed.momentum=high"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(plain_file: Path, override: str) -> None:
    assert by_schema(plain_file, override)
    assert complaint(plain_file, override)


@pytest.mark.slow
def test_a_name_alone_is_the_mapping_with_that_name(plain_file: Path) -> None:
    names = {"dataset": "photos", "encoder": "timm/resnet18", "pruner": "median"}
    whole = [f"{key}={{name: {name}}}" for key, name in names.items()]
    config = load_config(plain_file, whole)
    assert load_config(plain_file, [f"{key}={name}" for key, name in names.items()]) == config
    document = read_document(plain_file, whole).values
    assert not list(VALIDATOR.iter_errors(document))
    alone = {**document, **names}
    assert parse_config(alone, source="x") == config
    assert not list(VALIDATOR.iter_errors(alone))
    for key, wrong in {"dataset": "photo", "encoder": "timm/", "pruner": "percentile"}.items():
        assert list(VALIDATOR.iter_errors({**alone, key: wrong})), key


def test_an_override_may_stand_below_a_name_alone(file: Path) -> None:
    pruner = load_config(file, ["pruner=median", "pruner.audit=0.5"]).pruner
    assert (pruner.name, pruner.audit) == ("median", 0.5)
    beside = file.with_name("alone.yaml")
    beside.write_text(f"{file.read_text()}pruner: median\n")
    assert load_config(beside, ["pruner.audit=0.5"]).pruner == pruner


def test_editors_show_meanings_and_defaults() -> None:
    assert SCHEMA["properties"]["seeds"]["default"] == 1
    assert all(one["description"] for one in SCHEMA["properties"].values())
    assert SCHEMA["properties"]["collapse"]["properties"]["warmup"]["description"].startswith("Share of the epochs")
    dino = next(one["then"] for one in SCHEMA["allOf"] if one["if"]["properties"]["method"] == {"const": "dino"})
    assert dino["properties"]["fixed"]["properties"]["lr"]["default"] == 5e-4
    assert set(SCHEMA["required"]) == {"method", "dataset", "encoder", "epochs", "trials"}


MASKED = """\
method: {method}
dataset: {{name: photos}}
encoder: {{name: vit, dim: 16, depth: 2, heads: 1, patch: 8}}
epochs: 1
batch_size: 64
trials: 2
space:
  mask_ratio: {{type: float, low: {low}, high: {high}}}
fixed: {fixed}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "low", "high", "fixed", "words"),
    [
        (
            "ijepa",
            0.23,
            0.25,
            "{min_context: 4, target_scale_min: 1.0, target_scale_max: 1.0}",
            "the grid must leave `min_context` = 4 patches beside the targets, but 4×4 patches",
        ),
        (
            "data2vec",
            0.8,
            0.9,
            "{top_blocks: 2, min_block: 11}",
            "`min_block` must be at most the 10 masked patches of 16, but got 11",
        ),
    ],
    ids=["ijepa", "data2vec"],
)
def test_the_default_masks_of_the_criteria_must_fit_the_grid(
    tmp_path: Path, method: str, low: float, high: float, fixed: str, words: str
) -> None:
    """Both ends of the range fit, and the default, which the criteria's views have, does not."""
    file = tmp_path / "masked.yaml"
    file.write_text(MASKED.format(method=method, low=low, high=high, fixed=fixed))
    line = complaint(file)
    assert "the criteria have the default masks where a sweep varies them: " + words in line
    held = load_config(file, [f"fixed.mask_ratio={high}"])
    assert "mask_ratio" not in held.space


def test_what_masks_do_not_depend_on_may_be_swept(tmp_path: Path) -> None:
    """The criteria's views do not depend on `top_blocks`, whose default of 6 is more than the encoder has."""
    file = tmp_path / "masked.yaml"
    file.write_text(MASKED.format(method="data2vec", low=0.4, high=0.6, fixed="{min_block: 2}"))
    config = load_config(file, ["space.top_blocks={type: int, low: 1, high: 2}", "space.mask_ratio=null"])
    assert set(config.space) == {"top_blocks"}


SEARCH_SPACES = Path(__file__).parents[1] / "search_spaces"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "override", "words"),
    [
        ("vicreg_logdet", "space.beta={type: float, low: 0.0, high: 1.0}", "`beta` must be above 0, but got 0.0"),
        ("byol_pairdist", "space.kernel_variance={type: float, low: -1, high: 1}", "`kernel_variance` must be above 0"),
        ("byol_logdet", "space.entropy_weight={type: float, low: -1, high: 1}", "`entropy_weight` must be at least 0"),
        ("vicreg_pairdist", "fixed.pair_distance=l2", 'must be one of kl, bhattacharyya, but got "l2"'),
        ("vicreg_logdet", "fixed.covariance_weight=1", "`fixed.covariance_weight` is not a hyperparameter of"),
    ],
    ids=["beta", "kernel_variance", "entropy_weight", "pair_distance", "covariance_weight"],
)
def test_what_an_entropy_cannot_take_is_one_line(method: str, override: str, words: str) -> None:
    assert words in complaint(SEARCH_SPACES / f"{method}.yaml", override)
