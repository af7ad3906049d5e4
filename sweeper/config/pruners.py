"""Optuna's pruners by name, and the `pruner:` section of a search-space file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_type_hints

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from sweeper.config.document import Document, Key
from sweeper.config.fields import AtLeast, missing, read_arguments, read_mapping, read_value
from sweeper.config.model import PrunerConfig, SweepConfig
from sweeper.config.names import read_name

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


def make_pruner(config: SweepConfig) -> BasePruner:
    """Optuna's pruner, with what it would have to guess from the first trials given by the epochs.

    Raises:
        ValueError: Optuna refuses the arguments.
    """
    return _build_pruner(config.pruner.name, config.pruner.arguments, config.epochs)


def read_pruner(document: Document, epochs: int) -> PrunerConfig:
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
