"""What one search-space file needs of this machine: checks for `sweeper doctor FILE`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.cli.verdicts import Check, guarded
from sweeper.errors import ConfigError, ResultsError
from trainers.formats import seconds

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig


def check_file(file: Path, overrides: Sequence[str]) -> Iterator[Check]:
    """Whether the file can be run here: its keys, its images, its sampler, its storage, and the time of its trials.

    A file with mistakes has one check for each, and nothing else of it is looked at.
    """
    from sweeper.config.examples import find_file
    from sweeper.config.read import load_config
    from sweeper.run.observers import observer_options

    try:
        config = load_config(find_file(file), overrides, observers=observer_options())
    except ConfigError as error:
        for line in error.lines:
            yield Check("file", "fail", line)
        return
    yield Check("file", "ok", _in_words(config))
    yield guarded("data set", lambda: check_images(config))
    yield check_sampler(config)
    if config.storage is not None:
        yield check_storage(config)
    yield guarded("time", lambda: check_time(config))


def _in_words(config: SweepConfig) -> str:
    """What the sweep is."""
    oracle = ", ".join(config.oracle) or "none"
    trials = f"trials: {config.trials * config.seeds}, epochs: {config.epochs}"
    watched = f"objective: {config.objective}, oracle: {oracle}, pruner: {config.pruner.name}"
    return f"{config.method} with {config.encoder['name']}, {trials}, {watched}"


def check_images(config: SweepConfig) -> Check:
    """How many images the data set has, with its options in the file."""
    from trainers.datasets import open_dataset

    opened, name = open_dataset(config.dataset), config.dataset["name"]
    count, *side = opened.shape("train")
    tested = opened.shape("test")[0]
    size = "×".join(map(str, side))
    return Check("data set", "ok", f"{name}: {count} images to train and {tested} to test, of {size}")


def check_sampler(config: SweepConfig) -> Check:
    """Whether the sampler can draw all trials, and has the package that it needs."""
    from sweeper.search.samplers import check_trials

    try:
        check_trials(config)
    except ConfigError as error:
        return Check("sampler", "fail", str(error))
    return Check("sampler", "ok", f"{config.search.sampler} draws {config.trials} configurations")


def check_storage(config: SweepConfig) -> Check:
    """Whether the storage of the study answers; nothing is written to it."""
    from sweeper.config.storage import mask_password, whole_url
    from sweeper.search.storage import connect

    try:
        url = whole_url(config.storage or "", None)
        connect(url)
    except (ConfigError, ResultsError) as error:
        return Check("storage", "fail", str(error))
    return Check("storage", "ok", f"{mask_password(url)} answers")


def check_time(config: SweepConfig) -> Check:
    """How long a trial takes here, from a few steps of the first one."""
    from sweeper.cli.plan import estimate_seconds
    from sweeper.run.devices import device_here
    from sweeper.run.options import RunOptions

    estimate = estimate_seconds(config, RunOptions())
    found = f"an epoch takes {seconds(estimate.epoch_seconds)}, its criteria {seconds(estimate.criteria_seconds)}"
    rest = f"a trial {seconds(estimate.trial_seconds)}, the sweep {seconds(estimate.total_seconds)}"
    return Check("time", "ok", f"{found}, {rest} with {estimate.jobs} at a time on {device_here(config, 'auto')}")
