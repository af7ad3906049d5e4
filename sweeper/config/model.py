"""A search-space file becomes a SweepConfig; every check happens here, before Ray starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Final, Literal

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.fields import (
    Above,
    AtLeast,
    Between,
)
from sweeper.config.names import (
    DEFAULT_OBJECTIVE,
    DEFAULT_ORACLE,
)
from sweeper.config.storage import mask_password
from trainers.records import CriteriaSample, Scalar

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Search:
    """How configurations are drawn."""

    sampler: Literal["random", "tpe", "gp", "cmaes", "qmc", "grid", "axes"] = "random"
    """tpe, gp and cmaes learn from finished trials; axes varies one hyperparameter at a time around `fixed`."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the sweep: trial k's configuration and seed follow from it and k."""


@dataclass(frozen=True)
class PrunerConfig:
    """One of Optuna's pruners by name, with its own arguments beside the name."""

    name: str = "none"
    """The pruner."""
    audit: Annotated[float, Between(0, 1)] = 0.0
    """Share of the trials it would have pruned that run on, to measure what pruning costs. To the pruner they are from
    then on trials like others, so that it is a little laxer than without them."""
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CollapseRule:
    """When a trial is called collapsed: two epochs running, after a warm-up, below a threshold."""

    rankme: float = 1.5
    """Least RankMe of the uncentred embeddings."""
    spread: float = 1e-3
    """Least mean standard deviation per dimension over mean norm, of the embeddings."""
    warmup: Annotated[float, Between(0, 1)] = 0.2
    """Share of the epochs in which nothing is called collapsed, so that slow starters live."""
    peak_share: Annotated[float, Between(0, 1)] | None = None
    """Least share of the objective's own peak; null = off, because random starts have a high peak."""


@dataclass(frozen=True)
class Resources:
    """What one trial may use."""

    cpus: Annotated[float, Above(0)] = 1
    """CPU cores."""
    gpus: Annotated[float, AtLeast(0)] | Literal["auto"] = "auto"
    """GPUs, a share of one or 1; auto = 0.25 where CUDA is seen, else 0."""


_CRITERIA_SAMPLE: Final = CriteriaSample()


@dataclass(frozen=True)
class SweepConfig:
    """One sweep, every default written out."""

    method: str
    """The self-supervised method."""
    dataset: Mapping[str, Scalar]
    """The data set's `name`, and its options beside it."""
    encoder: Mapping[str, Scalar]
    """The encoder's `name`, and its options beside it."""
    epochs: Annotated[int, AtLeast(1)]
    """Epochs of every trial."""
    batch_size: Annotated[int, AtLeast(2)]
    """Images per update."""
    trials: Annotated[int, AtLeast(1)]
    """Configurations; the sweep makes `trials` × `seeds` runs."""
    space: Mapping[str, BaseDistribution]
    """What varies: hyperparameter → range."""
    points: Mapping[str, int]
    fixed: Mapping[str, Scalar]
    """What is held: hyperparameter → value, instead of the method's default."""
    criteria: tuple[str, ...]
    """The label-free criteria that every trial reports each epoch; all of them by default."""
    criteria_sample: CriteriaSample = _CRITERIA_SAMPLE
    """The images and draws on which every trial is judged."""
    objective: str = DEFAULT_OBJECTIVE
    """The criterion that the search maximises and the pruner watches."""
    oracle: tuple[str, ...] = DEFAULT_ORACLE
    """Probe protocols that measure each finished trial with labels: one, a list, or none. They steer nothing."""
    oracle_pruned: bool = False
    """Whether pruned trials are measured too."""
    search: Search = Search()
    """How configurations are drawn."""
    seeds: Annotated[int, AtLeast(1)] = 1
    """Runs of each configuration, for the noise floor."""
    pruner: PrunerConfig = PrunerConfig()
    """What stops a trial that lags behind."""
    collapse: CollapseRule = CollapseRule()
    """What stops a trial that has collapsed."""
    resources: Resources = Resources()
    """What one trial may use."""
    jobs: Annotated[int, AtLeast(1)] | Literal["auto"] = "auto"
    """Trials at once; auto = as many as the machine has room for."""
    storage: str | None = None
    """Any Optuna storage URL; null = study.db in the sweep's folder. Its password is written nowhere: a resume takes
    the whole URL from `--storage` or from the environment variable SWEEPER_STORAGE."""
    keep_checkpoints: Literal["best", "last", "all", "none"] = "best"
    """Which checkpoints stay: best = the completed trial's with the best objective (never by the oracle), last = every
    trial's last epoch, all = every epoch of every trial."""
    max_retries: Annotated[int, AtLeast(0)] = 1
    """How often a trial is tried again after its worker died."""


def to_mapping(config: SweepConfig) -> dict[str, Any]:
    """The search-space file that `config` would come from, every default written out."""
    written: dict[str, Any] = {}
    for one in fields(config):
        value = getattr(config, one.name)
        written[one.name] = dict(value) if isinstance(value, Mapping) else value
    del written["points"]
    written["space"] = {name: _axis_mapping(config, name) for name in config.space}
    written["criteria"] = list(config.criteria)
    written["oracle"] = list(config.oracle) or "none"
    written["storage"] = None if config.storage is None else mask_password(config.storage)
    for name in ("criteria_sample", "search", "collapse", "resources"):
        written[name] = asdict(written[name])
    pruner = config.pruner
    written["pruner"] = {"name": pruner.name, "audit": pruner.audit, **_plain(pruner.arguments)}
    return written


def _axis_mapping(config: SweepConfig, name: str) -> dict[str, Any]:
    distribution = config.space[name]
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(distribution.choices)}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    ends = {"low": distribution.low, "high": distribution.high, "log": distribution.log}
    return {"type": kind, **ends, "points": config.points[name]}


def _plain(arguments: Mapping[str, object]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in arguments.items()}
