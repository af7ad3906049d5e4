"""SweepConfig: one sweep as a tree of frozen dataclasses, whose annotations and docstrings document the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Final, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.storage import mask_password
from trainers.fields import AtLeast, Between
from trainers.options import Option, options_of
from trainers.records import CriteriaSample, OracleChoice, Scalar

DEFAULT_OBJECTIVE: Final = "lidar"
DEFAULT_ORACLE: Final = ("lidar_paper",)


@dataclass(frozen=True)
class Search:
    """How configurations are drawn."""

    sampler: Literal["random", "tpe", "gp", "cmaes", "qmc", "grid", "axes"] = "random"
    """tpe, gp and cmaes learn from finished trials; axes varies one hyperparameter at a time around `fixed`."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the sweep: trial k's configuration and seed follow from it and k."""


@dataclass(frozen=True)
class PrunerConfig:
    """The name of one of Optuna's pruners, and its arguments."""

    name: str = "none"
    """The pruner."""
    audit: Annotated[float, Between(0, 1)] = 0.0
    """Share of the would-be-pruned trials that run to the end, to measure what pruning costs. The pruner compares later
    trials with them too, so it prunes a little less than without an audit."""
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CollapseRule:
    """A trial has collapsed if it is below a threshold in two epochs in a row, after a warm-up."""

    rankme: float = 1.5
    """Least RankMe of the uncentred embeddings."""
    spread: float = 1e-3
    """Least mean standard deviation per dimension over mean norm, of the embeddings."""
    warmup: Annotated[float, Between(0, 1)] = 0.2
    """Share of the epochs, at the start, in which no trial is stopped as collapsed."""
    peak_share: Annotated[float, Between(0, 1)] | None = None
    """Least share of the trial's highest objective so far; null = off, because random weights can have a high one."""


@dataclass(frozen=True)
class Resources:
    """What one trial may use."""

    cpus: Annotated[float, AtLeast(0.01)] = 1
    """CPU cores."""
    gpus: Annotated[float, AtLeast(0)] | Literal["auto"] = "auto"
    """GPUs: 1, or a share of one; auto = 0.25 on a machine with CUDA, else 0."""


_CRITERIA_SAMPLE: Final = CriteriaSample()


@dataclass(frozen=True)
class SweepConfig:
    """One sweep, the value of every key included."""

    method: str
    """The self-supervised method."""
    dataset: Mapping[str, Scalar]
    """The `name` of the data set, and its options."""
    encoder: Mapping[str, Scalar]
    """The `name` of the encoder, and its options."""
    epochs: Annotated[int, Between(1, 1_000_000)]
    """Epochs of every trial."""
    batch_size: Annotated[int, Between(2, 10_000_000)]
    """Images per update; not given = the largest power of two up to 128 with two updates an epoch. Of a file whose data
    set an override replaces, a value above the number of training images becomes that."""
    trials: Annotated[int, Between(1, 1_000_000)]
    """Configurations; the sweep makes `trials` × `seeds` runs."""
    space: Mapping[str, BaseDistribution]
    """The hyperparameters that vary, and over which range."""
    points: Mapping[str, int]
    fixed: Mapping[str, Scalar]
    """Hyperparameters with one value for all trials, instead of the method's default."""
    criteria: tuple[str, ...]
    """The label-free criteria that every trial reports."""
    criteria_sample: CriteriaSample = _CRITERIA_SAMPLE
    """The images and draws on which the criteria of every trial are measured. Not given = the criteria take about a
    tenth of the training, counted in passes of an image (three for each view of a training step): from 10 views of as
    many images as LiDAR needs, to 50 views of 1,000. Of a file whose data set an override replaces, more images than
    there are become all of them. What is chosen is said in a line, and written to sweep.yaml."""
    criteria_every: Annotated[int, Between(1, 1_000_000)] = 1
    """The criteria are measured each so many epochs, and after the last one. The collapse rule looks after every epoch;
    pruners decide after measured ones. Epochs between have no value in the tables (null, not NaN)."""
    objective: str = DEFAULT_OBJECTIVE
    """The criterion that the search optimises and the pruner watches."""
    oracle: tuple[str, ...] = DEFAULT_ORACLE
    """Probe protocols that measure each finished trial with labels: one, a list, or none. The search sees no result."""
    oracle_pruned: bool = False
    """Whether the oracle measures pruned trials too."""
    search: Search = Search()
    """How configurations are drawn."""
    seeds: Annotated[int, Between(1, 10_000)] = 1
    """Runs of each configuration with different seeds, to measure the noise."""
    pruner: PrunerConfig = PrunerConfig()
    """The pruner, which stops trials that are worse than others."""
    collapse: CollapseRule = CollapseRule()
    """The rule that stops a collapsed trial."""
    resources: Resources = Resources()
    """What one trial may use."""
    jobs: Annotated[int, Between(1, 10_000)] | Literal["auto"] = "auto"
    """Trials at once; auto = as many as fit on the machine."""
    storage: str | None = None
    """Any Optuna storage URL; null = study.db in the sweep's folder. Its password is written nowhere: a resume takes
    the whole URL from `--storage` or from the environment variable SWEEPER_STORAGE."""
    keep_checkpoints: Literal["best", "last", "all", "none"] = "best"
    """Which checkpoints are kept: best = the last epoch of the completed trials that are best by each criterion and by
    the loss, at most one for each of them (the oracle has no say), last = the last epoch of every trial, all = every
    epoch of every trial."""
    max_retries: Annotated[int, Between(0, 1000)] = 1
    """How often a trial is started again after its worker died."""
    observers: tuple[Mapping[str, Scalar], ...] = ()
    """Observers that are told what happens, besides the display: `tensorboard`, `wandb`, `mlflow`, `json_lines`,
    `plain`, `live` or a plug-in. `--observer` names one for a single command."""
    oracle_choices: Mapping[str, OracleChoice] = field(default_factory=dict)


MADE: Final = ("points", "oracle_choices")
"""Fields that are no keys of the file: they are made from `space` and `oracle`."""

SECTIONS: Final[Mapping[str, type[Any]]] = {
    "search": Search,
    "pruner": PrunerConfig,
    "resources": Resources,
    "criteria_sample": CriteriaSample,
    "collapse": CollapseRule,
}
"""Section of a search-space file -> its dataclass."""

# LiDAR needs two classes for the scatter between them, and two views of each for the scatter within.
_SAMPLE_HINTS: Final = {
    "images": Annotated[int, Between(2, 10_000_000)],
    "views": Annotated[int, Between(2, 10_000)],
    "split": Literal["train"] | Literal["test"],
    "seed": Annotated[int, AtLeast(0)],
}


def section_options(name: str) -> dict[str, Option]:
    """The keys of a section of a search-space file; a pruner's arguments are not among them."""
    options = options_of(SECTIONS[name])
    options.pop("arguments", None)
    if name == "criteria_sample":
        return {key: Option(_SAMPLE_HINTS.get(key, option.hint), option.default) for key, option in options.items()}
    return options


def to_mapping(config: SweepConfig) -> dict[str, Any]:
    """The search-space file of `config`, with the value of every key."""
    mapping: dict[str, Any] = {}
    for one in fields(config):
        value = getattr(config, one.name)
        mapping[one.name] = dict(value) if isinstance(value, Mapping) else value
    for name in MADE:
        del mapping[name]
    mapping["space"] = {name: _axis_mapping(config, name) for name in config.space}
    mapping["criteria"] = list(config.criteria)
    mapping["oracle"] = [_oracle_mapping(name, config.oracle_choices.get(name)) for name in config.oracle] or "none"
    mapping["observers"] = [dict(observer) for observer in config.observers]
    mapping["storage"] = None if config.storage is None else mask_password(config.storage)
    for name in ("criteria_sample", "search", "collapse", "resources"):
        mapping[name] = asdict(mapping[name])
    pruner = config.pruner
    mapping["pruner"] = {"name": pruner.name, "audit": pruner.audit, **_plain(pruner.arguments)}
    return mapping


def _axis_mapping(config: SweepConfig, name: str) -> dict[str, Any]:
    distribution = config.space[name]
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(distribution.choices)}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    ends = {"low": distribution.low, "high": distribution.high, "log": distribution.log}
    return {"type": kind, **ends, "points": config.points[name]}


def _oracle_mapping(name: str, choice: OracleChoice | None) -> Any:
    """An oracle as the file has it: its name, or a mapping where it is not just that of the catalogue."""
    if choice is None:
        return name
    dataset = {} if choice.dataset is None else {"dataset": dict(choice.dataset)}
    constants = {key: list(value) if isinstance(value, tuple) else value for key, value in choice.constants.items()}
    return {"probe": choice.probe, **dataset, **constants}


def _plain(arguments: Mapping[str, object]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in arguments.items()}
