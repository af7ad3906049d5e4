"""The `resources:` section of a search-space file, compared with what this machine has."""

from __future__ import annotations

import os

from sweeper.config.document import Document, Mistake, refuse
from sweeper.config.model import Resources
from sweeper.config.sections import read_section


def usable_cores() -> int:
    """The cores that this process may use; a cluster's scheduler may allow fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_resources(document: Document, *, cluster: bool) -> Resources:
    """What a trial may use.

    Raises:
        ConfigError: more than one GPU; or, unless the trials run on a cluster, more than this machine has.
    """
    resources = read_section(Resources, document, ("resources",))
    refuse([*_too_many_gpus(document, resources, cluster=cluster), *_too_many_cores(document, resources, cluster)])
    return resources


def _too_many_cores(document: Document, resources: Resources, cluster: bool) -> list[Mistake]:
    cores = usable_cores()
    if cluster or resources.cpus <= cores:
        return []
    problem = f"`resources.cpus` must be at most the {cores} cores here, but got {resources.cpus:g}"
    return [document.mistake(("resources", "cpus"), problem)]


def _too_many_gpus(document: Document, resources: Resources, *, cluster: bool) -> list[Mistake]:
    gpus, key = resources.gpus, ("resources", "gpus")
    if gpus == "auto" or gpus == 0:
        return []
    if gpus > 1:
        problem = f"must be at most 1, because a trial trains on one GPU, but got {gpus:g}"
        return [document.mistake(key, f"`resources.gpus` {problem}")]
    if cluster:
        return []
    import torch

    count = torch.cuda.device_count()
    if gpus <= count:
        return []
    problem = f"must be at most the {count} GPUs here, but got {gpus:g}; auto takes what there is"
    return [document.mistake(key, f"`resources.gpus` {problem}")]
