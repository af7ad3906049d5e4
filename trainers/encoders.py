"""Encoders: a small ResNet, a ViT of any size, and every timm model. Each can hide patches of its images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.blocks import covered
from trainers.fields import Between
from trainers.masks import fill_masked
from trainers.options import read_options
from trainers.records import Scalar

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

TIMM_PREFIX: Final = "timm/"
Size = Annotated[int, Between(1, 16384)]
Count = Annotated[int, Between(1, 100)]
MOST_BLOCKS: Final = 200
"""Of a ResNet, whose check takes five seconds then; ResNet-200 of the literature has 66."""


@dataclass(frozen=True)
class ResNetOptions:
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


@dataclass(frozen=True)
class ViTOptions:
    """A vision transformer (Dosovitskiy et al. 2021) from timm's VisionTransformer; reads its class token."""

    dim: Size = 96
    """Width of the tokens."""
    depth: Count = 4
    """Number of blocks."""
    heads: Size | None = None
    """Attention heads; null = one per 32 dimensions."""
    patch: Size = 4
    """Side of a patch in pixels."""


@dataclass(frozen=True)
class TimmOptions:
    """Any model that timm can create, without its classifier and without pretrained weights."""

    mask_patch: Size | None = None
    """As for resnet; vision transformers drop the patch tokens instead."""


ENCODERS: Final[Mapping[str, type[ResNetOptions] | type[ViTOptions]]] = {"resnet": ResNetOptions, "vit": ViTOptions}


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


class TimmModel(Encoder):
    """Any other timm model, pooled; hidden patches are filled with the mean."""

    def __init__(self, model: nn.Module, options: TimmOptions, image_size: int) -> None:
        super().__init__()
        self.model = model
        self.dim = cast(int, getattr(model, "head_hidden_size", model.num_features))  # some heads widen the features
        self.mask_patch = options.mask_patch or default_mask_patch(image_size)
        self.patches = patch_grid(image_size, self.mask_patch)

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            images = fill_masked(images, kept, self.mask_patch)
        features: Tensor = self.model(images)
        return features


def build_encoder(encoder: Mapping[str, Scalar], image_size: int, channels: int) -> Encoder:
    """The encoder that a search-space file names, for square images, randomly initialised.

    Raises:
        ValueError: an option is wrong, or the patch does not divide the image.
    """
    options = encoder_options(encoder)
    if isinstance(options, ResNetOptions):
        return ResNet(options, image_size, channels)
    if isinstance(options, ViTOptions):
        return _build_vit(options, image_size, channels)
    return _build_timm(str(encoder["name"]).removeprefix(TIMM_PREFIX), options, image_size, channels)


def check_encoder(encoder: Mapping[str, Scalar], image_size: int, channels: int) -> Encoder:
    """Build the encoder on the meta device, where it has no numbers, and pass images through it before any trial does.

    Raises:
        ValueError: one line that says why the encoder cannot read such images.
    """
    with torch.device("meta"):
        network = build_encoder(encoder, image_size, channels).eval()
        try:
            shape = network(torch.empty(2, channels, image_size, image_size)).shape
        except (AssertionError, RuntimeError, ValueError) as error:
            problem = " ".join(str(error).split())
            raise ValueError(f"`encoder` {encoder['name']} cannot read the images: {problem}") from error
    if shape != (2, network.dim):
        raise ValueError(f"`encoder` {encoder['name']} must give one vector per image, but gave {tuple(shape[1:])}")
    return network


def encoder_options(encoder: Mapping[str, Scalar]) -> ResNetOptions | ViTOptions | TimmOptions:
    """The options of an encoder as its frozen dataclass.

    Raises:
        ValueError: an unknown name or option, or an impossible number.
    """
    name = encoder.get("name")
    if not isinstance(name, str):
        raise ValueError(f"`encoder.name` must be one of {', '.join(ENCODERS)} or timm/MODEL, but got {name!r}")
    kind: type[ResNetOptions] | type[ViTOptions] | type[TimmOptions]
    if name.startswith(TIMM_PREFIX):
        kind = TimmOptions
        _check_timm(name.removeprefix(TIMM_PREFIX))
    elif name in ENCODERS:
        kind = ENCODERS[name]
    else:
        raise ValueError(f"`encoder.name` must be one of {', '.join(ENCODERS)} or timm/MODEL, but got {name!r}")
    given = {key: value for key, value in encoder.items() if key != "name"}
    options = read_options(kind, given, path="encoder", owner=f"an option of {name}")
    if isinstance(options, ResNetOptions) and options.blocks * options.stages > MOST_BLOCKS:
        counts = f"{options.blocks} and {options.stages}"
        raise ValueError(f"`encoder.blocks` times `encoder.stages` must be at most {MOST_BLOCKS}, but got {counts}")
    if isinstance(options, ViTOptions) and options.dim % heads(options):
        raise ValueError(f"`encoder.dim` must be a multiple of the {heads(options)} heads, but got {options.dim}")
    return options


def heads(options: ViTOptions) -> int:
    """Attention heads: as given, or one per 32 dimensions."""
    return options.heads or max(1, options.dim // 32)


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


def _build_vit(options: ViTOptions, image_size: int, channels: int) -> ViT:
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


def _build_timm(name: str, options: TimmOptions, image_size: int, channels: int) -> Encoder:
    import timm
    from timm.models.vision_transformer import VisionTransformer

    if issubclass_of_vit(name):
        model = timm.create_model(name, in_chans=channels, num_classes=0, img_size=image_size, dynamic_img_size=True)
    else:
        model = timm.create_model(name, in_chans=channels, num_classes=0)
    return ViT(model, image_size) if isinstance(model, VisionTransformer) else TimmModel(model, options, image_size)


def issubclass_of_vit(name: str) -> bool:
    """Whether a timm model's entry point is in timm's plain vision transformers, which take any image size."""
    from timm.models import model_entrypoint

    return bool(model_entrypoint(name).__module__ == "timm.models.vision_transformer")


def _check_timm(name: str) -> None:
    import difflib

    import timm

    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=1)
    hint = f"; did you mean timm/{near[0]}?" if near else ""
    raise ValueError(f"`encoder.name` must be a model that timm {timm.__version__} knows, but got timm/{name}{hint}")
