"""Files are written whole or not at all; a full disk is recognised as such."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from sweeper.errors import SweepError

FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it: it is whole or it is the one before."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(path: Path) -> None:
    """Delete the unfinished files that a killed process has left in this folder."""
    for torn in (*path.glob(".*.tmp"), *path.glob("*.tmp")):
        torn.unlink(missing_ok=True)


def disk_full(path: Path) -> SweepError:
    """The error for a full disk."""
    return SweepError(f"the disk that holds {path} is full; free some space, then `sweeper resume {path}`")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that caused it, means a full disk; SQLite has only a text for it."""
    seen: set[int] = set()  # a chain of causes may be a circle
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (isinstance(error, OSError) and error.errno in FULL) or "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
