"""BYOL with the PairDist entropy of its embeddings (Shwartz-Ziv et al., NeurIPS 2023, arXiv 2303.00633)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from trainers.entropy import PairDist
from trainers.methods.base import MethodParams
from trainers.methods.byol import BYOL, BYOLParams
from trainers.optim import Optimizer


@dataclass(frozen=True)
class BYOLPairDistParams(PairDist, BYOLParams):
    """Hyperparameters of BYOL with PairDist; the paper's own values are not known to us."""

    kernel_variance: float | None = 0.25
    """v: the variance of the Gaussian around each normalised embedding, above 0; null = an eighth of its width."""

    def __post_init__(self) -> None:
        PairDist.__post_init__(self)
        BYOLParams.__post_init__(self)


class BYOLPairDist(BYOL):
    """BYOL that also raises the PairDist entropy of the embeddings."""

    Params: ClassVar[type[MethodParams]] = BYOLPairDistParams
    params: BYOLPairDistParams
    moves_loss: ClassVar[tuple[str, ...]] = ("invariance_weight", "entropy_weight", "kernel_variance", "pair_distance")
    optimizer: ClassVar[Optimizer] = Optimizer(optimizer="sgd", lr=0.5, weight_decay=1e-4)

    def regularized(self, invariance: Tensor, views: Sequence[Tensor]) -> Tensor:
        """The weighted invariance less the weighted mean entropy of the online embeddings (b, d) of all workers.

        They are normalised: the invariance does not see their length, which the entropy would let grow without end.
        """
        return self.params.regularized(invariance, [self.world.gather(F.normalize(view, dim=-1)) for view in views])
