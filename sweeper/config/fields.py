"""A part of a search-space file becomes a dataclass: the annotations say what may be written."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from sweeper.config.document import Document, Key, dotted, shown
from sweeper.errors import ConfigError, did_you_mean

Part = TypeVar("Part")

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
"""What YAML 1.1 does not always read as a number: `1e-3` has no dot, so PyYAML gives a string."""


@dataclass(frozen=True)
class AtLeast:
    """A lower bound, for use in Annotated."""

    bound: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return value >= self.bound

    def __str__(self) -> str:
        return f"of at least {self.bound:g}"


@dataclass(frozen=True)
class Above:
    """A lower bound that is itself excluded, for use in Annotated."""

    bound: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


@dataclass(frozen=True)
class Between:
    """Bounds that are both included, for use in Annotated."""

    low: float
    high: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"


def read(kind: type[Part], document: Document, key: Key, *, beside: Collection[str] = (), what: str = "") -> Part:
    """The dataclass `kind` from the mapping at `key`, where keys in `beside` may stand too.

    `what` says in words what the keys are.

    Raises:
        ConfigError: an unknown key, a missing one, or a value that its annotation does not allow.
    """
    return kind(**read_values(kind, document, key, beside=beside, what=what))


def read_values(
    kind: type[Any], document: Document, key: Key, *, beside: Collection[str] = (), what: str = ""
) -> dict[str, Any]:
    """The fields of `kind` that the mapping at `key` holds, without those in `beside`, which another reads."""
    section = read_mapping(document, key)
    hints = get_type_hints(kind, include_extras=True)
    named = document.overrides.get((*key, "name")) if "name" in beside else None
    # Another name, with the options of the one in the file beside it: they belong together.
    hint = f"; override all of it: {key[0]}='{{name: {named.partition('=')[2]}}}'" if named else ""
    refuse_unknown(document, key, [*beside, *(one.name for one in fields(kind))], what=what, hint=hint)
    values: dict[str, Any] = {}
    for one in fields(kind):
        if one.name in beside:
            continue
        if one.name in section:
            values[one.name] = read_value(document, (*key, one.name), hints[one.name])
        elif one.default is MISSING and one.default_factory is MISSING:
            raise missing(document, (*key, one.name), describe(hints[one.name]))
    return values


def read_arguments(
    function: Callable[..., object],
    document: Document,
    key: Key,
    *,
    what: str,
    beside: Collection[str] = (),
    hints: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a function of another's, from the mapping at `key`: its signature is the schema.

    `hints` says more than the function's own annotations do; keys in `beside` may stand there too.

    Raises:
        ConfigError: `what` the key should have been but is not, a missing one, or a value of the wrong type.
    """
    section = read_mapping(document, key)
    known = arguments_of(function)
    refuse_unknown(document, key, [*known, *beside], what=what)
    arguments: dict[str, Any] = {}
    for name, (hint, default) in known.items():
        hint = (hints or {}).get(name, hint)
        if name in beside:
            continue
        if name in section:
            arguments[name] = read_value(document, (*key, name), hint)
        elif default is inspect.Parameter.empty:
            raise missing(document, (*key, name), describe(hint))
        else:
            arguments[name] = default
    return arguments


def arguments_of(function: Callable[..., object]) -> dict[str, tuple[Any, Any]]:
    """Name -> (annotation, default) of every named argument."""
    hints = get_type_hints(cast(Any, function).__init__ if isinstance(function, type) else function)
    parameters = inspect.signature(function).parameters.values()
    named = [one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return {one.name: (hints[one.name], one.default) for one in named}


def missing(document: Document, key: Key, expected: str) -> ConfigError:
    """The error of a key that has to be there."""
    return document.error(key, f"{dotted(key)} is missing; it must be {expected}")


def read_mapping(document: Document, key: Key) -> Mapping[str, object]:
    """The mapping at `key`; one that is absent, or present with nothing below it, is empty."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise document.error(key, f"{dotted(key)} must be a mapping (key: value), but got {shown(value)}")
    return value


def refuse_unknown(document: Document, key: Key, names: Collection[str], *, what: str = "", hint: str = "") -> None:
    """Raises: ConfigError where the mapping at `key` has a key that is not in `names`."""
    for name in read_mapping(document, key):
        if name not in names:
            owner = what or (f"a key of {dotted(key)}" if key else "a key of a sweep")
            near = did_you_mean(str(name), names) or hint or f"; it may have {', '.join(names) or 'none'}"
            raise document.error((*key, str(name)), f"{dotted((*key, str(name)))} is not {owner}{near}")


def read_value(document: Document, key: Key, hint: Any) -> Any:
    """The value at `key`, as its annotation wants it."""
    value = document.get(key)
    try:
        return coerce(value, hint)
    except ValueError:
        names = [name for name in _literals(hint) if isinstance(name, str)]
        near = did_you_mean(value, names) if isinstance(value, str) else ""
        problem = f"{dotted(key)} must be {describe(hint)}, but got {shown(value)}{near}"
        raise document.error(key, problem) from None


def coerce(value: object, hint: Any) -> Any:
    """`value` as its annotation wants it: an int for a float, `1e-3` for 0.001, one name for a list of one.

    Raises:
        ValueError: it is nothing of the kind.

    >>> coerce("1e-3", float), coerce(40.0, int), coerce("lidar", tuple[str, ...])
    (0.001, 40, ('lidar',))
    """
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *bounds = get_args(hint)
        value = coerce(value, kind)
        if not all(bound.allows(value) for bound in bounds):
            raise ValueError(value)
        return value
    if origin in (Union, UnionType):
        return _coerce_any(value, get_args(hint))
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(coerce(item, get_args(hint)[0]) for item in items)
    if origin is Literal:
        if value in get_args(hint) and not isinstance(value, bool):
            return value
        raise ValueError(value)
    return _coerce_scalar(value, hint)


def _coerce_any(value: object, hints: tuple[Any, ...]) -> Any:
    """As the first of `hints` that fits; the value's own type is tried first, so that a union keeps what it can."""
    for hint in sorted(hints, key=lambda hint: type(value) is not hint):
        try:
            return coerce(value, hint)
        except ValueError:
            continue
    raise ValueError(value)


def _coerce_scalar(value: object, kind: type) -> Any:
    if kind in (int, float) and isinstance(value, str) and NUMBER.fullmatch(value):
        value = float(value)
    if kind is float and type(value) in (int, float):
        number = float(cast(float, value))
        if math.isfinite(number):
            return number
        raise ValueError(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is kind:
        return value
    raise ValueError(value)


def describe(hint: Any) -> str:
    """What an annotation allows, in words.

    >>> describe(Annotated[int, AtLeast(1)]), describe(float | None)
    ('a whole number of at least 1', 'a number or null')
    """
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *bounds = get_args(hint)
        return " ".join([describe(kind), *map(str, bounds)])
    if origin in (Union, UnionType):
        return " or ".join(describe(one) for one in get_args(hint))
    if origin is tuple:
        return f"a list of {WORDS[get_args(hint)[0]][1] if get_args(hint)[0] in WORDS else 'values'}"
    if origin is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}" if len(get_args(hint)) > 1 else str(get_args(hint)[0])
    return WORDS[hint][0]


WORDS: dict[type, tuple[str, str]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "names"),
    NoneType: ("null", "nulls"),
}
"""Type -> one of them, and several."""


def _literals(hint: Any) -> tuple[Any, ...]:
    """Every name that an annotation's Literals allow."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(name for one in get_args(hint) for name in _literals(one))
