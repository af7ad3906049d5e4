"""A search-space file becomes a SweepConfig; every check happens here, before Ray starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.document import Document, read_document, shown
from sweeper.config.fields import read, read_mapping, read_values, refuse_unknown
from sweeper.config.model import CollapseRule, PrunerConfig, Resources, Search, SweepConfig, logger
from sweeper.config.names import (
    check_images,
    read_criteria,
    read_criteria_sample,
    read_dataset,
    read_encoder,
    read_method,
    read_objective,
    read_oracle,
)
from sweeper.config.pruners import read_pruner
from sweeper.config.resources import read_resources
from sweeper.config.space import Axis, Choices, FloatRange, IntRange, check_centre, check_values, read_fixed, read_space
from sweeper.errors import ConfigError, did_you_mean
from trainers.records import CriteriaSample


def load_config(path: Path, overrides: Sequence[str] = (), *, cluster: bool = False) -> SweepConfig:
    """The sweep that a search-space file and the overrides laid over it describe.

    A hyperparameter in both `space` and `fixed` is held, unless the sampler is `axes`; the log says so.

    Args:
        path: the file.
        overrides: "key.key=value", values in YAML.
        cluster: whether trials run elsewhere, so that this machine's GPUs and cores are no limit.

    Raises:
        ConfigError: in one line, where and what is wrong, what was expected, and the nearest right name.
    """
    return _parse(read_document(path, overrides), cluster=cluster)


def parse_config(mapping: Mapping[str, Any], *, source: str, cluster: bool = False) -> SweepConfig:
    """The sweep that a mapping describes, checked as a file is; `source` names it in errors."""
    return _parse(Document(mapping, source), cluster=cluster)


def _load_plugins() -> None:
    from trainers.plugins import load_all_plugins

    try:
        load_all_plugins()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _parse(document: Document, *, cluster: bool) -> SweepConfig:
    """What is quick to check first; then the names, for which the laboratory has to be imported."""
    _load_plugins()
    _refuse_unknown_keys(document)
    _refuse_bare_names(document)
    plain = read_values(SweepConfig, document, (), beside=_READ_APART)
    search = read(Search, document, ("search",))
    apart: dict[str, Any] = {
        "search": search,
        "pruner": read_pruner(document, plain["epochs"]),
        "collapse": read(CollapseRule, document, ("collapse",)),
        "resources": read_resources(document, cluster=cluster),
        "criteria_sample": read_criteria_sample(document),
        "method": read_method(document),
        "dataset": read_dataset(document),
        "encoder": read_encoder(document),
        "oracle": read_oracle(document),
        "criteria": read_criteria(document),
    }
    hyperparameters = _read_hyperparameters(document, apart["method"], search.sampler)
    objective = read_objective(document, apart["criteria"])
    config = SweepConfig(**plain, **apart, **hyperparameters, objective=objective)
    images = (config.dataset, config.encoder, config.batch_size, config.criteria_sample)
    check_images(document, *images, config.method, config.fixed)
    return config


_SECTIONS: Final[Mapping[str, type[Any]]] = {
    "search": Search,
    "pruner": PrunerConfig,
    "resources": Resources,
    "criteria_sample": CriteriaSample,
    "collapse": CollapseRule,
}


_READ_APART: Final = (
    *_SECTIONS,
    *("method", "dataset", "encoder", "space", "points", "fixed", "criteria", "objective", "oracle"),
)


_FIRST_KEYS: Final = MappingProxyType({"dataset": "name", "encoder": "name", "pruner": "name", "search": "sampler"})


def _refuse_bare_names(document: Document) -> None:
    """`pruner: median` says what is meant, but has no room for the rest: name the key that it belongs to."""
    for section, first in _FIRST_KEYS.items():
        value = document.get((section,))
        if isinstance(value, str):
            problem = f"`{section}` must be a mapping (key: value), but got {shown(value)}; write `{section}.{first}`"
            raise document.error((section,), problem)


def _refuse_unknown_keys(document: Document) -> None:
    """At the top, a key may also be one that belongs into a section: `sampler` is `search.sampler`."""
    names = [one.name for one in fields(SweepConfig) if one.name != "points"]
    for name in read_mapping(document, ()):
        homes = [section for section, kind in _SECTIONS.items() if name in {one.name for one in fields(kind)}]
        if name not in names and homes:
            raise document.error((name,), f"`{name}` is not a key of a sweep; did you mean `{homes[0]}.{name}`?")
        if name not in names and not did_you_mean(name, names) and name in _hyperparameters_of(document):
            problem = f"`{name}` is a hyperparameter: hold it below `fixed:` or vary it below `space:`"
            raise document.error((name,), problem)
    refuse_unknown(document, (), names)


def _hyperparameters_of(document: Document) -> Iterable[str]:
    """The hyperparameters of the method that the document names, if it names one."""
    from trainers.methods import METHODS
    from trainers.settings import hyperparameters

    method = document.get(("method",))
    return hyperparameters(method) if isinstance(method, str) and method in METHODS else ()


def _read_hyperparameters(document: Document, method: str, sampler: str) -> dict[str, Any]:
    """space, points and fixed; a hyperparameter in both is the centre of its axis for `axes`, and held otherwise."""
    from trainers.settings import hyperparameters

    known = hyperparameters(method)
    axes = read_space(document, method, known)
    fixed = read_fixed(document, method, known)
    for name in [name for name in axes if name in fixed]:
        if sampler == "axes":
            check_centre(document, name, axes[name], fixed[name])
        else:
            del axes[name]
            logger.warning("`%s` is in `space` and in `fixed`: it is held at %s", name, shown(fixed[name]))
    check_values(document, method, axes, fixed)
    return {
        "space": {name: _distribution(axis) for name, axis in axes.items()},
        "points": {name: axis.points for name, axis in axes.items() if not isinstance(axis, Choices)},
        "fixed": fixed,
    }


def _distribution(axis: Axis) -> BaseDistribution:
    match axis:
        case FloatRange():
            return FloatDistribution(axis.low, axis.high, log=axis.log)
        case IntRange():
            return IntDistribution(axis.low, axis.high, log=axis.log)
        case Choices():
            return CategoricalDistribution(axis.choices)
