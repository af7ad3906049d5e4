"""Kendall's τ-b of all resamples, and the influence of each trial on it, computed by matrix products.

A resample of trials is a vector of counts w. With the sign matrices A and B of the two variables,
τ-b = wᵀ(A∘B)w / √(wᵀA²w · wᵀB²w), where squares are elementwise (Kendall 1945, Biometrika 33; the pair of a trial
with itself counts as a tie). Ten thousand resamples are therefore one product, counts @ (A∘B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]
Integers = NDArray[np.int64]

RESAMPLES = 10_000
CHUNK = 1_000_000
"""The largest number of counts in one matrix product; it bounds memory for any number of resamples."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of n trials under two variables: whether the variables agree, and which pairs are ties."""

    agreement: Counts
    """(n, n): sign of the difference in one variable times that in the other; 0 where either is a tie."""
    first: Integers
    """(n,): for each trial, the label of its group of equal values in the first variable."""
    second: Integers


def make_pairs(first: Floats, second: Floats) -> Pairs:
    """Compare all pairs of trials; both variables are (n,) and finite."""
    labels = [np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (first, second)]
    agreement = signs_of(labels[0])
    agreement *= signs_of(labels[1])
    return Pairs(agreement.astype(np.float32), labels[0], labels[1])


def signs_of(values: Integers) -> NDArray[np.int8]:
    """(n, n): the sign of every difference, one byte each. Comparing narrow integers is four times as fast."""
    narrow = values.astype(np.int16) if len(values) < 2**15 else values
    signs = np.greater(narrow[:, None], narrow[None, :]).view(np.int8)
    signs -= np.less(narrow[:, None], narrow[None, :]).view(np.int8)
    return signs


def draw_counts(groups: Integers, resamples: int, generator: np.random.Generator) -> Counts:
    """(resamples, n): how often each trial is drawn, when whole `groups` (n,) are drawn with replacement.

    Trials of one configuration are not independent, so they are drawn together (Davison & Hinkley 1997, section 3.8).
    """
    names, members = np.unique(groups, return_inverse=True)
    n = len(names)
    drawn = generator.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n).astype(np.float32).reshape(resamples, n)
    return counts if n == len(members) and (members == np.arange(n)).all() else counts[:, members]


def tau_of_counts(pairs: Pairs, counts: Counts, *, weights: Floats | None = None) -> Floats:
    """τ-b of each row of `counts` (resamples, n), with trial weights `weights` (n,); NaN if a variable is constant.

    >>> pairs = make_pairs(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    >>> tau_of_counts(pairs, np.ones((1, 4), dtype=np.float32)).round(4).tolist()
    [0.6667]
    """
    total, n = counts.shape
    tau = np.empty(total)
    rows = max(1, CHUNK // n)
    # Integer counts and their products are exact in float32 while n² is; weights are not integers.
    exact = weights is None and n <= 4096
    agreement = pairs.agreement if exact else pairs.agreement.astype(np.float64)
    for start in range(0, total, rows):
        part = counts[start : start + rows]
        drawn = part if exact else part.astype(np.float64) * (1.0 if weights is None else weights)
        agreeing = drawn @ agreement
        squares = drawn.sum(axis=1, dtype=np.float64) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            norm = np.sqrt((squares - tied(drawn, pairs.first)) * (squares - tied(drawn, pairs.second)))
            tau[start : start + rows] = np.clip(np.einsum("rn,rn->r", drawn, agreeing) / norm, -1.0, 1.0)
    return tau


def tied(drawn: NDArray[Any], labels: Integers) -> Floats:
    """(resamples,): the weight of all tied pairs, including each trial with itself."""
    single = int(labels.max()) + 1 == len(labels)
    summed = drawn if single else group_sums(drawn, labels)
    squares: Floats = np.einsum("rg,rg->r", summed, summed).astype(np.float64)
    return squares


def group_sums(values: NDArray[Any], labels: Integers) -> NDArray[Any]:
    """(rows, groups): the sum of each row within each group; labels (n,) start at 0."""
    if int(labels.max()) + 1 == len(labels):
        return values[:, np.argsort(labels)]
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    summed: NDArray[Any] = np.add.reduceat(values[:, order], starts, axis=1)
    return summed


def tau_and_influence(pairs: Pairs, weights: Floats | None = None) -> tuple[float, Floats]:
    """τ-b of the trials, and its derivative with respect to each trial's weight (n,); the derivatives sum to 0."""
    n = len(pairs.first)
    once = np.ones(n) if weights is None else weights
    # Without weights a sum is enough, and it is faster: starting the BLAS threads costs more than this product.
    agreeing = (
        pairs.agreement.sum(axis=1, dtype=np.float64)
        if weights is None
        else (pairs.agreement @ once.astype(np.float32)).astype(np.float64)
    )
    untied = [once.sum() - group_sums(once[None, :], labels)[0, labels] for labels in (pairs.first, pairs.second)]
    sums = [float(once @ part) for part in untied]
    norm = float(np.sqrt(sums[0] * sums[1]))
    if norm == 0:
        return float("nan"), np.full(n, np.nan)
    tau = min(1.0, max(-1.0, float(once @ agreeing) / norm))
    slope: Floats = once * (2 * agreeing / norm - tau * (untied[0] / sums[0] + untied[1] / sums[1]))
    return tau, slope


def standard_error(influence: Floats, groups: Integers | None = None) -> float:
    """The standard error of a statistic of pairs, from each trial's influence (n,), first summed within `groups`.

    √Σψ² is the infinitesimal jackknife (Efron 1982, chapter 6). The factor √(n(n−1))/(n−2) turns it into the
    delete-one jackknife of a statistic of pairs (Arvesen 1969, Annals of Mathematical Statistics 40); without the
    factor the error is too small at small n.
    """
    parts = influence if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    n = len(parts)
    return float(np.sqrt((parts**2).sum() * n * (n - 1)) / (n - 2)) if n > 2 else float("nan")
