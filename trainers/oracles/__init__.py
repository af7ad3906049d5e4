"""The catalogue of oracles: name in a search-space file -> probe protocol."""

from __future__ import annotations

from typing import Final

from trainers.oracles.base import Oracle
from trainers.oracles.lbfgs import LBFGS
from trainers.oracles.lidar_paper import LIDAR_PAPER

ORACLES: Final[dict[str, Oracle]] = {
    "lidar_paper": LIDAR_PAPER,
    "lbfgs": LBFGS,
}
