"""I-JEPA: predicts the teacher's tokens of target blocks from a context block (Assran et al., CVPR 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation, repeat_views, to_float
from trainers.blocks import ContextBlocks, context_and_targets, expected_union
from trainers.ema import Teacher
from trainers.encoders import Encoder, Tokens
from trainers.methods.base import Batch, Method, MethodParams
from trainers.optim import Optimizer
from trainers.originals import Originals
from trainers.records import EMBEDDING, REPRESENTATION

TRIALS: Final = 32
"""Batches of masks that `check` draws; their block sizes differ."""


@dataclass(frozen=True)
class IJEPAParams(MethodParams):
    """I-JEPA's hyperparameters, with the defaults of the paper and its code."""

    mask_ratio: float | None = None
    """Share of the patches that the targets cover together on average, in (0, 1); null = as the target scales say."""
    targets: int = 4
    """Target blocks of each image."""
    target_scale_min: float = 0.15
    """Smallest share of the patches in one target."""
    target_scale_max: float = 0.2
    """Largest share of the patches in one target."""
    target_aspect_min: float = 0.75
    """Smallest height over width of a target."""
    target_aspect_max: float = 1.5
    """Largest height over width of a target."""
    context_scale_min: float = 0.85
    """Smallest share of the patches in the context block, before the targets are taken out."""
    context_scale_max: float = 1.0
    """Largest share of the patches in the context block."""
    min_context: int = 10
    """Fewest patches of a context; an image with fewer draws its blocks again."""
    predictor_dim: int = 384
    """Width of the predictor, a multiple of 4."""
    predictor_depth: int = 12
    """Blocks of the predictor."""
    predictor_heads: int | None = None
    """Attention heads of the predictor; null = one per 32 dimensions."""
    teacher_momentum: float = 0.996
    """The target encoder's EMA momentum before the first update."""
    final_teacher_momentum: float = 1.0
    """The same after the last update, with a line between them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_ratio is not None and not 0 < self.mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must be in (0, 1), but got {self.mask_ratio}")
        for name in ("targets", "min_context", "predictor_depth", "predictor_heads"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but got {getattr(self, name)}")
        for name, most in (("target_scale", 1.0), ("context_scale", 1.0), ("target_aspect", math.inf)):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if not 0 < low <= high <= most:
                bounds = "in (0, 1]" if most == 1 else "above 0"
                raise ValueError(
                    f"`{name}_min` and `{name}_max` must be {bounds} and in that order, but got {low} and {high}"
                )
        if self.predictor_dim % 4 or self.predictor_dim % self.heads:
            several = f"4 and of the {self.heads} heads"
            raise ValueError(f"`predictor_dim` must be a multiple of {several}, but got {self.predictor_dim}")

    @property
    def heads(self) -> int:
        """Attention heads of the predictor."""
        return self.predictor_heads or max(1, self.predictor_dim // 32)

    @property
    def blocks(self) -> ContextBlocks:
        """The sizes of the blocks."""
        return ContextBlocks(
            targets=self.targets,
            target_scale=(self.target_scale_min, self.target_scale_max),
            aspect=(self.target_aspect_min, self.target_aspect_max),
            context_scale=(self.context_scale_min, self.context_scale_max),
            min_context=self.min_context,
            mask_ratio=self.mask_ratio,
        )


class Predictor(nn.Module):
    """A narrow transformer that reads the context's tokens and one mask token at each position that is asked for."""

    positions: Tensor

    def __init__(self, dim: int, side: int, params: IJEPAParams) -> None:
        from timm.models.vision_transformer import Block  # seconds to import: only where it is built

        super().__init__()
        width = params.predictor_dim
        self.enter = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.register_buffer("positions", sincos_positions(side, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, params.heads, qkv_bias=True) for _ in range(params.predictor_depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.mask_token, std=0.02)

    def forward(self, context: Tokens, targets: Tensor) -> Tensor:
        """Tokens of k patches of b images and targets (b, m, t) -> (b, m, t, dim); each target is predicted alone."""
        batch, count, length = targets.shape
        seen = self.enter(context.patches) + self.positions[context.positions]
        asked = self.mask_token + self.positions[targets].flatten(0, 1)
        tokens = torch.cat([seen.repeat_interleave(count, dim=0), asked.to(seen.dtype)], 1)
        for block in self.blocks:
            tokens = block(tokens)
        predicted: Tensor = self.leave(self.norm(tokens[:, -length:])).unflatten(0, (batch, count))
        return predicted


class IJEPA(Method):
    """A student sees a context block and predicts its EMA teacher's tokens of the target blocks.

    Class tokens and registers of the encoder, which the paper's has not, take part in its attention and nowhere else.
    """

    Params: ClassVar[type[MethodParams]] = IJEPAParams
    params: IJEPAParams
    augmentation: ClassVar[Augmentation] = Augmentation(
        crop_scale_min=0.3,
        flip_probability=0.0,
        jitter_probability=0.0,
        grayscale_probability=0.0,
        blur_probability=0.0,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(
        optimizer="adamw", lr=1e-3, weight_decay=0.04, final_weight_decay=0.4, warmup=40 / 300, final_lr=1e-3
    )
    measures_teacher: ClassVar[bool] = True
    trained_views: ClassVar[int] = 1
    pools_patches: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: IJEPAParams) -> None:
        super().__init__(encoder, params)
        self.student_encoder = encoder
        self.predictor = Predictor(encoder.dim, self.side, params)
        self.teacher = Teacher(params.teacher_momentum, {"encoder": encoder})

    @classmethod
    def check(cls, encoder: Encoder, params: MethodParams) -> None:
        if not encoder.has_tokens:
            raise ValueError("`encoder` must be a vision transformer for ijepa, which predicts its patch tokens")
        cls.check_masks(encoder, params)

    @classmethod
    def check_masks(cls, encoder: Encoder, params: MethodParams) -> None:
        blocks, side = cast(IJEPAParams, params).blocks, math.isqrt(encoder.patches)
        least = expected_union(side, (1, 1), blocks.targets)
        if blocks.mask_ratio is not None and blocks.mask_ratio < least:
            raise ValueError(
                f"`mask_ratio` must be at least {least:.3g}, which {blocks.targets} targets of one patch "
                f"cover of {side}×{side} patches, but got {blocks.mask_ratio}"
            )
        _draw_masks(side, blocks)

    @property
    def side(self) -> int:
        """Patches along one side of the grid."""
        return math.isqrt(self.patches)

    @property
    def teacher_encoder(self) -> Encoder:
        """The target encoder."""
        return cast(Encoder, self.teacher.copies["encoder"])

    def make_batch(self, images: Tensor | Originals, augmentation: Augmentation, generator: torch.Generator) -> Batch:
        """One view of every image, its context and its targets."""
        views = repeat_views(images, augmentation, 1, generator)
        masks = context_and_targets(len(images), self.side, self.params.blocks, generator)
        return Batch(views, (masks.context,), masks.targets)

    def sample_views(
        self,
        images: Tensor | Originals,
        count: int,
        augmentation: Augmentation,
        params: MethodParams,
        generator: torch.Generator,
    ) -> Batch:
        """The clean images `count` times, each with a context of its own."""
        blocks = cast(IJEPAParams, params).blocks
        masks = context_and_targets(count * len(images), self.side, blocks, generator)
        return Batch((to_float(images),) * count, masks.context.chunk(count))

    def loss(self, batch: Batch) -> Tensor:
        """Smooth L1 between the predictions and the teacher's normalised tokens of the whole image."""
        if batch.targets is None:
            raise ValueError("`batch` must have targets for ijepa")
        (view,), (context,) = batch.views, batch.kept
        with torch.no_grad():
            goals = target_tokens(self.teacher_encoder.tokens(view).patches, batch.targets)
        predicted = self.predictor(self.student_encoder.tokens(view, context), batch.targets)
        return F.smooth_l1_loss(predicted.float(), goals)

    def features(self, images: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """The teacher's patch tokens, pooled; and what the predictor makes of them for every patch, pooled."""
        tokens = self.teacher_encoder.tokens(images, kept)
        everywhere = torch.arange(self.patches, device=images.device).expand(len(images), 1, -1)
        predicted = self.predictor(tokens, everywhere)
        return {REPRESENTATION: tokens.patches.mean(1), EMBEDDING: predicted.mean((1, 2))}

    @property
    def measured_encoder(self) -> Encoder:
        """The teacher's."""
        return self.teacher_encoder

    def embed(self, images: Tensor) -> Tensor:
        """What the predictor makes of the teacher's tokens for every patch, pooled."""
        return self.features(images)[EMBEDDING]

    def project(self, representations: Tensor) -> Tensor:
        """Raises: TypeError, because the predictor reads the tokens and not their mean."""
        raise TypeError("ijepa's embeddings are not made of its pooled representations; call `embed` or `features`")

    def after_step(self, progress: float) -> None:
        """The teacher follows the student, its momentum on a line."""
        first, last = self.params.teacher_momentum, self.params.final_teacher_momentum
        self.teacher.follow({"encoder": self.student_encoder}, first + progress * (last - first))


@cache
def _draw_masks(side: int, blocks: ContextBlocks) -> None:
    """Draw some batches of masks; a second time nothing is drawn.

    Raises:
        ValueError: the grid is too small for them.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    with torch.device("cpu"):
        for _ in range(TRIALS):
            context_and_targets(64, side, blocks, generator)


def target_tokens(tokens: Tensor, targets: Tensor) -> Tensor:
    """(b, n, d) tokens and (b, m, t) indices -> (b, m, t, d) in float32, each token normalised without affine."""
    normalised = F.layer_norm(tokens.float(), tokens.shape[-1:])
    chosen = targets.flatten(1).unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
    goals: Tensor = normalised.gather(1, chosen).unflatten(1, targets.shape[1:])
    return goals


def sincos_positions(side: int, dim: int) -> Tensor:
    """(side², dim), fixed: sines and cosines of the column, then of the row, of each patch.

    Frequencies fall from 1 to nearly 1/10,000 (Vaswani et al. 2017; in two dimensions as in the code of MAE).
    """
    frequencies = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], 1)  # (side, dim / 2)
    columns, rows = line.repeat(side, 1), line.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], 1).float()
