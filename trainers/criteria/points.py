"""Rows of points in float64: their scale, their unit vectors, their spectrum and their distances."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from trainers.criteria.base import Features, check_embeddings, gram

PAIR_ROWS: Final = 5000
"""The most rows of a criterion over pairs, whose cost grows with their square."""
CHUNK_PAIRS: Final = 4_000_000
"""Pairs of rows at a time: it limits the memory."""


def scaled(embeddings: Tensor, **least: int) -> Tensor | None:
    """`embeddings` in float64, times the power of two that brings the largest absolute value into [0.5, 1).

    For criteria that do not depend on the scale: squares neither overflow nor vanish.

    Returns:
        None if a value is not finite or all are zero.

    Raises:
        ValueError: wrong shape or dtype (see `check_embeddings`).
    """
    embeddings = check_embeddings(embeddings, **least)
    low, high = (float(extreme) for extreme in embeddings.aminmax())
    peak = max(-low, high)
    if not 0 < peak < math.inf:
        return None
    exponent = math.frexp(peak)[1]
    half = exponent // 2  # of the smallest numbers, the whole factor would overflow
    return embeddings.to(torch.float64) * 2.0**-half * 2.0 ** (half - exponent)


def centred(rows: Tensor) -> Tensor:
    """Rows (n, d) minus their mean; exactly zero if all are the same."""
    rows = rows - rows[:1]
    return rows - rows.mean(dim=0)


def unit(rows: Tensor) -> Tensor | None:
    """Rows (..., d) over their norms; None if a row is zero and has no direction."""
    norms = rows.norm(dim=-1, keepdim=True)
    return rows / norms if bool((norms > 0).all()) else None


def spectrum(embeddings: Tensor) -> Tensor | None:
    """Eigenvalues of the covariance of (n, d) embeddings, times a constant, falling; None if there are none to compare.

    There are min(n, d) of them, the others are 0. None means that a value is not finite or all rows are the same.
    """
    rows = scaled(embeddings, n=2, d=1)
    if rows is None:
        return None
    rows = centred(rows)
    values = torch.linalg.eigvalsh(gram(rows if len(rows) >= rows.shape[1] else rows.T)).clamp(min=0).flip(0)
    return values if values[0] > 0 else None


def spectrum_of_clean(features: Features) -> Tensor | None:
    """The spectrum of a layer's clean images, for `Features.shared`."""
    return spectrum(features.clean)


def squared_distances(rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of the squared distances between rows (n, d): indices (b,) and distances to all rows (b, n), at least 0.

    Rows are centred first, so that a small cloud far from the origin keeps its digits.
    """
    rows = centred(rows)
    squares = (rows * rows).sum(dim=1)
    for index in torch.arange(len(rows), device=rows.device).split(max(1, CHUNK_PAIRS // len(rows))):
        yield index, (squares[index, None] + squares - 2 * rows[index] @ rows.T).clamp(min=0)
