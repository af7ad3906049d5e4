"""lbfgs: a linear probe trained to convergence, multinomial logistic regression with an L2 penalty.

The penalty is chosen as for CLIP's linear probes (Radford et al., arXiv 2103.00020, appendix A.3), which sweep it over
powers of ten on held-out training images. The grid, the share held out and the preconditioner are ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Final, NamedTuple

import torch
from torch import Tensor, nn

from trainers.fields import Above, AtLeast, Between
from trainers.oracles.base import Oracle, check_finite, judged, standardised
from trainers.records import OracleScore


class Fit(NamedTuple):
    """A converged layer."""

    weight: Tensor
    """(d, classes)."""
    bias: Tensor
    """(classes,); not penalised."""
    objective: float
    """Mean cross-entropy plus `penalty`/2 times the sum of the squared weights."""

    def logits(self, features: Tensor) -> Tensor:
        """(n, classes), for features (n, d)."""
        return features @ self.weight + self.bias


@dataclass(frozen=True)
class LogisticRegression(Oracle):
    """Softmax regression at its optimum, in float64, on features standardised by the training split.

    The objective is scikit-learn's: mean cross-entropy + penalty/2 · ‖weights‖², where penalty = 1 / (C · n).
    """

    penalties: tuple[Annotated[float, Above(0)], ...]
    """From strong to weak. The one with the highest accuracy on the held-out images is used; of equals, the first."""
    held_out: Annotated[float, Between(0, 0.9)] = 0.2
    """Share of the training split on which the penalties are compared; the layer is then fitted to all of the split."""
    tolerance: Annotated[float, Above(0)] = 1e-6
    """Largest entry of the gradient, in the preconditioned coordinates, at which the fit has converged."""
    choice_tolerance: Annotated[float, Above(0)] = 1e-4
    """The same while penalties are compared, in float32, since that needs held-out accuracies only."""
    iterations: Annotated[int, AtLeast(1)] = 3000
    """Most iterations of L-BFGS for one penalty."""

    def __post_init__(self) -> None:
        if not self.penalties:
            raise ValueError("`penalties` must name at least one penalty, but got []")

    def score(
        self,
        train_features: Tensor,
        train_classes: Tensor,
        test_features: Tensor,
        test_classes: Tensor,
        *,
        seed: int = 0,
    ) -> OracleScore:
        """Accuracy of the layer; `seed` chooses the held-out images, nothing else is random."""
        start = time.perf_counter()
        check_finite(train_features, test_features)
        classes = train_classes.unique()
        train, test = standardised(train_features.double(), test_features.double())
        targets = torch.searchsorted(classes, train_classes)
        penalty = self.choose(train.float(), targets, len(classes), seed)
        (fitted,) = fits(train, targets, len(classes), (penalty,), self)
        return judged(fitted.logits(test), classes, test_classes, start)

    def choose(self, features: Tensor, classes: Tensor, count: int, seed: int) -> float:
        """The penalty that names most of the held-out images; they come from the features (n, d) that are given."""
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed)).to(features.device)
        held = order[: int(self.held_out * len(order))]
        rest = order[len(held) :]
        rough = replace(self, tolerance=self.choice_tolerance)
        right = [
            int((fitted.logits(features[held]).argmax(dim=1) == classes[held]).sum())
            for fitted in fits(features[rest], classes[rest], count, self.penalties, rough)
        ]
        return self.penalties[right.index(max(right))]


LBFGS: Final = LogisticRegression(penalties=(1e-1, 1e-2, 1e-3, 1e-4))


def fits(
    features: Tensor, classes: Tensor, count: int, penalties: tuple[float, ...], protocol: LogisticRegression
) -> Iterator[Fit]:
    """The optimum for each penalty in turn, where the next fit starts.

    The penalty does not change when the features are rotated onto their principal axes. There, the bound 1/2 · XᵀX/n of
    the Hessian (Böhning, 1992) is diagonal, and dividing each axis by its root lets L-BFGS converge in tens of steps.

    Args:
        features: (n, d); the fits have their precision.
        classes: (n,), from 0 to `count` - 1.
        count: how many classes.
        penalties: each above 0.
        protocol: when a fit has converged.
    """
    mean = features.mean(dim=0)
    centred = features - mean
    variances, axes = torch.linalg.eigh(centred.T @ centred / len(features))
    rotated = centred @ axes
    weight, bias = features.new_zeros(features.shape[1], count), features.new_zeros(count)
    for penalty in penalties:
        scale = (variances.clamp_min(0) / 2 + penalty).rsqrt()[:, None]
        weight, bias, objective = _minimise(rotated, classes, penalty, scale, (weight, bias), protocol)
        original = axes @ weight
        yield Fit(original, bias - mean @ original, objective)


def _minimise(
    features: Tensor,
    classes: Tensor,
    penalty: float,
    scale: Tensor,
    start: tuple[Tensor, Tensor],
    protocol: LogisticRegression,
) -> tuple[Tensor, Tensor, float]:
    """Weights (d, classes), biases (classes,) and the objective at the optimum, preconditioned by `scale` (d, 1)."""
    scaled, bias = (start[0] / scale).requires_grad_(), start[1].clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled, bias],
        max_iter=protocol.iterations,
        max_eval=2 * protocol.iterations,
        tolerance_grad=protocol.tolerance,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        weight = scaled * scale
        loss = nn.functional.cross_entropy(features @ weight + bias, classes)
        return loss + penalty / 2 * weight.square().sum()

    def closure() -> float:
        optimizer.zero_grad()
        value = objective()
        value.backward()
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(closure)
    with torch.no_grad():
        return (scaled * scale).detach(), bias.detach(), float(objective())
