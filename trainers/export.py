"""An encoder as files of its own, which other programs load: weights, configuration and model card.

    model.safetensors   the weights; for a timm model under timm's own names
    config.json         timm's configuration where timm can build it, and all of ours under the key `sweeper`
    README.md           the model card

`load_encoder` needs these files alone: neither the sweep nor its training images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from trainers.augment import normalize
from trainers.datasets.base import Images
from trainers.encoders import TIMM_PREFIX, Encoder, build_encoder, encoder_options
from trainers.encoders.vit import ViT, heads
from trainers.methods import METHODS
from trainers.methods.base import pooled
from trainers.network import load_network
from trainers.records import Scalar, TrialConfig
from trainers.splits import Data
from trainers.weights import CONFIG, OURS, START, holder, is_timm

WEIGHTS: Final = "model.safetensors"
CARD: Final = "README.md"
FORMAT: Final = 1
"""Version of that key's content."""
VIT: Final = "vit_base_patch16_224"
"""timm's entry point for a plain vision transformer, whose sizes `model_args` replace."""


@dataclass(frozen=True)
class Recipe:
    """What is needed to build an exported encoder and to prepare its input."""

    encoder: Mapping[str, Scalar]
    """Its `name` and options, as in a search-space file."""
    image_size: int
    """Side of the square training images in pixels."""
    channels: int
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    pools_patches: bool
    """Whether the features are the mean of the patch tokens, and not the encoder's own output."""
    dim: int
    """Length of a feature vector."""


class ExportedEncoder(nn.Module):
    """An encoder with its preprocessing: pixels in [0, 1], (b, c, h, w), to features (b, dim), in eval mode."""

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        super().__init__()
        self.encoder = encoder
        self.recipe = recipe
        self.register_buffer("mean", torch.tensor(recipe.mean), persistent=False)
        self.register_buffer("std", torch.tensor(recipe.std), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        images = normalize(pixels, self.get_buffer("mean"), self.get_buffer("std"))
        return pooled(self.encoder, images, patches=self.recipe.pools_patches)


def export_encoder(
    config: TrialConfig, images: Images, checkpoint: Path, folder: Path, about: Mapping[str, Any]
) -> ExportedEncoder:
    """Write the encoder that the trial's criteria and oracle measured; `about` goes to config.json and to the card.

    Raises:
        ValueError: the checkpoint is damaged, or the method does not say which encoder it measures.
    """
    data = Data(images, "cpu")
    method = load_network(config, data, checkpoint)
    try:
        encoder = method.measured_encoder
    except AttributeError:
        raise ValueError(f"the method {config.method} must define `measured_encoder` to be exported") from None
    recipe = Recipe(
        encoder={name: value for name, value in config.encoder.items() if name not in START},
        image_size=data.image_size,
        channels=data.channels,
        mean=tuple(data.mean.tolist()),
        std=tuple(data.std.tolist()),
        pools_patches=METHODS[config.method].pools_patches,
        dim=encoder.dim,
    )
    write_export(encoder, recipe, folder, about)
    return ExportedEncoder(encoder, recipe)


def write_export(encoder: Encoder, recipe: Recipe, folder: Path, about: Mapping[str, Any]) -> None:
    """Write the files of an encoder in eval mode."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(encoder, folder / WEIGHTS)
    for_timm = timm_config(encoder, recipe)
    content = {**for_timm, OURS: {"format": FORMAT, **asdict(recipe), **about}}
    (folder / CONFIG).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(model_card(recipe, about, in_timm=bool(for_timm)), encoding="utf-8")


def load_encoder(folder: str | Path) -> ExportedEncoder:
    """The encoder that `sweeper export` wrote to a folder, on the CPU and in eval mode.

    It takes pixels in [0, 1], (b, c, h, w), and normalises them itself.

    Raises:
        ValueError: a file is missing, damaged, or of another version.
    """
    from safetensors.torch import load_file

    home = Path(folder)
    try:
        content = json.loads((home / CONFIG).read_text(encoding="utf-8"))[OURS]
        found = content["format"]
        if found != FORMAT:
            raise ValueError(f"its format is {found}, but this version reads {FORMAT}")
        recipe = Recipe(**{name: content[name] for name in Recipe.__dataclass_fields__})
        encoder = build_encoder(recipe.encoder, recipe.image_size, recipe.channels)
        holder(encoder).load_state_dict(load_file(home / WEIGHTS))
    except Exception as error:
        raise ValueError(f"{home} must be a folder that `sweeper export` wrote, but {reason(error)}") from error
    return ExportedEncoder(encoder, recipe)


def reason(error: Exception) -> str:
    """Why a folder cannot be read, on one line."""
    if isinstance(error, KeyError):
        return f"its {CONFIG} has no {error}"
    text = " ".join(str(error).split())
    return text if len(text) < 300 else f"{text[:300]}…"


def save_weights(encoder: Encoder, file: Path) -> None:
    """Write the weights and the statistics of BatchNorm."""
    from safetensors.torch import save_file

    state = holder(encoder).state_dict()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, file, metadata={"format": "pt"})


def timm_config(encoder: Encoder, recipe: Recipe) -> dict[str, Any]:
    """What `timm.create_model("local-dir:FOLDER", pretrained=True)` reads; nothing for an encoder that timm lacks."""
    if not is_timm(encoder):
        return {}
    name = str(recipe.encoder["name"])
    arguments: dict[str, Any] = {"in_chans": recipe.channels}
    if isinstance(encoder, ViT):
        arguments |= {"img_size": recipe.image_size, "dynamic_img_size": True}
        if recipe.pools_patches:
            arguments |= {"global_pool": "avg", "fc_norm": False}  # the norm comes before the mean, as here
    if not name.startswith(TIMM_PREFIX):
        options: Any = encoder_options(recipe.encoder)
        sizes = {"patch_size": options.patch, "embed_dim": options.dim, "depth": options.depth}
        arguments |= {**sizes, "num_heads": heads(options)}
    side = recipe.image_size
    return {
        "architecture": name.removeprefix(TIMM_PREFIX) if name.startswith(TIMM_PREFIX) else VIT,
        "num_classes": 0,
        "num_features": recipe.dim,
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [recipe.channels, side, side],
            "fixed_input_size": False,
            "num_classes": 0,
            "crop_pct": 1.0,
            "mean": list(recipe.mean),
            "std": list(recipe.std),
        },
    }


def model_card(recipe: Recipe, about: Mapping[str, Any], *, in_timm: bool) -> str:
    """README.md of an export: where the encoder is from, what was measured, and how to load it."""
    side, channels = recipe.image_size, recipe.channels
    lines = [
        f"# {about.get('method', 'An encoder')} on {about.get('dataset', 'images')}, {recipe.encoder['name']}",
        "",
        f"An encoder of {recipe.dim} features, pretrained without labels. It reads images of {channels} "
        f"channel{'s' * (channels > 1)} and was trained at {side}×{side} pixels.",
        "",
        "```python",
        "from trainers import load_encoder            # the package `sweeper`",
        f'encoder = load_encoder("FOLDER")             # features (b, {recipe.dim}) = encoder(pixels)',
        f"                                             # pixels in [0, 1], (b, {channels}, {side}, {side})",
        "```",
        "",
    ]
    if in_timm:
        lines += [
            "timm reads it too; there the input must be normalised with `mean` and `std` of config.json:",
            "",
            "```python",
            'model = timm.create_model("local-dir:FOLDER", pretrained=True)',
            "```",
            "",
        ]
    lines += ["| | |", "| --- | --- |"]
    for key, value in about.items():
        if not isinstance(value, Mapping):
            lines.append(f"| {key} | {value} |")
    for title in ("hyperparameters", "criteria", "oracles"):
        values = about.get(title) or {}
        if values:
            lines += ["", f"## {title.capitalize()}", "", "| name | value |", "| --- | --- |"]
            lines += [f"| {name} | {value} |" for name, value in values.items()]
    return "\n".join(lines) + "\n"
