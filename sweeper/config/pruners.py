"""Optuna's pruners by name, and the `pruner:` section of a search-space file."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_type_hints

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from sweeper.config.document import Document, Key, Parts
from sweeper.config.model import PrunerConfig, SweepConfig, section_options
from sweeper.config.names import read_name
from sweeper.config.sections import missing, read_at, read_mapping, read_section_values
from trainers.fields import AtLeast
from trainers.options import Option

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
    """Optuna's pruner. Its `auto` arguments follow from the epochs, not from the first trials as in Optuna.

    Raises:
        ValueError: Optuna refuses the arguments.
    """
    return _build_pruner(config.pruner.name, config.pruner.arguments, config.epochs)


def read_pruner(document: Document) -> PrunerConfig:
    """The pruner and the value of every argument; Optuna's own signature says what the arguments are."""
    if not read_mapping(document, _KEY):
        return PrunerConfig()
    parts = Parts(document)
    parts.read("name", lambda document: _read_pruner_name(document, _KEY))
    parts.read("audit", _read_audit)
    parts.read("arguments", lambda document, name: _read_arguments(document, _KEY, name, ["audit"]), "name")
    return PrunerConfig(**parts.finish())


def check_pruner(document: Document, pruner: PrunerConfig, epochs: int) -> None:
    """Raises: ConfigError, if Optuna refuses the arguments."""
    try:
        _build_pruner(pruner.name, pruner.arguments, epochs)
    except (TypeError, ValueError) as error:
        problem = f"Optuna refuses this {pruner.name} pruner: {' '.join(str(error).split())}"
        raise document.error(_KEY, problem) from None


def check_criteria_every(document: Document, criteria_every: int, pruner: PrunerConfig, epochs: int) -> None:
    """Raises: ConfigError, if a pruner would see no criterion before the last epoch, at which it is not asked."""
    if pruner.name != "none" and criteria_every > 1 and criteria_every >= epochs:
        problem = (
            f"`criteria_every` must be less than the {epochs} epochs of a trial for the {pruner.name} pruner to see"
        )
        raise document.error(("criteria_every",), f"{problem} a criterion in time, but got {criteria_every}", _KEY)


def pruner_options(name: str) -> dict[str, Option]:
    """The arguments of a pruner."""
    kind: Any = PRUNERS[name]
    hints = {**get_type_hints(kind.__init__), **_RESOURCES}
    return {
        one.name: Option(hints[one.name], MISSING if one.default is one.empty else one.default)
        for one in inspect.signature(kind).parameters.values()
    }


_KEY: Final = ("pruner",)


_RESOURCES: Final = dict.fromkeys(("min_resource", "max_resource"), Annotated[int, AtLeast(1)] | Literal["auto"])
"""Arguments that Optuna annotates as `str | int`."""


def _read_pruner_name(document: Document, key: Key) -> str:
    if document.get((*key, "name")) == "wilcoxon":
        raise document.error((*key, "name"), WILCOXON)
    return read_name(document, (*key, "name"), PRUNERS)


def _read_audit(document: Document) -> float:
    audit = section_options("pruner")["audit"]
    key = (*_KEY, "audit")
    share: float = read_at(document, key, audit.hint) if "audit" in read_mapping(document, _KEY) else audit.default
    return share


def _read_arguments(document: Document, key: Key, name: str, others: Sequence[str] = ()) -> dict[str, object]:
    """The arguments of the pruner at `key`; `others` are keys that may also stand there."""
    options = pruner_options(name)
    others = ["name", *others]
    parts = Parts(document)
    if options.pop("wrapped_pruner", None):
        others.append("wrapped_pruner")
        parts.read("wrapped_pruner", lambda document: _read_wrapped_pruner(document, key))
    owner = f"an argument of the {name} pruner"
    parts.read("given", lambda document: read_section_values(options, document, key, others=others, owner=owner))
    arguments = parts.finish()
    given = arguments.pop("given")
    return {**arguments, **{name: given.get(name, option.default) for name, option in options.items()}}


def _read_wrapped_pruner(document: Document, key: Key) -> dict[str, object] | None:
    """The pruner that a patient pruner waits for, or None for patience alone."""
    wrapped = (*key, "wrapped_pruner")
    if "wrapped_pruner" not in read_mapping(document, key):
        raise missing(document, wrapped, "a pruner, such as {name: median}, or null for patience alone")
    if document.get(wrapped) is None:
        return None
    name = _read_pruner_name(document, wrapped)
    return {"name": name, **_read_arguments(document, wrapped, name)}


def _build_pruner(name: str, arguments: Mapping[str, Any], epochs: int) -> BasePruner:
    given = dict(arguments)
    wrapped = given.get("wrapped_pruner")
    if isinstance(wrapped, Mapping):
        inner = {key: value for key, value in wrapped.items() if key != "name"}
        given["wrapped_pruner"] = _build_pruner(str(wrapped["name"]), inner, epochs)
    if given.get("max_resource") == "auto":
        given["max_resource"] = epochs
    if given.get("min_resource") == "auto":
        given["min_resource"] = max(1, epochs // 100)  # as Optuna does from the first completed trial
    if name == "hyperband":
        _build_bracket(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # PatientPruner has been experimental since 2021
        return PRUNERS[name](**given)


def _build_bracket(hyperband: Mapping[str, Any]) -> None:
    """Build one of hyperband's brackets. Optuna itself builds them late, when trials are already running.

    Raises:
        ValueError: Optuna refuses the arguments that hyperband passes to its brackets.
    """
    passed_on = ("min_resource", "reduction_factor", "bootstrap_count")
    optuna.pruners.SuccessiveHalvingPruner(**{name: hyperband[name] for name in passed_on if name in hyperband})
