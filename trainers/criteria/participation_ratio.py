"""Participation ratio of the covariance, corrected for the number of images.

(Σλ)²/Σλ² (Gao et al., bioRxiv 214262, 2017). The ratio of a sample is too low, about 1/PR_sample = 1/PR + 1/n, so both
sums are replaced by estimates that have no bias for Gaussian embeddings (Srivastava, Journal of the Japan Statistical
Society 35, 2005). The width d is the whole network's and no sample of it, so it is not corrected for.

Collapse onto a point: it is blind to it, as long as the rows differ. Collapse onto a line: 1, the lowest. Cost: the
product of n rows of d with themselves.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features, gram
from trainers.criteria.points import centred, scaled


def participation_ratio(embeddings: Tensor) -> float:
    """(tr Σ)²/tr Σ² of (n, d) embeddings, of any floating-point dtype, with both terms estimated without bias.

    Returns:
        About 1 to d; NaN if an embedding is not finite, all are the same, there are fewer than three, or the estimate
        of tr Σ² is not positive.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = scaled(embeddings, n=2, d=1)
    if rows is None or len(rows) < 3:
        return math.nan
    rows = centred(rows)
    free = len(rows) - 1
    product = gram(rows if len(rows) >= rows.shape[1] else rows.T) / free
    trace, squares = float(product.trace()), float((product * product).sum())
    unbiased = free**2 / ((free - 1) * (free + 2)) * (squares - trace**2 / free)
    return (trace**2 - 2 / free * unbiased) / unbiased if unbiased > 0 else math.nan


def _measure(features: Features) -> float:
    return participation_ratio(features.clean)


PARTICIPATION_RATIO: Final = Criterion(
    name="participation_ratio",
    label="Participation ratio",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
