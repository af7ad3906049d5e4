"""BYOL with the LogDet entropy of its embeddings (Shwartz-Ziv et al., NeurIPS 2023, arXiv 2303.00633)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from trainers.entropy import LogDet
from trainers.methods.base import MethodParams
from trainers.methods.byol import BYOL, BYOLParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class BYOLLogDetParams(LogDet, BYOLParams):
    """Hyperparameters of BYOL with LogDet; the paper's own values are not known to us."""

    def __post_init__(self) -> None:
        LogDet.__post_init__(self)
        BYOLParams.__post_init__(self)


class BYOLLogDet(BYOL):
    """BYOL that also raises the LogDet entropy of the embeddings."""

    Params: ClassVar[type[MethodParams]] = BYOLLogDetParams
    params: BYOLLogDetParams
    moves_loss: ClassVar[tuple[str, ...]] = ("invariance_weight", "entropy_weight", "beta", "centered")
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.5, weight_decay=1e-4)

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """The weighted invariance less the weighted mean entropy of the online embeddings (b, d) of all workers.

        They are normalised: the invariance does not see their length, which the entropy would let grow without end.
        """
        return self.params.regularized(invariance, [self.world.gather(F.normalize(view, dim=-1)) for view in views])
