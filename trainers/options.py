"""The one validator: a mapping of options becomes a dataclass, and every mistake is one line.

Standard library only: the conductor reads the search-space file with it, and the laboratory its own options.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar, get_type_hints

from trainers.fields import describe, read_value
from trainers.names import did_you_mean

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Option:
    """One key: the annotation of its value, and its default (MISSING if the key is required)."""

    hint: Any
    default: Any = MISSING


def options_of(kind: type[Any]) -> dict[str, Option]:
    """The fields of a dataclass as options."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        one.name: Option(hints[one.name], one.default if one.default_factory is MISSING else one.default_factory())
        for one in fields(kind)
    }


def read_options(kind: type[Kind], values: Mapping[str, object], *, path: str = "", owner: str = "") -> Kind:
    """The dataclass `kind`, made from a mapping of options.

    Args:
        kind: a dataclass.
        values: option -> value.
        path: where the options stand, such as "dataset"; errors name the option `dataset.root`.
        owner: what the keys are, such as "an option of mnist5k".

    Raises:
        ValueError: an unknown option, a missing one, or a wrong value; one line that names the nearest right name.

    >>> @dataclass(frozen=True)
    ... class Blur:
    ...     size: int = 3
    >>> read_options(Blur, {"size": 5.0})
    Blur(size=5)
    >>> read_options(Blur, {"sice": 5}, path="blur", owner="an option of blur")
    Traceback (most recent call last):
    ValueError: `blur.sice` is not an option of blur; did you mean `size`?
    """
    good, problems = check_options(options_of(kind), values, path=path, owner=owner)
    for problem in problems.values():
        raise ValueError(problem)
    return kind(**good)


def check_options(
    options: Mapping[str, Option],
    values: Mapping[str, object],
    *,
    path: str = "",
    owner: str = "",
    others: Collection[str] = (),
    advice: str = "",
) -> tuple[dict[str, Any], dict[str, str]]:
    """The right values, converted to what their annotations say; and key -> problem for every other key.

    Args:
        options: the keys that are read.
        values: key -> value.
        path: where the keys stand.
        owner: what the keys are.
        others: keys that may also stand there, and that the caller reads.
        advice: the end of the line about an unknown key that is like no known one.
    """
    good: dict[str, Any] = {}
    problems = unknown_keys(values, [*others, *options], path=path, owner=owner, advice=advice)
    for name, option in options.items():
        key = joined(path, name)
        if name in values:
            try:
                good[name] = read_value(values[name], option.hint, key)
            except ValueError as error:
                problems[name] = str(error)
        elif option.default is MISSING:
            problems[name] = f"`{key}` is missing; it must be {describe(option.hint)}"
    return good, problems


def unknown_keys(
    values: Iterable[str], known: Collection[str], *, path: str = "", owner: str = "", advice: str = ""
) -> dict[str, str]:
    """Key -> problem, for every key that is not known."""
    owner = owner or (f"a key of `{path}`" if path else "an option")
    problems = {}
    for name in map(str, values):
        if name not in known:
            near = did_you_mean(name, known) or advice or f"; it may have {', '.join(known) or 'none'}"
            problems[name] = f"`{joined(path, name)}` is not {owner}{near}"
    return problems


def joined(path: str, name: str) -> str:
    """A key below `path`, which may be empty.

    >>> joined("space.lr", "high"), joined("", "trials")
    ('space.lr.high', 'trials')
    """
    return f"{path}.{name}" if path else name
