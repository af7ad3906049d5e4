"""Methods, criteria, data sets and oracles from other packages, by Python's entry points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from trainers.names import did_you_mean

GROUPS: Final = {
    "sweeper.methods": "method",
    "sweeper.criteria": "criterion",
    "sweeper.datasets": "data set",
    "sweeper.oracles": "oracle",
    "sweeper.observers": "observer",
}
"""Group of entry points -> what its plug-ins are."""


@dataclass(frozen=True)
class Plugin:
    """A plug-in that an installed package offers."""

    group: str
    name: str
    package: str
    """Name and version of the package."""


def installed_plugins() -> list[Plugin]:
    """Every plug-in that is installed, whether it is used or not; none is imported."""
    return [Plugin(group, entry.name, package_of(entry)) for group in GROUPS for entry in entry_points(group=group)]


def package_of(entry: EntryPoint) -> str:
    """Name and version of the package of an entry point."""
    package = getattr(entry, "dist", None)
    return f"{package.name} {package.version}" if package else "an unnamed package"


def hint_for(name: str, names: Iterable[str], group: str) -> str:
    """The end of an error line about an unknown name: the nearest right one, or where plug-ins come from.

    >>> hint_for("simclrr", ["simclr", "dino"], "sweeper.methods")
    '; did you mean `simclr`?'
    >>> hint_for("toy", ["simclr", "dino"], "sweeper.methods")
    '; if it is a plug-in, install the package that provides it (entry points `sweeper.methods`)'
    """
    plugin = f"; if it is a plug-in, install the package that provides it (entry points `{group}`)"
    return did_you_mean(name, names) or plugin


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
            raise ValueError(
                f"the plug-in {entry.value} ({group}) cannot be imported: {reason}; repair or uninstall its package, "
                f"{package_of(entry)}"
            ) from error
        if getattr(found, "name", entry.name) != entry.name:
            raise ValueError(
                f"the plug-in {entry.value} ({group}) must have the name `{found.name}`, not `{entry.name}`"
            )
        if catalogue.setdefault(entry.name, found) is not found:
            raise ValueError(f"the plug-in {entry.value} ({group}) has the name `{entry.name}`, which is taken")
