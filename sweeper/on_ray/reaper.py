"""Ends the Ray processes of a driver that was killed, and removes their folder. Standard library only.

Run as a script with the folder as argument and a pipe from the driver as standard input: the pipe closes when the
driver dies, however it dies. Most of Ray's processes end by themselves then, its agents only much later.
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
"""The message of a driver that has cleaned up by itself."""


def processes_in(folder: Path) -> list[int]:
    """The other processes that have a file open below the folder (Linux; elsewhere none are found)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/fd"):
        pid = int(entry.parent.name)
        if pid != os.getpid() and any(target.startswith(f"{folder}/") for target in _open_files(entry)):
            found.append(pid)
    return found


def _open_files(descriptors: Path) -> list[str]:
    try:
        return [os.readlink(descriptors / name) for name in os.listdir(descriptors)]
    except OSError:  # the process has ended, has closed one of them, or is another user's
        return []


def clear(folder: Path, *, seconds: float = 10) -> None:
    """Kill every other process that has a file open below the folder, then remove the folder."""
    deadline = time.monotonic() + seconds
    while (pids := processes_in(folder)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def main(folder: Path) -> None:
    """Wait for the driver's end; clean up after it unless it says that it has done so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.stdin.buffer.read() != DONE:
        clear(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
