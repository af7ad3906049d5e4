"""The device that trials run on."""

from __future__ import annotations

from typing import Final

from sweeper.config.model import SweepConfig
from sweeper.errors import ConfigError
from sweeper.run.options import RunOptions
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import record_once

AUTO_GPUS: Final = 0.25
"""GPUs per trial for `auto` on a machine with GPUs: four small trials share one."""


def gpus_per_trial(config: SweepConfig, there: float) -> float:
    """GPUs of one trial."""
    if config.resources.gpus == "auto":
        return AUTO_GPUS if there else 0.0
    return float(config.resources.gpus)


def device_here(config: SweepConfig, asked: str) -> str:
    """The device of a trial in this process."""
    import torch

    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() and config.resources.gpus != 0 else "cpu"


def same_device(folder: SweepFolder, device: str, *, probes_only: bool) -> None:
    """Check that a sweep continues on the kind of device that it began on, which draws the criteria's views.

    Raises:
        ConfigError: its trials ran on the other kind.
    """
    kind = device.partition(":")[0]
    begun = record_once(folder, "device", kind)
    if begun != kind and not probes_only:
        hint = "use `--device cpu`" if begun == "cpu" else "continue on a machine with a GPU"
        raise ConfigError(
            f"the sweep began on {begun}, and on {kind} other views are drawn, so its criteria could not be compared; "
            f"{hint}, or run a new sweep"
        )


def check_device(options: RunOptions) -> None:
    """Check that the device, or the cluster, that was asked for exists.

    Raises:
        ConfigError: this machine lacks the device, or the address is malformed.
        SweepError: no cluster answers.
    """
    if options.address is not None:
        from sweeper.on_ray.cluster import check_address

        check_address(options.address)
    import torch

    kind = options.device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"`--device` must be auto, cpu or cuda, but got {options.device}")
    if ":" in options.device and not options.local:
        raise ConfigError(f"`--device` must be cuda where Ray gives out the GPUs, but got {options.device}")
    if kind == "cuda" and options.address is None and not torch.cuda.is_available():
        raise ConfigError("`--device` must be cpu or auto on a machine without CUDA, but got cuda")
