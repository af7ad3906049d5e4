"""The contract of an encoder, and the grid of patches that it can hide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor, nn

from trainers.fields import Between

Size = Annotated[int, Between(1, 16384)]
Count = Annotated[int, Between(1, 100)]


@dataclass(frozen=True, kw_only=True)
class StartOptions:
    """Where the weights of an encoder begin; each encoder extends it."""

    weights: str | None = None
    """File of weights (safetensors or a state dict), or folder of an export, with which training starts; null = random
    weights. The baseline `untrained` is then the encoder before training."""
    prefix: str = ""
    """Beginning of the names in that file that belong to the encoder, such as `backbone.`; the others are left out."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of b images after a transformer's last block and its norm: p prefix tokens, then k patch tokens."""

    sequence: Tensor
    """(b, p + k, dim)"""
    prefixes: int
    """p: class token and registers."""
    positions: Tensor
    """(b, k), int64: where each patch token lies in the grid of the image, in row-major order."""
    blocks: tuple[Tensor, ...] = ()
    """Outputs of the last blocks before the norm, the last one at the end: each (b, p + k, dim)."""

    @property
    def prefix(self) -> Tensor:
        """(b, p, dim)"""
        return self.sequence[:, : self.prefixes]

    @property
    def patches(self) -> Tensor:
        """(b, k, dim)"""
        return self.sequence[:, self.prefixes :]


class Encoder(nn.Module):
    """Images (b, c, h, w) to representations (b, dim), with a grid of patches that can be hidden."""

    dim: int
    patches: int
    """Number of patches in the grid of a whole image: what `mask_ratio` counts."""
    patch: int = 1
    """Side in pixels of which the side of every view must be a multiple."""
    depth: int = 0
    """How many blocks' outputs `tokens` can return."""
    has_tokens: bool = False
    """Whether `tokens` is there: for a method that needs them to `check`."""

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """(b, c, h, w) -> (b, dim); `kept` (b, kept patches) names the patches that are seen, None sees all."""
        raise TypeError(f"{type(self).__name__} must define `forward`")

    def tokens(
        self,
        images: Tensor,
        kept: Tensor | None = None,
        *,
        last_blocks: int = 0,
        mask_token: Tensor | None = None,
    ) -> Tokens:
        """One token per patch that is seen, of (b, c, h, w) images, and the outputs of the last blocks.

        Args:
            images: (b, c, h, w).
            kept: (b, k), the patches that are seen; None sees all.
            last_blocks: how many blocks' outputs are returned, at most `depth`.
            mask_token: (dim,), which takes the place of the patches that are not seen, so that every patch of the grid
                has a token; None leaves them out.

        Raises:
            TypeError: the encoder has no tokens.
        """
        raise TypeError(f"{type(self).__name__} has no tokens")


def default_mask_patch(image_size: int) -> int:
    """Side of the patches hidden in an image for a network without patches: the divisor closest to an eighth.

    >>> [default_mask_patch(size) for size in (28, 32, 64, 224)]
    [4, 4, 8, 28]
    """
    divisors = [side for side in range(1, image_size + 1) if image_size % side == 0]
    return min(divisors, key=lambda side: abs(math.log(8 * side / image_size)))


def patch_grid(image_size: int, patch: int) -> int:
    """Number of patches of side `patch` in a square image.

    Raises:
        ValueError: the patch does not divide the image.
    """
    if image_size % patch:
        raise ValueError(f"a patch must divide the image size, but {image_size} is not a multiple of {patch}")
    return (image_size // patch) ** 2
