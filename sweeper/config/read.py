"""A search-space file becomes a SweepConfig; every check happens here, before Ray starts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.config.axes import Axis, Choices, FloatRange, IntRange
from sweeper.config.document import Document, Mistake, Mistakes, Parts, dotted
from sweeper.config.fitting import (
    check_given_sample,
    fit_batch_size,
    fit_sample,
    read_criteria_sample,
    say_what_was_fitted,
)
from sweeper.config.model import MADE, SECTIONS, CollapseRule, Search, SweepConfig, section_options
from sweeper.config.names import (
    check_objective,
    read_criteria,
    read_dataset,
    read_encoder,
    read_method,
    read_network,
    read_objective,
)
from sweeper.config.observers import Known, read_observers
from sweeper.config.oracles import choices_of, read_oracles
from sweeper.config.pruners import check_criteria_every, check_pruner, read_pruner
from sweeper.config.resources import read_resources
from sweeper.config.sections import read_section
from sweeper.config.sizes import check_encoder_size, check_grid, check_sizes, read_shape
from sweeper.config.space import check_centre, check_data, check_method, check_values, read_fixed, read_space
from sweeper.config.yaml_file import make_document, read_document
from sweeper.errors import ConfigError
from trainers.fields import as_yaml
from trainers.names import did_you_mean
from trainers.options import check_options, options_of
from trainers.records import Scalar

logger = logging.getLogger(__name__)


def load_config(
    path: Path, overrides: Sequence[str] = (), *, cluster: bool = False, observers: Known | None = None
) -> SweepConfig:
    """The sweep that a search-space file and the overrides describe.

    A hyperparameter in both `space` and `fixed` is held, unless the sampler is `axes`; the log says so, and that
    `space` is empty.

    Args:
        path: the file.
        overrides: "key.key=value", values in YAML.
        cluster: whether trials run on a cluster, so that this machine's GPUs and cores are no limit.
        observers: the observers and their options; None takes what the file names as it is.

    Raises:
        ConfigError: one line per mistake: its place, what was expected, what came, and the nearest right name.
    """
    config = _parse(read_document(path, overrides), cluster=cluster, observers=observers)
    warn_of_equal_trials(config)
    return config


def parse_config(
    mapping: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    source: str,
    cluster: bool = False,
    observers: Known | None = None,
) -> SweepConfig:
    """The sweep that a mapping describes, with the checks of a file; `source` names it in errors."""
    return _parse(make_document(mapping, source, overrides), cluster=cluster, observers=observers)


def warn_of_equal_trials(config: SweepConfig) -> None:
    """Say that `space` is empty, if the sweep has several trials."""
    runs = config.trials * config.seeds
    if not config.space and runs > 1:
        logger.warning("`space` is empty: all %d trials have the same hyperparameters and differ in their seed", runs)


def _load_plugins() -> None:
    from trainers.plugins import load_all_plugins

    try:
        load_all_plugins()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _parse(document: Document, *, cluster: bool, observers: Known | None) -> SweepConfig:
    _load_plugins()
    parts = Parts(document)
    parts.mistakes += document.mistakes
    _read_plain_keys(parts)
    parts.read("search", _read_search)
    parts.read("collapse", partial(read_section, CollapseRule, key=("collapse",)))
    parts.read("resources", partial(read_resources, cluster=cluster))
    parts.read("pruner", read_pruner)
    parts.read("criteria_sample", read_criteria_sample)
    parts.read("method", read_method)
    parts.read("dataset", read_dataset)
    parts.read("encoder", read_encoder)
    parts.read("oracles", read_oracles)
    parts.read("criteria", read_criteria)
    parts.read("observers", partial(read_observers, known=observers))
    parts.read("objective", read_objective)
    parts.read("axes", read_space, "method")
    parts.read("fixed", read_fixed, "method")
    parts.read("space", _varied, "axes", "fixed", "search")
    parts.check(check_values, "method", "space", "fixed")
    parts.check(check_pruner, "pruner", "epochs")
    parts.check(check_criteria_every, "criteria_every", "pruner", "epochs")
    parts.check(check_objective, "objective", "criteria")
    parts.check(check_grid, "space", "search")
    parts.read("shape", partial(read_shape, cluster=cluster), "dataset")
    parts.read("batch_size", fit_batch_size, "batch_size", "shape")
    parts.check(check_given_sample, "criteria_sample", "dataset", "shape")
    parts.read("unbounded", read_network, "encoder", "shape")
    parts.read("network", partial(check_encoder_size, cluster=cluster), "unbounded")
    parts.check(check_method, "method", "network", "space", "fixed")
    parts.check(check_data, "method", "batch_size", "shape", "space", "fixed")
    counts = ("batch_size", "epochs", "criteria_every")
    needs: tuple[str, ...] = ("criteria_sample", "dataset", "shape", "method", "network", "space", "fixed", *counts)
    parts.read("criteria_sample", fit_sample, *needs)
    needs = ("method", "network", "shape", "space", "fixed", "batch_size", "criteria_sample")
    parts.check(partial(check_sizes, cluster=cluster), *needs)
    values = parts.finish()
    say_what_was_fitted(document, values)
    return _assemble(values)


_CHECKED_ALONE: Final = ("axes", "network", "oracles", "shape", "space", "unbounded")
"""Parts that only other parts need."""


def _assemble(values: Mapping[str, Any]) -> SweepConfig:
    """The sweep, its axes as Optuna's distributions."""
    axes: Mapping[str, Axis] = values["space"]
    return SweepConfig(
        **{name: value for name, value in values.items() if name not in _CHECKED_ALONE},
        space={name: _distribution(axis) for name, axis in axes.items()},
        oracle=tuple(one.name for one in values["oracles"]),
        oracle_choices=choices_of(values["oracles"]),
        points={name: axis.points for name, axis in axes.items() if not isinstance(axis, Choices)},
    )


def _distribution(axis: Axis) -> BaseDistribution:
    match axis:
        case FloatRange():
            return FloatDistribution(axis.low, axis.high, log=axis.log)
        case IntRange():
            return IntDistribution(axis.low, axis.high, log=axis.log)
        case Choices():
            return CategoricalDistribution(axis.choices)


_NAMED: Final = ("method", "dataset", "encoder", "space", "fixed", "criteria", "objective", "oracle", "observers")
"""Keys that name things of a catalogue; functions of their own read them, as they do the sections."""


def _read_plain_keys(parts: Parts) -> None:
    """The keys at the top whose annotations say all about them, and the mistakes about unknown keys."""
    document = parts.document
    others: tuple[str, ...] = (*_NAMED, *SECTIONS)
    options = {name: one for name, one in options_of(SweepConfig).items() if name not in (*others, *MADE)}
    if document.get(("batch_size",)) is None:
        del options["batch_size"]  # `fit_batch_size` chooses it
        parts.values["batch_size"], others = None, (*others, "batch_size")
    if "criteria_every" not in document.values:
        parts.values["criteria_every"] = SweepConfig.criteria_every  # `fit_sample` needs it
    values, problems = check_options(options, document.values, owner="a key of a sweep", others=others)
    for name, problem in problems.items():
        if name not in options and name not in others:
            problem = _right_place(document, name, [*others, *options]) or problem
        parts.mistakes.append(document.mistake((name,), problem))
    parts.values.update(values)


def _read_search(document: Document) -> Search:
    """How configurations are drawn; a word for Bayesian optimisation is told the samplers that do it."""
    try:
        return read_section(Search, document, ("search",))
    except Mistakes as error:
        if not str(document.get(_SAMPLER)).lower().startswith("bayes"):
            raise
        raise Mistakes(map(_name_bayesian, error.mistakes)) from None


def _name_bayesian(mistake: Mistake) -> Mistake:
    """The mistake; about the sampler, with the samplers of Bayesian optimisation in place of the nearest name."""
    text, _, _ = mistake.text.partition("; did you mean")
    told = f"{text}; did you mean `tpe` or `gp`, which do Bayesian optimisation?"
    return replace(mistake, text=told) if dotted(_SAMPLER) in text else mistake


_SAMPLER: Final = ("search", "sampler")


def _right_place(document: Document, name: str, known: Sequence[str]) -> str:
    """A line about a key at the top that belongs elsewhere, such as `sampler`; "" for any other key."""
    if name == "provenance":
        return (
            "`provenance` is in the sweep.yaml of a sweep: `sweeper resume` continues it; provenance=null runs it anew"
        )
    for section in SECTIONS:
        if name in section_options(section):
            return f"`{name}` is not a key of a sweep; did you mean `{section}.{name}`?"
    if not did_you_mean(name, known) and name in _hyperparameters_of(document):
        return f"`{name}` is a hyperparameter: hold it below `fixed:` or vary it below `space:`"
    return ""


def _hyperparameters_of(document: Document) -> Iterable[str]:
    """The hyperparameters of the document's method, if that is a known one."""
    from trainers.methods import METHODS
    from trainers.settings import hyperparameters

    method = document.get(("method",))
    return hyperparameters(method) if isinstance(method, str) and method in METHODS else ()


def _varied(
    document: Document, axes: Mapping[str, Axis], fixed: Mapping[str, Scalar], search: Search
) -> dict[str, Axis]:
    """The axes that vary. For `axes`, a value in `fixed` is the centre of its axis; otherwise it replaces the axis."""
    varied = {}
    for name, axis in axes.items():
        if name not in fixed:
            varied[name] = axis
        elif search.sampler == "axes":
            check_centre(document, name, axis, fixed[name])
            varied[name] = axis
        else:
            logger.warning("`%s` is in `space` and in `fixed`: it is held at %s", name, as_yaml(fixed[name]))
    return varied
