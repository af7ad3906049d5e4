"""The catalogue of label-free criteria: column name -> criterion."""

from __future__ import annotations

from typing import Final

from trainers.criteria.base import Criterion
from trainers.criteria.lidar import LIDAR
from trainers.criteria.rankme import RANKME

CRITERIA: Final[dict[str, Criterion]] = {
    "lidar": LIDAR,
    "rankme": RANKME,
}
