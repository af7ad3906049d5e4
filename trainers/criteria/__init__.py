"""The catalogue of label-free criteria: column name -> criterion."""

from __future__ import annotations

from typing import Final

from trainers.criteria.alignment import ALIGNMENT
from trainers.criteria.alpha_req import ALPHA_REQ
from trainers.criteria.base import Criterion
from trainers.criteria.clid import CLID
from trainers.criteria.epps_pulley import EPPS_PULLEY
from trainers.criteria.idest import IDEST
from trainers.criteria.instance_knn import INSTANCE_KNN
from trainers.criteria.lda_information import LDA_INFORMATION
from trainers.criteria.lda_trace import LDA_TRACE
from trainers.criteria.lidar import LIDAR
from trainers.criteria.lidar_debiased import LIDAR_DEBIASED
from trainers.criteria.nesum import NESUM
from trainers.criteria.normalized_std import NORMALIZED_STD
from trainers.criteria.participation_ratio import PARTICIPATION_RATIO
from trainers.criteria.rankme import RANKME
from trainers.criteria.rankme_aug import RANKME_AUG
from trainers.criteria.self_cluster import SELF_CLUSTER
from trainers.criteria.stable_rank import STABLE_RANK
from trainers.criteria.uniformity import UNIFORMITY

CRITERIA: Final[dict[str, Criterion]] = {
    "lidar": LIDAR,
    "rankme": RANKME,
    "lidar_debiased": LIDAR_DEBIASED,
    "lda_information": LDA_INFORMATION,
    "rankme_aug": RANKME_AUG,
    "alpha_req": ALPHA_REQ,
    "normalized_std": NORMALIZED_STD,
    "lda_trace": LDA_TRACE,
    "nesum": NESUM,
    "stable_rank": STABLE_RANK,
    "participation_ratio": PARTICIPATION_RATIO,
    "self_cluster": SELF_CLUSTER,
    "alignment": ALIGNMENT,
    "uniformity": UNIFORMITY,
    "instance_knn": INSTANCE_KNN,
    "clid": CLID,
    "epps_pulley": EPPS_PULLEY,
    "idest": IDEST,
}
"""In the order of reports: the default ones come first and have unlike colours in figures."""

DEFAULT_CRITERIA: Final = (
    "lidar",
    "lidar_debiased",
    "lda_information",
    "rankme",
    "rankme_aug",
    "alpha_req",
    "normalized_std",
)
"""The criteria of a sweep that names none: cheap ones of different kinds."""
