"""LiDAR of eigenvalues from which the noise of the views has been taken.

The one-way random-effects estimator of the covariance between classes (Amemiya, The American Statistician 39, 1985) in
LiDAR's place for it (Thilak et al., ICLR 2024). Pure noise still has a value, because the positive half of the noise
stays: compare with the value of shuffled views.

Collapse onto a point: it is blind to it, as LiDAR is; NaN if no eigenvalue is positive. Collapse onto a line: near 1,
plus the noise in the other dimensions. Cost: LiDAR's analysis, which they share, and O(d³).
"""

from __future__ import annotations

from typing import Final

from trainers.criteria.base import Criterion, Features
from trainers.criteria.discriminant import DELTA, of_views
from trainers.criteria.lidar import EPSILON, LAYERS_OF_LIDAR, corrected_rank


def _measure(features: Features) -> float:
    return corrected_rank(features.shared(of_views))


LIDAR_DEBIASED: Final = Criterion(
    name="lidar_debiased",
    label="Debiased LiDAR",
    function=_measure,
    reads_views=True,
    settings={"delta": DELTA, "epsilon": EPSILON},
    layer="embedding",
    layer_by_method=LAYERS_OF_LIDAR,
    higher_is_better=True,
)
