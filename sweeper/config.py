"""A search-space file becomes a SweepConfig; every check happens here, before Ray starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution

from trainers.records import CriteriaSample, Scalar


@dataclass(frozen=True)
class Search:
    """How configurations are drawn: random · tpe · gp · cmaes · qmc · grid · axes."""

    sampler: str = "random"
    seed: int = 0


@dataclass(frozen=True)
class PrunerConfig:
    """One of Optuna's pruners by name, its own arguments, and the share of would-be-pruned trials that run on."""

    name: str = "none"
    audit: float = 0.0
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CollapseRule:
    """When a trial is called collapsed: two consecutive epochs, after `warmup` of its epochs, below a threshold."""

    rankme: float = 1.5
    spread: float = 1e-3
    warmup: float = 0.2
    peak_share: float | None = None


@dataclass(frozen=True)
class Resources:
    """What one trial may use; `gpus` may be a fraction, and "auto" is 0.25 where CUDA is seen, else 0."""

    cpus: float = 1
    gpus: float | str = "auto"


@dataclass(frozen=True)
class SweepConfig:
    """One sweep, every default written out."""

    method: str
    dataset: Mapping[str, Scalar]
    encoder: Mapping[str, Scalar]
    epochs: int
    batch_size: int
    trials: int
    space: Mapping[str, BaseDistribution]
    points: Mapping[str, int]
    fixed: Mapping[str, Scalar]
    criteria: tuple[str, ...]
    criteria_sample: CriteriaSample = CriteriaSample()
    objective: str = "lidar"
    oracle: tuple[str, ...] = ("lidar_paper",)
    oracle_pruned: bool = False
    search: Search = Search()
    seeds: int = 1
    pruner: PrunerConfig = PrunerConfig()
    collapse: CollapseRule = CollapseRule()
    resources: Resources = Resources()
    jobs: int | str = "auto"
    storage: str | None = None
    keep_checkpoints: str = "best"
    max_retries: int = 1
