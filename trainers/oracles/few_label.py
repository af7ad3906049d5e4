"""few_label: logistic regression on a few labelled images of each class, averaged over draws of these images.

The images of each class, the draws and the penalty are ours. The penalty is scikit-learn's default, C = 1: so few
images leave none on which to choose it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor

from trainers.fields import Above, AtLeast
from trainers.oracles.base import Oracle, check_finite, judged, standardised
from trainers.oracles.lbfgs import Fit, LogisticRegression, fits
from trainers.records import STANDARD_ERROR, OracleScore


@dataclass(frozen=True)
class FewLabels(Oracle):
    """Softmax regression at its optimum, in float64, on `images` labelled images of each class; the mean over `draws`.

    The features are standardised by the whole training split, which needs no labels. The objective is scikit-learn's:
    mean cross-entropy + ‖weights‖² / (2 · C · images used). A class of fewer images gives all that it has.
    """

    images: Annotated[int, AtLeast(1)]
    """Labelled images of each class."""
    draws: Annotated[int, AtLeast(1)]
    """Sets of labelled images; the metric `se` is the standard error of the mean over them."""
    c: Annotated[float, Above(0)] = 1.0
    """scikit-learn's C: the inverse strength of the penalty."""
    tolerance: Annotated[float, Above(0)] = 1e-6
    """Largest entry of the gradient, in the preconditioned coordinates, at which a fit has converged."""

    def score(
        self,
        train_features: Tensor,
        train_classes: Tensor,
        test_features: Tensor,
        test_classes: Tensor,
        *,
        seed: int = 0,
    ) -> OracleScore:
        """Accuracy of the layer, as the mean over draws that depend on `seed` and on the order of the images."""
        start = time.perf_counter()
        check_finite(train_features, test_features)
        classes = train_classes.unique()
        train, test = standardised(train_features.double(), test_features.double())
        targets = torch.searchsorted(classes, train_classes)
        scores = []
        for chosen in self.drawn(targets, len(classes), seed):
            layer = self.fit(train[chosen], targets[chosen], len(classes))
            scores.append(judged(layer.logits(test), classes, test_classes, start))
        return averaged(scores, time.perf_counter() - start)

    def drawn(self, classes: Tensor, count: int, seed: int) -> Iterator[Tensor]:
        """The positions of the labelled images of each draw; classes (n,) from 0 to `count` - 1."""
        generator = torch.Generator().manual_seed(seed)
        places = [(classes == one).nonzero()[:, 0] for one in range(count)]
        for _ in range(self.draws):
            orders = [torch.randperm(len(place), generator=generator)[: self.images] for place in places]
            yield torch.cat([place[order.to(place.device)] for place, order in zip(places, orders, strict=True)])

    def fit(self, features: Tensor, classes: Tensor, count: int) -> Fit:
        """The optimum for features (n, d) and classes (n,) from 0 to `count` - 1.

        Its weights are combinations of the n centred features, since others would add to the penalty alone; so the fit
        is made in the space that these span, whose dimension is at most n.
        """
        protocol = LogisticRegression(penalties=(1 / (self.c * len(features)),), tolerance=self.tolerance)
        mean = features.mean(dim=0)
        axes = torch.linalg.svd(features - mean, full_matrices=False).Vh
        (fitted,) = fits((features - mean) @ axes.T, classes, count, protocol.penalties, protocol)
        weight = axes.T @ fitted.weight
        return Fit(weight, fitted.bias - mean @ weight, fitted.objective)


FEW_LABEL: Final = FewLabels(images=10, draws=10)


def averaged(scores: list[OracleScore], seconds: float) -> OracleScore:
    """The mean of each metric over the draws, and the standard error of the mean accuracy, where there are two.

    >>> averaged([OracleScore(0.5, 10, 1.0), OracleScore(0.7, 10, 1.0)], 2.0).further
    {'se': 0.09999999999999998}
    """
    accuracies = torch.tensor([score.accuracy for score in scores], dtype=torch.float64)
    further = {
        name: float(torch.tensor([score.further[name] for score in scores], dtype=torch.float64).mean())
        for name in scores[0].further
    }
    if len(scores) > 1:
        further[STANDARD_ERROR] = float(accuracies.std() / len(scores) ** 0.5)
    return OracleScore(float(accuracies.mean()), scores[0].n, seconds, further)
