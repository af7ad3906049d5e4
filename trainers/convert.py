"""An exported encoder as ONNX or TorchScript, each read back and compared with the original."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from trainers.export import ExportedEncoder

ONNX_PACKAGES: Final = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE: Final = 1e-5
"""Largest difference of a converted encoder's features, relative to the largest feature."""


def to_torchscript(encoder: ExportedEncoder, folder: Path) -> Path:
    """Write model.torchscript.pt, which takes any number of images, with pixels in [0, 1].

    Raises:
        ValueError: it cannot be traced, or its features differ from the encoder's.
    """
    file = folder / "model.torchscript.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated; its tracer warns of fixed shapes
        try:
            traced = torch.jit.trace(encoder, pixels_like(encoder, 2), check_trace=False)
        except Exception as error:  # whatever the tracer meets in a model of timm
            raise ValueError(f"TorchScript cannot hold this encoder: {first_line(error)}") from error
        torch.jit.save(traced, str(file))
        loaded = torch.jit.load(str(file))
    check_equal(encoder, loaded, file)
    return file


def to_onnx(encoder: ExportedEncoder, folder: Path) -> Path:
    """Write model.onnx, whose input `pixels` takes any number of images, with pixels in [0, 1].

    Raises:
        ValueError: a package is missing, the encoder has operations without a form in ONNX, or its features differ.
    """
    check_packages(["onnx"])
    import onnxruntime

    file = folder / "model.onnx"
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        try:
            torch.onnx.export(
                encoder,
                (pixels_like(encoder, 2),),
                str(file),
                input_names=["pixels"],
                output_names=["features"],
                dynamic_shapes=({0: batch},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # whatever the exporter meets in a model of timm
            raise ValueError(f"ONNX cannot hold this encoder: {first_line(error)}") from error
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    check_equal(encoder, lambda pixels: torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0]), file)
    return file


CONVERTERS: Final[Mapping[str, Callable[[ExportedEncoder, Path], Path]]] = {
    "onnx": to_onnx,
    "torchscript": to_torchscript,
}


def first_line(error: Exception) -> str:
    """What went wrong, on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_packages(kinds: Collection[str]) -> None:
    """Asked before anything is written.

    Raises:
        ValueError: a package that one of these CONVERTERS needs is not installed.
    """
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None] if "onnx" in kinds else []
    if missing:
        raise ValueError(f"`--onnx` needs the package {missing[0]}; run: pip install 'ssl-sweeper[onnx]'")


def pixels_like(encoder: ExportedEncoder, count: int) -> Tensor:
    """(count, c, h, w) random pixels in [0, 1], the same at every call."""
    recipe = encoder.recipe
    shape = (count, recipe.channels, recipe.image_size, recipe.image_size)
    return torch.from_numpy(np.random.default_rng(count).random(shape, dtype=np.float32))


@torch.no_grad()
def check_equal(encoder: ExportedEncoder, converted: Callable[[Tensor], Tensor], file: Path) -> None:
    """Compare the features of images that the conversion has not seen, in a batch of another size.

    Raises:
        ValueError: they differ by more than TOLERANCE.
    """
    pixels = pixels_like(encoder, 3)
    expected = encoder(pixels)
    difference = float((converted(pixels) - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
    if not difference <= TOLERANCE:
        file.unlink(missing_ok=True)
        raise ValueError(
            f"{file.name} must give the encoder's features, but they differ by {difference:.1e} of the largest; "
            "it is deleted"
        )
