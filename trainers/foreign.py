"""Encoders that exist already: an export, a model of timm with a file of weights, or a folder of HuggingFace.

    FOLDER                         what `sweeper export` wrote, or a folder in the format of timm or of transformers
    timm/MODEL:FILE                a model of timm, and the file with its weights
    {name: …, weights: FILE, …}    an encoder as a search-space file has it, with its options

Each becomes an ExportedEncoder: its size, channels, mean and deviation are known. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from trainers.encoders import TIMM_PREFIX, Encoder, TimmOptions, build_encoder, encoder_options
from trainers.encoders.timm_models import TimmModel
from trainers.export import ExportedEncoder, Recipe, load_encoder
from trainers.records import Scalar
from trainers.weights import (
    CONFIG,
    FILES,
    OURS,
    START,
    exported_options,
    fit_to,
    load_weights,
    read_weights,
    some,
    weights_file,
)

IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's pixels, by which most models of timm and torchvision read their images."""
POOLER: Final = "pooler."
"""How the names of the weights begin that transformers adds to a model, and that many folders lack."""
SIZE: Final = 224
"""Side of the images of a model that says nothing of it."""


@dataclass(frozen=True)
class Reading:
    """What the user says of an encoder's input; None takes what the encoder says of itself, or ImageNet's."""

    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    prefix: str = ""
    """Of the names in a file of weights."""


def open_encoder(
    text: str, reading: Reading | None = None, options: Mapping[str, Scalar] | None = None
) -> ExportedEncoder:
    """The encoder that an argument names, on the CPU and in eval mode.

    Args:
        text: a folder, or `timm/MODEL:FILE`.
        reading: its input, where it does not say so itself.
        options: an encoder of a search-space file in place of the text.

    Raises:
        ValueError: it cannot be built or read, or its weights do not fit: one line.
    """
    reading = reading or Reading()
    if options is not None:
        return of_options(options, reading)
    path = Path(text).expanduser()
    if path.is_dir():
        return of_folder(path, reading)
    name, colon, file = text.partition(":")
    if name.startswith(TIMM_PREFIX) and colon:
        return of_options({"name": name, "weights": file}, reading)
    if name.startswith(TIMM_PREFIX):
        raise ValueError(f"`{text}` must name a file with its weights, since nothing is downloaded: {text}:FILE")
    what = "is a file of weights, and its architecture is missing" if path.is_file() else "does not exist"
    raise ValueError(f"`ENCODER` must be a folder, or timm/MODEL:FILE, but {text} {what}")


def of_options(options: Mapping[str, Scalar], reading: Reading) -> ExportedEncoder:
    """An encoder as a search-space file has it, with the file of its weights."""
    given = {"prefix": reading.prefix, **options}
    kind = encoder_options(given)
    if not given.get("weights"):
        raise ValueError(f"`ENCODER` {given['name']} must have `weights`, a file, since nothing is downloaded")
    path = Path(str(given["weights"])).expanduser()
    if exported_options(path):
        raise ValueError(f"`ENCODER` must be {path} alone, an export, which says what it holds, but got a mapping")
    given["weights"] = str(path)
    own = known_input(str(given["name"])) if isinstance(kind, TimmOptions) else {}
    recipe = recipe_of({key: value for key, value in given.items() if key not in START}, own, reading)
    encoder = build_encoder(given, recipe.image_size, recipe.channels)
    load_weights(encoder, given)
    return ExportedEncoder(encoder, replace(recipe, dim=encoder.dim))


def of_folder(folder: Path, reading: Reading) -> ExportedEncoder:
    """The encoder in a folder with a config.json."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise ValueError("it is no mapping")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ValueError(
            f"`ENCODER` {folder} must be a folder with a {CONFIG}, but that cannot be read: {why}"
        ) from error
    if OURS in content:
        if reading.size or reading.mean or reading.std:
            raise ValueError(f"`--size`, `--mean` and `--std` must not be given for {folder}, whose {CONFIG} has them")
        return load_encoder(folder)
    if isinstance(content.get("architecture"), str):
        return of_timm_folder(folder, content, reading)
    if "model_type" in content or "architectures" in content:
        return of_transformers(folder, reading)
    raise ValueError(f"{folder / CONFIG} must name an `architecture` (timm) or a `model_type` (transformers)")


def of_timm_folder(folder: Path, content: Mapping[str, Any], reading: Reading) -> ExportedEncoder:
    """A folder as timm's `save_for_hf` writes it, or `timm.create_model("local-dir:…")` reads it."""
    import timm

    name = str(content["architecture"])
    encoder_options({"name": f"{TIMM_PREFIX}{name}"})
    arguments = {**(content.get("model_args") or {}), "num_classes": 0}
    recipe = recipe_of({"name": f"{TIMM_PREFIX}{name}"}, content.get("pretrained_cfg") or content, reading)
    try:
        model = timm.create_model(name, **{"in_chans": recipe.channels, **arguments})
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"timm cannot build {name} from {folder / CONFIG}: {error}") from error
    file = weights_file(folder)
    model.load_state_dict(fit_to(model, read_weights(file), name, str(file), reading.prefix))
    encoder = TimmModel(model, TimmOptions(), recipe.image_size)
    return ExportedEncoder(encoder, replace(recipe, dim=encoder.dim))


def of_transformers(folder: Path, reading: Reading) -> ExportedEncoder:
    """A folder of HuggingFace's transformers, if that is installed: its pooled output, or else its first token."""
    try:
        from transformers import AutoModel
    except ImportError:
        raise ValueError(
            f"`ENCODER` {folder} is a model of transformers, which is not installed; run: pip install transformers"
        ) from None
    try:
        model, info = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=has_safetensors(folder), output_loading_info=True
        )
    except Exception as error:  # whatever transformers meets in a folder
        raise ValueError(f"transformers cannot read {folder}: {' '.join(str(error).split())[:200]}") from error
    missing = [key for key in info["missing_keys"] if not key.startswith(POOLER)]
    if missing:
        raise ValueError(f"{folder} must hold the weights of its model, but lacks {some(sorted(missing))}")
    about = read_json(folder / "preprocessor_config.json")
    size = about.get("crop_size") or about.get("size")
    side = next(iter(size.values()), None) if isinstance(size, Mapping) else size
    side = side or getattr(model.config, "image_size", SIZE)
    own = {"input_size": [3, side, side], "mean": about.get("image_mean"), "std": about.get("image_std")}
    recipe = recipe_of({"name": f"transformers/{model.config.model_type}"}, own, reading)
    encoder = Transformer(model, recipe, pools=not info["missing_keys"])
    return ExportedEncoder(encoder, replace(recipe, dim=encoder.dim))


class Transformer(Encoder):
    """A model of transformers: its pooled output, or else the first of its tokens; hidden patches are not supported.

    A pooler whose weights the folder lacks would be random, so `pools` is False then.
    """

    patches = 1

    def __init__(self, model: nn.Module, recipe: Recipe, *, pools: bool = True) -> None:
        super().__init__()
        self.network, self.pools = model, pools
        with torch.no_grad():
            side = recipe.image_size
            self.dim = self.eval()(torch.zeros(1, recipe.channels, side, side)).shape[1]

    def forward(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        if kept is not None:
            raise TypeError("a model of transformers cannot hide patches")
        found = self.network(pixel_values=images)
        pooled = getattr(found, "pooler_output", None) if self.pools else None
        features = found.last_hidden_state[:, 0] if pooled is None else pooled
        return cast(Tensor, features).flatten(1)


def has_safetensors(folder: Path) -> bool:
    """Whether the weights need no unpickling; transformers reads the others with `weights_only`."""
    return any((folder / name).is_file() for name in FILES if name.endswith(".safetensors"))


def read_json(path: Path) -> dict[str, Any]:
    """A file's mapping; empty if there is none.

    Raises:
        ValueError: it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def known_input(name: str) -> Mapping[str, Any]:
    """What timm knows of the input of one of its models."""
    from timm.models import get_pretrained_cfg

    found: Any = get_pretrained_cfg(name.removeprefix(TIMM_PREFIX), allow_unregistered=True)
    return found.to_dict() if found is not None else {}


def recipe_of(encoder: Mapping[str, Scalar], own: Mapping[str, Any], reading: Reading) -> Recipe:
    """The input of an encoder: what the user says, or what the encoder says of itself, or ImageNet's.

    Raises:
        ValueError: mean and deviation differ in their channels, or a deviation is not above 0.
    """
    size = own.get("input_size") or (3, SIZE, SIZE)
    mean = reading.mean or tuple(map(float, own.get("mean") or IMAGENET[0]))
    std = reading.std or tuple(map(float, own.get("std") or IMAGENET[1]))
    if reading.mean is None and reading.std is None and size[0] != len(mean):
        mean, std = mean[:1] * size[0], std[:1] * size[0]
    if len(mean) != len(std) or len(mean) not in (1, 3) or not all(value > 0 for value in std):
        raise ValueError(f"`mean` and `std` must have 1 or 3 values each, with std above 0, but got {mean} and {std}")
    return Recipe(dict(encoder), reading.size or int(size[-1]), len(mean), mean, std, pools_patches=False, dim=0)


def encoder_digest(encoder: ExportedEncoder) -> str:
    """BLAKE2b digest (128 bits, in hexadecimal) of an encoder's weights and of how it reads its images."""
    digest = hashlib.blake2b(json.dumps(asdict(encoder.recipe), sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in encoder.encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
