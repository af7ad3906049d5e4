"""resnet: a ResNet of basic blocks with a stem for small images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.encoders.base import Count, Encoder, Size, StartOptions, default_mask_patch, patch_grid
from trainers.fields import Between
from trainers.masks import fill_masked

MOST_BLOCKS: Final = 200
"""Of a ResNet, whose check takes five seconds then; ResNet-200 of the literature has 66."""


@dataclass(frozen=True)
class ResNetOptions(StartOptions):
    """A ResNet of basic blocks (He et al. 2016); width 64, blocks 2, stages 4 is ResNet-18 with the CIFAR stem."""

    width: Size = 64
    """Channels of the first stage; each further stage doubles them and halves the resolution. Take at least 8: with
    torch 2.14, one thread and a CPU without AVX-512, the backward pass of width 2 to 5 can abort the process."""
    blocks: Count = 2
    """Basic blocks per stage."""
    stages: Annotated[int, Between(1, 10)] = 4
    """Number of stages."""
    stem_stride: Size = 1
    """Stride of the 3×3 stem: 1 as in the CIFAR recipes, 2 to quarter the cost."""
    mask_patch: Size | None = None
    """Side in pixels of a patch that `mask_ratio` hides; null = the divisor of the image closest to an eighth of it."""


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, features: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        return F.relu(residual + self.shortcut(features))


class ResNet(Encoder):
    """A ResNet of basic blocks with a 3×3 stem and no max-pool, mean-pooled."""

    def __init__(self, options: ResNetOptions, image_size: int, channels: int) -> None:
        super().__init__()
        self.mask_patch = options.mask_patch or default_mask_patch(image_size)
        self.patches = patch_grid(image_size, self.mask_patch)
        width = options.width
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, options.stem_stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        channels_in = width
        for stage in range(options.stages):
            for block in range(options.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(channels_in, width * 2**stage, stride))
                channels_in = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.dim = channels_in
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            images = fill_masked(images, kept, self.mask_patch)
        features: Tensor = self.blocks(self.stem(images.contiguous(memory_format=torch.channels_last)))
        return features.mean((2, 3))
