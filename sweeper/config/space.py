"""The sections `space:` and `fixed:` of a search-space file: the hyperparameters that a sweep varies or holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sweeper.config.axes import LARGEST, Axis, Choices, read_axis
from sweeper.config.document import Document, Key, Parts, refuse
from sweeper.config.sections import read_at, read_mapping, refuse_unknown
from trainers.fields import as_yaml
from trainers.records import Scalar, TrialConfig

if TYPE_CHECKING:
    from trainers.encoders import Encoder
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

    Raises:
        ConfigError: values that no trial can run.
    """
    from trainers.settings import resolve

    _check_ends(document, axes, fixed, lambda values: _refusal(resolve, method, values, axes), ("fixed",))


def check_method(
    document: Document, method: str, network: Encoder, axes: Mapping[str, Axis], fixed: Mapping[str, Scalar]
) -> None:
    """Ask the method whether it can train the encoder, with the held values and both ends of every axis.

    Raises:
        ConfigError: the encoder does not suit the method with these values.
    """
    from trainers.settings import check_network, resolve

    def refusal(values: Mapping[str, Scalar]) -> str:
        if _refusal(resolve, method, values, axes):
            return ""  # `check_values` reports it
        return _refusal(lambda config: check_network(config, network), method, values, axes)

    _check_ends(document, axes, fixed, refusal, ("method",), ("encoder", "name"))


def check_data(
    document: Document,
    method: str,
    batch_size: int,
    shape: tuple[int, ...],
    axes: Mapping[str, Axis],
    fixed: Mapping[str, Scalar],
) -> None:
    """Ask the method about the batch and the training images, with the held values and both ends of every axis.

    Raises:
        ConfigError: the method cannot train on them with these values.
    """
    from trainers.settings import check_data, resolve

    def refusal(values: Mapping[str, Scalar]) -> str:
        if _refusal(resolve, method, values, axes):
            return ""  # `check_values` reports it
        return _refusal(
            lambda config: check_data(replace(config, batch_size=batch_size), shape[0]), method, values, axes
        )

    _check_ends(document, axes, fixed, refusal, ("fixed",), ("batch_size",), ("dataset",), ("method",))


def _check_ends(
    document: Document,
    axes: Mapping[str, Axis],
    fixed: Mapping[str, Scalar],
    refusal: Callable[[Mapping[str, Scalar]], str],
    *blamed: Key,
) -> None:
    """Check the held values, then each end of each axis.

    An end is refused if it fails with the other axes at their first values and also with them at their last. `blamed`
    are the keys of a mistake that depends on no axis.
    """
    ends = {name: _ends(axis) for name, axis in axes.items()}
    others = [{name: values[at] for name, values in ends.items()} for at in (0, -1)]

    def problem_with(tried: Mapping[str, Scalar]) -> str:
        problems = [refusal({**fixed, **other, **tried}) for other in others]
        return problems[0] if all(problems) else ""

    if problem := problem_with({}):
        raise document.error(blamed[0], problem, *blamed[1:])
    problems = {name: next(filter(None, (problem_with({name: value}) for value in ends[name])), "") for name in ends}
    refuse(document.mistake(("space", name), problem) for name, problem in problems.items() if problem)


def _ends(axis: Axis) -> tuple[Scalar, ...]:
    return axis.choices if isinstance(axis, Choices) else (axis.low, axis.high)


def _refusal(
    check: Callable[[TrialConfig], object], method: str, values: Mapping[str, Scalar], axes: Mapping[str, Axis]
) -> str:
    """Why the laboratory refuses a trial with these hyperparameters; "" if it accepts it."""
    try:
        check(TrialConfig(method, {}, {}, epochs=1, batch_size=1, hyperparameters=values, swept=tuple(axes)))
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
