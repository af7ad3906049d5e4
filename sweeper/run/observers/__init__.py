"""The catalogue of observers: name on the command line -> class. A new one is a file here and a line below."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from sweeper.config.observers import resolve_observer
from sweeper.config.yaml_text import parse_yaml
from sweeper.errors import ConfigError
from sweeper.run.observers.base import Observer, ObserverOptions
from sweeper.run.observers.json_lines import JsonLines
from sweeper.run.observers.live import LiveTable
from sweeper.run.observers.mlflow import Mlflow
from sweeper.run.observers.plain import PlainLines
from sweeper.run.observers.tensorboard import TensorBoard
from sweeper.run.observers.wandb import Wandb
from sweeper.run.options import RunOptions
from trainers.plugins import load_plugins
from trainers.records import Scalar

OBSERVERS: Final[dict[str, type[Observer]]] = {
    "live": LiveTable,
    "plain": PlainLines,
    "json_lines": JsonLines,
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "mlflow": Mlflow,
}


def observer_options() -> dict[str, type[ObserverOptions]]:
    """Observer -> its options, for the checks of a search-space file; plug-ins are among them.

    Raises:
        ConfigError: a plug-in cannot be used.
    """
    try:
        load_plugins("sweeper.observers", OBSERVERS)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return {name: kind.Options for name, kind in OBSERVERS.items()}


def make_observers(options: RunOptions) -> list[Observer]:
    """Create the display (JSON, nothing, a table on a terminal, lines on a pipe), then those of `--observer`.

    Raises:
        ConfigError: an observer of that name does not exist, or has no such option.
    """
    screen = "live" if sys.stdout.isatty() else "plain"
    shown = ["json_lines"] if options.as_json else [] if options.quiet else [screen]
    made = [make_observer(_as_item(text), key="--observer") for text in options.observers]
    if len({type(observer) for observer in made}) < len(made):
        raise ConfigError(f"`--observer` must name each once, but got {', '.join(options.observers)}")
    displays = [make_observer(name, key="--observer") for name in shown]
    return [*displays, *without(made, displays)]


def further_observers(observers: Sequence[Mapping[str, Scalar]], others: Sequence[Observer]) -> list[Observer]:
    """Create those of a search-space file, except those that the command line already names.

    Raises:
        ConfigError: see `make_observer`.
    """
    made = [make_observer(observer, key="observers") for observer in observers]
    return without(made, others)


def without(observers: Sequence[Observer], others: Sequence[Observer]) -> list[Observer]:
    """The observers of which `others` has none of the same class."""
    return [observer for observer in observers if type(observer) not in {type(other) for other in others}]


def make_observer(item: object, *, key: str) -> Observer:
    """The observer of a name, or of a mapping with `name` and options; `key` is what errors call it.

    Raises:
        ConfigError: an unknown name, unknown options or wrong values: one line each; or the observer refuses them.
    """
    known = observer_options()
    observer, problems = resolve_observer(item, known, key=key)
    if problems:
        raise ConfigError(*problems.values())
    name = str(observer.pop("name"))
    try:
        return OBSERVERS[name](known[name](**observer))
    except ValueError as error:
        raise ConfigError(f"the observer {name} cannot be used: {error}") from error


def _as_item(text: str) -> object:
    """The name of an observer, or a mapping in YAML."""
    return parse_yaml(text, "--observer")[1] if text.startswith("{") else text
