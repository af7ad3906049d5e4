"""Which patches of an image the student sees: a random subset of each image's grid, or the image filled outside it."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_random(batch: int, patches: int, mask_ratio: float, generator: torch.Generator) -> Tensor:
    """Indices (b, kept) of the patches that stay: a uniformly random subset of each image's grid, in rising order.

    `kept` is round((1 - mask_ratio) · patches), at least 1; the same for every image, so that a batch stays a tensor.

    Raises:
        ValueError: `mask_ratio` outside [0, 1), or no patches.

    >>> keep_random(2, 16, 0.75, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 4])
    """
    if not 0 <= mask_ratio < 1:
        raise ValueError(f"`mask_ratio` must be in [0, 1), but got {mask_ratio}")
    if patches < 1:
        raise ValueError(f"`patches` must be at least 1, but got {patches}")
    kept = max(1, round((1 - mask_ratio) * patches))
    draws = torch.rand(batch, patches, device=generator.device, generator=generator)
    return draws.argsort(dim=1)[:, :kept].sort(dim=1).values


def fill_masked(images: Tensor, kept: Tensor, patch: int, value: float = 0.0) -> Tensor:
    """Images whose patches outside `kept` hold `value`: how a convolutional encoder is masked.

    With normalised images 0 is the mean, the filling that Masked Siamese ConvNets start from (Jing et al. 2022).

    Args:
        images: (b, c, h, w), with h and w multiples of `patch`.
        kept: (b, kept patches), indices into the patch grid in row-major order.

    Raises:
        ValueError: the image is not a whole number of patches wide and high.

    >>> fill_masked(torch.ones(1, 1, 2, 2), torch.tensor([[0, 3]]), patch=1)[0, 0]
    tensor([[1., 0.],
            [0., 1.]])
    """
    batch, _, height, width = images.shape
    if height % patch or width % patch:
        raise ValueError(f"`patch` must divide the image's {height}×{width} pixels, but got {patch}")
    rows, columns = height // patch, width // patch
    seen = torch.zeros(batch, rows * columns, dtype=torch.bool, device=images.device).scatter_(1, kept, True)
    grid = seen.view(batch, 1, rows, 1, columns, 1).expand(-1, -1, -1, patch, -1, patch)
    return images.where(grid.reshape(batch, 1, height, width), value)
