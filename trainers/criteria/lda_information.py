"""The Gaussian information between an image and one view of it, from LiDAR's analysis without the noise of the views.

½ Σ ln(1 + λ′) nats: the channel capacity of Gaussian embeddings whose signal is the image and whose noise is the view.
LiDAR says over how many directions the signal is spread, and this one also how strong it is. Sources: the analysis of
LiDAR (Thilak et al., ICLR 2024), the estimator of Amemiya (The American Statistician 39, 1985), and the log-determinant
as an entropy of Shwartz-Ziv et al. (NeurIPS 2023, arXiv 2303.00633).

Collapse onto a point: it falls to 0 once the embeddings are smaller than √delta, and is blind above. Collapse onto a
line: only the line counts, so it is ½ ln(1 + λ′) plus the noise of the other dimensions. Cost: LiDAR's analysis, which
they share, and O(d³).
"""

from __future__ import annotations

from typing import Final

from trainers.criteria.base import Criterion, Features
from trainers.criteria.discriminant import DELTA, of_views
from trainers.criteria.lidar import information


def _measure(features: Features) -> float:
    return information(features.shared(of_views))


LDA_INFORMATION: Final = Criterion(
    name="lda_information",
    label="LDA information",
    function=_measure,
    reads_views=True,
    settings={"delta": DELTA},
    layer="representation",
    higher_is_better=True,
)
