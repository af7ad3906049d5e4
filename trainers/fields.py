"""What an annotation allows: a value is checked, converted and described by it. Standard library only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from trainers.names import did_you_mean

NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
"""A number that YAML 1.1 may read as text: `1e-3` has no dot, so PyYAML gives a string."""

LARGEST: Final = 2**63 - 1
"""Of whole numbers; tables and tensors hold 64 bits."""


@dataclass(frozen=True)
class AtLeast:
    """An inclusive lower bound, for Annotated."""

    bound: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return value >= self.bound

    def __str__(self) -> str:
        return f"of at least {self.bound:g}"


@dataclass(frozen=True)
class Above:
    """An exclusive lower bound, for Annotated."""

    bound: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return value > self.bound

    def __str__(self) -> str:
        return f"above {self.bound:g}"


@dataclass(frozen=True)
class Between:
    """Two inclusive bounds, for Annotated."""

    low: float
    high: float

    def allows(self, value: float) -> bool:
        """Whether `value` is in bounds."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {_plain(self.low)} to {_plain(self.high)}"


def _plain(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def read_value(value: object, hint: Any, key: str) -> Any:
    """`value`, converted to what its annotation says.

    Raises:
        ValueError: it is something else; one line that names the key, what was expected and the nearest right name.

    >>> read_value("fats", Literal["fast", "slow"], "speed")
    Traceback (most recent call last):
    ValueError: `speed` must be one of fast, slow, but got "fats"; did you mean `fast`?
    """
    try:
        return coerce(value, hint)
    except (OverflowError, ValueError):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"`{key}` must be below 2^63 in size, but got {as_yaml(value)}") from None
        names = [name for name in _literals(hint) if isinstance(name, str)]
        near = did_you_mean(value, names) if isinstance(value, str) else ""
        raise ValueError(f"`{key}` must be {describe(hint)}, but got {as_yaml(value)}{near}") from None


def coerce(value: object, hint: Any) -> Any:
    """`value` as its annotation says: a float for an int, 0.001 for "1e-3", a tuple for a list or a single name.

    Raises:
        ValueError: it is something else. `true` is not a number.

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
        return _coerce_union(value, get_args(hint))
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(coerce(item, get_args(hint)[0]) for item in items)
    if origin is Literal:
        if value in get_args(hint) and not isinstance(value, bool):
            return value
        raise ValueError(value)
    return _coerce_scalar(value, hint)


def _coerce_union(value: object, hints: tuple[Any, ...]) -> Any:
    """As the first of `hints` that fits; the value's own type is tried first, so that 3.0 stays a float."""
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
        value = int(value)
    if type(value) is kind and not (kind is int and abs(cast(int, value)) > LARGEST):
        return value
    raise ValueError(value)


WORDS: Final[Mapping[type, tuple[str, str]]] = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("text", "names"),
    NoneType: ("null", "nulls"),
}
"""Type -> its name in errors and documents: of one value, and of several."""


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


def _literals(hint: Any) -> tuple[Any, ...]:
    """Every name in the Literals of an annotation."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(name for one in get_args(hint) for name in _literals(one))


def as_yaml(value: object) -> str:
    """A value as errors print it: as YAML writes it, on one line, at most 80 characters.

    >>> as_yaml(True), as_yaml(None), as_yaml("fast"), as_yaml({"low": 1e-4})
    ('true', 'null', '"fast"', '{"low": 0.0001}')
    """
    return shortened(json.dumps(value, ensure_ascii=False, default=str, skipkeys=True))


def shortened(text: str, length: int = 80) -> str:
    """A text of at most so many characters, with dots in place of its end.

    >>> shortened("a" * 100, length=10)
    'aaaaaaa...'
    """
    return text if len(text) <= length else text[: length - 3] + "..."
