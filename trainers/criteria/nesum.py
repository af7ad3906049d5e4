"""NESum: the sum of the covariance's eigenvalues over the largest.

He and Ozay, Exploring the gap between collapsed and whitened features in self-supervised learning, ICML 2022.

Collapse onto a point: it is blind to it, as long as the rows differ. Collapse onto a line: 1, the lowest. Cost: the
product of n rows of d with themselves, and O(d³), which it shares with α-ReQ.
"""

from __future__ import annotations

import math
from typing import Final

from torch import Tensor

from trainers.criteria.base import OF_MASKED, Criterion, Features
from trainers.criteria.points import spectrum, spectrum_of_clean


def nesum(embeddings: Tensor) -> float:
    """Σλ/λ₁ over the eigenvalues λ of the covariance of (n, d) embeddings, of any floating-point dtype.

    Returns:
        1 to min(n - 1, d); NaN if an embedding is not finite or all are the same.

    Raises:
        ValueError: wrong shape or dtype.

    >>> import torch
    >>> round(nesum(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    1.25
    """
    return _ratio(spectrum(embeddings))


def _ratio(values: Tensor | None) -> float:
    return math.nan if values is None else float(values.sum() / values[0])


def _measure(features: Features) -> float:
    return _ratio(features.shared(spectrum_of_clean))


NESUM: Final = Criterion(
    name="nesum",
    label="NESum",
    function=_measure,
    reads_views=False,
    layer="embedding",
    layer_by_method=OF_MASKED,
    higher_is_better=True,
)
