"""The catalogue of encoders: name in the search-space file -> options. Each can hide patches of its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch

from trainers.encoders.base import Encoder as Encoder
from trainers.encoders.base import Tokens as Tokens
from trainers.encoders.resnet import MOST_BLOCKS, ResNet, ResNetOptions
from trainers.encoders.timm_models import TimmOptions as TimmOptions
from trainers.encoders.timm_models import build_timm, check_name
from trainers.encoders.vit import ViTOptions, build_vit, heads
from trainers.options import read_options
from trainers.records import Scalar

TIMM_PREFIX: Final = "timm/"
ENCODERS: Final[Mapping[str, type[ResNetOptions] | type[ViTOptions]]] = {"resnet": ResNetOptions, "vit": ViTOptions}


def build_encoder(encoder: Mapping[str, Scalar], image_size: int, channels: int) -> Encoder:
    """The encoder that a search-space file names, for square images, randomly initialised.

    Raises:
        ValueError: an option is wrong, or the patch does not divide the image.
    """
    options = encoder_options(encoder)
    if isinstance(options, ResNetOptions):
        return ResNet(options, image_size, channels)
    if isinstance(options, ViTOptions):
        return build_vit(options, image_size, channels)
    return build_timm(str(encoder["name"]).removeprefix(TIMM_PREFIX), options, image_size, channels)


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
        check_name(name.removeprefix(TIMM_PREFIX))
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
