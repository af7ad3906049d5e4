"""Checks whether this machine is ready; each check has a verdict (ok, optional, warn, fail), a finding and advice."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from sweeper import __version__
from sweeper.cli.needs import check_file
from sweeper.cli.verdicts import Check, guarded
from sweeper.config.resources import usable_cores
from sweeper.errors import ConfigError
from sweeper.store.manifest import PACKAGES

OPTIONAL: Final = {
    **dict.fromkeys(
        ("onnx", "onnxruntime", "onnxscript"), ("`sweeper export --onnx` needs it", "pip install 'ssl-sweeper[onnx]'")
    ),
    "pillow-heif": ("`dataset: folder` needs it for .heic images", "pip install pillow-heif"),
}
"""Package -> what needs it, and the command that installs it."""
DISTRIBUTION: Final = "ssl-sweeper"
"""The name under which pip installs sweeper."""
ROOM: Final = 2.0
"""GB of free space below which the disk check warns: 100 checkpoints of a ResNet-18 with optimiser take about 10."""


def check_machine(results: Path, file: Path | None = None, overrides: Sequence[str] = ()) -> Iterator[Check]:
    """Yield the result of each check as soon as it is done; those of a file stand for the data sets and the step."""
    yield check_python()
    yield from check_packages()
    yield from check_optional_packages()
    yield from check_plugins()
    yield from check_devices()
    if file is not None:
        yield from check_file(file, overrides)
    else:
        yield from check_datasets()
        yield guarded("step", check_step)
    yield check_disk(results)
    yield guarded("ray", check_ray)


def check_python() -> Check:
    """The versions of sweeper, Python and the system."""
    found = f"sweeper {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", "ok", found)


def check_packages() -> Iterator[Check]:
    """Whether each required package is installed, in a sufficient version."""
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        requirements = _requirements_of_the_source()
        yield Check("sweeper", "warn", "runs from its folder and is not installed", "pip install -e .")
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield check_package(requirement)


def _requirements_of_the_source() -> list[str]:
    """What pyproject.toml beside the package asks for; without it, the packages whose versions a sweep records."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    if not file.is_file():
        return list(PACKAGES)
    project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    return list(project["dependencies"]) if project.get("name") == DISTRIBUTION else list(PACKAGES)


def check_package(requirement: Requirement) -> Check:
    """Whether one package is installed, in a version that sweeper supports."""
    name, wanted = requirement.name, f"pip install '{requirement}'"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "fail", "is not installed", wanted)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name, "warn", f"{version} is not {requirement.specifier}", wanted)
    return Check(name, "ok", version)


def check_optional_packages() -> Iterator[Check]:
    """Whether the packages are installed that only some commands or images need."""
    for name, (purpose, wanted) in OPTIONAL.items():
        try:
            yield Check(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, "optional", f"is not installed; {purpose}", wanted)


def check_plugins() -> Iterator[Check]:
    """The plug-ins of each package, or that there is none; one that cannot be loaded would end every sweep."""
    from sweeper.run.observers import observer_options
    from trainers.plugins import installed_plugins, load_all_plugins

    found: dict[str, list[str]] = {}
    for plugin in installed_plugins():
        found.setdefault(plugin.package, []).append(f"{plugin.name} ({plugin.group})")
    if not found:
        yield Check("plug-ins", "optional", "none is installed")
        return
    try:
        load_all_plugins()
        observer_options()
    except (ValueError, ConfigError) as error:
        yield Check("plug-ins", "fail", str(error))
    for package, names in found.items():
        yield Check("plug-ins", "ok", f"{package}: {', '.join(names)}")


def check_devices() -> Iterator[Check]:
    """The cores, and the GPUs that torch finds."""
    import torch

    yield Check("cpu", "ok", f"{usable_cores()} cores")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Check(f"cuda:{index}", "ok", f"{about.name}, {about.total_memory / 1e9:.0f} GB")
    elif shutil.which("nvidia-smi"):
        advice = "install the torch build for your CUDA driver: https://pytorch.org/get-started"
        yield Check(
            "cuda", "warn", f"an NVIDIA driver is installed, but torch {torch.__version__} finds no GPU", advice
        )
    else:
        yield Check("cuda", "optional", "no GPU; trials run on the CPU")


def check_datasets() -> Iterator[Check]:
    """Whether each data set can be opened with its default options; no sweep needs them all."""
    from trainers.datasets import DATASETS, open_dataset

    for name in DATASETS:
        try:
            count, *side = open_dataset({"name": name}).shape("train")
        except ValueError as error:
            yield Check(name, "optional", f"not set up: {error}")
        else:
            yield Check(name, "ok", f"{count} training images of {'×'.join(map(str, side))}")


def check_disk(results: Path) -> Check:
    """Free space for the results, and permission to write them."""
    there = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Check("disk", "fail", f"{there} cannot be written to", "choose another folder with --results")
    free = shutil.disk_usage(there).free / 1e9
    found = f"{free:.1f} GB free for {results}"
    if free < ROOM:
        return Check("disk", "warn", found, "free some space, or set keep_checkpoints=none")
    return Check("disk", "ok", found)


def check_step() -> Check:
    """The time of a training step: two short epochs of SimCLR on `photos`, of which the second is timed."""
    import torch

    from trainers.datasets import open_dataset
    from trainers.datasets.base import Images
    from trainers.loop import train
    from trainers.records import CriteriaSample, TrialConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dataset = {"name": "photos"}
    images = open_dataset(dataset).images()
    few = Images(images.train[:512], images.test[:128])
    config = TrialConfig(
        method="simclr",
        dataset=dataset,
        encoder={"name": "resnet", "width": 16, "blocks": 1, "stages": 3},
        epochs=2,
        batch_size=128,
        criteria_sample=CriteriaSample(images=64, views=2),
        device=device,
    )
    *_, last = train(config, images=few)
    seconds = config.batch_size / last.images_per_second
    return Check("step", "ok", f"{1000 * seconds:.0f} ms for {config.batch_size} images on {device}")


def check_ray() -> Check:
    """Whether Ray starts, runs a task in another process, and ends."""
    from sweeper.on_ray.cluster import ray_running

    began = time.monotonic()
    with ray_running(None, cpus=1, store_bytes=0):
        import ray

        pid = ray.get(ray.remote(lambda: os.getpid()).remote())
    seconds = time.monotonic() - began
    if pid == os.getpid():
        return Check("ray", "fail", "a task ran in this process, not in a worker", "run with --local")
    return Check("ray", "ok", f"started, ran a task and ended in {seconds:.1f} s")
