"""vicreg_paper: the linear evaluation of VICReg's information-theory paper (Shwartz-Ziv et al., arXiv 2303.00633).

SGD with momentum and cross-entropy on frozen features; the learning rate falls along a cosine. The paper gives neither
the initial weights nor a standardisation: torch's default, and that of lidar_paper, because a step of 0.2 is too small
or too large for features of another scale. The features are those of whole images, without augmentation.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor, nn

from trainers.fields import Above, AtLeast, Between
from trainers.oracles.base import Oracle, check_finite, judged, standardised
from trainers.oracles.linear import train_layer
from trainers.records import OracleScore


@dataclass(frozen=True)
class CosineProbe(Oracle):
    """A linear layer trained by SGD without weight decay on features standardised by the training split."""

    epochs: Annotated[int, AtLeast(1)]
    batch_size: Annotated[int, AtLeast(1)]
    momentum: Annotated[float, Between(0, 1)]
    lr: Annotated[float, Above(0)]
    """The learning rate of the first epoch."""
    last_lr: Annotated[float, AtLeast(0)]
    """That to which the cosine falls; as in `CosineAnnealingLR`, it is reached after the last epoch."""

    def score(
        self,
        train_features: Tensor,
        train_classes: Tensor,
        test_features: Tensor,
        test_classes: Tensor,
        *,
        seed: int = 0,
    ) -> OracleScore:
        """Accuracy of the layer; its initial weights and its batches depend on `seed` alone."""
        start = time.perf_counter()
        check_finite(train_features, test_features)
        classes = train_classes.unique()
        train, test = standardised(train_features.float(), test_features.float())
        layer = fit(train, torch.searchsorted(classes, train_classes), len(classes), self, seed)
        with torch.no_grad():
            return judged(layer(test), classes, test_classes, start)


VICREG_PAPER: Final = CosineProbe(epochs=100, batch_size=256, momentum=0.9, lr=0.2, last_lr=2e-4)


def fit(features: Tensor, classes: Tensor, count: int, protocol: CosineProbe, seed: int) -> nn.Linear:
    """A linear layer of `count` outputs, trained on features (n, d) and classes (n,) from 0 on, on their device."""
    return train_layer(
        features,
        classes,
        count,
        optimizer=lambda layer: torch.optim.SGD(layer.parameters(), lr=protocol.lr, momentum=protocol.momentum),
        rates=[cosine_rate(epoch, protocol) for epoch in range(protocol.epochs)],
        batch_size=protocol.batch_size,
        seed=seed,
    )


def cosine_rate(epoch: int, protocol: CosineProbe) -> float:
    """The learning rate of an epoch, counted from 0.

    >>> cosine_rate(0, VICREG_PAPER), round(cosine_rate(50, VICREG_PAPER), 4), round(cosine_rate(100, VICREG_PAPER), 4)
    (0.2, 0.1001, 0.0002)
    """
    share = (1 + math.cos(math.pi * epoch / protocol.epochs)) / 2
    return protocol.last_lr + (protocol.lr - protocol.last_lr) * share
