"""What a worker does: it trains a trial, probes one, or measures the baselines, and reports to the driver."""

from __future__ import annotations

import errno
import gc
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from io import FileIO
from pathlib import Path

from sweeper.run.failures import Failure, kind_of, reason_of
from sweeper.run.steps import Steps
from sweeper.run.tasks import Message, Send, Task
from sweeper.run.trial_log import describe_report, describe_scores, trial_log, warnings_in, write_line
from sweeper.store.atomic import FULL, remove_torn, write_bytes
from sweeper.store.outcomes import Outcome, write_outcome
from sweeper.store.tables import oracle_cells, write_baselines
from trainers.datasets.base import Images
from trainers.records import (
    CHECKPOINT,
    COMPLETED,
    FAILED,
    RAW_PIXELS,
    UNTRAINED,
    TrialResult,
)


class SendError(BaseException):
    """A message could not be sent to the driver; the trial itself has not failed."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def run_task(task: Task, images: Images | None, send: Send) -> None:
    """Do a task. An error of the task is logged and sent, not raised; an error of `send` is raised."""
    import torch

    from trainers.device import limit_threads

    def heard(message: Message) -> bool:
        try:
            return send(message)
        except Exception as error:
            raise SendError(error) from error

    limit_threads(task.config.threads)
    unheard: Exception | None = None
    try:
        try:
            _do(task, images, heard)
        except OSError as error:
            if error.errno not in FULL:
                raise
            heard(Failure(reason_of(error), "disk"))  # the log could not be written either
    except SendError as caught:
        unheard = caught.error
    finally:
        if task.config.device.startswith("cuda"):
            gc.collect()
            torch.cuda.empty_cache()  # this process stays alive, and others share the GPU
    if unheard is not None:
        raise unheard  # outside of the handler, where it would become the context of its own cause


def _do(task: Task, images: Images | None, send: Send) -> None:
    if task.kind == "baselines":
        _guarded(task, None, send, lambda: _measure_baselines(task, images))
        return
    task.trial_folder.mkdir(parents=True, exist_ok=True)
    with trial_log(task.trial_folder) as log, warnings_in(log):
        remove_torn(task.trial_folder)
        work = _train if task.kind == "trial" else _probe
        _guarded(task, log, send, lambda: work(task, images, send, log))


def _guarded(task: Task, log: FileIO | None, send: Send, work: Callable[[], None]) -> None:
    """Do the work; an exception becomes a Failure, and a trial's own failure is kept in its folder."""
    from trainers.plugins import load_all_plugins

    try:
        load_all_plugins()
        work()
    except Exception as error:
        failure = Failure(reason_of(error), kind_of(error))
        write_line(log, traceback.format_exc().rstrip())
        if failure.kind == "error" or (failure.kind == "memory" and task.alone):
            _keep_failure(task, failure)
        send(failure)


def _keep_failure(task: Task, failure: Failure) -> None:
    if task.kind == "trial":
        result = TrialResult(task.config.trial, FAILED, failure.reason)
        write_outcome(task.trial_folder, Outcome(result))
    elif task.ended is not None:
        outcome = Outcome(task.ended, probed=task.config.oracle, probe_error=failure.reason)
        write_outcome(task.trial_folder, outcome)


def _train(task: Task, images: Images | None, send: Send, log: FileIO) -> None:
    """Train the trial to its end or until the driver says stop; then the oracle, here where the network is."""
    from trainers.loop import train
    from trainers.probe import probe

    config, folder = task.config, task.trial_folder
    begins = "continues from its checkpoint" if (folder / CHECKPOINT).exists() else "begins"
    write_line(
        log, f"trial {config.trial} {begins} in process {os.getpid()} on {config.device}: {config.hyperparameters}"
    )
    epochs = 0
    for report in train(config, images=images, folder=folder, told=Steps(config.trial, send)):
        epochs = report.epoch
        write_line(log, describe_report(report))
        if task.keep_every_epoch:
            _link(folder / CHECKPOINT, folder / f"epoch-{report.epoch:04d}.pt")
        if not send(report):
            write_line(log, f"stopped after epoch {report.epoch}")
            return
    completed = TrialResult(config.trial, COMPLETED, epochs=epochs)
    try:
        scores = probe(config, images=images, folder=folder) if config.oracle else {}
    except Exception as error:
        kind = kind_of(error)
        if kind == "disk" or (kind == "memory" and not task.alone):
            raise
        # The training has succeeded: an error of the probe does not fail the trial.
        write_line(log, traceback.format_exc().rstrip())
        write_outcome(folder, Outcome(completed, probed=config.oracle, probe_error=reason_of(error)))
        return
    write_line(log, "  ".join(describe_scores(scores)))
    write_outcome(folder, Outcome(replace(completed, oracles=scores), probed=config.oracle))


def _probe(task: Task, images: Images | None, send: Send, log: FileIO) -> None:
    """The oracle of a trial that has ended already, from its last checkpoint."""
    from trainers.probe import probe

    assert task.ended is not None
    scores = probe(task.config, images=images, folder=task.trial_folder)
    write_line(log, "  ".join(describe_scores(scores)))
    oracles = {**task.ended.oracles, **scores}
    write_outcome(task.trial_folder, Outcome(replace(task.ended, oracles=oracles), probed=task.config.oracle))


def _measure_baselines(task: Task, images: Images | None) -> None:
    """The criteria and the oracle of the untrained network, the oracle of raw pixels, and a picture of the sample."""
    from trainers.measure import Sample, untrained
    from trainers.pictures import samples_png
    from trainers.probe import probe, probe_pixels

    def show(sample: Sample) -> None:
        write_bytes(task.folder.samples, samples_png(sample))

    report = untrained(task.config, images=images, show=show)
    scores = probe(task.config, images=images) if task.config.oracle else {}
    pixels = probe_pixels(task.config, images=images) if task.config.oracle else {}
    rows = [{"baseline": UNTRAINED, **report.criteria, **report.nulls, **oracle_cells(scores, task.config.oracle)}]
    if pixels:
        rows.append({"baseline": RAW_PIXELS, **oracle_cells(pixels, task.config.oracle)})
    write_baselines(task.folder, task.config.criteria, task.config.oracle, rows)


def _link(checkpoint: Path, name: Path) -> None:
    """A second name for the checkpoint as it is now; its next version is another file."""
    if name.exists():
        return
    try:
        os.link(checkpoint, name)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        name.write_bytes(checkpoint.read_bytes())  # file systems without hard links
