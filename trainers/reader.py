"""Images of any size as an encoder reads them, whether it is used alone or in the place of a sweep's encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trainers.augment import to_float
from trainers.device import exact
from trainers.encoders import Encoder, Tokens
from trainers.export import ExportedEncoder, Recipe
from trainers.methods.base import pooled

BATCH_BYTES: Final = 2**26
"""The images of one forward pass take at most this much in float32; the activations are a multiple of it."""


def resized(images: Tensor, side: int) -> Tensor:
    """(b, c, h, h) -> (b, c, side, side), bilinear with antialiasing; images of that side stay as they are."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def check_channels(channels: int, recipe: Recipe, name: str) -> None:
    """Asked before images are read; gray images are repeated over the channels of an encoder for colours.

    Raises:
        ValueError: the encoder cannot read images of so many channels.
    """
    if channels not in (1, recipe.channels):
        raise ValueError(f"the images must have {recipe.channels} channel for {name}, but have {channels}")


def batch_size(recipe: Recipe) -> int:
    """Images of one forward pass."""
    return max(1, BATCH_BYTES // (4 * recipe.channels * recipe.image_size**2))


@torch.no_grad()
def features_of(encoder: ExportedEncoder, images: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """(n, h, h, c) images -> (n, dim) features, in float32."""
    recipe = encoder.recipe
    pixels = resized(to_float(torch.tensor(images, device=device)), recipe.image_size)
    with exact():
        found = encoder.to(device)(pixels.expand(-1, recipe.channels, -1, -1))
    return np.asarray(found.float().cpu().numpy(), dtype=np.float32)


class Reader(Encoder):
    """An exported encoder in the place of a sweep's: it takes normalised images of any side."""

    def __init__(self, exported: ExportedEncoder) -> None:
        super().__init__()
        self.encoder = exported.encoder
        self.recipe = exported.recipe
        self.dim, self.depth = self.encoder.dim, self.encoder.depth
        self.patches, self.patch, self.has_tokens = self.encoder.patches, self.encoder.patch, self.encoder.has_tokens

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        return torch.cat([self._features(*part) for part in self._parts(images, kept)])

    def tokens(
        self,
        images: Tensor,
        kept: Tensor | None = None,
        *,
        last_blocks: int = 0,
        mask_token: Tensor | None = None,
    ) -> Tokens:
        found = [
            self.encoder.tokens(*part, last_blocks=last_blocks, mask_token=mask_token)
            for part in self._parts(images, kept)
        ]
        blocks = zip(*(one.blocks for one in found), strict=True)
        return Tokens(
            torch.cat([one.sequence for one in found]),
            found[0].prefixes,
            torch.cat([one.positions for one in found]),
            tuple(torch.cat(block) for block in blocks),
        )

    def _features(self, images: Tensor, kept: Tensor | None) -> Tensor:
        if kept is None:
            return pooled(self.encoder, images, patches=self.recipe.pools_patches)
        found: Tensor = self.encoder(images, kept)
        return found

    def _parts(self, images: Tensor, kept: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Images of the encoder's side: all at once, or where they grow, as many as a pass may have."""
        side = self.recipe.image_size
        count = len(images) if images.shape[-1] == side else batch_size(self.recipe)
        for first in range(0, len(images), count):
            part = slice(first, first + count)
            yield resized(images[part], side), None if kept is None else kept[part]
