"""The loop that trains a linear layer on frozen features in shuffled batches, which several protocols share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def train_layer(
    features: Tensor,
    classes: Tensor,
    count: int,
    *,
    optimizer: Callable[[nn.Linear], Optimizer],
    rates: Sequence[float],
    batch_size: int,
    seed: int,
) -> nn.Linear:
    """A linear layer of `count` outputs after one pass over the features for each rate, on their device.

    Args:
        features: (n, d).
        classes: (n,), from 0 to `count` - 1.
        count: how many classes.
        optimizer: makes the optimiser of the layer.
        rates: the learning rate of each epoch.
        batch_size: images of a step; the last batch of an epoch may be smaller.
        seed: of the initial weights (torch's default for a linear layer) and of the batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = nn.Linear(features.shape[1], count)
    layer = layer.to(features.device)
    descent = optimizer(layer)
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for rate in rates:
            for group in descent.param_groups:
                group["lr"] = rate
            order = torch.randperm(len(features), generator=generator).to(features.device)
            for chosen in order.split(batch_size):
                descent.zero_grad()
                nn.functional.cross_entropy(layer(features[chosen]), classes[chosen]).backward()
                descent.step()
    return layer
