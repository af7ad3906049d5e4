"""How far a trial is within its epoch: its worker overwrites a small file, and the driver reads it, to show it.

The files are below the folder of Ray Tune, which is removed when the sweep ends. Nothing depends on them: one that
cannot be written or read is as if it were not there.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from sweeper.on_ray.driver import Task
from trainers.records import Progress


def progress_file(folder: Path, task: Task) -> Path:
    """The file of a trial."""
    return folder / f"{task.trial_folder.name}.json"


def write_progress(file: Path, progress: Progress) -> None:
    """Overwrite the file, whole or not at all, but without waiting for the disk."""
    temporary = file.with_suffix(".tmp")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(asdict(progress)))
        temporary.replace(file)


def read_progress(file: Path) -> Progress | None:
    """What the file holds; None if it is missing, or is not whole."""
    try:
        return Progress(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
