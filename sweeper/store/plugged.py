"""The plug-ins that a sweep uses: recorded in sweep.yaml, and looked for when the sweep is opened again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sweeper.errors import ResultsError
from trainers.plugins import GROUPS, Plugin, installed_plugins

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig

OBSERVERS: Final = "sweeper.observers"
PLUGINS: Final = "plugins"
"""The key of the provenance: group -> name -> package."""


def used_plugins(config: SweepConfig) -> dict[str, dict[str, str]]:
    """Group -> name -> package, of the plug-ins that a sweep names."""
    choices = config.oracle_choices
    others = [one.dataset for one in choices.values() if one.dataset is not None]
    named = {
        "sweeper.methods": (config.method,),
        "sweeper.criteria": config.criteria,
        "sweeper.datasets": tuple(str(one["name"]) for one in (config.dataset, *others)),
        "sweeper.oracles": tuple(choices[name].probe if name in choices else name for name in config.oracle),
        OBSERVERS: tuple(str(observer["name"]) for observer in config.observers),
    }
    used: dict[str, dict[str, str]] = {}
    for plugin in installed_plugins():
        if plugin.name in named.get(plugin.group, ()):
            used.setdefault(plugin.group, {})[plugin.name] = plugin.package
    return used


def check_plugins(origin: Mapping[str, Any], sweep: str, *, observed: bool) -> None:
    """Check that the plug-ins in the provenance of a sweep are installed; its observers only where it is `observed`.

    Raises:
        ResultsError: one is not; the message names it, its group and its package.
    """
    there = {(plugin.group, plugin.name) for plugin in installed_plugins()}
    needed = [plugin for plugin in recorded(origin) if observed or plugin.group != OBSERVERS]
    missing = [plugin for plugin in needed if (plugin.group, plugin.name) not in there]
    if missing:
        names = ", ".join(f"the {GROUPS[one.group]} `{one.name}` (`{one.group}`)" for one in missing)
        packages = dict.fromkeys(one.package for one in missing)
        which, what = ("a plug-in that is", "package") if len(missing) == 1 else ("plug-ins that are", "packages")
        what = "package" if len(packages) == 1 else what
        raise ResultsError(f"{sweep} uses {which} not installed: {names}; install the {what} {' and '.join(packages)}")


def recorded(origin: Mapping[str, Any]) -> list[Plugin]:
    """The plug-ins in the provenance of a sweep; an earlier version recorded none."""
    groups = origin.get(PLUGINS)
    return [
        Plugin(group, str(name), str(package))
        for group, plugins in (groups.items() if isinstance(groups, Mapping) else ())
        if group in GROUPS and isinstance(plugins, Mapping)
        for name, package in plugins.items()
    ]
