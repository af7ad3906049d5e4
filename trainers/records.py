"""The records that flow from the laboratory to the judge, and the name of every column.

A trial takes a TrialConfig and gives EpochReports and one TrialResult. This file imports the standard library only,
because the conductor, the laboratory and the judge all read it without needing each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Scalar = bool | int | float | str | None

COMPLETED: Final = "completed"
PRUNED: Final = "pruned"
COLLAPSED: Final = "collapsed"
DIVERGED: Final = "diverged"
FAILED: Final = "failed"
STATUSES: Final = (COMPLETED, PRUNED, COLLAPSED, DIVERGED, FAILED)

REPRESENTATION: Final = "representation"
EMBEDDING: Final = "embedding"
LAYERS: Final = (REPRESENTATION, EMBEDDING)

NULL: Final = "_null"
"""The end of the name of a criterion that is measured on shuffled views."""

UNTRAINED: Final = "untrained"
RAW_PIXELS: Final = "raw_pixels"

CHECKPOINT: Final = "checkpoint.pt"
"""File in a trial's folder: the network after its last epoch, and everything needed to continue."""
SAMPLES: Final = "samples.png"
"""The picture of the criteria's sample, in a sweep's folder."""

CONFIG_PREFIX: Final = "config."
ORACLE_PREFIX: Final = "oracle."

TOP5: Final = "top5"
BALANCED: Final = "balanced"
STANDARD_ERROR: Final = "se"
COUNT: Final = "_n"
"""The end of the name of an oracle's column that holds its number of test images."""

Kind = Literal["text", "whole", "number", "moment", "flag", "value"]
"""What the cells of a column are; a `value` is a hyperparameter's: a number, a text or a flag."""


@dataclass(frozen=True)
class Column:
    """One column of a table in a results folder: it makes the file's schema and the documentation."""

    name: str
    kind: Kind
    meaning: str


EPOCH_COLUMNS: Final = (
    Column("sweep", "text", "the folder's name"),
    Column("trial", "whole", "the trial's number"),
    Column("epoch", "whole", "epochs finished, counted from 1"),
    Column("step", "whole", "optimiser updates so far"),
    Column("loss", "number", "mean pretraining loss of the epoch"),
    Column("train_seconds", "number", "seconds of training"),
    Column("criteria_seconds", "number", "seconds of all criteria together"),
    Column("images_per_second", "number", "source images per second of training"),
    Column("spread", "number", "mean standard deviation per dimension over mean norm, of the embeddings"),
    Column("embedding_rank", "number", "RankMe of the embeddings, which the collapse rule reads, if `rankme` is used"),
    Column("masked_share", "number", "share of the patches that the student predicts or that are hidden from it"),
    Column("visible_share", "number", "share of the patches of the whole-size views that the student sees"),
    Column("sequence", "whole", "number of the report in the order of arrival"),
    Column("reported_at", "moment", "when the report arrived, in UTC"),
)
"""Columns of reports.parquet, besides those of each criterion and its seconds."""

TRIAL_COLUMNS: Final = (
    Column("sweep", "text", "the folder's name"),
    Column("trial", "whole", "Optuna's trial number; with `seeds: k`, trials k·c to k·c + k − 1 run configuration c"),
    Column("configuration", "whole", "the configuration that it runs"),
    Column("seed", "whole", "the seed of this run of the configuration"),
    Column("method", "text", "the method's name"),
    Column("dataset", "text", "the data set's name"),
    Column("encoder", "text", "the encoder's name"),
    Column("status", "text", "`completed`, `pruned`, `collapsed`, `diverged` or `failed`"),
    Column("reason", "text", "why, in words; empty for completed trials"),
    Column("epochs", "whole", "epochs finished; 0 for a trial that failed before its first report"),
    Column("oracle", "number", "accuracy of the first oracle, in [0, 1]; absent with `oracle: none`"),
    Column("oracle_n", "whole", "test images behind it"),
    Column("oracle_seconds", "number", "seconds of all oracles together, each with its own pass through the network"),
    Column("loss", "number", "pretraining loss of the last epoch"),
    Column("seconds", "number", "seconds of training, criteria and oracles"),
    Column("started_at", "moment", "when the trial began, in UTC"),
    Column("finished_at", "moment", "when the trial ended, in UTC"),
    Column("audited", "flag", "whether the pruner would have stopped it and it ran on for the audit"),
    Column("would_prune_epoch", "whole", "the epoch at which the pruner would have stopped it"),
    Column("checkpoint", "text", "path below the sweep's folder, where a checkpoint was kept"),
)
"""Columns of trials.parquet, besides config.<hyperparameter>, oracle.<name> and those of each criterion."""

BASELINE_COLUMNS: Final = (
    Column("sweep", "text", "the folder's name"),
    Column("baseline", "text", "`untrained` or `raw_pixels`"),
    *(column for column in TRIAL_COLUMNS if column.name.startswith("oracle")),
)
"""Columns of baselines.parquet, besides oracle.<name> and those of each criterion."""


def names_of(columns: Iterable[Column]) -> list[str]:
    """The columns' names."""
    return [column.name for column in columns]


def criterion_columns(criterion: str) -> tuple[str, str, str]:
    """The columns of one criterion: the plain one, which repeats one of the two layers, then the layers.

    >>> criterion_columns("lidar")
    ('lidar', 'lidar.representation', 'lidar.embedding')
    """
    return criterion, f"{criterion}.{REPRESENTATION}", f"{criterion}.{EMBEDDING}"


def null_columns(criterion: str) -> tuple[str, str, str]:
    """The columns of a criterion on views that were shuffled between images: the plain one, then the layers.

    >>> null_columns("lidar")
    ('lidar_null', 'lidar_null.representation', 'lidar_null.embedding')
    """
    return criterion_columns(f"{criterion}{NULL}")


def is_measured(epoch: int, every: int, epochs: int) -> bool:
    """Whether the criteria are measured after an epoch: each `every` epochs, and after the last.

    >>> [epoch for epoch in range(1, 6) if is_measured(epoch, every=2, epochs=5)]
    [2, 4, 5]
    """
    return epoch % every == 0 or epoch >= epochs


def oracle_names(columns: Iterable[str]) -> list[str]:
    """The oracles whose accuracy is among the columns; their metrics and counts are columns of their own.

    A metric follows a dot, and a count the name of an oracle that is among the columns itself.

    >>> oracle_names(["oracle", "oracle.knn", "oracle.knn_n", "oracle.knn.top5", "oracle.knn@mnist5k", "oracle_n"])
    ['knn', 'knn@mnist5k']
    """
    found = [column.removeprefix(ORACLE_PREFIX) for column in columns if column.startswith(ORACLE_PREFIX)]
    names = [name for name in found if "." not in name]
    return [name for name in names if not (name.endswith(COUNT) and name.removesuffix(COUNT) in names)]


def metric_columns(oracle: str, columns: Iterable[str]) -> dict[str, str]:
    """Metric -> column, of the further metrics of an oracle.

    >>> metric_columns("knn", ["oracle.knn", "oracle.knn_n", "oracle.knn.top5", "oracle.knn@mnist5k.top5"])
    {'top5': 'oracle.knn.top5'}
    """
    begin = f"{ORACLE_PREFIX}{oracle}."
    return {column.removeprefix(begin): column for column in columns if column.startswith(begin)}


@dataclass(frozen=True)
class CriteriaSample:
    """The images and draws on which the criteria of every trial are measured: n `images` with q `views` each."""

    images: int = 1000
    """n: how many images."""
    views: int = 10
    """q: how many views of each."""
    split: str = "train"
    """The split that the images are from: train or test."""
    seed: int = 0
    """Seed of the choice of images and of the draws of their views."""


@dataclass(frozen=True)
class OracleChoice:
    """An oracle that differs from the plain one of its name: on another data set, or with other constants."""

    probe: str
    """The protocol's name in the catalogue."""
    dataset: Mapping[str, Scalar] | None = None
    """`name` and options of the data set whose labels it reads; None = the trial's own."""
    constants: Mapping[str, Scalar | tuple[Scalar, ...]] = field(default_factory=dict)
    """Constants of the protocol -> value, for those that are not the catalogue's."""

    @property
    def name(self) -> str:
        """What its columns are called after `oracle.`.

        >>> OracleChoice("knn", {"name": "mnist5k"}).name
        'knn@mnist5k'
        """
        return self.probe if self.dataset is None else f"{self.probe}@{self.dataset['name']}"


@dataclass(frozen=True)
class TrialConfig:
    """One trial as plain scalars: everything that the laboratory is given.

    `hyperparameters` may name any field of the method's Params, of the optimiser or of the augmentation.
    """

    method: str
    dataset: Mapping[str, Scalar]
    encoder: Mapping[str, Scalar]
    epochs: int
    batch_size: int
    hyperparameters: Mapping[str, Scalar] = field(default_factory=dict)
    swept: tuple[str, ...] = ()
    """The hyperparameters that differ between trials: for the criteria's views they keep the method's default."""
    criteria: tuple[str, ...] = ("lidar", "rankme")
    criteria_sample: CriteriaSample = CriteriaSample()
    criteria_every: int = 1
    """The criteria are measured each so many epochs, and after the last."""
    oracle: tuple[str, ...] = ()
    oracle_choices: Mapping[str, OracleChoice] = field(default_factory=dict)
    """Name in `oracle` -> what it is; one that is absent is that of the catalogue, on the trial's own data set."""
    trial: int = 0
    configuration: int = 0
    seed: int = 0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class EpochReport:
    """The results of one epoch. It has no field for an accuracy: labels do not reach the search."""

    trial: int
    epoch: int
    """Epochs finished, counted from 1."""
    step: int
    """Optimiser updates so far."""
    loss: float
    """Mean pretraining loss of the epoch."""
    criteria: Mapping[str, float]
    """Every criterion column (see `criterion_columns`) -> value; NaN where it cannot be computed. Empty after an epoch
    at which the criteria are not measured."""
    spread: float
    """Mean standard deviation per dimension over mean norm, of the embeddings of the criteria sample."""
    seconds: Mapping[str, float]
    """Of `train`, of `criteria`, and of each criterion by its name: the time that it would take alone."""
    images_per_second: float
    """Source images per second of training."""
    masked_share: float = math.nan
    """Mean share of the patches that the student predicts or that are hidden from it."""
    visible_share: float = math.nan
    """Mean share of the patches of the whole-size views that the student sees."""
    embedding_rank: float = math.nan
    """RankMe of the embeddings of the clean images, for the collapse rule; NaN if `rankme` is no criterion."""
    nulls: Mapping[str, float] = field(default_factory=dict)
    """Column (see `null_columns`) -> value on views shuffled between images; at the last epoch only."""

    @property
    def measured(self) -> bool:
        """Whether the criteria were measured after this epoch."""
        return bool(self.criteria)


@dataclass(frozen=True)
class Progress:
    """How far a trial is within an epoch. It is shown while the sweep runs, and kept nowhere."""

    trial: int
    epoch: int
    """The epoch that runs, counted from 1."""
    step: int
    """Optimiser updates of this epoch so far."""
    steps: int
    """Optimiser updates of a whole epoch."""
    seconds: float = math.nan
    """Seconds of an update in this epoch, after the first; NaN until there are two."""


@dataclass(frozen=True)
class OracleScore:
    """Accuracy of one probe protocol as a fraction in [0, 1], over `n` test images."""

    accuracy: float
    n: int
    seconds: float
    further: Mapping[str, float] = field(default_factory=dict)
    """Metric -> value, of what the protocol measures besides: `top5`, where there are more than five classes;
    `balanced`, the mean over the classes of the test split; and what its own docstring names."""


@dataclass(frozen=True)
class TrialResult:
    """How one trial ended. The first oracle is the one that the plain `oracle` column shows."""

    trial: int
    status: str
    reason: str = ""
    epochs: int = 0
    oracles: Mapping[str, OracleScore] = field(default_factory=dict)
    checkpoint: str | None = None
