"""data2vec for images: predicts the averaged blocks of an EMA teacher at masked patches (Baevski et al., ICML 2022).

arXiv 2202.03555.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation, repeat_views, to_float
from trainers.blocks import hide_blocks
from trainers.ema import Teacher
from trainers.encoders import Encoder
from trainers.methods.base import Batch, Method, MethodParams
from trainers.optim import Optimizer
from trainers.originals import Originals
from trainers.records import EMBEDDING, REPRESENTATION


@dataclass(frozen=True)
class Data2VecParams(MethodParams):
    """data2vec's hyperparameters, with the defaults of the paper and its code for images."""

    mask_ratio: float = 120 / 196
    """Share of the patches that are masked, in (0, 1); every image has exactly as many, rounded."""
    min_block: int = 16
    """Fewest patches of a masked block; 4 to 7 on a grid of 8×8."""
    min_aspect: float = 0.3
    """Smallest height over width of a block; the largest is its inverse."""
    top_blocks: int = 6
    """K: the teacher's last blocks whose outputs are averaged."""
    beta: float = 2.0
    """The smooth L1 loss is quadratic below this distance."""
    teacher_momentum: float = 0.999
    """The teacher's EMA momentum before the first update."""
    final_teacher_momentum: float = 0.9998
    """The same after the last update, with a line between them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"`mask_ratio` must be in (0, 1), but got {self.mask_ratio}")
        for name in ("min_block", "top_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but got {getattr(self, name)}")
        if not 0 < self.min_aspect <= 1:
            raise ValueError(f"`min_aspect` must be in (0, 1], but got {self.min_aspect}")
        if not self.beta > 0:
            raise ValueError(f"`beta` must be above 0, but got {self.beta}")

    def masked(self, patches: int) -> int:
        """How many of the patches of an image are masked."""
        return round(self.mask_ratio * patches)


class Data2Vec(Method):
    """A student that sees a mask token in place of each masked patch predicts the teacher's contextual targets there.

    Layer scale and drop path, which the published code uses, are the encoder's (timm/beit_… has them).
    """

    Params: ClassVar[type[MethodParams]] = Data2VecParams
    params: Data2VecParams
    moves_loss: ClassVar[tuple[str, ...]] = ("beta",)
    augmentation: ClassVar[Augmentation] = Augmentation(
        jitter_probability=1.0,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.0,
        grayscale_probability=0.0,
        blur_probability=0.0,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(
        optimizer="adamw", lr=2e-3, weight_decay=0.05, warmup=10 / 800, clip_norm=3.0
    )
    measures_teacher: ClassVar[bool] = True
    trained_views: ClassVar[int] = 1
    pools_patches: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, params: Data2VecParams) -> None:
        super().__init__(encoder, params)
        self.student_encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(encoder.dim))
        self.head = nn.Linear(encoder.dim, encoder.dim)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.teacher = Teacher(params.teacher_momentum, {"encoder": encoder})

    @classmethod
    def check(cls, encoder: Encoder, params: MethodParams) -> None:
        params = cast(Data2VecParams, params)
        if not encoder.has_tokens:
            raise ValueError("`encoder` must be a vision transformer for data2vec, which predicts its patch tokens")
        if params.top_blocks > encoder.depth:
            depth = f"the encoder's {encoder.depth} blocks"
            raise ValueError(f"`top_blocks` must be at most {depth}, but got {params.top_blocks}")
        cls.check_masks(encoder, params)

    @classmethod
    def check_masks(cls, encoder: Encoder, params: MethodParams) -> None:
        params = cast(Data2VecParams, params)
        masked = params.masked(encoder.patches)
        if not 0 < masked < encoder.patches:
            raise ValueError(
                f"`mask_ratio` must mask at least 1 of the {encoder.patches} patches and leave 1, "
                f"but {params.mask_ratio} masks {masked}"
            )
        if params.min_block > masked:
            many = f"the {masked} masked patches of {encoder.patches}"
            raise ValueError(f"`min_block` must be at most {many}, but got {params.min_block}")

    @property
    def teacher_encoder(self) -> Encoder:
        """The teacher's encoder."""
        return cast(Encoder, self.teacher.copies["encoder"])

    def make_batch(self, images: Tensor | Originals, augmentation: Augmentation, generator: torch.Generator) -> Batch:
        """One view of every image, the patches that are seen, and the masked ones as its one target."""
        views = repeat_views(images, augmentation, 1, generator)
        kept, masked = self._draw(len(images), self.params, generator)
        return Batch(views, (kept,), masked.unsqueeze(1))

    def sample_views(
        self,
        images: Tensor | Originals,
        count: int,
        augmentation: Augmentation,
        params: MethodParams,
        generator: torch.Generator,
    ) -> Batch:
        """The clean images `count` times, each with a mask of its own."""
        kept, _ = self._draw(count * len(images), cast(Data2VecParams, params), generator)
        return Batch((to_float(images),) * count, kept.chunk(count))

    def loss(self, batch: Batch) -> Tensor:
        """Smooth L1 between the head's output and the teacher's targets, over the masked patches."""
        if batch.targets is None:
            raise ValueError("`batch` must have targets for data2vec")
        (view,), (kept,) = batch.views, batch.kept
        masked = batch.targets.flatten(1)
        with torch.no_grad():
            tokens = self.teacher_encoder.tokens(view, last_blocks=self.params.top_blocks)
            goals = contextual_targets([block[:, tokens.prefixes :] for block in tokens.blocks])
        seen = self.student_encoder.tokens(view, kept, mask_token=self.mask_token)
        predicted: Tensor = self.head(_rows(seen.patches, masked))
        return F.smooth_l1_loss(predicted.float(), _rows(goals, masked), beta=self.params.beta)

    def features(self, images: Tensor, kept: Tensor | None = None) -> dict[str, Tensor]:
        """The teacher's tokens of the patches that are seen, pooled; and the head's output, pooled."""
        representations = self.teacher_encoder.tokens(images, kept).patches.mean(1)
        return {REPRESENTATION: representations, EMBEDDING: self.project(representations)}

    @property
    def measured_encoder(self) -> Encoder:
        """The teacher's."""
        return self.teacher_encoder

    def project(self, representations: Tensor) -> Tensor:
        """The head's output: it is linear, so that of the mean is the mean of those of the tokens."""
        embeddings: Tensor = self.head(representations)
        return embeddings

    def after_step(self, progress: float) -> None:
        """The teacher follows the student, its momentum on a line."""
        first, last = self.params.teacher_momentum, self.params.final_teacher_momentum
        self.teacher.follow({"encoder": self.student_encoder}, first + progress * (last - first))

    def no_weight_decay(self) -> set[str]:
        """Names of own parameters that never decay."""
        return {"mask_token"}

    def _draw(self, count: int, params: Data2VecParams, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The patches seen (count, n − masked) and the masked ones (count, masked), both in rising order."""
        masked = params.masked(self.patches)
        side = math.isqrt(self.patches)
        hidden = hide_blocks(count, side, masked, params.min_block, params.min_aspect, generator)
        order = hidden.to(torch.int8).argsort(dim=1, stable=True)
        return order[:, : self.patches - masked], order[:, self.patches - masked :]


def contextual_targets(blocks: Sequence[Tensor]) -> Tensor:
    """(b, n, d) outputs of the last blocks -> (b, n, d), float32: each normalised without affine, averaged, normalised.

    Without the norm of each block the last ones, whose activations are largest, would be all of the target.
    """
    normalised = [F.layer_norm(block.float(), block.shape[-1:]) for block in blocks]
    mean = torch.stack(normalised).mean(0)
    return F.layer_norm(mean, mean.shape[-1:])


def _rows(tokens: Tensor, indices: Tensor) -> Tensor:
    """(b, n, d) tokens and (b, k) indices -> (b, k, d)."""
    return tokens.gather(1, indices.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
