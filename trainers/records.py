"""The records that flow from the laboratory to the judge, and the name of every column.

TrialConfig goes in, EpochReports and one TrialResult come out. Standard library only: the conductor,
the laboratory and the judge all read this file, and none of them needs the others to do so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

Scalar = bool | int | float | str | None

COMPLETED: Final = "completed"
PRUNED: Final = "pruned"
COLLAPSED: Final = "collapsed"
FAILED: Final = "failed"
STATUSES: Final = (COMPLETED, PRUNED, COLLAPSED, FAILED)

REPRESENTATION: Final = "representation"
EMBEDDING: Final = "embedding"
LAYERS: Final = (REPRESENTATION, EMBEDDING)

UNTRAINED: Final = "untrained"
RAW_PIXELS: Final = "raw_pixels"
BASELINES: Final = (UNTRAINED, RAW_PIXELS)

CHECKPOINT: Final = "checkpoint.pt"
"""In a trial's folder: the network, and all that the rest of its run needs, after the last epoch."""

CONFIG_PREFIX: Final = "config."
ORACLE_PREFIX: Final = "oracle."

HIGHER_IS_BETTER: Final[Mapping[str, bool]] = MappingProxyType({"lidar": True, "rankme": True, "loss": False})
"""Direction of each criterion, and of the pretraining loss, the baseline that every criterion must beat."""

EPOCH_COLUMNS: Final = (
    "sweep",
    "trial",
    "epoch",
    "step",
    "loss",
    "train_seconds",
    "criteria_seconds",
    "images_per_second",
    "spread",
    "sequence",
    "reported_at",
)
"""Columns of reports.parquet, besides one per criterion and layer (see `criterion_columns`) and its seconds."""

TRIAL_COLUMNS: Final = (
    "sweep",
    "trial",
    "configuration",
    "seed",
    "method",
    "dataset",
    "encoder",
    "status",
    "reason",
    "epochs",
    "oracle",
    "oracle_n",
    "oracle_seconds",
    "loss",
    "lidar_n",
    "lidar_q",
    "lidar_delta",
    "lidar_epsilon",
    "rankme_n",
    "seconds",
    "started_at",
    "finished_at",
    "audited",
    "would_prune_epoch",
    "checkpoint",
)
"""Columns of trials.parquet, besides config.<hyperparameter>, oracle.<name> and one per criterion and layer."""


def criterion_columns(criterion: str) -> tuple[str, str, str]:
    """The columns of one criterion: the plain one, which repeats one of the two layers, then the layers.

    >>> criterion_columns("lidar")
    ('lidar', 'lidar.representation', 'lidar.embedding')
    """
    return criterion, f"{criterion}.{REPRESENTATION}", f"{criterion}.{EMBEDDING}"


@dataclass(frozen=True)
class CriteriaSample:
    """The images and draws on which every trial of a sweep is judged: n `images` with q `views` each."""

    images: int = 1000
    """n: how many images."""
    views: int = 10
    """q: how many views of each."""
    split: str = "train"
    """The split that the images are from: train or test."""
    seed: int = 0
    """Seed of the choice of images and of the draws of their views."""


@dataclass(frozen=True)
class TrialConfig:
    """One trial, in plain scalars: all that the laboratory is told.

    `hyperparameters` may name any field of the method's Params, of the optimiser or of the augmentation.
    """

    method: str
    dataset: Mapping[str, Scalar]
    encoder: Mapping[str, Scalar]
    epochs: int
    batch_size: int
    hyperparameters: Mapping[str, Scalar] = field(default_factory=dict)
    swept: tuple[str, ...] = ()
    """Those of the hyperparameters that differ between trials: the criteria's views keep the method's default there."""
    criteria: tuple[str, ...] = ("lidar", "rankme")
    criteria_sample: CriteriaSample = CriteriaSample()
    oracle: tuple[str, ...] = ()
    trial: int = 0
    configuration: int = 0
    seed: int = 0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class EpochReport:
    """What one epoch showed. It has no field for an accuracy: labels do not reach the search."""

    trial: int
    epoch: int
    """Epochs finished, counted from 1."""
    step: int
    """Optimiser updates so far."""
    loss: float
    """Mean pretraining loss of the epoch."""
    criteria: Mapping[str, float]
    """Every criterion column (see `criterion_columns`) -> value; NaN where it cannot be computed."""
    spread: float
    """Mean standard deviation per dimension over mean norm, of the embeddings of the criteria sample."""
    seconds: Mapping[str, float]
    """`train`, `criteria`, and each criterion by its name: what it would take alone, from the trained network on."""
    images_per_second: float
    """Source images per second of training."""


@dataclass(frozen=True)
class OracleScore:
    """Accuracy of one probe protocol as a fraction in [0, 1], over `n` test images."""

    accuracy: float
    n: int
    seconds: float


@dataclass(frozen=True)
class TrialResult:
    """How one trial ended. The first oracle is the one that the plain `oracle` column shows."""

    trial: int
    status: str
    reason: str = ""
    epochs: int = 0
    oracles: Mapping[str, OracleScore] = field(default_factory=dict)
    checkpoint: str | None = None
