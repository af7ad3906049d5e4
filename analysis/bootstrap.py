"""Kendall's τ-b of every resample at once, with a standard error for each, from matrix products alone.

A resample of trials is a vector of counts w, and with the sign matrices A and B of the two variables
τ-b = wᵀ(A∘B)w / √(wᵀA²w · wᵀB²w), where squares are taken elementwise (Kendall 1945, Biometrika 33, with the pairs
of a trial with itself counted as ties, which they are). So ten thousand resamples are one product counts @ (A∘B).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CHUNK = 4_000_000
"""Counts held in one matrix product: 16 MB of float32, so that memory does not grow with the resamples."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of n trials under two variables: where they agree, and which of them are ties."""

    agreement: NDArray[np.float32]
    """(n, n): sign of the difference in one variable times that in the other; 0 where either is a tie."""
    first: Integers
    """(n,): label of each trial's group of ties in the first variable."""
    second: Integers


def make_pairs(first: Floats, second: Floats) -> Pairs:
    """Compare every two trials; both variables are (n,) and finite."""
    signs = [np.sign(values[:, None] - values[None, :]).astype(np.float32) for values in (first, second)]
    labels = [np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (first, second)]
    return Pairs(signs[0] * signs[1], labels[0], labels[1])


def draw_counts(groups: Integers, resamples: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """(resamples, n): how often each trial is drawn when whole `groups` (n,) are drawn with replacement.

    Trials of one configuration are not independent, so they are drawn together (Davison & Hinkley 1997, section 3.8).
    """
    names, members = np.unique(groups, return_inverse=True)
    drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn.astype(np.float32)[:, members]


def tau_of_counts(
    pairs: Pairs, counts: NDArray[np.float32], *, weights: Floats | None = None, groups: Integers | None = None
) -> tuple[Floats, Floats]:
    """τ-b and its standard error (see `spread_of_influence`) for each row of `counts` (resamples, n).

    τ-b is NaN where a resample holds no two trials that differ in both variables' own terms.

    >>> pairs = make_pairs(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    >>> tau_of_counts(pairs, np.ones((1, 4), dtype=np.float32))[0].round(4).tolist()
    [0.6667]
    """
    total, n = counts.shape
    tau, error = np.empty(total), np.empty(total)
    rows = max(1, CHUNK // n)
    for start in range(0, total, rows):
        chunk = counts[start : start + rows]
        tau[start : start + rows], influence = influence_of_counts(pairs, chunk, weights=weights)
        error[start : start + rows] = spread_of_influence(influence, chunk, groups)
    return tau, error


def influence_of_counts(
    pairs: Pairs, counts: NDArray[np.float32], *, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """τ-b (resamples,) and its derivative by each trial's count (resamples, n), where a trial weighs `weights` (n,)."""
    scale = np.ones(counts.shape[1]) if weights is None else weights
    drawn = (counts * scale).astype(np.float64)
    agreeing = (drawn.astype(np.float32) @ pairs.agreement).astype(np.float64)
    untied = [drawn.sum(axis=1)[:, None] - tied_weight(drawn, labels) for labels in (pairs.first, pairs.second)]
    sums = [np.einsum("rn,rn->r", drawn, part) for part in untied]
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = np.sqrt(sums[0] * sums[1])
        tau = np.clip(np.einsum("rn,rn->r", drawn, agreeing) / norm, -1.0, 1.0)
        slope = 2 * agreeing / norm[:, None]
        slope -= tau[:, None] * (untied[0] / sums[0][:, None] + untied[1] / sums[1][:, None])
    return tau, slope * scale


def tied_weight(drawn: Floats, labels: Integers) -> Floats:
    """(resamples, n): the weight drawn in each trial's own group of ties, itself included."""
    if int(labels.max()) + 1 == len(labels):
        return drawn
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    summed: Floats = np.add.reduceat(drawn[:, order], starts, axis=1)[:, labels]
    return summed


def spread_of_influence(influence: Floats, counts: NDArray[np.float32], groups: Integers | None = None) -> Floats:
    """Standard error (resamples,) of a statistic from its influence (resamples, n): the infinitesimal jackknife.

    √Σ w ψ², summed within `groups` first where trials were drawn in groups, times √(n(n−1))/(n−2), which turns it into
    the delete-one jackknife of a statistic of pairs, whose error it otherwise understates at small n
    (Efron 1982, chapter 6; Arvesen 1969, Annals of Mathematical Statistics 40).
    """
    if groups is None or len(np.unique(groups)) == len(groups):
        n = influence.shape[1]
        squares = np.einsum("rn,rn->r", counts.astype(np.float64), influence**2)
    else:
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order][0] - 1))
        n = len(starts)
        summed = np.add.reduceat(influence[:, order], starts, axis=1)
        squares = np.einsum("rn,rn->r", counts[:, order][:, starts].astype(np.float64), summed**2)
    if n <= 2:
        return np.full(len(influence), np.nan)
    error: Floats = np.sqrt(squares * n * (n - 1)) / (n - 2)
    return error
