"""DINO: self-distillation with no labels (Caron et al., ICCV 2021, arXiv 2104.14294)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.augment import Augmentation
from trainers.ema import Teacher
from trainers.encoders import Encoder
from trainers.methods.base import Batch, MaskedParams, Method, MethodParams
from trainers.multi_crop import distillation_loss, local_views, whole_views
from trainers.optim import Optimizer


@dataclass(frozen=True)
class DINOParams(MaskedParams):
    """DINO's hyperparameters, with the defaults of its ViT-S recipe."""

    student_temperature: float = 0.1
    """Temperature of the student's softmax."""
    teacher_temperature: float = 0.04
    """Temperature of the teacher's softmax: sharpening."""
    center_momentum: float = 0.9
    """Momentum of the running centre of the teacher's outputs."""
    teacher_momentum: float = 0.996
    """EMA momentum of the teacher at the start; it follows a cosine to 1."""
    prototypes: int = 65536
    """Outputs of the head."""
    head_hidden_dim: int = 2048
    """Width of the head's two hidden layers."""
    bottleneck_dim: int = 256
    """Width of the head's bottleneck, the embedding."""
    head_batch_norm: bool = False
    """Whether BatchNorm follows the head's two hidden layers, as in small convolutional recipes."""
    freeze_prototypes: float = 0.01
    """Share of the updates during which the prototypes are not trained (one epoch of the paper's 100)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prototypes < 2:
            raise ValueError(f"`prototypes` must be at least 2, but got {self.prototypes}")
        if not 0 <= self.freeze_prototypes <= 1:
            raise ValueError(f"`freeze_prototypes` must be in [0, 1], but got {self.freeze_prototypes}")


class DINOHead(nn.Module):
    """Three-layer GELU MLP to an L2-normalised bottleneck, then weight-normed prototypes of gain 1."""

    def __init__(self, dim: int, params: DINOParams) -> None:
        super().__init__()
        hidden = params.head_hidden_dim
        layers: list[nn.Module] = []
        for width in (dim, hidden):
            layers.append(nn.Linear(width, hidden))
            if params.head_batch_norm:
                layers.append(nn.BatchNorm1d(hidden))
            layers.append(nn.GELU())
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, params.bottleneck_dim))
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.prototypes = nn.Parameter(torch.empty(params.prototypes, params.bottleneck_dim))
        nn.init.kaiming_uniform_(self.prototypes, a=5**0.5)  # as nn.Linear draws its weight

    def bottleneck(self, representations: Tensor) -> Tensor:
        """(b, d) -> (b, bottleneck_dim) of unit norm, with which the prototypes are compared."""
        return F.normalize(self.mlp(representations).float(), dim=-1)

    def forward(self, representations: Tensor, *, frozen: bool = False) -> Tensor:
        """(b, d) -> (b, prototypes) cosines, in float32 because a small temperature divides them later."""
        prototypes = self.prototypes.detach() if frozen else self.prototypes
        bottleneck = self.bottleneck(representations)
        with torch.autocast(bottleneck.device.type, enabled=False):
            return F.linear(bottleneck, F.normalize(prototypes, dim=-1))


class DINO(Method):
    """A student learns the centred, sharpened prototype assignments of its EMA teacher across views."""

    Params: ClassVar[type[MethodParams]] = DINOParams
    params: DINOParams
    moves_loss: ClassVar[tuple[str, ...]] = ("student_temperature", "teacher_temperature")
    augmentation: ClassVar[Augmentation] = Augmentation(
        crop_scale_min=0.4,
        brightness=0.4,
        contrast=0.4,
        saturation=0.2,
        hue=0.1,
        blur_probability=1.0,
        second_blur_probability=0.1,
        second_solarize_probability=0.2,
        local_blur_probability=0.5,
        local_crops=8,
    )
    optimizer: ClassVar[Optimizer] = Optimizer(
        optimizer="adamw", lr=5e-4, weight_decay=0.04, final_weight_decay=0.4, warmup=0.1, final_lr=2e-3, clip_norm=3.0
    )
    measures_teacher: ClassVar[bool] = True
    multi_crop: ClassVar[bool] = True

    center: Tensor

    def __init__(self, encoder: Encoder, params: DINOParams) -> None:
        super().__init__(encoder, params)
        self.student_encoder = encoder
        self.student_head = DINOHead(encoder.dim, params)
        self.teacher = Teacher(params.teacher_momentum, self.students)
        self.register_buffer("center", torch.zeros(params.prototypes))

    @property
    def students(self) -> dict[str, nn.Module]:
        """The networks that the teacher follows."""
        return {"encoder": self.student_encoder, "head": self.student_head}

    @property
    def teacher_encoder(self) -> Encoder:
        """The teacher's encoder."""
        return cast(Encoder, self.teacher.copies["encoder"])

    @property
    def teacher_head(self) -> DINOHead:
        """The teacher's head."""
        return cast(DINOHead, self.teacher.copies["head"])

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy −Σ t ln s over pairs of different views; the teacher sees the two whole-size ones."""
        frozen = self.progress < self.params.freeze_prototypes
        with torch.no_grad():
            outputs = self.teacher_head(self.teacher_encoder(torch.cat(batch.views[:2])))
            targets = ((outputs - self.center) / self.params.teacher_temperature).softmax(-1).chunk(2)
        # Crops of one size in one pass, as in the reference: they share their BatchNorm statistics.
        representations = [
            self.student_encoder(*same) for same in (whole_views(batch), local_views(batch)) if same is not None
        ]
        logits = self.student_head(torch.cat(representations), frozen=frozen)
        loss = distillation_loss(logits.chunk(len(batch.views)), targets, self.params.student_temperature)
        self._move_center(outputs)
        return loss

    @property
    def measured_encoder(self) -> Encoder:
        """The teacher's."""
        return self.teacher_encoder

    def project(self, representations: Tensor) -> Tensor:
        """The teacher's L2-normalised bottleneck, before the prototypes."""
        return self.teacher_head.bottleneck(representations)

    def after_step(self, progress: float) -> None:
        """The teacher follows the student, its momentum on a cosine from `teacher_momentum` to 1."""
        self.teacher.update(self.students, progress)

    @torch.no_grad()
    def _move_center(self, outputs: Tensor) -> None:
        self.center.lerp_(self.world.mean(outputs.mean(0)), 1 - self.params.center_momentum)
