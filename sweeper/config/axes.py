"""The axis of a hyperparameter below `space:`: a range or some choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from sweeper.config.document import Document, Key, dotted
from sweeper.config.sections import missing, read_at, read_mapping, read_section
from trainers.fields import Between, as_yaml, coerce, describe
from trainers.records import Scalar

if TYPE_CHECKING:
    from trainers.settings import Hyperparameter

DEFAULT_POINTS: Final = 5
MOST_CHOICES: Final = 1000
"""Of one axis; the laboratory is asked about each."""
LARGEST: Final[Mapping[str, float]] = {"float": 1e100, "int": 2**24}
"""Ends of an axis: with larger ones, a number overflows or a network has more weights than a tensor can count."""


@dataclass(frozen=True)
class FloatRange:
    """A number between two bounds, both included."""

    type: Literal["float"]
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Whether it is drawn evenly in its logarithm; `low` must then be above 0."""
    points: Annotated[int, Between(1, 10_000)] = DEFAULT_POINTS
    """How many values `grid` and `axes` take from the range, its ends among them."""


@dataclass(frozen=True)
class IntRange:
    """A whole number between two bounds, both included."""

    type: Literal["int"]
    low: int
    """Smallest value."""
    high: int
    """Largest value."""
    log: bool = False
    """Whether it is drawn evenly in its logarithm; `low` must then be above 0."""
    points: Annotated[int, Between(1, 10_000)] = DEFAULT_POINTS
    """How many values `grid` and `axes` take from the range, its ends among them."""


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    type: Literal["categorical"]
    choices: tuple[Scalar, ...]
    """The values."""


Axis = FloatRange | IntRange | Choices
AXES: Final[Mapping[str, type[Axis]]] = {"float": FloatRange, "int": IntRange, "categorical": Choices}


def read_axis(document: Document, key: Key, hyperparameter: Hyperparameter) -> Axis:
    """The axis at `key`.

    Raises:
        ConfigError: its type does not suit the hyperparameter, or its bounds or choices are wrong.
    """
    if "type" not in read_mapping(document, key):
        raise missing(document, (*key, "type"), f"one of {', '.join(AXES)}")
    kind = read_at(document, (*key, "type"), Literal["float", "int", "categorical"])
    axis: Axis = read_section(AXES[kind], document, key)
    allowed = hyperparameter.kind
    if isinstance(axis, Choices):
        return _read_choices(document, key, axis, allowed)
    _check_type(document, key, axis, allowed)
    _check_bounds(document, key, axis)
    return axis


def suitable_axes(hint: Any) -> tuple[str, ...]:
    """The axis types that suit a hyperparameter's annotation; an int axis also suits a float hyperparameter.

    >>> suitable_axes(int | None), suitable_axes(float), suitable_axes(bool)
    (('int', 'categorical'), ('float', 'int', 'categorical'), ('categorical',))
    """
    kinds = get_args(hint) or (hint,)
    if float in kinds:
        return tuple(AXES)
    return ("int", "categorical") if int in kinds else ("categorical",)


def _check_type(document: Document, key: Key, axis: FloatRange | IntRange, allowed: Any) -> None:
    """The type of an axis must suit its hyperparameter."""
    suitable = suitable_axes(allowed)
    if axis.type in suitable:
        return
    raise document.error(
        (*key, "type"),
        f"{dotted((*key, 'type'))} must be {' or '.join(suitable)}, because {key[-1]} is {describe(allowed)}, "
        f"but got {axis.type}",
    )


def _check_bounds(document: Document, key: Key, axis: FloatRange | IntRange) -> None:
    low, high = (*key, "low"), (*key, "high")
    if axis.low > axis.high:
        problem = f"{dotted(low)} must be at most `high`, but got low {axis.low} and high {axis.high}; swap them"
        raise document.error(low, problem, high)
    if axis.log and axis.low <= 0:
        problem = f"{dotted(low)} must be above 0 with log: true, but got {axis.low}; raise it or set log: false"
        raise document.error(low, problem, (*key, "log"))
    for end, name in ((axis.low, low), (axis.high, high)):
        if abs(end) > LARGEST[axis.type]:
            problem = f"{dotted(name)} must be at most {LARGEST[axis.type]} in size, but got {as_yaml(end)}"
            raise document.error(name, problem)


def _read_choices(document: Document, key: Key, axis: Choices, allowed: Any) -> Choices:
    """The choices, each converted to the type of the hyperparameter."""
    name = dotted((*key, "choices"))
    if len(axis.choices) > MOST_CHOICES:
        problem = f"{name} must be at most {MOST_CHOICES:,} values, but got {len(axis.choices):,}"
        raise document.error((*key, "choices"), problem)
    choices: dict[Scalar, None] = {}
    for value in axis.choices:
        try:
            choice: Scalar = coerce(value, allowed)
        except ValueError:
            problem = f"every one of {name} must be {describe(allowed)}, but got {as_yaml(value)}"
            raise document.error((*key, "choices"), problem) from None
        if choice in choices:
            raise document.error(
                (*key, "choices"), f"{name} must differ from each other, but {as_yaml(value)} is there twice"
            )
        choices[choice] = None
    if not choices:
        raise document.error((*key, "choices"), f"{name} must hold at least one value, but got []")
    return Choices("categorical", tuple(choices))
