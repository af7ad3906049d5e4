"""One trial of a sweep, trained again alone, so that it has its checkpoint; reports and tables of the sweep stay.

The trial trains in a folder of its own below its trial's folder. Only a whole checkpoint is moved to where a kept one
is, after retrained.json, which tells a resume to leave it there.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from sweeper.config.model import SweepConfig
from sweeper.errors import ResultsError, SweepError
from sweeper.run.devices import check_device, device_here
from sweeper.run.differences import Comparison, compare
from sweeper.run.failures import kind_of, reason_of
from sweeper.run.images import same_images
from sweeper.run.interrupt import interruptible
from sweeper.run.local import StopTask
from sweeper.run.observers.json_lines import finite
from sweeper.run.options import RunOptions
from sweeper.run.trial_log import describe_report, trial_log, warnings_in, write_line
from sweeper.store.atomic import remove_torn, write_text
from sweeper.store.layout import SweepFolder
from sweeper.store.lock import locked
from sweeper.store.manifest import git_commit, versions
from sweeper.store.reports import report_row
from sweeper.store.tables import recorded_reports
from trainers.records import CHECKPOINT, EpochReport, TrialConfig

WATCHED: Final = ("sweeper", "torch", "torchvision", "timm", "numpy")
"""The packages whose versions may change a trial's numbers."""


@dataclass(frozen=True)
class Retrained:
    """A trial that was trained again, or how far it came."""

    checkpoint: Path
    epochs: int
    """Epochs that it has now."""
    kept: bool = False
    """Whether it had its checkpoint already, so that nothing was trained."""
    interrupted: str = ""
    """Why it has not come to its end; "" if it has."""
    comparison: Comparison | None = None
    """None if it was not trained to its end."""
    notes: tuple[str, ...] = ()
    """What differs from the sweep's own run: the device, versions, the machine."""


Told = Callable[[EpochReport], None]
"""Called with each new report."""


def retrain_trial(
    folder: SweepFolder,
    config: SweepConfig,
    trial: TrialConfig,
    epochs: int,
    origin: Mapping[str, Any],
    options: RunOptions,
    told: Told,
) -> Retrained:
    """Train a trial of a sweep again to the epoch that it had reached, and keep its checkpoint in its folder.

    Args:
        folder: of the sweep.
        config: of the sweep.
        trial: the trial as it was recorded.
        epochs: how many epochs it had finished.
        origin: the provenance in sweep.yaml.
        options: the device and the time limit.
        told: is called with each new report.

    Raises:
        ConfigError: this machine lacks the device.
        ResultsError: a process runs the sweep, the images have changed, or the configuration cannot be trained.
        SweepError: there is not enough GPU memory.
    """
    check_device(options)
    with locked(folder):
        working = folder.retraining(trial.trial)
        if _is_kept(folder.checkpoint(trial.trial), epochs):
            shutil.rmtree(working, ignore_errors=True)
            return Retrained(folder.checkpoint(trial.trial), epochs, kept=True)
        trial = replace(trial, device=_device(config, origin, options))
        working.mkdir(parents=True, exist_ok=True)
        remove_torn(working)
        reports, stopped = _train(folder, config, trial, epochs, options, told)
        done = reports[-1].epoch if reports else 0
        if stopped:
            return Retrained(folder.checkpoint(trial.trial), done, interrupted=stopped)
        notes = tuple(what_differs(origin, trial.device))
        again = [report_row(report) for report in reports]
        comparison = compare(recorded_reports(folder, trial.trial), again)
        _record(folder.retrained(trial.trial), trial, comparison, notes)
        (working / CHECKPOINT).replace(folder.checkpoint(trial.trial))
        shutil.rmtree(working)
        return Retrained(folder.checkpoint(trial.trial), done, comparison=comparison, notes=notes)


def _is_kept(checkpoint: Path, epochs: int) -> bool:
    """Whether the checkpoint is there, whole, and of that epoch."""
    from trainers.network import load_state

    if not checkpoint.is_file():
        return False
    try:
        return bool(load_state(checkpoint)["epoch"] == epochs)
    except (ValueError, KeyError):
        return False


def _device(config: SweepConfig, origin: Mapping[str, Any], options: RunOptions) -> str:
    """The device that was asked for; else the CPU for a sweep that ran there, or what there is."""
    return "cpu" if options.device == "auto" and origin.get("device") == "cpu" else device_here(config, options.device)


def _train(
    folder: SweepFolder, config: SweepConfig, trial: TrialConfig, epochs: int, options: RunOptions, told: Told
) -> tuple[list[EpochReport], str]:
    """The reports up to that epoch, and why training stopped before it."""
    from trainers.loop import train

    working, reports = folder.retraining(trial.trial), list[EpochReport]()
    with _stopping(options) as stopped, trial_log(folder.trial(trial.trial)) as log, warnings_in(log):
        images = same_images(config, folder)
        begun = (working / CHECKPOINT).is_file()
        write_line(log, f"trained again{' from a checkpoint' if begun else ''} on {trial.device}, to epoch {epochs}")
        try:
            for report in train(trial, images=images, folder=working):
                reports.append(report)
                write_line(log, f"again: {describe_report(report)}")
                told(report)
                if report.epoch >= epochs:
                    break
        except ValueError as error:
            raise ResultsError(f"trial {trial.trial} cannot be trained again: {error}") from error
        except RuntimeError as error:
            if kind_of(error) != "memory":
                raise
            raise SweepError(f"there is not enough GPU memory for trial {trial.trial} ({reason_of(error)})") from error
    return reports, "".join(stopped)


@contextmanager
def _stopping(options: RunOptions) -> Iterator[list[str]]:
    """End training at a signal or at the time limit, and tell why; a half-written checkpoint is removed later."""
    reasons: list[str] = []

    def stop(reason: str) -> None:
        reasons.append(reason)
        raise StopTask

    try:
        with interruptible(stop, seconds=options.timeout):
            yield reasons
    except StopTask:
        pass


def what_differs(origin: Mapping[str, Any], device: str) -> Iterator[str]:
    """What may change the numbers of a trial and differs from the sweep's own run, as far as that was recorded.

    >>> list(what_differs({"device": "cuda", "python": platform.python_version()}, "cpu"))
    ['device: cuda then, cpu now']
    """
    packages = {**versions(), "python": platform.python_version()}
    then = {**(origin.get("packages") or {}), "python": origin.get("python")}
    machine = origin.get("machine") or {}
    pairs = [
        ("device", origin.get("device"), device.partition(":")[0]),
        *((name, then.get(name), packages[name]) for name in (*WATCHED, "python")),
        ("commit of sweeper", origin.get("git_commit"), git_commit() or "unknown"),
        ("machine", machine.get("node"), platform.node()),
        ("system", machine.get("system"), platform.platform()),
    ]
    for name, before, now in pairs:
        if before is not None and before != now:
            yield f"{name}: {before} then, {now} now"


def _record(path: Path, trial: TrialConfig, comparison: Comparison, notes: Sequence[str]) -> None:
    """Write retrained.json."""
    content = {"trial": trial.trial, "equal": comparison.equal, **asdict(comparison), "notes": list(notes)}
    write_text(path, json.dumps(finite(content), indent=2) + "\n")
