"""The catalogue of oracles: name in a search-space file -> probe protocol."""

from __future__ import annotations

from typing import Final

from trainers.oracles.base import Oracle
from trainers.oracles.few_label import FEW_LABEL
from trainers.oracles.knn import KNN
from trainers.oracles.lbfgs import LBFGS
from trainers.oracles.lidar_paper import LIDAR_PAPER
from trainers.oracles.vicreg_paper import VICREG_PAPER

ORACLES: Final[dict[str, Oracle]] = {
    "lidar_paper": LIDAR_PAPER,
    "vicreg_paper": VICREG_PAPER,
    "lbfgs": LBFGS,
    "knn": KNN,
    "few_label": FEW_LABEL,
}
