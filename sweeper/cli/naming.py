"""The name of a sweep, and whether its folder is free or holds the same sweep."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sweeper.errors import ConfigError, ResultsError
from sweeper.store.layout import SweepFolder
from trainers.fields import shortened

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig

RESERVED: Final = ("analysis", "reference")
"""Folders of results/ that are no sweeps."""
LONGEST_NAME: Final = 200
"""Characters; file systems take 255 bytes."""


def check_name(name: str) -> str:
    """The name of a sweep, which is also that of its folder."""
    if name in RESERVED:
        raise ConfigError(f"`--name` must not be {' or '.join(RESERVED)}, which are other folders of the results")
    if name == "latest":
        raise ConfigError("`--name` must not be latest, which means the newest sweep")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*", name):
        raise ConfigError(
            "`--name` must begin with a letter, a digit or _, and may contain letters, digits and . _ + = -, but got "
            f"{shortened(name)!r}"
        )
    if len(name) > LONGEST_NAME:
        raise ConfigError(f"`--name` must have at most {LONGEST_NAME} characters, but has {len(name):,}")
    return name


def default_name(config: SweepConfig) -> str:
    """Method, data set, time."""
    return f"{config.method}-{config.dataset['name']}-{datetime.now():%Y%m%d-%H%M%S}"


def check_free(folder: Path) -> None:
    """A new sweep needs a folder of its own."""
    from sweeper.store.manifest import is_free

    if SweepFolder(folder).sweep_file.is_file():
        raise ResultsError(f"{folder} exists; continue it with `sweeper resume {folder}`, or choose another --name")
    if not is_free(folder):
        raise ResultsError(f"{folder} exists and is not a sweep; choose another --name")


def check_same(config: SweepConfig, folder: Path, *, cluster: bool) -> None:
    """Refuse a file that differs from the sweep's own config, which a resume keeps."""
    from sweeper.config.model import to_mapping
    from sweeper.run.observers import observer_options
    from sweeper.store.manifest import read_manifest

    _, stored, _ = read_manifest(folder, cluster=cluster, observers=observer_options())
    mine, theirs = to_mapping(config), to_mapping(stored)
    differing = [key for key in mine if mine[key] != theirs[key] and key != "trials"]
    if differing:
        names = ", ".join(f"`{key}`" for key in differing)
        raise ConfigError(
            f"the file differs from {folder}/sweep.yaml in {names}, and a resume keeps the sweep's own values: "
            f"`sweeper resume {folder}` without the file, or choose another --name"
        )
