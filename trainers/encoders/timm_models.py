"""timm/MODEL: every model that timm can create."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from trainers.encoders.base import Encoder, Size, StartOptions, default_mask_patch, patch_grid
from trainers.encoders.vit import ViT
from trainers.masks import fill_masked


@dataclass(frozen=True)
class TimmOptions(StartOptions):
    """Any model that timm can create, without its classifier; nothing is downloaded."""

    mask_patch: Size | None = None
    """As for resnet; vision transformers drop the patch tokens instead."""


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


def build_timm(name: str, options: TimmOptions, image_size: int, channels: int) -> Encoder:
    """The timm model of that name, randomly initialised; a plain vision transformer as a ViT."""
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


def check_name(name: str) -> None:
    """Check that timm has a model of that name.

    Raises:
        ValueError: it has none.
    """
    import difflib

    import timm

    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=1)
    hint = f"; did you mean timm/{near[0]}?" if near else ""
    raise ValueError(f"`encoder.name` must be a model that timm {timm.__version__} knows, but got timm/{name}{hint}")
