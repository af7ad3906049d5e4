"""A sweep by its path, its name, the beginning of its name, or `latest`."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path
from typing import Final

from sweeper.errors import ResultsError
from sweeper.store.layout import SWEEP_FILE, sweep_names
from sweeper.store.manifest import PROVENANCE, read_settings
from trainers.fields import shortened

logger = logging.getLogger(__name__)

LATEST: Final = "latest"
"""The name that means the newest sweep, unless a sweep has it."""
SHOWN: Final = 10
"""Names that an error lists."""


def find_sweep(name_or_path: str, results: Path) -> Path:
    """The folder of a sweep that is named by its path, its name below `results`, a unique prefix of it, or `latest`.

    A path or a whole name comes first.

    Raises:
        ResultsError: no such sweep, and the message names the nearest; or several, and it names them.
    """
    for path in (Path(name_or_path), results / name_or_path):
        if (path / SWEEP_FILE).is_file():
            return path
    names = sweep_names(results)
    if name_or_path == LATEST and names:
        return _newest([results / name for name in names])
    _refuse_folder(results / name_or_path, results)
    found = [name for name in names if name_or_path and name.startswith(name_or_path)]
    if len(found) == 1:
        return results / found[0]
    if found:
        raise ResultsError(
            f"{name_or_path} is the beginning of {len(found)} sweeps: {_listed(found)}; write more of it"
        )
    _refuse_folder(Path(name_or_path), results)
    if not names:
        raise ResultsError(f"there is no sweep {name_or_path}: {results} holds none yet; start one with `sweeper run`")
    near = difflib.get_close_matches(name_or_path, names, n=3, cutoff=0.4) or names[-3:]
    raise ResultsError(f"there is no sweep {name_or_path} in {results}; is it {' or '.join(near)}?")


def path_or_sweep(path: Path, results: Path) -> Path:
    """A path that exists as it is, or the folder of the sweep that it names as in `find_sweep`.

    A path that is neither stays as it is, so that its reader says what it needs.

    Raises:
        ResultsError: it is the beginning of several sweeps.
    """
    name = str(path)
    if path.exists() or path.name != name:
        return path
    names = sweep_names(results)
    is_named = any(one.startswith(name) for one in names) or (name == LATEST and names)
    return find_sweep(name, results) if is_named else path


def _refuse_folder(path: Path, results: Path) -> None:
    if path.is_dir() and path.resolve() != results.resolve():
        raise ResultsError(f"{path} is not a sweep: it has no {SWEEP_FILE}")


def _newest(folders: list[Path]) -> Path:
    """The sweep that was made last; of several in one second, the last in the alphabet."""
    made: list[tuple[str, Path]] = []
    problems: list[ResultsError] = []
    for folder in folders:
        try:
            made.append((str((read_settings(folder).get(PROVENANCE) or {}).get("created", "")), folder))
        except ResultsError as error:
            problems.append(error)
    if not made:
        raise problems[0]
    for problem in problems:
        logger.warning("left out: %s", problem)
    return max(made)[1]


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(shortened(name, 100) for name in names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
