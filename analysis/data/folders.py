"""The folders of the analyses of several sweeps, each named after its sweep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from analysis.data.columns import ResultsUnreadable
from trainers.formats import BREAKS, HIDDEN

LONGEST_NAME: Final = 255
"""Bytes that a file's name may have on the file systems in use."""
OURS: Final = ("figures", "report.html", "report.md")
"""What a report has in its own folder, beside its CSV tables; a sweep's folder may not take its place."""


def folders_below(home: Path, sweeps: Sequence[str]) -> dict[str, Path]:
    """The folder of each sweep's analysis: a folder below `home`, or `home` itself for a single sweep.

    Raises:
        ResultsUnreadable: a sweep's name cannot be a folder's name.
    """
    if len(sweeps) == 1:
        return dict.fromkeys(sweeps, home)
    try:
        return {sweep: home / name for sweep, name in folder_names(sweeps).items()}
    except ValueError as error:
        raise ResultsUnreadable(str(error)) from error


def folder_names(sweeps: Iterable[str]) -> dict[str, str]:
    """sweep -> the name of its folder, each another one.

    Raises:
        ValueError: a sweep's name is no folder's, or two sweeps would share a folder.
    """
    names = {sweep: folder_name(sweep) for sweep in sweeps}
    owners: dict[str, str] = {}
    for sweep, name in names.items():
        other = owners.setdefault(name.casefold(), sweep)  # some file systems do not tell case apart
        if other != sweep:
            raise ValueError(f"`sweep` must name folders that differ, but {other!r} and {sweep!r} share {name!r}")
    return names


def folder_name(sweep: str) -> str:
    r"""A sweep's name as the name of one folder: slashes and control characters become dashes.

    Raises:
        ValueError: it is empty, `.`, `..`, too long, or the name of a file that a report writes.

    >>> folder_name("/runs/a\\b")
    '-runs-a-b'
    """
    name = re.sub(r"[/\\]", "-", HIDDEN.sub("-", BREAKS.sub("-", sweep)))
    if name.strip() in ("", ".", ".."):
        raise ValueError(f"`sweep` must be a name that a folder can have, but got {sweep!r}")
    if name.casefold() in OURS or name.casefold().endswith(".csv"):
        raise ValueError(f"`sweep` must not be the name of a file of the report, but got {sweep!r}")
    if (length := len(name.encode(errors="replace"))) > LONGEST_NAME:
        raise ValueError(f"`sweep` must be a name of at most {LONGEST_NAME} bytes, but {sweep[:20]!r}… has {length}")
    return name
