"""vit: a vision transformer of any size. The models come from timm, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainers.blocks import covered
from trainers.encoders.base import Count, Encoder, Size, StartOptions, Tokens, patch_grid

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


@dataclass(frozen=True)
class ViTOptions(StartOptions):
    """A vision transformer (Dosovitskiy et al. 2021) from timm's VisionTransformer; reads its class token."""

    dim: Size = 96
    """Width of the tokens."""
    depth: Count = 4
    """Number of blocks."""
    heads: Size | None = None
    """Attention heads; null = one per 32 dimensions."""
    patch: Size = 4
    """Side of a patch in pixels."""


def heads(options: ViTOptions) -> int:
    """Attention heads: as given, or one per 32 dimensions."""
    return options.heads or max(1, options.dim // 32)


class ViT(Encoder):
    """A timm VisionTransformer that reads its class token (or its pooled patches) and may drop patches."""

    has_tokens = True

    def __init__(self, model: VisionTransformer, image_size: int) -> None:
        super().__init__()
        self.model = model
        self.dim = int(model.num_features)
        self.patch = int(model.patch_embed.patch_size[0])
        self.patches = patch_grid(image_size, self.patch)
        self.depth = len(model.blocks)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        pooled: Tensor = self.model.forward_head(self.tokens(images, kept).sequence, pre_logits=True)
        return pooled

    def tokens(
        self,
        images: Tensor,
        kept: Tensor | None = None,
        *,
        last_blocks: int = 0,
        mask_token: Tensor | None = None,
    ) -> Tokens:
        model, prefixes = self.model, self.model.num_prefix_tokens
        patches = model.patch_embed(images)
        if kept is not None and mask_token is not None:
            seen = covered(kept, self.patches).view(*patches.shape[:-1], 1)
            patches, kept = torch.where(seen, patches, mask_token.to(patches.dtype)), None
        sequence = model.norm_pre(model.patch_drop(model._pos_embed(patches)))
        if kept is None:
            kept = torch.arange(sequence.shape[1] - prefixes, device=images.device).expand(images.shape[0], -1)
        else:
            chosen = (kept + prefixes).unsqueeze(-1).expand(-1, -1, sequence.shape[-1])
            sequence = torch.cat([sequence[:, :prefixes], sequence.gather(1, chosen)], 1)
        outputs: list[Tensor] = []
        for index, block in enumerate(model.blocks):
            sequence = block(sequence)
            if index >= len(model.blocks) - last_blocks:
                outputs.append(sequence)
        return Tokens(model.norm(sequence), prefixes, kept, tuple(outputs))


def build_vit(options: ViTOptions, image_size: int, channels: int) -> ViT:
    """The ViT of these options for square images, randomly initialised.

    Raises:
        ValueError: the patch does not divide the image.
    """
    from timm.models.vision_transformer import VisionTransformer  # seconds to import: only where a ViT is built

    patch_grid(image_size, options.patch)
    model = VisionTransformer(
        img_size=image_size,
        patch_size=options.patch,
        in_chans=channels,
        num_classes=0,
        embed_dim=options.dim,
        depth=options.depth,
        num_heads=heads(options),
        dynamic_img_size=True,  # local crops are smaller than the image
    )
    return ViT(model, image_size)
