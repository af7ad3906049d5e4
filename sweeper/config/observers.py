"""The key `observers` of a search-space file, and the option `--observer`: names of observers, and their options.

The catalogue is in `sweeper.run.observers`, above this folder, so that callers hand its options down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sweeper.config.document import Document, refuse
from trainers.fields import as_yaml
from trainers.options import check_options, options_of
from trainers.plugins import hint_for
from trainers.records import Scalar

Known = Mapping[str, type[Any]]
"""Name of an observer -> the dataclass of its options."""


def read_observers(document: Document, known: Known | None = None) -> tuple[dict[str, Scalar], ...]:
    """The further observers of the sweep: a name, a mapping with `name` and options, or a list of these.

    Without `known`, names and options are taken as they are.

    Raises:
        ConfigError: an unknown name or option, or a wrong value: all of them.
    """
    key = ("observers",)
    value = document.get(key)
    items: Sequence[object] = value if isinstance(value, list) else [] if value in (None, "none") else [value]
    observers: list[dict[str, Scalar]] = []
    for item in items:
        observer, problems = resolve_observer(item, known, key="observers", path="observers")
        refuse(document.mistake((*key, option), problem) for option, problem in problems.items())
        observers.append(observer)
    names = [str(observer["name"]) for observer in observers]
    if len(set(names)) < len(names):
        raise document.error(key, f"`observers` must name each once, but got {as_yaml(names)}")
    return tuple(observers)


def resolve_observer(
    item: object, known: Known | None, *, key: str, path: str = ""
) -> tuple[dict[str, Scalar], dict[str, str]]:
    """One observer with the value of every option, and option -> problem for every mistake.

    Args:
        item: a name, or a mapping with `name` and options.
        known: the observers; None takes any.
        key: what errors call the item.
        path: where its options stand.
    """
    given = {"name": item} if isinstance(item, str) else item
    name = given.get("name") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(name, str):
        return {}, {"name": f"`{key}` must be a name, or a mapping with `name` and options, but got {as_yaml(item)}"}
    if known is None:
        return dict(given), {}
    if name not in known:
        expected = f"`{key}` must be one of {', '.join(known)}"
        return {}, {"name": f"{expected}, but got {as_yaml(name)}{hint_for(name, known, 'sweeper.observers')}"}
    options = {option: value for option, value in given.items() if option != "name"}
    good, problems = check_options(options_of(known[name]), options, path=path, owner=f"an option of {name}")
    return ({}, problems) if problems else ({"name": name, **asdict(known[name](**good))}, {})
