"""A sweep from its configuration to its tables: run, resumed or probed; on Ray or in this process."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from sweeper.config.model import SweepConfig, usable_cores
from sweeper.errors import ConfigError, SweeperError, SweepError
from sweeper.run.dispatcher import Dispatcher, Stop
from sweeper.run.images import has_labels, read_images, same_images
from sweeper.run.interrupt import interruptible
from sweeper.run.observers.live import Progress
from sweeper.run.worker import Message, Task, run_task
from sweeper.search.study import Study, check_trials, open_study
from sweeper.store.layout import (
    SweepFolder,
    create_folder,
    disk_full,
    is_disk_full,
    locked,
    noted,
    read_folder,
    read_origin,
    write_sweep_file,
)
from sweeper.store.reports import read_outcome, restore_log
from sweeper.store.tables import write_tables
from trainers.datasets.base import Images
from trainers.records import FAILED

AUTO_GPUS: Final = 0.25
"""GPUs per trial where the machine has some and nothing was said: four small trials share one."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line says about where and for how long to run."""

    local: bool = False
    device: str = "auto"
    address: str | None = None
    jobs: int | None = None
    timeout: float | None = None
    """Seconds after which the sweep ends as if interrupted."""


@dataclass(frozen=True)
class Summary:
    """How a sweep stands when the command ends."""

    folder: Path
    counts: Mapping[str, int]
    """Status -> trials that ended so."""
    seconds: float
    interrupted: bool


def run_sweep(config: SweepConfig, folder: Path, options: RunOptions, progress: Progress) -> Summary:
    """Run a new sweep to its end.

    Raises:
        ConfigError: the machine has not what the sweep asks for, or the sampler not so many configurations.
        ResultsError: the folder is there already.
        SweepError: the sweep cannot go on: its trials all fail alike, the disk is full, Ray does not start.
    """
    check_trials(config)
    check_device(options)
    labelled = not config.oracle or has_labels(config)
    images = read_images(config)
    name = folder.name if config.storage else f"{config.method}-{config.dataset['name']}"
    made = create_folder(folder, config, study=name)
    with locked(made):
        try:
            study = open_study(config, url=config.storage or made.storage_url, name=name, create=True)
        except SweeperError:
            shutil.rmtree(made.path)  # or the folder would seem to be a sweep, whose study is another's
            raise
        with closing(study):
            study.claim(read_origin(made)["id"], made.path)
            if not labelled:
                progress.message("the data set has no labels, so no oracle measures any trial; `oracle=none` says so")
            return _drive(config, made, study, options, progress, images=images)


def resume_sweep(folder: Path, options: RunOptions, progress: Progress, *, trials: int | None = None) -> Summary:
    """Continue a sweep from its folder, with more trials where `trials` says so.

    Raises:
        ConfigError: `trials` is less than has been started.
        ResultsError: there is no sweep there, or another process runs it.
        SweepError: as for `run_sweep`.
    """
    with _opened(folder, options, progress) as (config, made, study):
        if trials is not None and trials != config.trials:
            if trials * config.seeds < study.started():
                raise ConfigError(
                    f"`trials` must be at least the {-(-study.started() // config.seeds)} that have been started, "
                    f"but got {trials}"
                )
            config = study.config = replace(config, trials=trials)
            check_trials(config)
        return _drive(config, made, study, options, progress)


def probe_sweep(folder: Path, options: RunOptions, progress: Progress, *, oracles: tuple[str, ...] = ()) -> Summary:
    """Measure the trials that have ended and lack an oracle, of those whose checkpoint was kept.

    Raises:
        ConfigError: an oracle that there is not, or none at all.
        ResultsError: there is no sweep there, or another process runs it.
    """
    from trainers.probe import ORACLES

    with _opened(folder, options, progress) as (config, made, study):
        wanted = oracles or config.oracle
        unknown = [name for name in wanted if name not in ORACLES]
        if unknown or not wanted:
            what = f"but got {', '.join(unknown)}" if unknown else "but the sweep has none; name one"
            raise ConfigError(f"`--oracle` must be one of {', '.join(ORACLES)}, {what}")
        if not has_labels(config):
            raise ConfigError(f"`dataset` {config.dataset['name']} has no labels, so no oracle can measure its trials")
        return _drive(config, made, study, options, progress, oracles=wanted)


@contextmanager
def _opened(folder: Path, options: RunOptions, progress: Progress) -> Iterator[tuple[SweepConfig, SweepFolder, Study]]:
    """A sweep that is there, held for this process."""
    check_device(options)
    made, config, origin = read_folder(folder, cluster=options.address is not None)
    with locked(made):
        restored = restore_log(made)
        if restored:
            progress.message(f"reports.jsonl lacked {restored} reports; they were restored from reports.parquet")
        # A driver that was killed right after sweep.yaml leaves no study; one that is gone later is an error.
        fresh = not made.reports_log.is_file()
        url = config.storage or made.storage_url
        study = open_study(config, url=url, name=origin["study"], create=fresh, again=True)
        with closing(study):
            study.claim(origin.get("id", ""), made.path)
            yield config, made, study


def _drive(
    config: SweepConfig,
    folder: SweepFolder,
    study: Study,
    options: RunOptions,
    progress: Progress,
    *,
    images: Images | None = None,
    oracles: tuple[str, ...] = (),
) -> Summary:
    """Run what there is to run, and leave the tables written, whatever happens; `images` where they have been read."""
    began = time.monotonic()
    dispatcher = Dispatcher(config, folder, study, progress)
    done = Counter(record.status for record in study.records() if record.status)
    progress.begin(study.runs, epochs=config.epochs, done=dict(done), name=folder.name)
    try:
        with progress:
            if oracles:
                _queue_probes(dispatcher, oracles)
            else:
                dispatcher.prepare()
            if dispatcher.has_work:
                run = _run_here if options.local else _run_on_ray
                run(dispatcher, options, images)
            else:
                keep_trials(dispatcher)
    except Exception as error:
        dispatcher.fail(error)
    except KeyboardInterrupt:
        progress.message(f"interrupted at once; continue with: sweeper resume {folder.path}")
        raise
    finally:
        dispatcher.close()
        _write_tables(folder, config, study, dispatcher)
    if dispatcher.fatal is not None:
        if is_disk_full(dispatcher.fatal):
            raise disk_full(folder.path) from dispatcher.fatal
        raise dispatcher.fatal
    counts = Counter(record.status for record in study.records() if record.status)
    if not oracles and counts and set(counts) == {FAILED} and not dispatcher.stopping:
        first = next(record for record in study.records() if record.status == FAILED)
        raise SweepError(
            f"every trial failed; the first: {first.reason}; the whole is in {folder.trial(first.number) / 'log.txt'}"
        )
    if dispatcher.stop_reason:
        progress.message(f"{dispatcher.stop_reason}; continue with: sweeper resume {folder.path}")
    return Summary(folder.path, dict(counts), time.monotonic() - began, interrupted=bool(dispatcher.stop_reason))


def _write_tables(folder: SweepFolder, config: SweepConfig, study: Study, dispatcher: Dispatcher) -> None:
    try:
        write_tables(folder, config, study.records())
    except Exception as error:
        dispatcher.fail(error)  # what went wrong before is the better reason, and stays


def _queue_probes(dispatcher: Dispatcher, oracles: tuple[str, ...]) -> None:
    """Queue a probe for every trial that has ended without it, and nothing else."""
    dispatcher.only_waiting = True
    missing = 0
    for record in dispatcher.study.records():
        outcome = read_outcome(dispatcher.folder.trial(record.number))
        has = set(outcome.result.oracles) if outcome else set()
        lacking = tuple(name for name in oracles if name not in has)
        if record.status in ("", FAILED) or not lacking:
            continue
        if dispatcher.folder.checkpoint(record.number).is_file():
            dispatcher.waiting.append(dispatcher.probe_task(record.number, lacking))
        else:
            missing += 1
    if missing:
        kept = dispatcher.config.keep_checkpoints
        trials = "1 trial is" if missing == 1 else f"{missing} trials are"
        dispatcher.progress.message(f"{trials} not probed, for want of a checkpoint (keep_checkpoints: {kept})")


def _run_here(dispatcher: Dispatcher, options: RunOptions, images: Images | None) -> None:
    """Run the tasks one after the other in this process; a signal leaves the training at once, the records whole."""
    working = False

    def stop(reason: str) -> None:
        dispatcher.stop(reason)
        if working:
            raise Stop

    def receive(task: Task, message: Message) -> bool:
        nonlocal working
        working = False
        working = dispatcher.received(task, message) and not dispatcher.stopping
        return working

    with interruptible(stop, seconds=options.timeout):
        dispatcher.device = device_here(dispatcher.config, options.device)
        images = same_images(dispatcher.config, dispatcher.folder, images)
        same_device(dispatcher)
        keep_trials(dispatcher)
        while (task := dispatcher.next()) is not None:
            try:
                working = True
                run_task(task, images, partial(receive, task))
            except Stop:
                return
            finally:
                working = False
            if dispatcher.stopping:
                return
            dispatcher.ended(task)


def _run_on_ray(dispatcher: Dispatcher, options: RunOptions, images: Images | None) -> None:
    """Run the tasks on Ray Tune, as many at once as there is room for."""
    from sweeper.on_ray.cluster import capacity, ray_running

    config = dispatcher.config
    asked = options.jobs or (config.jobs if isinstance(config.jobs, int) else 0)
    with interruptible(dispatcher.stop, seconds=options.timeout) as take_signals:
        images = same_images(config, dispatcher.folder, images)
        cpus = max(usable_cores(), asked * config.resources.cpus)
        with ray_running(options.address, cpus=cpus, store_bytes=images.train.nbytes + images.test.nbytes) as root:
            from sweeper.on_ray.tune import tune_sweep

            take_signals()
            there = capacity()
            gpus = 0.0 if options.device == "cpu" else gpus_per_trial(config, there.gpus)
            if options.device.startswith("cuda") and not gpus:
                raise ConfigError("`resources.gpus` must be above 0, on a machine with a GPU, for `--device cuda`")
            dispatcher.device = "cuda" if gpus else "cpu"
            same_device(dispatcher)
            keep_trials(dispatcher)
            storage = root / "tune" if options.address is None else dispatcher.folder.path / ".ray"
            try:
                tune_sweep(
                    dispatcher,
                    images,
                    jobs=asked or there.room(config.resources.cpus, gpus),
                    cpus=config.resources.cpus,
                    gpus=gpus,
                    retries=config.max_retries,
                    storage=storage,
                )
            finally:
                shutil.rmtree(storage, ignore_errors=True)


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


def keep_trials(dispatcher: Dispatcher) -> None:
    """Write into sweep.yaml how many trials there are to be, now that nothing speaks against them."""
    folder, config = dispatcher.folder, dispatcher.config
    _, stored, origin = read_folder(folder.path, cluster=True)
    if stored.trials != config.trials:
        write_sweep_file(folder, config, origin)


def same_device(dispatcher: Dispatcher) -> None:
    """Hold a sweep to the kind of device that it began on, which draws the criteria's views.

    Raises:
        ConfigError: some of its trials ran on the other kind.
    """
    kind = dispatcher.device.partition(":")[0]
    begun = noted(dispatcher.folder, "device", kind)
    if begun != kind and not dispatcher.only_waiting:
        hint = "`--device cpu` goes on there" if begun == "cpu" else "go on where there is a GPU"
        raise ConfigError(
            f"the sweep began on {begun}, and its criteria could not be compared with those on {kind}, where other "
            f"views are drawn; {hint}, or run a new sweep"
        )


def check_device(options: RunOptions) -> None:
    """Look for the device, or the cluster, that was asked for.

    Raises:
        ConfigError: this machine has not the device, or the address is none.
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
