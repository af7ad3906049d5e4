"""toy_spread: how far the views of an image lie apart, relative to how far the images do."""

from __future__ import annotations

from collections.abc import Mapping

from trainers.criteria.base import Criterion, Features
from trainers.records import EMBEDDING, REPRESENTATION


def toy_spread(features: Mapping[str, Features]) -> float:
    """Mean over both layers of the deviation within an image's views over the deviation between images.

    >>> import torch
    >>> one = Features(views=torch.tensor([[[0.0], [0.0]], [[2.0], [2.0]]]), clean=torch.zeros(2, 1))
    >>> toy_spread({"representation": one, "embedding": one})
    0.0
    """
    ratios = []
    for layer in (REPRESENTATION, EMBEDDING):
        views = features[layer].views.double()  # (n images, q views, d)
        within = (views - views.mean(1, keepdim=True)).norm()
        between = (views.mean(1) - views.mean((0, 1))).norm()
        ratios.append(float(within / between))
    return sum(ratios) / len(ratios)


TOY_SPREAD = Criterion(
    name="toy_spread",
    label="Toy spread",
    joint_function=toy_spread,
    reads_views=True,
    higher_is_better=False,
)
