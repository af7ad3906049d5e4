"""The columns of a results folder's tables as Markdown, for results/README.md.

`python -m sweeper.store.reference` prints them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sweeper.config.docs.markdown import table
from trainers.records import BASELINE_COLUMNS, EPOCH_COLUMNS, TRIAL_COLUMNS, Column

HEAD: Final = ("column", "kind", "meaning")
CRITERION: Final = (
    Column("<criterion>", "number", "repeats a layer: see [criteria](../search_spaces/README.md#criteria)"),
    Column("<criterion>.representation", "number", "the criterion of the encoder's output"),
    Column("<criterion>.embedding", "number", "the criterion of the projector's output"),
)
BESIDE: Final = Column(
    "<criterion>_<value>",
    "number",
    "what a criterion records beside its value, on the same layer: `lidar_noise` is the share of noise, 1 − Σλ′/Σλ",
)
NULL: Final = Column(
    "<criterion>_null, <criterion>_null.<layer>",
    "number",
    "the criterion on the same embeddings with views shuffled between images, if it reads views: its value without any "
    "information, after the last epoch (null for a trial that stopped before)",
)
CRITERION_SECONDS: Final = Column(
    "<criterion>_seconds", "number", "seconds that the criterion takes alone, from the trained network on"
)
FURTHER: Final = (
    Column("<criterion>_n, <criterion>_q", "whole", "images, and views of each, on which the criterion was measured"),
    Column("<criterion>_<constant>", "number", "a constant of the criterion, such as `lidar_delta`"),
    Column("config.<hyperparameter>", "value", "every hyperparameter that was swept or held in `fixed`"),
)
ORACLES: Final = (
    Column("oracle.<name>", "number", "accuracy of every oracle; `<probe>@<data set>` is one on another data set"),
    Column("oracle.<name>_n", "whole", "test images behind it"),
    Column(
        "oracle.<name>.top5",
        "number",
        "share of the test images whose class is among the five that it names first; absent with at most five classes",
    ),
    Column("oracle.<name>.balanced", "number", "mean over the classes of the test split of the share that is right"),
    Column("oracle.knn.k20", "number", "accuracy of `knn` with 20 neighbours; `oracle.knn` is that with 200"),
    Column("oracle.few_label.se", "number", "standard error of the mean accuracy over the draws of labelled images"),
)
"""Metrics are absent from a table of a version that did not measure them."""


def write() -> str:
    """One section for each table."""
    tables = {
        "trials.parquet": (*TRIAL_COLUMNS, *CRITERION, BESIDE, NULL, *FURTHER[:2], *ORACLES, FURTHER[2]),
        "reports.parquet": (*EPOCH_COLUMNS, *CRITERION, BESIDE, NULL, CRITERION_SECONDS),
        "baselines.parquet": (*BASELINE_COLUMNS, *CRITERION, BESIDE, NULL, *ORACLES),
    }
    return "\n".join(f"### {name}\n\n{table(HEAD, rows_of(columns))}\n" for name, columns in tables.items())


def rows_of(columns: Iterable[Column]) -> list[tuple[str, str, str]]:
    """One row per column."""
    return [(f"`{column.name}`", column.kind, column.meaning) for column in columns]


if __name__ == "__main__":
    print(write(), end="")
