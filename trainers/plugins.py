"""Methods, criteria, data sets and oracles from other packages, by Python's entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any


def load_all_plugins() -> None:
    """Add every installed plug-in of the laboratory to its catalogue; a second call changes nothing.

    Raises:
        ValueError: see `load_plugins`.
    """
    from trainers.criteria import CRITERIA
    from trainers.datasets import DATASETS
    from trainers.methods import METHODS
    from trainers.oracles import ORACLES

    catalogues: dict[str, dict[str, Any]] = {
        "methods": METHODS,
        "oracles": ORACLES,
        "criteria": CRITERIA,
        "datasets": DATASETS,
    }
    for group, catalogue in catalogues.items():
        load_plugins(f"sweeper.{group}", catalogue)


def load_plugins(group: str, catalogue: dict[str, Any]) -> None:
    """Add what installed packages offer as entry points of `group` to a catalogue, under the entry points' names.

    Raises:
        ValueError: a plug-in has the name of something else, or cannot be imported.
    """
    for entry in entry_points(group=group):
        try:
            found = entry.load()
        except Exception as error:  # another package's code may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"the plug-in {entry.value} ({group}) cannot be imported: {reason}") from error
        if getattr(found, "name", entry.name) != entry.name:
            raise ValueError(
                f"the plug-in {entry.value} ({group}) must have the name `{found.name}`, not `{entry.name}`"
            )
        if catalogue.setdefault(entry.name, found) is not found:
            raise ValueError(f"the plug-in {entry.value} ({group}) has the name `{entry.name}`, which is taken")
