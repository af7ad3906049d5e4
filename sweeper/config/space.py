"""`space:` and `fixed:` of a search-space file: which hyperparameters a sweep varies, over what, and which it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

from sweeper.config.document import Document, Key, dotted, shown
from sweeper.config.fields import AtLeast, coerce, describe, missing, read, read_mapping, read_value, refuse_unknown
from trainers.records import Scalar, TrialConfig

if TYPE_CHECKING:
    from trainers.settings import Hyperparameter

DEFAULT_POINTS: Final = 5


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
    points: Annotated[int, AtLeast(1)] = DEFAULT_POINTS
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
    points: Annotated[int, AtLeast(1)] = DEFAULT_POINTS
    """How many values `grid` and `axes` take from the range, its ends among them."""


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    type: Literal["categorical"]
    choices: tuple[Scalar, ...]
    """The values."""


Axis = FloatRange | IntRange | Choices
AXES: Final[Mapping[str, type[Axis]]] = {"float": FloatRange, "int": IntRange, "categorical": Choices}


def read_space(document: Document, method: str, known: Mapping[str, Hyperparameter]) -> dict[str, Axis]:
    """Every hyperparameter below `space:` with what it ranges over; one that is null has been taken out.

    Raises:
        ConfigError: a hyperparameter that the method does not have, or a range that it cannot be drawn from.
    """
    _refuse_strangers(document, ("space",), method, known)
    names = [name for name, entry in read_mapping(document, ("space",)).items() if entry is not None]
    return {name: _read_axis(document, ("space", name), known[name]) for name in names}


def read_fixed(document: Document, method: str, known: Mapping[str, Hyperparameter]) -> dict[str, Scalar]:
    """Every hyperparameter below `fixed:` with its value.

    Raises:
        ConfigError: a hyperparameter that the method does not have, or a value that is not of its type.
    """
    _refuse_strangers(document, ("fixed",), method, known)
    names = read_mapping(document, ("fixed",))
    return {name: read_value(document, ("fixed", name), known[name].kind) for name in names}


def check_centre(document: Document, name: str, axis: Axis, value: Scalar) -> None:
    """Raises: ConfigError where `value`, the centre of an `axes` sweep, is not on its own axis."""
    inside = value in axis.choices if isinstance(axis, Choices) else _within(value, axis.low, axis.high)
    if not inside:
        span = (
            f"one of {', '.join(map(shown, axis.choices))}"
            if isinstance(axis, Choices)
            else f"from {axis.low} to {axis.high}"
        )
        raise document.error(
            ("fixed", name), f"`fixed.{name}` is the centre of its axis, so it must be {span}, but got {shown(value)}"
        )


def check_values(document: Document, method: str, axes: Mapping[str, Axis], fixed: Mapping[str, Scalar]) -> None:
    """Put the values held, and both ends of every axis, to the laboratory, which refuses what no trial could run.

    An end is refused where it fails with the other axes at their first values and at their last.

    Raises:
        ConfigError: a value that is refused.
    """
    ends = {name: _ends(axis) for name, axis in axes.items()}
    others = [{name: values[at] for name, values in ends.items()} for at in (0, -1)]
    for name, value in [("", None), *((name, value) for name, values in ends.items() for value in values)]:
        tried = {name: value} if name else {}
        refusals = [_refusal(method, {**fixed, **other, **tried}, tuple(axes)) for other in others]
        if all(refusals):
            raise document.error(("space", name) if name else ("fixed",), refusals[0])


def _ends(axis: Axis) -> tuple[Scalar, ...]:
    return axis.choices if isinstance(axis, Choices) else (axis.low, axis.high)


def _refusal(method: str, values: Mapping[str, Scalar], swept: tuple[str, ...]) -> str:
    """What the laboratory says against a trial with these hyperparameters, or ""."""
    from trainers.settings import resolve

    try:
        resolve(TrialConfig(method, {}, {}, epochs=1, batch_size=1, hyperparameters=values, swept=swept))
    except ValueError as error:
        return str(error)
    return ""


def _refuse_strangers(document: Document, key: Key, method: str, known: Mapping[str, Hyperparameter]) -> None:
    hint = f"; search_spaces/README.md lists the hyperparameters of {method}"
    refuse_unknown(document, key, known, what=f"a hyperparameter of {method}", hint=hint)


def _read_axis(document: Document, key: Key, hyperparameter: Hyperparameter) -> Axis:
    if "type" not in read_mapping(document, key):
        raise missing(document, (*key, "type"), f"one of {', '.join(AXES)}")
    kind = read_value(document, (*key, "type"), Literal["float", "int", "categorical"])
    axis: Axis = read(AXES[kind], document, key)
    allowed = hyperparameter.kind
    if isinstance(axis, Choices):
        return _read_choices(document, key, axis, allowed)
    _check_type(document, key, axis, allowed)
    _check_bounds(document, key, axis)
    return axis


def _check_type(document: Document, key: Key, axis: FloatRange | IntRange, allowed: Any) -> None:
    """A range must give what the hyperparameter takes: whole numbers are numbers, but not the other way round."""
    kinds = get_args(allowed) or (allowed,)
    if float in kinds or (int in kinds and isinstance(axis, IntRange)):
        return
    wanted = "int or categorical" if int in kinds else "categorical"
    raise document.error(
        (*key, "type"),
        f"{dotted((*key, 'type'))} must be {wanted}, because {key[-1]} is {describe(allowed)}, but got {axis.type}",
    )


def _check_bounds(document: Document, key: Key, axis: FloatRange | IntRange) -> None:
    low, high = (*key, "low"), (*key, "high")
    if axis.low > axis.high:
        problem = f"{dotted(low)} must be at most `high`, but got low {axis.low} and high {axis.high}; swap them"
        raise document.error(low, problem, high)
    if axis.log and axis.low <= 0:
        problem = f"{dotted(low)} must be above 0 with log: true, but got {axis.low}; raise it or set log: false"
        raise document.error(low, problem, (*key, "log"))


def _read_choices(document: Document, key: Key, axis: Choices, allowed: Any) -> Choices:
    """The choices, each as its hyperparameter wants it."""
    name = dotted((*key, "choices"))
    choices: list[Scalar] = []
    for value in axis.choices:
        try:
            choice: Scalar = coerce(value, allowed)
        except ValueError:
            problem = f"every one of {name} must be {describe(allowed)}, but got {shown(value)}"
            raise document.error((*key, "choices"), problem) from None
        if choice in choices:
            raise document.error(
                (*key, "choices"), f"{name} must differ from each other, but {shown(value)} is there twice"
            )
        choices.append(choice)
    if not choices:
        raise document.error((*key, "choices"), f"{name} must hold at least one value, but got []")
    return Choices("categorical", tuple(choices))


def _within(value: Scalar, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high
