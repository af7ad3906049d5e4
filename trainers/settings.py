"""A trial's hyperparameters, sorted into the method's, the optimiser's and the augmentation's."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

from trainers.augment import Augmentation
from trainers.encoders import Encoder
from trainers.methods import METHODS
from trainers.methods.base import MethodParams
from trainers.optim import Optimizer
from trainers.records import Scalar, TrialConfig


@dataclass(frozen=True)
class Settings:
    """A trial's hyperparameters, each with the part that it belongs to."""

    params: MethodParams
    optimizer: Optimizer
    augmentation: Augmentation
    criteria_augmentation: Augmentation
    """Of the criteria's views: the method's default, and what the sweep holds fixed; never what it varies."""
    criteria_params: MethodParams
    """The same of the method's hyperparameters, for a method whose views are masks."""


@dataclass(frozen=True)
class Hyperparameter:
    """One name that `space` and `fixed` may use."""

    name: str
    kind: Any
    """The type of its values, as an annotation: float, int | None, Literal["a", "b"] …"""
    default: Scalar
    part: str
    """method · optimiser · augmentation"""


def hyperparameters(method: str) -> dict[str, Hyperparameter]:
    """Every hyperparameter of a method, of its optimiser and of its augmentation, with the method's defaults.

    Raises:
        ValueError: two of them have the same name.
    """
    kind = METHODS[method]
    parts: dict[str, MethodParams | Optimizer | Augmentation] = {
        "method": kind.Params(),
        "optimiser": kind.optimizer,
        "augmentation": kind.augmentation,
    }
    found = [
        Hyperparameter(field.name, hints[field.name], getattr(defaults, field.name), part)
        for part, defaults in parts.items()
        for hints in [get_type_hints(type(defaults), include_extras=True)]
        for field in fields(defaults)
    ]
    twice = [one.name for one in found if sum(other.name == one.name for other in found) > 1]
    if twice:
        raise ValueError(f"{method} must have one hyperparameter of each name, but has two called `{twice[0]}`")
    return {one.name: one for one in found}


def check_network(config: TrialConfig, encoder: Encoder) -> None:
    """Check that a trial's method can train an encoder, which may have no numbers.

    Raises:
        ValueError: one line that says why it cannot.
    """
    settings = resolve(config)
    side = settings.augmentation.local_size
    if settings.augmentation.local_crops and side is not None and side % encoder.patch:
        raise ValueError(f"`local_size` must be a multiple of the encoder's patch of {encoder.patch}, but got {side}")
    method = METHODS[config.method]
    method.check(encoder, settings.params)
    if settings.criteria_params != settings.params:
        try:
            method.check_masks(encoder, settings.criteria_params)
        except ValueError as error:
            raise ValueError(f"the criteria have the default masks where a sweep varies them: {error}") from error


def check_data(config: TrialConfig, images: int) -> None:
    """Check that a trial's method can train on batches of so many of so many training images.

    Raises:
        ValueError: one line that says why it cannot.
    """
    METHODS[config.method].check_data(resolve(config).params, config.batch_size, images)


def resolve(config: TrialConfig) -> Settings:
    """Sort the trial's hyperparameters into the method's, the optimiser's and the augmentation's.

    Raises:
        ValueError: a name that none of them knows, or a value that the method cannot take.
    """
    method = METHODS[config.method]
    known = hyperparameters(config.method)
    for name in config.hyperparameters:
        if name not in known:
            raise ValueError(f"`{name}` is not a hyperparameter of {config.method}; it has {', '.join(known)}")
    of_part: dict[str, dict[str, Any]] = {"method": {}, "optimiser": {}, "augmentation": {}}
    for name, value in config.hyperparameters.items():
        of_part[known[name].part][name] = value
    augmentation = replace(method.augmentation, **of_part["augmentation"])
    if augmentation.local_crops and not method.multi_crop:
        raise ValueError(f"`local_crops` must be 0 for {config.method}, but got {augmentation.local_crops}")
    held = {
        part: {name: value for name, value in values.items() if name not in config.swept}
        for part, values in of_part.items()
    }
    return Settings(
        params=method.Params(**of_part["method"]),
        optimizer=replace(method.optimizer, **of_part["optimiser"]),
        augmentation=augmentation,
        criteria_augmentation=replace(method.augmentation, **held["augmentation"]),
        criteria_params=method.Params(**held["method"]),
    )
