"""The catalogue of observers: name on the command line -> class. A new one is a file here and a line below."""

from __future__ import annotations

import sys
from typing import Final

from sweeper.errors import ConfigError
from sweeper.run.observers.base import Observer
from sweeper.run.observers.json_lines import JsonLines
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.plain import PlainLines
from sweeper.run.options import RunOptions
from trainers.plugins import hint_for, load_plugins

OBSERVERS: Final[dict[str, type[Observer]]] = {
    "live": LiveTable,
    "plain": PlainLines,
    "json_lines": JsonLines,
}


def make_observers(options: RunOptions) -> list[Observer]:
    """Create the display (JSON, nothing, a table on a terminal, lines on a pipe), then the other observers.

    Raises:
        ConfigError: an observer of that name does not exist, or a plug-in cannot be loaded.
    """
    try:
        load_plugins("sweeper.observers", OBSERVERS)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    for name in options.observers:
        if name not in OBSERVERS:
            hint = hint_for(name, OBSERVERS, "sweeper.observers")
            raise ConfigError(f"`--observer` must be one of {', '.join(OBSERVERS)}, but got {name}{hint}")
    screen = "live" if sys.stdout.isatty() else "plain"
    shown = ["json_lines"] if options.as_json else [] if options.quiet else [screen]
    return [OBSERVERS[name]() for name in dict.fromkeys([*shown, *options.observers])]
