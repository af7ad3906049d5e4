"""A search-space file becomes a SweepConfig; every check happens here, before Ray starts."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_type_hints

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from sweeper.config.document import Document, Key, read_document, shown
from sweeper.config.fields import (
    Above,
    AtLeast,
    Between,
    missing,
    read,
    read_arguments,
    read_mapping,
    read_value,
    read_values,
    refuse_unknown,
)
from sweeper.config.names import (
    DEFAULT_OBJECTIVE,
    DEFAULT_ORACLE,
    check_images,
    read_criteria,
    read_criteria_sample,
    read_dataset,
    read_encoder,
    read_method,
    read_name,
    read_objective,
    read_oracle,
)
from sweeper.config.space import Axis, Choices, FloatRange, IntRange, check_centre, check_values, read_fixed, read_space
from sweeper.errors import did_you_mean
from trainers.records import CriteriaSample, Scalar

logger = logging.getLogger(__name__)

PRUNERS: Final[Mapping[str, type[BasePruner]]] = MappingProxyType(
    {
        "median": optuna.pruners.MedianPruner,
        "percentile": optuna.pruners.PercentilePruner,
        "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "patient": optuna.pruners.PatientPruner,
        "threshold": optuna.pruners.ThresholdPruner,
        "none": optuna.pruners.NopPruner,
    }
)
WILCOXON: Final = (
    "wilcoxon is refused: it pairs the steps of two trials as instances of one problem, and the epochs of a learning "
    "curve are not; take median or successive_halving"
)


@dataclass(frozen=True)
class Search:
    """How configurations are drawn."""

    sampler: Literal["random", "tpe", "gp", "cmaes", "qmc", "grid", "axes"] = "random"
    """tpe, gp and cmaes learn from finished trials; axes varies one hyperparameter at a time around `fixed`."""
    seed: Annotated[int, AtLeast(0)] = 0
    """Seed of the sweep: trial k's configuration and seed follow from it and k."""


@dataclass(frozen=True)
class PrunerConfig:
    """One of Optuna's pruners by name, with its own arguments beside the name."""

    name: str = "none"
    """The pruner."""
    audit: Annotated[float, Between(0, 1)] = 0.0
    """Share of the trials it would have pruned that run on, to measure what pruning costs. To the pruner they are from
    then on trials like others, so that it is a little laxer than without them."""
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class CollapseRule:
    """When a trial is called collapsed: two epochs running, after a warm-up, below a threshold."""

    rankme: float = 1.5
    """Least RankMe of the uncentred embeddings."""
    spread: float = 1e-3
    """Least mean standard deviation per dimension over mean norm, of the embeddings."""
    warmup: Annotated[float, Between(0, 1)] = 0.2
    """Share of the epochs in which nothing is called collapsed, so that slow starters live."""
    peak_share: Annotated[float, Between(0, 1)] | None = None
    """Least share of the objective's own peak; null = off, because random starts have a high peak."""


@dataclass(frozen=True)
class Resources:
    """What one trial may use."""

    cpus: Annotated[float, Above(0)] = 1
    """CPU cores."""
    gpus: Annotated[float, AtLeast(0)] | Literal["auto"] = "auto"
    """GPUs, a share of one or 1; auto = 0.25 where CUDA is seen, else 0."""


_CRITERIA_SAMPLE: Final = CriteriaSample()


@dataclass(frozen=True)
class SweepConfig:
    """One sweep, every default written out."""

    method: str
    """The self-supervised method."""
    dataset: Mapping[str, Scalar]
    """The data set's `name`, and its options beside it."""
    encoder: Mapping[str, Scalar]
    """The encoder's `name`, and its options beside it."""
    epochs: Annotated[int, AtLeast(1)]
    """Epochs of every trial."""
    batch_size: Annotated[int, AtLeast(2)]
    """Images per update."""
    trials: Annotated[int, AtLeast(1)]
    """Configurations; the sweep makes `trials` × `seeds` runs."""
    space: Mapping[str, BaseDistribution]
    """What varies: hyperparameter → range."""
    points: Mapping[str, int]
    fixed: Mapping[str, Scalar]
    """What is held: hyperparameter → value, instead of the method's default."""
    criteria: tuple[str, ...]
    """The label-free criteria that every trial reports each epoch; all of them by default."""
    criteria_sample: CriteriaSample = _CRITERIA_SAMPLE
    """The images and draws on which every trial is judged."""
    objective: str = DEFAULT_OBJECTIVE
    """The criterion that the search maximises and the pruner watches."""
    oracle: tuple[str, ...] = DEFAULT_ORACLE
    """Probe protocols that measure each finished trial with labels: one, a list, or none. They steer nothing."""
    oracle_pruned: bool = False
    """Whether pruned trials are measured too."""
    search: Search = Search()
    """How configurations are drawn."""
    seeds: Annotated[int, AtLeast(1)] = 1
    """Runs of each configuration, for the noise floor."""
    pruner: PrunerConfig = PrunerConfig()
    """What stops a trial that lags behind."""
    collapse: CollapseRule = CollapseRule()
    """What stops a trial that has collapsed."""
    resources: Resources = Resources()
    """What one trial may use."""
    jobs: Annotated[int, AtLeast(1)] | Literal["auto"] = "auto"
    """Trials at once; auto = as many as the machine has room for."""
    storage: str | None = None
    """Any Optuna storage URL; null = study.db in the sweep's folder."""
    keep_checkpoints: Literal["best", "last", "all", "none"] = "best"
    """Which checkpoints stay: best = the completed trial's with the best objective (never by the oracle), last = every
    trial's last epoch, all = every epoch of every trial."""
    max_retries: Annotated[int, AtLeast(0)] = 1
    """How often a trial is tried again after its worker died."""


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


def to_mapping(config: SweepConfig) -> dict[str, Any]:
    """The search-space file that `config` would come from, every default written out."""
    written: dict[str, Any] = {}
    for one in fields(config):
        value = getattr(config, one.name)
        written[one.name] = dict(value) if isinstance(value, Mapping) else value
    del written["points"]
    written["space"] = {name: _axis_mapping(config, name) for name in config.space}
    written["criteria"] = list(config.criteria)
    written["oracle"] = list(config.oracle) or "none"
    for name in ("criteria_sample", "search", "collapse", "resources"):
        written[name] = asdict(written[name])
    pruner = config.pruner
    written["pruner"] = {"name": pruner.name, "audit": pruner.audit, **_plain(pruner.arguments)}
    return written


def make_pruner(config: SweepConfig) -> BasePruner:
    """Optuna's pruner, with what it would have to guess from the first trials given by the epochs.

    Raises:
        ValueError: Optuna refuses the arguments.
    """
    return _build_pruner(config.pruner.name, config.pruner.arguments, config.epochs)


def _parse(document: Document, *, cluster: bool) -> SweepConfig:
    """What is quick to check first; then the names, for which the laboratory has to be imported."""
    _refuse_unknown_keys(document)
    _refuse_bare_names(document)
    plain = read_values(SweepConfig, document, (), beside=_READ_APART)
    search = read(Search, document, ("search",))
    apart: dict[str, Any] = {
        "search": search,
        "pruner": _read_pruner(document, plain["epochs"]),
        "collapse": read(CollapseRule, document, ("collapse",)),
        "resources": _read_resources(document, cluster=cluster),
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
    check_images(document, config.dataset, config.encoder, config.batch_size, config.criteria_sample)
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


def usable_cores() -> int:
    """The cores that this process may use, which a cluster's scheduler may have made fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_resources(document: Document, *, cluster: bool) -> Resources:
    """What a trial may use, and, unless a cluster has it, what this machine has."""
    resources = read(Resources, document, ("resources",))
    if resources.gpus != "auto" and resources.gpus > 1:
        problem = f"`resources.gpus` must be at most 1, because a trial trains on one GPU, but got {resources.gpus:g}"
        raise document.error(("resources", "gpus"), problem)
    if cluster:
        return resources
    cores = usable_cores()
    if resources.cpus > cores:
        problem = f"`resources.cpus` must be at most the {cores} cores here, but got {resources.cpus:g}"
        raise document.error(("resources", "cpus"), problem)
    if resources.gpus != "auto" and resources.gpus > 0:
        import torch

        there = torch.cuda.device_count()
        if resources.gpus > there:
            problem = f"`resources.gpus` must be at most the {there} GPUs here, but got {resources.gpus:g}"
            raise document.error(("resources", "gpus"), f"{problem}; auto takes what there is")
    return resources


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


def _axis_mapping(config: SweepConfig, name: str) -> dict[str, Any]:
    distribution = config.space[name]
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(distribution.choices)}
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    ends = {"low": distribution.low, "high": distribution.high, "log": distribution.log}
    return {"type": kind, **ends, "points": config.points[name]}


def _read_pruner(document: Document, epochs: int) -> PrunerConfig:
    """The pruner, its arguments checked against Optuna's own signature and defaults written out."""
    key = ("pruner",)
    written = read_mapping(document, key)
    name = _read_pruner_name(document, key) if written else "none"
    audit = read_value(document, (*key, "audit"), _AUDIT) if "audit" in written else 0.0
    arguments = _read_pruner_arguments(document, key, name, ["name", "audit"])
    try:
        _build_pruner(name, arguments, epochs)
    except (TypeError, ValueError) as error:
        raise document.error(key, f"Optuna refuses this {name} pruner: {' '.join(str(error).split())}") from None
    return PrunerConfig(name, audit, arguments)


_AUDIT: Final = get_type_hints(PrunerConfig, include_extras=True)["audit"]
_RESOURCES: Final = dict.fromkeys(("min_resource", "max_resource"), Annotated[int, AtLeast(1)] | Literal["auto"])
"""What Optuna annotates as `str | int`."""


def _read_pruner_name(document: Document, key: Key) -> str:
    if document.get((*key, "name")) == "wilcoxon":
        raise document.error((*key, "name"), WILCOXON)
    return read_name(document, (*key, "name"), PRUNERS)


def _read_pruner_arguments(document: Document, key: Key, name: str, beside: Sequence[str]) -> dict[str, object]:
    what = f"an argument of the {name} pruner"
    if name != "patient":
        return read_arguments(PRUNERS[name], document, key, what=what, beside=beside, hints=_RESOURCES)
    wrapped = (*key, "wrapped_pruner")
    if "wrapped_pruner" not in read_mapping(document, key):
        raise missing(document, wrapped, "a pruner, such as {name: median}, or null for patience alone")
    arguments = read_arguments(PRUNERS[name], document, key, what=what, beside=[*beside, "wrapped_pruner"])
    if document.get(wrapped) is None:
        return {"wrapped_pruner": None, **arguments}
    inner = _read_pruner_name(document, wrapped)
    return {
        "wrapped_pruner": {"name": inner, **_read_pruner_arguments(document, wrapped, inner, ["name"])},
        **arguments,
    }


def _build_pruner(name: str, arguments: Mapping[str, Any], epochs: int) -> BasePruner:
    given = dict(arguments)
    wrapped = given.get("wrapped_pruner")
    if isinstance(wrapped, Mapping):
        inner = {key: value for key, value in wrapped.items() if key != "name"}
        given["wrapped_pruner"] = _build_pruner(str(wrapped["name"]), inner, epochs)
    if given.get("max_resource") == "auto":
        given["max_resource"] = epochs
    if given.get("min_resource") == "auto":
        given["min_resource"] = max(1, epochs // 100)  # what Optuna makes of the first trial that completes
    if name == "hyperband":
        _build_bracket(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # PatientPruner is marked so since 2021
        return PRUNERS[name](**given)


def _build_bracket(hyperband: Mapping[str, Any]) -> None:
    """Build one of hyperband's brackets, as Optuna does only when it is first asked, with trials already running.

    Raises:
        ValueError: Optuna refuses the arguments that hyperband hands on.
    """
    handed_on = ("min_resource", "reduction_factor", "bootstrap_count")
    optuna.pruners.SuccessiveHalvingPruner(**{name: hyperband[name] for name in handed_on if name in hyperband})


def _plain(arguments: Mapping[str, object]) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, Mapping) else value for key, value in arguments.items()}
