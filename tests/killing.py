"""Real SIGKILLs at chosen moments of a sweep in its own process, and the checks that must hold afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from small_sweeps import DRIVER, ROOT

from sweeper.on_ray.reaper import processes_in
from sweeper.store.layout import SweepFolder
from sweeper.store.reports import read_log


@dataclass
class Victim:
    """A driver in its own process and temporary folder, so that leftover files and processes are detected."""

    folder: Path
    where: str
    process: subprocess.Popen[str]
    temporary: Path
    lines_before: int = 0

    @classmethod
    def start(cls, what: Path | str, folder: Path, *, where: str = "ray", overrides: tuple[str, ...] = ()) -> Victim:
        """Run the sweep of a file, or resume the one in `folder`."""
        temporary = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
        command = [sys.executable, "-c", DRIVER, str(what), str(folder), where, *overrides]
        before = len(lines(folder))
        with (temporary / "output").open("w") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
            )
        return cls(folder, where, process, temporary, before)

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def output(self) -> str:
        return (self.temporary / "output").read_text()

    def root(self) -> Path | None:
        """The folder of its Ray."""
        return next(iter(self.temporary.glob("sweeper-*")), None)

    def pids(self, name: str) -> list[int]:
        """Its Ray processes with this name."""
        root = self.root()
        return [pid for pid in processes_in(root) if comm(pid) == name] if root else []

    def wait_gone(self, seconds: float = 60) -> None:
        """Wait until it and all its processes have ended; raise if anything is left over."""
        self.process.wait(timeout=seconds)
        deadline = time.monotonic() + seconds
        while left := [*self.temporary.glob("sweeper-*"), *processes_in(self.temporary)]:
            if time.monotonic() > deadline:
                raise AssertionError(f"left behind: {left}")
            time.sleep(0.1)


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def lines(folder: Path) -> list[dict[str, Any]]:
    """The complete lines of reports.jsonl."""
    log = folder / "reports.jsonl"
    text = log.read_bytes() if log.is_file() else b""
    return [json.loads(line) for line in text.split(b"\n")[:-1]]


def some(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def before_first_report(victim: Victim) -> bool:
    """Whether a worker has begun and no new report has arrived."""
    logs = [path.read_text() for path in victim.folder.glob("trials/*/log.txt")]
    return (
        any(re.search(r"begins|continues", text) for text in logs) and len(lines(victim.folder)) <= victim.lines_before
    )


def between_reports(victim: Victim) -> bool:
    return len(lines(victim.folder)) >= victim.lines_before + 2


def during_checkpoint(victim: Victim) -> bool:
    return some(victim.folder, "trials/*/checkpoint.*.tmp")


def during_probe(victim: Victim) -> bool:
    """Whether a trial has reported its last epoch and has no result yet."""
    ended = {row["trial"] for row in lines(victim.folder) if row["epoch"] == EPOCHS}
    return any(not (victim.folder / "trials" / f"{trial:04d}" / "result.json").is_file() for trial in ended)


def during_final_write(victim: Victim) -> bool:
    return some(victim.folder, ".*.parquet.*.tmp")


EPOCHS = 3
MOMENTS: Mapping[str, Callable[[Victim], bool]] = {
    "before the first report": before_first_report,
    "between reports": between_reports,
    "during a checkpoint": during_checkpoint,
    "during the probe": during_probe,
    "during the final write": during_final_write,
}


def wait_for(victim: Victim, moment: Callable[[Victim], bool], seconds: float = 180) -> bool:
    """Wait until the condition holds, checking often; False if the driver ended first."""
    deadline = time.monotonic() + seconds
    while victim.running:
        if moment(victim):
            return True
        time.sleep(0.0005)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{moment.__name__} has not come:\n{victim.output}")
    return False


def kill_driver(victim: Victim) -> None:
    os.kill(victim.process.pid, signal.SIGKILL)
    victim.wait_gone()


@dataclass
class Ledger:
    """The finished reports and trials seen so far, to compare with later ones."""

    finished: dict[int, tuple[str, str]] = field(default_factory=dict)
    reported: set[tuple[int, int]] = field(default_factory=set)

    def check(self, folder: Path) -> None:
        """Assert that no earlier report or trial is missing or different, and that no report is repeated."""
        rows = lines(folder)
        pairs = [(row["trial"], row["epoch"]) for row in rows]
        assert len(pairs) == len(set(pairs)), "a report is there twice"
        assert self.reported <= set(pairs), f"reports lost: {self.reported - set(pairs)}"
        self.reported = set(pairs)
        finished = finished_trials(folder)
        for number, (state, ended) in self.finished.items():
            assert finished.get(number) == (state, ended), f"trial {number} was finished and has run again"
        self.finished = finished
        assert len(read_log(SweepFolder(folder))) == len(rows)


def finished_trials(folder: Path) -> dict[int, tuple[str, str]]:
    """Trial -> state and end time, for the trials that have ended."""
    if not (folder / "study.db").is_file():
        return {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{folder / 'study.db'}"
    names = optuna.study.get_all_study_names(storage)
    trials = optuna.load_study(storage=storage, study_name=names[0]).trials if names else []
    return {
        trial.number: (trial.state.name, str(trial.datetime_complete)) for trial in trials if trial.state.is_finished()
    }
