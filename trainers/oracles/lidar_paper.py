"""lidar_paper: the linear probe with which LiDAR's paper judges its criterion (Thilak et al., ICLR 2024, appendix).

Adam and cross-entropy on frozen features. The batch size and the standardisation are ours: the paper gives neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor, nn

from trainers.fields import Above, AtLeast
from trainers.oracles.base import Oracle, check_finite, judged, standardised
from trainers.oracles.linear import train_layer
from trainers.records import OracleScore


@dataclass(frozen=True)
class LinearProbe(Oracle):
    """A linear layer trained by Adam and cross-entropy on features standardised by the training split."""

    epochs: Annotated[int, AtLeast(1)]
    batch_size: Annotated[int, AtLeast(1)]
    lr: Annotated[float, Above(0)]
    drop_after_epoch: int
    """The learning rate is divided by `drop_factor` once this many epochs are finished."""
    drop_factor: Annotated[float, Above(0)] = 10.0

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


LIDAR_PAPER: Final = LinearProbe(epochs=20, batch_size=256, lr=0.01, drop_after_epoch=15)


def fit(features: Tensor, classes: Tensor, count: int, protocol: LinearProbe, seed: int) -> nn.Linear:
    """A linear layer of `count` outputs, trained on features (n, d) and classes (n,) from 0 on, on their device."""
    dropped = protocol.lr / protocol.drop_factor
    rates = [protocol.lr if epoch < protocol.drop_after_epoch else dropped for epoch in range(protocol.epochs)]
    return train_layer(
        features,
        classes,
        count,
        optimizer=lambda layer: torch.optim.Adam(layer.parameters()),
        rates=rates,
        batch_size=protocol.batch_size,
        seed=seed,
    )
