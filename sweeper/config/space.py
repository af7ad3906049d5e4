"""The sections `space:` and `fixed:` of a search-space file: the hyperparameters that a sweep varies or holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from sweeper.config.axes import LARGEST, Axis, Choices, read_axis
from sweeper.config.document import Document, Parts, refuse
from sweeper.config.sections import read_at, read_mapping, refuse_unknown
from trainers.fields import as_yaml
from trainers.records import Scalar, TrialConfig

if TYPE_CHECKING:
    from trainers.settings import Hyperparameter


def read_space(document: Document, method: str) -> dict[str, Axis]:
    """Hyperparameter -> its axis, for everything below `space:` that is not null.

    Raises:
        ConfigError: hyperparameters that the method does not have, or wrong axes.
    """
    known, parts = _known(document, "space", method)
    for name, entry in read_mapping(document, ("space",)).items():
        if name in known and entry is not None:
            parts.read(name, partial(read_axis, key=("space", name), hyperparameter=known[name]))
    return parts.finish()


def read_fixed(document: Document, method: str) -> dict[str, Scalar]:
    """Hyperparameter -> its value, for everything below `fixed:`.

    Raises:
        ConfigError: hyperparameters that the method does not have, or values of another type.
    """
    known, parts = _known(document, "fixed", method)
    for name in read_mapping(document, ("fixed",)):
        if name in known:
            parts.read(name, partial(_read_held, name=name, hint=known[name].kind))
    return parts.finish()


def _read_held(document: Document, name: str, hint: Any) -> Scalar:
    """A value below `fixed:`, within the bounds of an axis."""
    key = ("fixed", name)
    value: Scalar = read_at(document, key, hint)
    bound = LARGEST["int" if type(value) is int else "float"]
    if isinstance(value, int | float) and abs(value) > bound:
        raise document.error(key, f"`fixed.{name}` must be at most {bound} in size, but got {as_yaml(value)}")
    return value


def check_centre(document: Document, name: str, axis: Axis, value: Scalar) -> None:
    """Raises: ConfigError, if `value`, the centre of an `axes` sweep, is not on its own axis."""
    inside = value in axis.choices if isinstance(axis, Choices) else _within(value, axis.low, axis.high)
    if not inside:
        span = (
            f"one of {', '.join(map(as_yaml, axis.choices))}"
            if isinstance(axis, Choices)
            else f"from {axis.low} to {axis.high}"
        )
        raise document.error(
            ("fixed", name), f"`fixed.{name}` is the centre of its axis, so it must be {span}, but got {as_yaml(value)}"
        )


def check_values(document: Document, method: str, axes: Mapping[str, Axis], fixed: Mapping[str, Scalar]) -> None:
    """Ask the laboratory about the held values and both ends of every axis.

    An end is refused if it fails with the other axes at their first values and also with them at their last.

    Raises:
        ConfigError: values that no trial can run.
    """
    ends = {name: _ends(axis) for name, axis in axes.items()}
    others = [{name: values[at] for name, values in ends.items()} for at in (0, -1)]

    def refusal(tried: Mapping[str, Scalar]) -> str:
        refusals = [_refusal(method, {**fixed, **other, **tried}, tuple(axes)) for other in others]
        return refusals[0] if all(refusals) else ""

    if problem := refusal({}):
        raise document.error(("fixed",), problem)
    problems = {name: next(filter(None, (refusal({name: value}) for value in ends[name])), "") for name in ends}
    refuse(document.mistake(("space", name), problem) for name, problem in problems.items() if problem)


def _ends(axis: Axis) -> tuple[Scalar, ...]:
    return axis.choices if isinstance(axis, Choices) else (axis.low, axis.high)


def _refusal(method: str, values: Mapping[str, Scalar], swept: tuple[str, ...]) -> str:
    """Why the laboratory refuses a trial with these hyperparameters; "" if it accepts it."""
    from trainers.settings import resolve

    try:
        resolve(TrialConfig(method, {}, {}, epochs=1, batch_size=1, hyperparameters=values, swept=swept))
    except ValueError as error:
        return str(error)
    return ""


def _known(document: Document, section: str, method: str) -> tuple[Mapping[str, Hyperparameter], Parts]:
    """The method's hyperparameters, and Parts that hold the mistakes about all others in the section."""
    from trainers.settings import hyperparameters

    known = hyperparameters(method)
    advice = f"; search_spaces/README.md lists the hyperparameters of {method}"
    owner = f"a hyperparameter of {method}"
    parts = Parts(document)
    parts.check(partial(refuse_unknown, key=(section,), known=known, owner=owner, advice=advice))
    return known, parts


def _within(value: Scalar, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high
