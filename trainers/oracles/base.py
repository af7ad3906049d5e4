"""The contract of an oracle: how well frozen features tell the classes. It is given labels, and opens none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from trainers.records import OracleScore


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
