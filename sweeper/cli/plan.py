"""`--dry-run`: the first configurations of a sweep, and an estimate of its duration."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sweeper.config.model import SweepConfig
from sweeper.config.resources import usable_cores
from sweeper.run.devices import device_here, gpus_per_trial
from sweeper.run.images import read_images
from sweeper.run.options import RunOptions
from sweeper.run.packing import packing_bar
from sweeper.search.storage import in_memory
from sweeper.search.study import Study
from trainers.records import TrialConfig, is_measured


@dataclass(frozen=True)
class Estimate:
    """The estimated duration of a sweep without pruning, from a short measurement."""

    epoch_seconds: float
    criteria_seconds: float
    oracle_seconds: float
    trial_seconds: float
    total_seconds: float
    jobs: int
    notes: tuple[str, ...]
    """What the data set has to say of itself."""


def first_configurations(config: SweepConfig, count: int) -> list[TrialConfig]:
    """The first trials; for a sampler that learns, those that it draws before any result."""
    study = Study(config, in_memory(config))
    numbers = [study.start() for _ in range(min(count, study.runs))]
    return [study.trial_config(number) for number in numbers if number is not None]


def estimate_seconds(config: SweepConfig, options: RunOptions) -> Estimate:
    """Estimate the duration from two or more training steps, one measurement of the criteria, and one probe."""
    from trainers.loop import train
    from trainers.probe import probe

    images = read_images(config, packing_bar(config, options))
    trial = replace(first_configurations(config, 1)[0], epochs=1, device=device_here(config, options.device))
    few = replace(images, train=images.train[: enough_images(trial, len(images.train))])
    report = next(train(trial, images=few))
    epoch = len(images.train) // config.batch_size * config.batch_size / report.images_per_second
    criteria = report.seconds["criteria"]
    oracle = sum(score.seconds for score in probe(trial, images=images).values()) if config.oracle else 0.0
    measured = sum(is_measured(number, config.criteria_every, config.epochs) for number in range(1, config.epochs + 1))
    seconds = config.epochs * epoch + measured * criteria + oracle
    jobs = _jobs_here(config, options, trial.device)
    runs = config.trials * config.seeds
    return Estimate(epoch, criteria, oracle, seconds, seconds * -(-runs // jobs), jobs, images.notes)


def enough_images(trial: TrialConfig, images: int) -> int:
    """A number of images for two or more training steps, the criteria, and what the method asks of the data set."""
    from trainers.settings import check_data

    count = min(images, max(2 * trial.batch_size, trial.criteria_sample.images))
    while count < images:
        try:
            check_data(trial, count)
        except ValueError:
            count = min(images, 2 * count)
        else:
            break
    return count


def _jobs_here(config: SweepConfig, options: RunOptions, device: str) -> int:
    """The number of parallel trials on this machine."""
    if options.local:
        return 1
    if options.jobs or isinstance(config.jobs, int):
        return options.jobs or int(config.jobs)
    import torch

    from sweeper.on_ray.cluster import Capacity

    gpus = float(torch.cuda.device_count()) if device == "cuda" else 0.0
    return Capacity(usable_cores(), gpus).room(config.resources.cpus, gpus_per_trial(config, gpus))
