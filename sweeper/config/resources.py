"""The `resources:` section of a search-space file, and what this machine has."""

from __future__ import annotations

import os

from sweeper.config.document import Document
from sweeper.config.fields import read
from sweeper.config.model import Resources


def usable_cores() -> int:
    """The cores that this process may use, which a cluster's scheduler may have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_resources(document: Document, *, cluster: bool) -> Resources:
    """What a trial may use, and, unless a cluster has it, what this machine has."""
    resources = read(Resources, document, ("resources",))
    if resources.gpus != "auto" and resources.gpus > 1:
        problem = f"`resources.gpus` must be at most 1, because a trial trains on one GPU, but got {resources.gpus:g}"
        raise document.error(("resources", "gpus"), problem)
    if cluster:
        return resources
    cores = usable_cores()
    if resources.cpus > cores:
        problem = f"`resources.cpus` must be at most the {cores} cores here, but got {resources.cpus:g}"
        raise document.error(("resources", "cpus"), problem)
    if resources.gpus != "auto" and resources.gpus > 0:
        import torch

        there = torch.cuda.device_count()
        if resources.gpus > there:
            problem = f"`resources.gpus` must be at most the {there} GPUs here, but got {resources.gpus:g}"
            raise document.error(("resources", "gpus"), f"{problem}; auto takes what there is")
    return resources
