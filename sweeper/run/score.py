"""The criteria and the oracles of encoders that exist already, on the sample that a sweep would use."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sweeper.config.document import Document, Parts
from sweeper.config.fitting import check_given_sample, read_criteria_sample
from sweeper.config.names import read_criteria, read_dataset, read_method
from sweeper.config.resources import usable_cores
from sweeper.config.sizes import read_shape
from sweeper.config.space import read_fixed
from sweeper.errors import ConfigError
from sweeper.store.atomic import write_text
from sweeper.store.tables import criterion_settings, oracle_cells
from trainers.records import CriteriaSample, TrialConfig

if TYPE_CHECKING:
    from trainers.datasets.base import Images
    from trainers.export import ExportedEncoder

ORACLES: Final = ("lidar_paper", "lbfgs")
"""The oracles that are measured where there are labels: the LiDAR paper's probe, and one trained to convergence."""
SOURCE: Final = "score"
"""What the lines about wrong options begin with."""
Row = dict[str, Any]


def score_config(values: Mapping[str, object], device: str) -> TrialConfig:
    """What is measured, from the keys method, dataset, criteria, criteria_sample and fixed of a search-space file.

    Without `criteria_sample.images`, as many as a sweep takes by default, or all training images where there are fewer.

    Raises:
        ConfigError: one line for each mistake.
    """
    from trainers.probe import has_labels

    parts = Parts(Document(values, SOURCE))
    parts.read("method", read_method)
    parts.read("dataset", read_dataset)
    parts.read("criteria", read_criteria)
    parts.read("fixed", read_fixed, "method")
    parts.read("shape", lambda document, dataset: read_shape(document, dataset, cluster=False), "dataset")
    parts.read("criteria_sample", _read_sample, "shape")
    parts.check(check_given_sample, "criteria_sample", "dataset", "shape")
    read = parts.finish()
    return TrialConfig(
        method=read["method"],
        dataset=read["dataset"],
        encoder={"name": "foreign"},
        epochs=1,
        batch_size=2,
        hyperparameters=read["fixed"],
        criteria=read["criteria"],
        criteria_sample=read["criteria_sample"],
        oracle=ORACLES if has_labels(read["dataset"]) else (),
        device=device,
        threads=usable_cores(),
    )


def _read_sample(document: Document, shape: tuple[int, ...]) -> CriteriaSample:
    sample = read_criteria_sample(document)
    return (
        sample if document.get(("criteria_sample", "images")) else replace(sample, images=min(sample.images, shape[0]))
    )


def score(
    config: TrialConfig, encoders: Mapping[str, ExportedEncoder], images: Images, advance: Callable[[int], object]
) -> list[Row]:
    """One row per encoder: its criteria, the conditions of their measurement, and its oracles.

    Raises:
        ConfigError: an encoder cannot read these images, or gives features that are not finite.
    """
    from trainers.probe import probe_network
    from trainers.scoring import Scored

    rows = []
    conditions = criterion_settings(config.criteria_sample, config.criteria)
    for name, encoder in encoders.items():
        try:
            scored = Scored(encoder, name, config, images)
            criteria = scored.criteria()
            oracles = probe_network(config, scored.network, scored.data)
        except ValueError as error:
            raise ConfigError(f"{name} cannot be scored: {error}") from error
        about = {"encoder": name, "name": name, "method": config.method, "dataset": config.dataset["name"]}
        cells = oracle_cells(oracles, config.oracle) if config.oracle else {}
        rows.append({**about, **criteria, **conditions, **cells})
        advance(1)
    return rows


def write_scores(out: Path, rows: Sequence[Row]) -> None:
    """Write the rows as a CSV, whole or not at all; a value that is not known is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: "" if is_unknown(value) else value for name, value in row.items()})
    write_text(out, buffer.getvalue())


def is_unknown(value: object) -> bool:
    """Whether a cell has no value."""
    return value is None or (isinstance(value, float) and math.isnan(value))
