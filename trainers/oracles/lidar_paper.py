"""lidar_paper: the linear probe with which LiDAR's paper judges its criterion (Thilak et al., ICLR 2024, appendix).

Adam and cross-entropy on frozen features. The batch size and the standardisation are ours: the paper gives neither.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from trainers.oracles.base import Oracle, check_finite, standardised
from trainers.records import OracleScore


@dataclass(frozen=True)
class LinearProbe(Oracle):
    """A linear layer trained by Adam and cross-entropy on features standardised by the training split."""

    epochs: int
    batch_size: int
    lr: float
    drop_after_epoch: int
    """The learning rate is divided by `drop_factor` once this many epochs are finished."""
    drop_factor: float = 10.0

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
            hits = classes[layer(test).argmax(dim=1)] == test_classes
        return OracleScore(float(hits.double().mean()), n=len(test_classes), seconds=time.perf_counter() - start)


LIDAR_PAPER: Final = LinearProbe(epochs=20, batch_size=256, lr=0.01, drop_after_epoch=15)


def fit(features: Tensor, classes: Tensor, count: int, protocol: LinearProbe, seed: int) -> nn.Linear:
    """A linear layer of `count` outputs, trained on features (n, d) and classes (n,) from 0 on, on their device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.Linear(features.shape[1], count)
    layer = layer.to(features.device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=protocol.lr)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(protocol.epochs):
        if epoch == protocol.drop_after_epoch:
            for group in optimizer.param_groups:
                group["lr"] = protocol.lr / protocol.drop_factor
        order = torch.randperm(len(features), generator=generator).to(features.device)
        for chosen in order.split(protocol.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(layer(features[chosen]), classes[chosen]).backward()
            optimizer.step()
    return layer
