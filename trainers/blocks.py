"""Block masks on a square grid of patches: one large context without small target blocks, or blocks that hide a share.

Grids are in row-major order. All randomness comes from the caller's generator, on the device of the masks.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor

ATTEMPTS: Final = 500
"""Draws of an image's blocks before its masks are called impossible; where one draw in 30 succeeds, 500 always do."""
BLOCK_ATTEMPTS: Final = 32
"""Blocks drawn per image by `hide_blocks` before single patches make up what is missing."""


@dataclass(frozen=True)
class ContextBlocks:
    """The sizes of I-JEPA's blocks (Assran et al. 2023, section 3)."""

    targets: int
    """Target blocks of each image; all have one size, drawn per batch."""
    target_scale: tuple[float, float]
    """Smallest and largest share of the grid that one target covers; `mask_ratio` replaces it."""
    aspect: tuple[float, float]
    """Smallest and largest height over width of a target."""
    context_scale: tuple[float, float]
    """Smallest and largest share of the grid that the square context block covers, before the targets are taken out."""
    min_context: int
    """Fewest patches of the context: an image with fewer draws again."""
    mask_ratio: float | None = None
    """Share of the grid that the targets cover together, on average."""


class ContextTargets(NamedTuple):
    """The masks of b images."""

    context: Tensor
    """(b, k), int64, in rising order: the patches that are seen. None is in a target."""
    targets: Tensor
    """(b, m, t), int64: the patches of each target block."""


def context_and_targets(batch: int, side: int, blocks: ContextBlocks, generator: torch.Generator) -> ContextTargets:
    """Target blocks at uniform positions, and the context block without them.

    The contexts of a batch have one length, that of the smallest: from every longer one a uniformly random subset is
    taken. (The first indices, as in the reference code, would be the patches at the top of the image.)

    Raises:
        ValueError: no draw leaves `min_context` patches.

    >>> blocks = ContextBlocks(4, (0.15, 0.2), (0.75, 1.5), (0.85, 1.0), min_context=10)
    >>> masks = context_and_targets(2, 14, blocks, torch.Generator().manual_seed(0))
    >>> masks.targets.shape[:2]
    torch.Size([2, 4])
    """
    target, context = target_shape(side, blocks, generator), context_shape(side, blocks, generator)
    device = generator.device
    targets = torch.empty(batch, blocks.targets, math.prod(target), dtype=torch.int64, device=device)
    free = torch.zeros(batch, side * side, dtype=torch.bool, device=device)
    pending = torch.arange(batch, device=device)
    for _ in range(ATTEMPTS):
        drawn = place(len(pending), blocks.targets, side, target, generator)
        around = place(len(pending), 1, side, context, generator)
        targets[pending] = drawn
        free[pending] = covered(around, side * side) & ~covered(drawn, side * side)
        pending = pending[free[pending].sum(1) < blocks.min_context]
        if not len(pending):
            break
    else:
        raise ValueError(
            f"the grid must leave `min_context` = {blocks.min_context} patches beside the targets, "
            f"but {side}×{side} patches are too few"
        )
    return ContextTargets(random_subset(free, int(free.sum(1).min()), generator), targets)


def hide_blocks(
    batch: int, side: int, hidden: int, min_block: int, min_aspect: float, generator: torch.Generator
) -> Tensor:
    """Masks (b, side²), bool: exactly `hidden` patches of each image are True, most of them in blocks.

    Blocks of `min_block` patches up to what is missing, with a log-uniform aspect in [min_aspect, 1 / min_aspect], are
    added while they do not hide too many (Bao et al. 2022, algorithm 1); then single random patches make up the rest,
    where the reference code stops early, so that no image has fewer hidden patches than another, or none.

    >>> hide_blocks(3, 8, 39, 4, 0.3, torch.Generator().manual_seed(0)).sum(1).tolist()
    [39, 39, 39]
    """
    device = generator.device
    masks = torch.zeros(batch, side * side, dtype=torch.bool, device=device)
    places = torch.arange(side, device=device)
    for _ in range(BLOCK_ATTEMPTS):
        area, aspect, top, left = torch.rand(4, batch, 1, device=device, generator=generator)
        missing = hidden - masks.sum(1, keepdim=True)
        area = min_block + area * (missing - min_block).clamp(min=0)
        aspect = torch.exp(math.log(min_aspect) * (1 - 2 * aspect))
        height, width = ((area * ratio).sqrt().round().clamp(1, side) for ratio in (aspect, 1 / aspect))
        top, left = (top * (side - height + 1)).floor(), (left * (side - width + 1)).floor()
        rows, columns = (places >= top) & (places < top + height), (places >= left) & (places < left + width)
        grown = masks | (rows[:, :, None] & columns[:, None, :]).flatten(1)
        masks = torch.where(grown.sum(1, keepdim=True) <= hidden, grown, masks)
    order = torch.rand(masks.shape, device=device, generator=generator) + masks  # hidden ones first
    return torch.zeros_like(masks).scatter_(1, order.topk(hidden, dim=1).indices, True)


def random_subset(free: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(b, count), in rising order: a uniformly random subset of each row's True places in (b, n)."""
    order = torch.rand(free.shape, device=generator.device, generator=generator) + free
    return order.topk(count, dim=1).indices.sort(dim=1).values


def place(batch: int, blocks: int, side: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(b, blocks, height · width), int64: the patches of blocks of one shape, each at a uniform position."""
    height, width = shape
    tops, lefts = (
        torch.randint(side - length + 1, (batch, blocks, 1), device=generator.device, generator=generator)
        for length in shape
    )
    rows, columns = (torch.arange(length, device=generator.device) for length in (height, width))
    return tops * side + lefts + (rows[:, None] * side + columns).flatten()


def covered(indices: Tensor, patches: int) -> Tensor:
    """(b, …) indices -> (b, patches), bool: the patches that are among them."""
    grid = torch.zeros(len(indices), patches, dtype=torch.bool, device=indices.device)
    return grid.scatter_(1, indices.flatten(1), True)


def context_shape(side: int, blocks: ContextBlocks, generator: torch.Generator) -> tuple[int, int]:
    """Height and width of the context block of one batch."""
    return block_shape(side, _uniform(blocks.context_scale, generator) * side**2, 1.0)


def target_shape(side: int, blocks: ContextBlocks, generator: torch.Generator) -> tuple[int, int]:
    """Height and width of the targets of one batch: from `target_scale`, or such that they cover `mask_ratio`.

    Where no shape of the drawn aspect covers exactly the ratio, the two nearest are drawn with probabilities that make
    the mean exact.
    """
    aspect, share = _uniform(blocks.aspect, generator), _uniform((0.0, 1.0), generator)
    if blocks.mask_ratio is None:
        low, high = blocks.target_scale
        return block_shape(side, (low + share * (high - low)) * side**2, aspect)

    def union(area: int) -> float:
        return expected_union(side, block_shape(side, area, aspect), blocks.targets)

    areas = range(1, side**2 + 1)
    area = min(side**2, 1 + bisect.bisect_left(areas, blocks.mask_ratio, key=union))
    below, above = union(max(1, area - 1)), union(area)
    smaller = share * (above - below) >= blocks.mask_ratio - below
    return block_shape(side, max(1, area - 1) if smaller else area, aspect)


def block_shape(side: int, area: float, aspect: float) -> tuple[int, int]:
    """Height and width in patches, each at least 1 and at most `side`, of about `area` patches.

    >>> block_shape(14, 0.15 * 196, 0.75), block_shape(2, 9, 1.0)
    ((5, 6), (2, 2))
    """
    height, width = (min(side, max(1, round(math.sqrt(area * ratio)))) for ratio in (aspect, 1 / aspect))
    return height, width


def expected_union(side: int, shape: tuple[int, int], blocks: int) -> float:
    """Expected share of the grid that blocks of one shape at independent uniform positions cover together.

    >>> round(expected_union(2, (1, 1), 2), 4)  # 1 − (3/4)²
    0.4375
    """
    rows, columns = (_cover(side, length) for length in shape)
    return sum(1 - (1 - row * column) ** blocks for row in rows for column in columns) / side**2


def _cover(side: int, length: int) -> list[float]:
    """Probability of each place in a line of `side` to lie in a stretch of `length` at a uniform position."""
    starts = side - length + 1
    return [(min(place, starts - 1) - max(0, place - length + 1) + 1) / starts for place in range(side)]


def _uniform(bounds: tuple[float, float], generator: torch.Generator) -> float:
    low, high = bounds
    return low + float(torch.rand((), device=generator.device, generator=generator)) * (high - low)
