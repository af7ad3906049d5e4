"""Trials on Ray Tune, as many at once as there is room for."""

from __future__ import annotations

import shutil
from typing import Final

from sweeper.config.resources import usable_cores
from sweeper.errors import ConfigError
from sweeper.run.devices import gpus_per_trial, same_device
from sweeper.run.dispatcher import Dispatcher
from sweeper.run.images import same_images
from sweeper.run.interrupt import interruptible
from sweeper.run.observers.base import Phase
from sweeper.run.options import RunOptions
from sweeper.run.packing import reading_images
from sweeper.run.start import same_weights
from sweeper.run.worker import run_task
from sweeper.store.manifest import store_trials
from trainers.datasets.base import Images

STARTING: Final = "starting Ray"


def run_on_ray(dispatcher: Dispatcher, options: RunOptions, images: Images | None) -> None:
    """Run the tasks on Ray Tune, as many at once as there is room for."""
    from sweeper.on_ray.cluster import capacity, ray_running

    config, told = dispatcher.config, dispatcher.observers
    asked = options.jobs or (config.jobs if isinstance(config.jobs, int) else 0)
    with interruptible(dispatcher.stop, seconds=options.timeout) as take_signals:
        with reading_images(config, told) as tell:
            images = same_images(config, dispatcher.folder, images, tell)
        same_weights(config, dispatcher.folder)
        cpus = max(usable_cores(), asked * config.resources.cpus)
        told.on_phase(Phase(STARTING))
        with ray_running(options.address, cpus=cpus, store_bytes=images.memory_bytes) as root:
            take_signals()  # Ray's own part in C++ has set a handler
            from sweeper.on_ray.tune import tune_sweep

            told.on_phase_end(STARTING)
            there = capacity()
            gpus = 0.0 if options.device == "cpu" else gpus_per_trial(config, there.gpus)
            if options.device.startswith("cuda") and not gpus:
                raise ConfigError("`resources.gpus` must be above 0, on a machine with a GPU, for `--device cuda`")
            dispatcher.device = "cuda" if gpus else "cpu"
            same_device(dispatcher.folder, dispatcher.device, probes_only=dispatcher.only_waiting)
            store_trials(dispatcher.folder, dispatcher.config)
            storage = root / "tune" if options.address is None else dispatcher.folder.path / ".ray"
            try:
                tune_sweep(
                    dispatcher,
                    run_task,
                    images,
                    jobs=asked or there.room(config.resources.cpus, gpus),
                    cpus=config.resources.cpus,
                    gpus=gpus,
                    retries=config.max_retries,
                    storage=storage,
                )
            finally:
                told.on_phase(Phase("stopping Ray"))
                shutil.rmtree(storage, ignore_errors=True)
