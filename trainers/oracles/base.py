"""The contract of an oracle: how well frozen features tell the classes. It is given labels, and opens none."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from trainers.records import BALANCED, TOP5, OracleScore

ROUNDING: Final = 1e-6
"""A deviation below this share of the mean is float32's rounding."""
NAMED: Final = 5
"""Classes that a network may name for an image in `top5`."""


@dataclass(frozen=True)
class Oracle(ABC):
    """One probe protocol; each is a frozen dataclass whose fields are the protocol's constants."""

    @abstractmethod
    def score(
        self,
        train_features: Tensor,
        train_classes: Tensor,
        test_features: Tensor,
        test_classes: Tensor,
        *,
        seed: int = 0,
    ) -> OracleScore:
        """Accuracy on the test split of what was fitted to the training split, as a function of the arguments alone.

        Args:
            train_features: (n, d), frozen.
            train_classes: (n,), int64 of any values; a test class that is not among them counts as a mistake.
            test_features: (m, d).
            test_classes: (m,).
            seed: of all randomness.

        Raises:
            ValueError: a feature is not finite.
        """


def check_finite(*features: Tensor) -> None:
    """Raises: ValueError, if a feature is not finite."""
    if not all(bool(one.isfinite().all()) for one in features):
        raise ValueError("the representations must be finite to be probed; this network has diverged")


def standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both splits minus the training split's mean, divided by its standard deviation; constant features become 0.

    >>> standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.tensor([[4.0, 9.0]]))[1]
    tensor([[2., 0.]])
    """
    deviation, mean = torch.std_mean(train, dim=0, correction=0)
    # a feature that varies by rounding only counts as constant: the division would turn rounding into a signal
    scale = (1 / deviation).where(deviation > ROUNDING * mean.abs(), 0.0)
    return (train - mean) * scale, (test - mean) * scale


def judged(logits: Tensor, classes: Tensor, test_classes: Tensor, start: float) -> OracleScore:
    """The accuracy, and the further metrics, of one logit (or vote) for each test image and class.

    Args:
        logits: (m, c); an image is named by its greatest, and -inf names none.
        classes: (c,), the classes of the training split.
        test_classes: (m,), the true ones.
        start: `time.perf_counter()` when the oracle began.
    """
    hits = classes[logits.argmax(dim=1)] == test_classes
    further = {BALANCED: balanced(hits, test_classes)}
    if len(classes) > NAMED:
        best = logits.topk(NAMED, dim=1)
        named = (classes[best.indices] == test_classes[:, None]) & (best.values > -torch.inf)
        further[TOP5] = float(named.any(dim=1).double().mean())
    return OracleScore(float(hits.double().mean()), len(test_classes), time.perf_counter() - start, further)


def balanced(hits: Tensor, test_classes: Tensor) -> float:
    """Mean over the classes of the test split of the share of their images that are right.

    >>> balanced(torch.tensor([True, True, True, False]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    found, place = test_classes.unique(return_inverse=True)
    right = torch.zeros(len(found), dtype=torch.float64, device=hits.device).index_add_(0, place, hits.double())
    return float((right / place.bincount(minlength=len(found))).mean())
