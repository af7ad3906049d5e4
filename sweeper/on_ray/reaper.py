"""Ends the Ray processes of a killed driver, and removes their folder. Standard library only.

It runs as a script, with the folder as argument and a pipe from the driver as standard input. The pipe closes whenever
the driver dies. Most of Ray's processes then end by themselves, but its agents only much later.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

DONE = b"done"
"""The message of a driver that has cleaned up."""


def processes_in(folder: Path) -> list[int]:
    """The other processes with an open file in the folder; on systems other than Linux, an empty list."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/fd"):
        pid = int(entry.parent.name)
        if pid != os.getpid() and any(target.startswith(f"{folder}/") for target in _open_files(entry)):
            found.append(pid)
    return found


def _open_files(descriptors: Path) -> list[str]:
    try:
        return [os.readlink(descriptors / name) for name in os.listdir(descriptors)]
    except OSError:  # the process has ended, has closed a file, or belongs to another user
        return []


def clear(folder: Path, *, seconds: float = 10) -> None:
    """Kill every other process with an open file in the folder, then remove the folder."""
    deadline = time.monotonic() + seconds
    while (pids := processes_in(folder)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def main(folder: Path) -> None:
    """Wait until the driver ends; clean up unless it has sent the message that it did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.stdin.buffer.read() != DONE:
        clear(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
