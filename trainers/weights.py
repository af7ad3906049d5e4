"""Files of weights: read without running code, and fitted to a network name by name. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from trainers.encoders import Encoder
from trainers.fields import as_yaml
from trainers.records import Scalar

FILES: Final = ("model.safetensors", "pytorch_model.safetensors", "pytorch_model.bin")
"""Names of the weights in a folder that `sweeper export`, timm or HuggingFace wrote."""
HEADS: Final = ("fc.", "head.", "head_dist.", "classifier.")
"""How the names of a classifier begin in timm and torchvision: an encoder has none, so they are left out."""
COUNTER: Final = "num_batches_tracked"
"""The last part of a name that files of old versions of torch lack; in eval mode nothing reads it."""
NESTS: Final = ("state_dict", "model_state_dict", "model", "teacher", "encoder", "module")
"""Keys below which training programs put a state dict, the first that is there."""
CONFIG: Final = "config.json"
OURS: Final = "sweeper"
"""The key of config.json that `load_encoder` reads."""
START: Final = ("weights", "prefix")
"""The options of an encoder that say where training starts, and not what is trained."""
SHOWN: Final = 3
"""Names of tensors in an error."""


def weights_file(path: Path) -> Path:
    """The file itself, or that of a folder that holds an encoder.

    Raises:
        ValueError: there is none.
    """
    if not path.is_dir():
        if not path.is_file():
            raise ValueError(f"`weights` must be a file of weights or a folder with one, but {path} does not exist")
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if not found:
        raise ValueError(f"`weights` must be a file, or a folder with {' or '.join(FILES)}, but {path} has none")
    return found[0]


def weights_digest(path: str) -> str:
    """BLAKE2b digest (128 bits, in hexadecimal) of the bytes of a file of weights.

    Raises:
        ValueError: there is none.
    """
    digest = hashlib.blake2b(digest_size=16)
    with weights_file(Path(path)).open("rb") as file:
        while block := file.read(2**22):
            digest.update(block)
    return digest.hexdigest()


def read_weights(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, on the CPU, of a safetensors file or of a state dict that `torch.save` wrote.

    Raises:
        ValueError: it cannot be read, or holds other things than tensors.
    """
    from safetensors.torch import load_file

    file = weights_file(path)
    with torch.device("cpu"):
        try:
            if not zipfile.is_zipfile(file) and file.suffix == ".safetensors":
                return load_file(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"{file} holds more than tensors, which could run code, or is damaged; save its state dict alone: "
                "torch.save(model.state_dict(), FILE)"
            ) from error
        except Exception as error:  # whatever the readers stumble over in a damaged file
            raise ValueError(f"{file} cannot be read as weights ({' '.join(str(error).split())[:200]})") from error
    return state_in(content, file)


def state_in(content: object, file: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, or of the first in NESTS that the file has.

    Raises:
        ValueError: there are none.
    """
    while isinstance(content, Mapping):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        nested = next((key for key in NESTS if isinstance(content.get(key), Mapping)), None)
        if nested is None or (tensors and len(tensors) > len(content) // 2):
            if tensors:
                return tensors
            break
        content = content[nested]
    keys = (
        f" has {', '.join(map(str, list(content)[:SHOWN]))}" if isinstance(content, Mapping) else " is something else"
    )
    raise ValueError(f"{file} must hold a state dict (name: tensor), but{keys}")


def holder(encoder: Encoder) -> nn.Module:
    """The module whose names files of weights have: timm's own model, or our encoder."""
    return encoder.get_submodule("model") if is_timm(encoder) else encoder


def is_timm(encoder: Encoder) -> bool:
    """Whether the encoder wraps a model of timm, whose weights are written under timm's own names."""
    return isinstance(getattr(encoder, "model", None), nn.Module)


def load_weights(encoder: Encoder, options: Mapping[str, Scalar]) -> None:
    """Fill an encoder with the `weights` of its options; without any, it stays as it is.

    Raises:
        ValueError: see `fitted_weights`.
    """
    if options.get("weights"):
        holder(encoder).load_state_dict(fitted_weights(encoder, options))


def fitted_weights(encoder: Encoder, options: Mapping[str, Scalar]) -> dict[str, Tensor]:
    """The tensors of the file that the options name, for an encoder that may have no numbers.

    Args:
        encoder: on any device.
        options: `name`, `weights` and perhaps `prefix`, as in a search-space file.

    Raises:
        ValueError: the file cannot be read, or does not fit: one line.
    """
    path = Path(str(options["weights"]))
    prefix, own = str(options.get("prefix") or ""), exported_options(path)
    given = {key: value for key, value in options.items() if key not in START}
    if own and own["name"] != given["name"]:
        raise ValueError(f"{path} must hold the weights of {given['name']}, but is an export of {as_yaml(own)}")
    try:
        return fit_to(holder(encoder), read_weights(path), str(options["name"]), str(path), prefix)
    except ValueError as error:
        raise ValueError(f"{error}; it is an export of {as_yaml(own)}" if own else str(error)) from None


def exported_options(path: Path) -> dict[str, Scalar]:
    """The encoder of a folder that `sweeper export` wrote, as a search-space file has it; empty for anything else."""
    try:
        content = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        return dict(content[OURS]["encoder"])
    except (KeyError, OSError, TypeError, ValueError):
        return {}


def fit_to(module: nn.Module, given: Mapping[str, Tensor], name: str, file: str, prefix: str = "") -> dict[str, Tensor]:
    """The given tensors under the names of a module, without `prefix` and without a classifier.

    timm resizes the position embeddings of a vision transformer where the sizes of the images differ.

    Raises:
        ValueError: some are missing, too many, or of another shape; the line names some, and a prefix that would fit.
    """
    with torch.device("cpu"):
        expected = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
        state = stripped(given, prefix, file)
        if not is_fit(state, expected):
            state = by_timm(module, state)
    state = {key: tensor for key, tensor in state.items() if key in expected or not is_head(key)}
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    others = [key for key in state if key not in expected]
    if missing or others:
        fits = prefix_that_fits(given, expected) if missing else None
        hint = f"; its names begin with `{fits}`; give that (--prefix {fits}, or prefix: {fits})" if fits else ""
        extra = others and not fits
        parts = [f"lacks {some(missing)}"] * bool(missing) + [f"has also {some(others)}"] * bool(extra)
        raise ValueError(f"{file} must hold the weights of {name}, but {' and '.join(parts)}{hint}")
    wrong = next((key for key, shape in expected.items() if key in state and tuple(state[key].shape) != shape), None)
    if wrong is not None:
        shapes = f"{shape_text(state[wrong].shape)} where {name} has {shape_text(expected[wrong])}"
        raise ValueError(f"{file} must hold the weights of {name}, but its {wrong} is {shapes}")
    counters = {key: torch.zeros((), dtype=torch.int64, device="cpu") for key in expected if key not in state}
    return state | counters


def stripped(given: Mapping[str, Tensor], prefix: str, file: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it.

    Raises:
        ValueError: there are none.
    """
    state = {key.removeprefix(prefix): tensor for key, tensor in given.items() if key.startswith(prefix)}
    if not state:
        raise ValueError(f"{file} must have tensors with the prefix `{prefix}`, but has {some(list(given))}")
    return state


def is_fit(state: Mapping[str, Tensor], expected: Mapping[str, Sequence[int]]) -> bool:
    """Whether every tensor that is expected is there, in its shape."""
    return all(key in state and tuple(state[key].shape) == tuple(shape) for key, shape in expected.items())


def by_timm(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors after timm's own conversion, for a model of timm that has one; as they are if it cannot convert."""
    source = sys.modules[type(module).__module__]
    convert = getattr(source, "checkpoint_filter_fn", None)
    if convert is None or not type(module).__module__.startswith("timm."):
        return state
    try:
        return dict(convert(dict(state), module))
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError):
        return state  # they are of another network: the check of names says so


def is_head(key: str) -> bool:
    """Whether a tensor is of a classifier, which an encoder has not."""
    return key.startswith(HEADS)


def prefix_that_fits(given: Mapping[str, Tensor], expected: Collection[str]) -> str | None:
    """The shortest prefix below which the file has every name that is expected, if there is one."""
    wanted = [key for key in expected if not key.endswith(COUNTER)]
    first = wanted[0]
    ends = sorted((key.removesuffix(first) for key in given if key.endswith(first) and key != first), key=len)
    return next((prefix for prefix in ends if all(prefix + key in given for key in wanted)), None)


def some(names: Iterable[str]) -> str:
    """How many tensors, and the first names.

    >>> some(["a", "b", "c", "d"])
    '4 tensors (a, b, c …)'
    """
    names = list(names)
    more = " …" if len(names) > SHOWN else ""
    return f"{len(names)} tensor{'s' * (len(names) != 1)} ({', '.join(names[:SHOWN])}{more})"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it.

    >>> shape_text((64, 3, 7, 7)), shape_text(())
    ('64×3×7×7', 'a number')
    """
    return "×".join(map(str, shape)) or "a number"


def as_scalars(options: Mapping[str, Any]) -> dict[str, Scalar]:
    """Options of an encoder without those of the start from weights where there is none, as earlier versions had them.

    >>> as_scalars({"name": "resnet", "weights": None, "prefix": ""})
    {'name': 'resnet'}
    """
    return {key: value for key, value in options.items() if key not in START or value}
