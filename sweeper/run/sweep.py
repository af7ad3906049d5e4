"""A sweep from its configuration to its tables: run, resumed or probed; on Ray or in this process."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sweeper.config.model import SweepConfig
from sweeper.config.oracles import asked_oracles, choices_of
from sweeper.errors import ConfigError, OutputError, SweeperError, SweepError
from sweeper.run.devices import check_device
from sweeper.run.dispatcher import Dispatcher
from sweeper.run.images import check_labels, has_labels, read_images
from sweeper.run.local import run_locally
from sweeper.run.observers import further_observers, observer_options
from sweeper.run.observers.base import Observer, Observers, Phase, SweepStart
from sweeper.run.options import RunOptions
from sweeper.run.packing import reading_images
from sweeper.run.recovery import queue_missing_probes, recover
from sweeper.run.remote import run_on_ray
from sweeper.search.samplers import check_trials
from sweeper.search.storage import open_study, storage_url
from sweeper.search.study import Study
from sweeper.store.atomic import disk_full, is_disk_full
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import INTERRUPTED
from sweeper.store.lock import locked
from sweeper.store.manifest import create_folder, read_manifest, read_origin, store_trials
from sweeper.store.outcomes import read_outcome
from sweeper.store.restore import restore_log, restore_outcomes
from sweeper.store.tables import write_tables
from trainers.datasets.base import Images
from trainers.records import FAILED, STATUSES

OPENING: Final = "opening the study"


@dataclass(frozen=True)
class Summary:
    """How a sweep stands when the command ends."""

    folder: Path
    counts: Mapping[str, int]
    """Status -> trials; those that had started and have not ended are interrupted."""
    seconds: float
    interrupted: bool
    measured: bool = True
    """Whether an oracle has measured a trial, so that there is something to analyse."""
    runs: int = 0
    """Trials of the whole sweep."""
    criteria: tuple[str, ...] = ("lidar",)
    """The objective, then the other criteria."""


def run_sweep(config: SweepConfig, folder: Path, options: RunOptions, observers: Sequence[Observer] = ()) -> Summary:
    """Run a new sweep to its end.

    Raises:
        ConfigError: this machine lacks what the sweep asks for, or the sampler has too few configurations.
        ResultsError: the folder exists.
        SweepError: the sweep cannot go on: its trials all fail for one reason, the disk is full, Ray does not start.
    """
    with closing(Observers(observers)) as told:
        check_trials(config)
        check_device(options)
        told.observers += further_observers(config.observers, observers)
        with reading_images(config, told) as tell:
            labelled = not config.oracle or has_labels(config)
            check_labels(config, [one for one in config.oracle_choices.values() if one.dataset is not None])
            images = read_images(config, tell)
        name = folder.name if config.storage else f"{config.method}-{config.dataset['name']}"
        url = storage_url(config, SweepFolder(folder.absolute()).storage_url, options.storage)
        told.on_phase(Phase(OPENING))
        made = create_folder(folder, config, study=name)
        with locked(made), closing(told):
            try:
                study = open_study(config, url=url, name=name, create=True)
            except SweeperError:
                shutil.rmtree(made.path)  # else the folder would look like a sweep, while its study is another one's
                raise
            with closing(study):
                study.claim(read_origin(made)["id"], made.path)
                told.on_phase_end(OPENING)
                told.on_begin(sweep_start(config, made, study))
                for note in images.notes:
                    told.on_message(note)
                if not labelled and all(one.dataset is None for one in config.oracle_choices.values()):
                    told.on_message(
                        "the data set has no labels, so no oracle measures the trials; `oracle=none` hides this"
                    )
                return run_tasks(Dispatcher(config, made, study, told), options, images=images)


def resume_sweep(
    folder: Path, options: RunOptions, observers: Sequence[Observer] = (), *, trials: int | None = None
) -> Summary:
    """Continue a sweep from its folder, with more trials where `trials` says so.

    Raises:
        ConfigError: fewer `trials` than have been started.
        ResultsError: the folder holds no sweep, or another process runs it.
        SweepError: as for `run_sweep`.
    """
    with opened(folder, options, observers, trials=trials) as dispatcher:
        return run_tasks(dispatcher, options)


def probe_sweep(
    folder: Path, options: RunOptions, observers: Sequence[Observer] = (), *, oracles: tuple[str, ...] = ()
) -> Summary:
    """Measure the trials that have ended and lack an oracle, of those whose checkpoint was kept.

    Raises:
        ConfigError: an unknown oracle, or none at all.
        ResultsError: the folder holds no sweep, or another process runs it.
    """
    with opened(folder, options, observers) as dispatcher:
        config = dispatcher.config
        wanted = asked_oracles(oracles or config.oracle, config)
        check_labels(config, wanted)
        choices = {**config.oracle_choices, **choices_of(wanted)}
        dispatcher.config = dispatcher.study.config = replace(config, oracle_choices=choices)
        return run_tasks(dispatcher, options, oracles=tuple(one.name for one in wanted))


@contextmanager
def opened(
    folder: Path, options: RunOptions, observers: Sequence[Observer], *, trials: int | None = None
) -> Iterator[Dispatcher]:
    """The dispatcher of an existing sweep, whose folder is locked for this process."""
    with closing(Observers(observers)) as told:
        told.on_phase(Phase(OPENING))
        check_device(options)
        made, config, origin = read_manifest(folder, cluster=options.on_cluster, observers=observer_options())
        told.observers += further_observers(config.observers, observers)
        with locked(made), closing(told):
            restored, again = restore_log(made), restore_outcomes(made)
            # A driver that was killed right after it wrote sweep.yaml leaves no study; later a missing one is an error.
            fresh = not made.reports_log.is_file()
            url = storage_url(config, made.storage_url, options.storage)
            study = open_study(config, url=url, name=origin["study"], create=fresh, again=True)
            with closing(study):
                study.claim(origin.get("id", ""), made.path)
                if trials is not None:
                    config = study.config = with_trials(config, trials, study.started())
                told.on_phase_end(OPENING)
                told.on_begin(sweep_start(config, made, study))
                if restored:
                    told.on_message(f"reports.jsonl lacked {restored} reports; they were restored from reports.parquet")
                if again:
                    which = f"trial {again[0]}" if len(again) == 1 else f"{len(again)} trials"
                    told.on_message(f"{which} had lost the result.json; the oracle values are those of trials.parquet")
                with closing(Dispatcher(config, made, study, told)) as dispatcher:
                    yield dispatcher


def with_trials(config: SweepConfig, trials: int, started: int) -> SweepConfig:
    """The configuration with another number of trials.

    Raises:
        ConfigError: fewer than have been started, or more than the sampler has configurations.
    """
    if trials * config.seeds < started:
        least = -(-started // config.seeds)
        raise ConfigError(f"`trials` must be at least the {least} that have been started, but got {trials}")
    config = replace(config, trials=trials)
    check_trials(config)
    return config


def sweep_start(config: SweepConfig, folder: SweepFolder, study: Study) -> SweepStart:
    """What observers are told at the beginning."""
    return SweepStart(config, folder.path, study.runs, dict(counts_of(study)), study.maximize, study.best())


def counts_of(study: Study) -> Counter[str]:
    """Status -> trials that ended so."""
    return Counter(record.status for record in study.records() if record.status)


def run_tasks(
    dispatcher: Dispatcher, options: RunOptions, *, images: Images | None = None, oracles: tuple[str, ...] = ()
) -> Summary:
    """Run what there is to run, and leave the tables written, whatever happens.

    Args:
        dispatcher: of the sweep.
        options: where and for how long.
        images: the data set's, where they have been read.
        oracles: what ended trials are to be measured with; then nothing is trained.
    """
    began = time.monotonic()
    folder, config = dispatcher.folder, dispatcher.config
    try:
        if oracles:
            queue_missing_probes(dispatcher, oracles)
        else:
            recover(dispatcher)
        if dispatcher.has_work:
            run = run_locally if options.local else run_on_ray
            run(dispatcher, options, images)
        else:
            if not oracles:
                told = f"every trial has ended; `sweeper resume {folder.path} --trials COUNT` adds trials"
                dispatcher.observers.on_message(told)
            store_trials(folder, config)
    except Exception as error:
        dispatcher.fail(error)
    except KeyboardInterrupt:
        dispatcher.observers.on_message(f"interrupted at once; continue with: sweeper resume {folder.path}")
        raise
    finally:
        dispatcher.close()
        write_what_is_known(dispatcher)
    raise_failure(dispatcher, trained=not oracles)
    if dispatcher.stop_reason:
        dispatcher.observers.on_message(f"{dispatcher.stop_reason}; continue with: sweeper resume {folder.path}")
    interrupted = bool(dispatcher.stop_reason)
    return summary_of(dispatcher, time.monotonic() - began, interrupted=interrupted)


def summary_of(dispatcher: Dispatcher, seconds: float, *, interrupted: bool) -> Summary:
    """How the sweep stands."""
    folder, config, records = dispatcher.folder, dispatcher.config, dispatcher.study.records()
    found = Counter(record.status or INTERRUPTED for record in records)
    outcomes = [read_outcome(folder.trial(record.number)) for record in records]
    return Summary(
        folder.path,
        {status: found[status] for status in (*STATUSES, INTERRUPTED) if found[status]},
        seconds,
        interrupted,
        measured=any(outcome.result.oracles for outcome in outcomes if outcome),
        runs=dispatcher.study.runs,
        criteria=tuple(dict.fromkeys([config.objective, *config.criteria])),
    )


def write_what_is_known(dispatcher: Dispatcher) -> None:
    """Write the tables; an error of theirs ends the sweep, unless an earlier one does."""
    try:
        write_tables(dispatcher.folder, dispatcher.config, dispatcher.study.records())
    except Exception as error:
        dispatcher.fail(error)


def raise_failure(dispatcher: Dispatcher, *, trained: bool) -> None:
    """Raise what ended the sweep, if anything did, or that every trial has failed."""
    folder, study = dispatcher.folder, dispatcher.study
    if isinstance(dispatcher.fatal, OutputError) and dispatcher.fatal.lines:
        raise OutputError(f"{dispatcher.fatal}; continue with: sweeper resume {folder.path}") from dispatcher.fatal
    if dispatcher.fatal is not None:
        if not isinstance(dispatcher.fatal, OutputError) and is_disk_full(dispatcher.fatal):
            raise disk_full(folder.path) from dispatcher.fatal
        raise dispatcher.fatal
    if trained and set(counts_of(study)) == {FAILED} and not dispatcher.stopping:
        first = next(record for record in study.records() if record.status == FAILED)
        log = folder.log(first.number)
        raise SweepError(f"every trial failed; the first: {first.reason}; the traceback is in {log}")
