"""knn: weighted votes of the nearest training images (Wu et al., CVPR 2018, section 3.4): k = 200, temperature 0.07.

Nothing is trained. The second k, 20, is that of DINO's evaluation (Caron et al., ICCV 2021).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Annotated, Final

import torch
from torch import Tensor, nn

from trainers.fields import Above, AtLeast
from trainers.oracles.base import Oracle, check_finite, judged
from trainers.records import OracleScore

CELLS: Final = 2**24
"""Similarities that are held at once; 128 MiB in float64."""


@dataclass(frozen=True)
class NearestNeighbours(Oracle):
    """Each of the k training images most similar to a test image votes for its class with exp(similarity/temperature).

    The similarity is the cosine, in float64. The accuracy is that of `k`; that of `further_k` has the metric
    `k<further_k>`. A training split of fewer than k images votes as a whole.
    """

    k: Annotated[int, AtLeast(1)]
    further_k: Annotated[int, AtLeast(1)]
    temperature: Annotated[float, Above(0)]

    def score(
        self,
        train_features: Tensor,
        train_classes: Tensor,
        test_features: Tensor,
        test_classes: Tensor,
        *,
        seed: int = 0,
    ) -> OracleScore:
        """Accuracy of the votes; nothing is random."""
        start = time.perf_counter()
        check_finite(train_features, test_features)
        classes = train_classes.unique()
        train, test = (nn.functional.normalize(one.double(), dim=1) for one in (train_features, test_features))
        found = votes(train, torch.searchsorted(classes, train_classes), test, len(classes), self)
        first, second = (judged(one, classes, test_classes, start) for one in found)
        return replace(first, further={**first.further, f"k{self.further_k}": second.accuracy})


KNN: Final = NearestNeighbours(k=200, further_k=20, temperature=0.07)


def votes(
    train: Tensor, train_classes: Tensor, test: Tensor, count: int, protocol: NearestNeighbours
) -> tuple[Tensor, Tensor]:
    """The votes (m, count) of the nearest `k` and of the nearest `further_k`; -inf for a class that has none.

    Args:
        train: (n, d), of length 1, or 0 where an image has no features.
        train_classes: (n,), from 0 to `count` - 1.
        test: (m, d), like `train`.
        count: how many classes.
        protocol: k and the temperature.
    """
    sizes = [min(k, len(train)) for k in (protocol.k, protocol.further_k)]
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for rows in test.split(max(1, CELLS // len(train))):
        similarity, nearest = (rows @ train.T).topk(max(sizes), dim=1)  # the nearest comes first
        # a common factor changes no vote: the nearest has the weight 1, also at a temperature that makes others 0
        weight = ((similarity - similarity[:, :1]) / protocol.temperature).exp()
        for part, size in zip(parts, sizes, strict=True):
            own = rows.new_zeros(len(rows), count)
            own.scatter_add_(1, train_classes[nearest[:, :size]], weight[:, :size])
            part.append(own.where(own > 0, -torch.inf))
    return torch.cat(parts[0]), torch.cat(parts[1])
