"""Build the network of a trial, load it from a checkpoint, and prepare it for measuring."""

from __future__ import annotations

import copy
import pickle
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from trainers.device import exact
from trainers.encoders import build_encoder
from trainers.methods import METHODS
from trainers.methods.base import Method
from trainers.passes import images_per_pass
from trainers.records import TrialConfig
from trainers.seeds import recalibration_order, weights_seed
from trainers.settings import check_network, resolve
from trainers.splits import Data
from trainers.weights import load_weights

RECALIBRATION: Final = (8, 256)
"""Batches, and images in each, over which the statistics of BatchNorm are estimated again.

Where 256 images are more than a pass may hold, the same images are in more batches, of at least RECALIBRATION_LEAST.
"""
RECALIBRATION_LEAST: Final = 32


def build_method(config: TrialConfig, data: Data, *, start: bool = True) -> Method:
    """Draw the untrained networks of a trial on the CPU from its seed, the same for every device, and move them there.

    Args:
        config: the trial.
        data: its images.
        start: whether the encoder gets its `weights`, if it has any; not needed where a checkpoint follows.

    Raises:
        ValueError: the method cannot train such an encoder, or the weights do not fit it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights_seed(config.seed))
        encoder = build_encoder(config.encoder, data.image_size, data.channels)
        check_network(config, encoder)
        if start:
            load_weights(encoder, config.encoder)
        method = METHODS[config.method](encoder, resolve(config).params)
    return method.to(data.device).to(memory_format=torch.channels_last)


def load_network(config: TrialConfig, data: Data, checkpoint: Path | None) -> Method:
    """The network of a checkpoint as criteria and oracle read it; without a checkpoint, the untrained network."""
    method = build_method(config, data, start=checkpoint is None)
    if checkpoint is not None:
        method.load_state_dict(load_state(checkpoint)["method"])
    return measurable(method, config, data, untrained=checkpoint is None)


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU.

    Raises:
        ValueError: the file is missing, truncated, or not a checkpoint.
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

    If BatchNorm has seen only masked images, or none, this is a copy whose statistics are estimated again on whole
    training images; otherwise the criteria would measure the difference between masked and whole images. In a sweep
    over `mask_ratio`, every trial is treated so, also one without a mask: the criteria must not jump at 0. The
    statistics of an encoder that starts from weights are those of the weights before training.
    """
    masked = "mask_ratio" in config.swept or resolve(config).params.hidden_share > 0
    norms = [m for m in method.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms or not (untrained or (masked and not method.measures_teacher)):
        return method.eval()
    whole = copy.deepcopy(method).train()
    begun = untrained and config.encoder.get("weights")
    for part in list(whole.measured_encoder.modules()) if begun else []:
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
    for module in whole.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            module.reset_running_stats()
            module.momentum = None  # the plain average over the batches below
    batches, size = RECALIBRATION
    order = recalibration_order(len(data.train), data.device, config.criteria_sample.seed)
    at_once = max(RECALIBRATION_LEAST, images_per_pass(whole, data.clean(data.train.take(order[:1]))[0]))
    with torch.no_grad(), exact():
        for chosen in order[: batches * size].split(min(size, at_once)):
            if len(chosen) > 1:
                whole.embed(data.clean(data.train.take(chosen)))
    return whole.eval()
