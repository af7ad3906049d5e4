"""Where packs lie, if nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from trainers.packs.sources import PackError, Sources

VARIABLE: Final = "SWEEPER_CACHE"
"""The environment variable that names the cache's folder."""


def cache_folder() -> Path:
    """The folder of the cache: SWEEPER_CACHE, or else `sweeper` in the user's cache folder (XDG base directories).

    Raises:
        PackError: there is no home folder.
    """
    asked = os.environ.get(VARIABLE)
    try:
        if asked:
            return Path(asked).expanduser().absolute()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "sweeper"
    except RuntimeError as error:
        raise PackError(f"the cache's folder must be known, but got none ({error}); set {VARIABLE}=FOLDER") from None


def pack_folder(sources: Sources) -> Path:
    """The folder of the pack of these images."""
    return cache_folder() / "packs" / sources.identity()
