"""Kendall's τ-b of all resamples, and the influence of each trial on it, computed by matrix products.

A resample of trials is a vector of counts w. With the sign matrices A and B of the two variables,
τ-b = wᵀ(A∘B)w / √(wᵀA²w · wᵀB²w), where squares are elementwise (Kendall 1945, Biometrika 33; the pair of a trial
with itself counts as a tie). Ten thousand resamples are therefore one product, counts @ (A∘B).

The matrices have n² entries. Of more than DENSE trials, (A∘B)w is computed by sorting instead, without resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.float32]
Integers = NDArray[np.int64]

RESAMPLES = 10_000
CHUNK = 1_000_000
"""The largest number of counts in one matrix product; it bounds memory for any number of resamples."""
DENSE: Final = 2_048
"""The most trials of which all pairs are compared in a matrix. Ten thousand resamples of them take some seconds."""


@dataclass(frozen=True)
class Pairs:
    """All pairs of n trials under two variables: whether the variables agree, and which pairs are ties."""

    first: Integers
    """(n,): for each trial, the label of its group of equal values in the first variable."""
    second: Integers

    @cached_property
    def agreement(self) -> Counts:
        """(n, n): sign of the difference in one variable times that in the other; 0 where either is a tie."""
        agreement = signs_of(self.first)
        agreement *= signs_of(self.second)
        return agreement.astype(np.float32)


def make_pairs(first: Floats, second: Floats) -> Pairs:
    """Compare all pairs of trials; both variables are (n,) and finite."""
    labels = [np.unique(values, return_inverse=True)[1].astype(np.int64) for values in (first, second)]
    return Pairs(*labels)


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
    agreeing = compare_all(pairs, weights) if n <= DENSE else compare_by_halves(pairs.first, pairs.second, once)
    untied = [once.sum() - group_sums(once[None, :], labels)[0, labels] for labels in (pairs.first, pairs.second)]
    sums = [float(once @ part) for part in untied]
    norm = float(np.sqrt(sums[0] * sums[1]))
    if norm == 0:
        return float("nan"), np.full(n, np.nan)
    tau = min(1.0, max(-1.0, float(once @ agreeing) / norm))
    slope: Floats = once * (2 * agreeing / norm - tau * (untied[0] / sums[0] + untied[1] / sums[1]))
    return tau, slope


def compare_all(pairs: Pairs, weights: Floats | None) -> Floats:
    """(A∘B)w (n,): for each trial, the weight of the trials that agree minus the weight of those that disagree."""
    # Without weights a sum is enough, and it is faster: starting the BLAS threads costs more than this product.
    if weights is None:
        summed: Floats = pairs.agreement.sum(axis=1, dtype=np.float64)
        return summed
    return (pairs.agreement @ weights.astype(np.float32)).astype(np.float64)


def compare_by_halves(first: Integers, second: Integers, weights: Floats) -> Floats:
    """The same (n,) in O(n log² n), from the labels of groups of equal values; exact for whole weights.

    The binary digits of two different labels agree up to one digit, at which the larger label has a 1. At each digit,
    trials with equal digits before it are therefore one block, in which the 1s are compared with the 0s in the second
    variable: sorted by it, the weight below a trial is a cumulative sum. Knight (1966, JASA 61) counts the pairs of all
    trials together by merging; here they are counted for each trial, with ties.
    """
    agreeing = np.zeros(len(first))
    by_second = np.argsort(second, kind="stable")
    first, second, weights = first[by_second], second[by_second], weights[by_second]
    for digit in range(int(first.max()).bit_length()):
        block, upper = first >> (digit + 1), (first >> digit) & 1
        order = np.argsort(block, kind="stable")  # within a block, the order of the second variable stays
        starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        ties = np.flatnonzero((np.diff(block[order], prepend=-1) != 0) | (np.diff(second[order], prepend=-1) != 0))
        for side, sign in ((0, 1.0), (1, -1.0)):  # the trials that the other half is compared with
            sums = np.concatenate(([0.0], np.cumsum(np.where(upper[order] == side, weights[order], 0.0))))
            below, above = within(sums, starts, ties)
            others = upper[order] != side
            agreeing[order[others]] += sign * (below - above)[others]
    found = np.empty_like(agreeing)
    found[by_second] = agreeing
    return found


def within(sums: Floats, starts: Integers, ties: Integers) -> tuple[Floats, Floats]:
    """The weight before and after each trial's ties (n,) within its block, from cumulative `sums` (n + 1,).

    `starts` and `ties` are the first places of the blocks and of the runs of equal values.
    """
    n = len(sums) - 1
    run = np.repeat(np.arange(len(ties)), np.diff(ties, append=n))
    block = np.repeat(np.arange(len(starts)), np.diff(starts, append=n))
    ends, lasts = np.append(starts[1:], n), np.append(ties[1:], n)
    return sums[ties[run]] - sums[starts[block]], sums[ends[block]] - sums[lasts[run]]


def standard_error(influence: Floats, groups: Integers | None = None) -> float:
    """The standard error of a statistic of pairs, from each trial's influence (n,), first summed within `groups`.

    √Σψ² is the infinitesimal jackknife (Efron 1982, chapter 6). The factor √(n(n−1))/(n−2) turns it into the
    delete-one jackknife of a statistic of pairs (Arvesen 1969, Annals of Mathematical Statistics 40); without the
    factor the error is too small at small n.
    """
    parts = influence if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    n = len(parts)
    return float(np.sqrt((parts**2).sum() * n * (n - 1)) / (n - 2)) if n > 2 else float("nan")
