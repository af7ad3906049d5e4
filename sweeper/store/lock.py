"""One process at a time works on a sweep's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.errors import ResultsError
from sweeper.store.atomic import remove_torn
from sweeper.store.layout import SweepFolder


@contextmanager
def locked(folder: SweepFolder) -> Iterator[None]:
    """Lock the sweep for this process; the kernel releases the lock when the process dies, in whatever way.

    Raises:
        ResultsError: another process holds it.
    """
    descriptor = os.open(folder.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            raise ResultsError(
                f"{folder.path} is in use by another process (pid {holder}); wait until it has ended, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        remove_torn(folder.path)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a process holds the sweep's lock."""
    lock = folder / ".lock"
    if not lock.is_file():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
