"""What a worker does: train a trial, probe one, or measure the baselines; and how it tells the driver."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, Final, Literal

from sweeper.store.layout import FULL, SweepFolder, remove_torn
from sweeper.store.reports import Outcome, write_outcome
from sweeper.store.tables import write_baselines
from trainers.datasets.base import Images
from trainers.records import (
    CHECKPOINT,
    COMPLETED,
    FAILED,
    RAW_PIXELS,
    UNTRAINED,
    EpochReport,
    OracleScore,
    TrialConfig,
    TrialResult,
)

LOG: Final = "log.txt"
OUT_OF_MEMORY: Final = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)
class Task:
    """One piece of work for a worker."""

    kind: Literal["trial", "probe", "baselines"]
    config: TrialConfig
    folder: SweepFolder
    ended: TrialResult | None = None
    """For a probe: how its trial ended."""
    keep_every_epoch: bool = False
    alone: bool = False
    """Whether it has a whole GPU to itself, because it ran out of memory beside others."""

    @property
    def trial_folder(self) -> Path:
        """Where the trial's checkpoint, log and result are."""
        return self.folder.trial(self.config.trial)


@dataclass(frozen=True)
class Failure:
    """What a worker tells the driver when its task could not be done."""

    reason: str
    kind: Literal["error", "memory", "disk"] = "error"


Message = EpochReport | Failure
Send = Callable[[Message], bool]
"""Tells the driver, and answers whether to go on."""


class Unheard(BaseException):
    """The driver could not be told, which is no failure of the trial's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def run_task(task: Task, images: Images | None, send: Send) -> None:
    """Do a task; what goes wrong in it is written down, sent and not raised. What `send` raises is."""
    import torch

    from trainers.device import limit_threads

    def heard(message: Message) -> bool:
        try:
            return send(message)
        except Exception as error:
            raise Unheard(error) from error

    limit_threads(task.config.threads)
    unheard: Exception | None = None
    try:
        try:
            _do(task, images, heard)
        except OSError as error:
            if error.errno not in FULL:
                raise
            heard(Failure(reason_of(error), "disk"))  # not even the failure could be written down
    except Unheard as caught:
        unheard = caught.error
    finally:
        if task.config.device.startswith("cuda"):
            gc.collect()
            torch.cuda.empty_cache()  # this process lives on; what it hoards, its neighbours on the GPU lack
    if unheard is not None:
        raise unheard  # out here: while Unheard is handled, it would become its own cause's context, in a circle


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
    try:
        work()
    except Exception as error:
        failure = Failure(reason_of(error), _kind_of(error))
        _note(log, traceback.format_exc().rstrip())
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


def reason_of(error: BaseException) -> str:
    """The last line of the error's traceback.

    >>> reason_of(ValueError("`lr` must be positive\\nbut got -1"))
    'ValueError: `lr` must be positive but got -1'
    """
    return " ".join("".join(traceback.format_exception_only(error)).split())


def _kind_of(error: BaseException) -> Literal["error", "memory", "disk"]:
    import torch

    if isinstance(error, torch.OutOfMemoryError):
        return "memory"
    # Libraries below PyTorch report a full GPU in words alone.
    if isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY):
        return "memory"
    return "disk" if isinstance(error, OSError) and error.errno in FULL else "error"


def _train(task: Task, images: Images | None, send: Send, log: FileIO) -> None:
    """Train the trial to its end or until the driver says stop; then the oracle, here where the network is."""
    from trainers.loop import train
    from trainers.probe import probe

    config, folder = task.config, task.trial_folder
    begins = "goes on from its checkpoint" if (folder / CHECKPOINT).exists() else "begins"
    _note(log, f"trial {config.trial} {begins} in process {os.getpid()} on {config.device}: {config.hyperparameters}")
    epochs = 0
    for report in train(config, images=images, folder=folder):
        epochs = report.epoch
        _note(log, _describe(report))
        if task.keep_every_epoch:
            _link(folder / CHECKPOINT, folder / f"epoch-{report.epoch:04d}.pt")
        if not send(report):
            _note(log, f"stopped after epoch {report.epoch}")
            return
    completed = TrialResult(config.trial, COMPLETED, epochs=epochs)
    try:
        scores = probe(config, images=images, folder=folder) if config.oracle else {}
    except Exception as error:
        kind = _kind_of(error)
        if kind == "disk" or (kind == "memory" and not task.alone):
            raise
        # The trial has done its part: what the labels do to the probe is no failure of the training.
        _note(log, traceback.format_exc().rstrip())
        write_outcome(folder, Outcome(completed, probed=config.oracle, probe_error=reason_of(error)))
        return
    _note(log, _describe_scores(scores))
    write_outcome(folder, Outcome(replace(completed, oracles=scores), probed=config.oracle))


def _probe(task: Task, images: Images | None, send: Send, log: FileIO) -> None:
    """The oracle of a trial that has ended already, from its last checkpoint."""
    from trainers.probe import probe

    assert task.ended is not None
    scores = probe(task.config, images=images, folder=task.trial_folder)
    _note(log, _describe_scores(scores))
    oracles = {**task.ended.oracles, **scores}
    write_outcome(task.trial_folder, Outcome(replace(task.ended, oracles=oracles), probed=task.config.oracle))


def _measure_baselines(task: Task, images: Images | None) -> None:
    """The criteria and the oracle of the untrained network, and the oracle of raw pixels."""
    from trainers.measure import untrained
    from trainers.probe import probe, probe_pixels

    report = untrained(task.config, images=images)
    scores = probe(task.config, images=images) if task.config.oracle else {}
    pixels = probe_pixels(task.config, images=images) if task.config.oracle else {}
    rows = [{"baseline": UNTRAINED, **report.criteria, **_score_columns(scores, task.config.oracle)}]
    if pixels:
        rows.append({"baseline": RAW_PIXELS, **_score_columns(pixels, task.config.oracle)})
    write_baselines(task.folder, task.config.criteria, task.config.oracle, rows)


def _score_columns(scores: dict[str, OracleScore], oracles: tuple[str, ...]) -> dict[str, Any]:
    columns: dict[str, Any] = {f"oracle.{name}": score.accuracy for name, score in scores.items()}
    if oracles and oracles[0] in scores:
        first = scores[oracles[0]]
        seconds = sum(score.seconds for score in scores.values())
        columns |= {"oracle": first.accuracy, "oracle_n": first.n, "oracle_seconds": seconds}
    return columns


@contextmanager
def trial_log(folder: Path) -> Iterator[FileIO]:
    """The trial's log, held by this process: a worker that outlives its driver for a moment is waited for."""
    with (folder / LOG).open("ab", buffering=0) as file:  # nothing is left to be written at the end
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield file


@contextmanager
def warnings_in(log: FileIO) -> Iterator[None]:
    """Write warnings into the trial's log: a worker's standard error is seen by nobody."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _note(log, f"warning: {message}")
        yield


def _note(log: FileIO | None, text: str) -> None:
    if log is None or not text:
        return
    try:
        log.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')}  {text}\n".encode())
    except OSError as error:
        if error.errno not in FULL:  # a log line is no reason to lose the trial; its checkpoint will tell
            raise


def _describe(report: EpochReport) -> str:
    values = "  ".join(f"{name} {value:.6g}" for name, value in report.criteria.items() if "." not in name)
    seconds = f"{report.seconds['train']:.2f} + {report.seconds['criteria']:.2f} s"
    return f"epoch {report.epoch}  loss {report.loss:.6g}  {values}  {seconds}"


def _describe_scores(scores: dict[str, OracleScore]) -> str:
    return "  ".join(f"{name} {score.accuracy:.4f} of {score.n}" for name, score in scores.items())


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


def on_ray(config: dict[str, Any], images: Images) -> None:
    """The Ray Tune function: one task, reported to the controller, which ends this thread where it says stop."""
    from ray import tune

    def send(message: Message) -> bool:
        tune.report({"message": message})
        return True

    run_task(config["task"], images, send)
