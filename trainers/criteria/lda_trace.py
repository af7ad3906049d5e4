"""The variance between images over the variance within them, from LiDAR's analysis without the noise of the views.

Σ λ′: the trace criterion of discriminant analysis (Fukunaga, Introduction to Statistical Pattern Recognition, 1990,
chapter 10) with the estimator of Amemiya (The American Statistician 39, 1985). One strong direction decides it.

Collapse onto a point: it falls to 0 once the embeddings are smaller than √delta, and is blind above. Collapse onto a
line: it does not see it, because a strong line alone has a high value. Cost: LiDAR's analysis, which they share, and
O(d³).
"""

from __future__ import annotations

from typing import Final

from trainers.criteria.base import Criterion, Features
from trainers.criteria.discriminant import DELTA, of_views
from trainers.criteria.lidar import trace


def _measure(features: Features) -> float:
    return trace(features.shared(of_views))


LDA_TRACE: Final = Criterion(
    name="lda_trace",
    label="LDA trace",
    function=_measure,
    reads_views=True,
    settings={"delta": DELTA},
    layer="representation",
    higher_is_better=True,
)
