"""The catalogue of label-free criteria: column name -> criterion."""

from __future__ import annotations

from typing import Final

from trainers.criteria.base import Criterion
from trainers.criteria.lda_information import LDA_INFORMATION
from trainers.criteria.lda_trace import LDA_TRACE
from trainers.criteria.lidar import LIDAR
from trainers.criteria.lidar_debiased import LIDAR_DEBIASED
from trainers.criteria.rankme import RANKME

CRITERIA: Final[dict[str, Criterion]] = {
    "lidar": LIDAR,
    "lidar_debiased": LIDAR_DEBIASED,
    "lda_information": LDA_INFORMATION,
    "lda_trace": LDA_TRACE,
    "rankme": RANKME,
}
