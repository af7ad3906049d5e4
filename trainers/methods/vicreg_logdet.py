"""VICReg's invariance with the LogDet entropy in place of its regulariser (Shwartz-Ziv et al., NeurIPS 2023).

arXiv 2303.00633.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trainers.entropy import LogDet
from trainers.methods.base import MethodParams
from trainers.methods.vicreg import ExpanderParams, VICReg
from trainers.optim import Optimizer


@dataclass(frozen=True)
class VICRegLogDetParams(LogDet, ExpanderParams):
    """Hyperparameters of VICReg with LogDet; the paper's own values are not known to us."""

    invariance_weight: float = 25.0
    """Weight of the mean squared distance between the two views, at least 0."""

    def __post_init__(self) -> None:
        LogDet.__post_init__(self)
        ExpanderParams.__post_init__(self)


class VICRegLogDet(VICReg):
    """Pulls two views together, and raises the LogDet entropy of the embeddings."""

    Params: ClassVar[type[MethodParams]] = VICRegLogDetParams
    params: VICRegLogDetParams
    moves_loss: ClassVar[tuple[str, ...]] = ("invariance_weight", "entropy_weight", "beta", "centered")
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.5, weight_decay=1e-4)

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """The weighted invariance less the weighted mean entropy of the (b, d) views."""
        return self.params.regularized(invariance, views)
