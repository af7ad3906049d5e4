"""The network of a trial and the images that it sees: built, moved to its device, loaded for measuring."""

from __future__ import annotations

import copy
import hashlib
import pickle
import warnings
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from trainers.augment import normalize, to_float
from trainers.datasets.base import Images
from trainers.encoders import build_encoder
from trainers.methods import METHODS
from trainers.methods.base import Method
from trainers.records import TrialConfig
from trainers.settings import resolve

RECALIBRATION: Final = (8, 256)
"""Batches, and images in each, over which the statistics of BatchNorm are re-estimated."""


def limit_threads(threads: int) -> None:
    """Let this process compute on so many cores, PyTorch and NumPy's BLAS alike: sums come out the same everywhere."""
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")


class Data:
    """The images of a data set as uint8 tensors (n, h, w, c) on the training device, and their statistics."""

    def __init__(self, images: Images, device: str) -> None:
        self.device = torch.device(device)
        self.train = to_tensor(images.train, self.device)
        self.test = to_tensor(images.test, self.device)
        _, height, width, channels = self.train.shape
        if height != width:
            raise ValueError(f"`images` must be square, but got {height}×{width}")
        flat = self.train.flatten(0, 2)
        levels = torch.arange(256, dtype=torch.float64, device=self.device)
        histogram = torch.stack([flat[:, c].bincount(minlength=256) for c in range(channels)]).double()
        mean = histogram @ levels / len(flat)
        variance = (histogram * (levels - mean[:, None]).square()).sum(1) / max(1, len(flat) - 1)
        self.mean = (mean / 255).float()
        self.std = variance.sqrt().clamp_min(1e-3).div(255).float()

    @property
    def image_size(self) -> int:
        """Side of the (square) images in pixels."""
        return int(self.train.shape[1])

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train.shape[3])

    def clean(self, images: Tensor) -> Tensor:
        """uint8 images (b, h, w, c) as the network reads them: (b, c, h, w), normalised, not augmented."""
        return self.normalize(to_float(images))

    def normalize(self, views: Tensor) -> Tensor:
        """Float views (b, c, h, w) in [0, 1] to zero mean and unit deviation per channel of the training images."""
        return normalize(views, self.mean, self.std)


def to_tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (n, h, w, c) as a tensor on the device; on the CPU it shares the caller's memory, which is only read."""
    with warnings.catch_warnings():
        # Arrays in Ray's object store are read-only, and torch warns of writing to them; nothing here does.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(images).to(device)


def build_method(config: TrialConfig, data: Data) -> Method:
    """The untrained networks of a trial, drawn from its seed on the CPU, then moved: the same on every device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(config.seed, "weights"))
        encoder = build_encoder(config.encoder, data.image_size, data.channels)
        method = METHODS[config.method](encoder, resolve(config).params)
    return method.to(data.device).to(memory_format=torch.channels_last)


def load_network(config: TrialConfig, data: Data, checkpoint: Path | None) -> Method:
    """The network of a checkpoint as criteria and oracle read it; the untrained one where `checkpoint` is None."""
    method = build_method(config, data)
    if checkpoint is not None:
        method.load_state_dict(load_state(checkpoint)["method"])
    return measurable(method, config, data, untrained=checkpoint is None)


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU.

    Raises:
        ValueError: the file is missing, cut short, or no checkpoint at all.
    """
    try:
        if not zipfile.is_zipfile(checkpoint):  # what torch.save writes; torch.load would try older formats
            raise EOFError("not an archive")
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(f"{checkpoint} is damaged ({str(error) or type(error).__name__})") from error
    return state


def measurable(method: Method, config: TrialConfig, data: Data, *, untrained: bool = False) -> Method:
    """The network that criteria and oracle read, in eval mode.

    Where BatchNorm has seen masked images only, or nothing at all, that is a copy whose statistics are re-estimated
    on whole training images: otherwise the criteria would measure the mismatch. In a sweep over `mask_ratio` that
    holds for every trial, those without a mask too, so that the criteria do not jump there by construction.
    """
    masked = "mask_ratio" in config.swept or resolve(config).params.mask_ratio > 0
    norms = [m for m in method.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or not (untrained or (masked and not method.measures_teacher)):
        return method.eval()
    whole = copy.deepcopy(method).train()
    for module in whole.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain average over the batches below
    batches, size = RECALIBRATION
    order = shuffled(len(data.train), data.device, config.criteria_sample.seed, "recalibration")
    with torch.no_grad(), exact():
        for chosen in order[: batches * size].split(size):
            if len(chosen) > 1:
                whole.embed(data.clean(data.train[chosen]))
    return whole.eval()


def exact() -> AbstractContextManager[None]:
    """Convolutions that are the same in every run, and whose float32 is float32; of no effect on the CPU."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def shuffled(count: int, device: torch.device, *parts: object) -> Tensor:
    """A permutation of `count` that is a function of the parts alone, whatever the device."""
    return torch.randperm(count, generator=seeded(torch.device("cpu"), *parts)).to(device)


def seeded(device: torch.device, *parts: object) -> torch.Generator:
    """A generator on the device whose stream is a function of the parts alone."""
    return torch.Generator(device).manual_seed(seed_of(*parts))


def seed_of(*parts: object) -> int:
    """A 63-bit seed from the text of the parts: the same in every process and on every machine.

    >>> seed_of(0, "weights") == seed_of(0, "weights") != seed_of(0, 1)
    True
    """
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big") >> 1


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native there: where it is emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
