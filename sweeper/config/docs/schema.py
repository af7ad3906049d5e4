"""search_spaces/schema.json: the search-space file as a JSON schema, by which editors complete and check it.

It is made from the same dataclasses and catalogues as the reader. `python -m sweeper.config.reference` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any, Final

from sweeper.config.axes import AXES, Choices, suitable_axes
from sweeper.config.docs.docstrings import field_docs, summary
from sweeper.config.docs.json_schema import (
    NULLABLE,
    Case,
    Schema,
    chosen_schema,
    default_schema,
    fields_schema,
    json_text,
    object_schema,
    one_or_several,
    value_schema,
    when,
)
from sweeper.config.model import DEFAULT_OBJECTIVE, DEFAULT_ORACLE, MADE, SECTIONS, SweepConfig, section_options
from sweeper.config.oracles import constants_of
from sweeper.config.pruners import PRUNERS, pruner_options
from trainers.fields import describe
from trainers.options import Option, options_of

if TYPE_CHECKING:
    from trainers.settings import Hyperparameter

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""The newest draft that the YAML language server supports in full."""


def write() -> str:
    """The schema as text."""
    return json_text(sweep_schema()) + "\n"


def sweep_schema() -> Schema:
    """The schema of a search-space file."""
    from trainers.methods import METHODS

    docs = field_docs(SweepConfig)
    options = {name: one for name, one in options_of(SweepConfig).items() if name not in MADE}
    properties = {name: value_schema(option.hint) for name, option in options.items() if name not in _NAMED}
    properties |= {name: _section(name) for name in SECTIONS} | _named()
    for name, option in options.items():
        properties[name] = {"description": docs[name], **default_schema(option), **properties[name]}
    return {
        "$schema": DRAFT,
        "title": "Search space",
        "description": summary(SweepConfig),
        **object_schema(properties, required=[name for name, one in options.items() if _required(name, one)]),
        "allOf": [when("method", {"const": method}, {"properties": _hyperparameters(method)}) for method in METHODS],
        "definitions": _definitions(),
    }


_NAMED: Final = (
    *SECTIONS,
    "method",
    "dataset",
    "encoder",
    "space",
    "fixed",
    "criteria",
    "objective",
    "oracle",
    "observers",
)
"""Keys whose annotations do not say all that is allowed."""


def _required(name: str, option: Option) -> bool:
    return option.default is MISSING and name not in ("batch_size", "space", "fixed", "criteria")


def _section(name: str) -> Schema:
    if name == "pruner":
        audit = fields_schema(SECTIONS[name], {"audit": section_options(name)["audit"]})
        alone = [
            one for one in PRUNERS if all(option.default is not MISSING for option in pruner_options(one).values())
        ]
        return {"anyOf": [{"enum": alone}, {**_pruner(audit), "type": NULLABLE}]}
    return {**object_schema(fields_schema(SECTIONS[name], section_options(name))), "type": NULLABLE}


def _pruner(shared: Mapping[str, Schema]) -> Schema:
    """A pruner with its arguments; a pruner that `patient` wraps is the definition `wrapped_pruner`."""
    cases = []
    for name in PRUNERS:
        options = pruner_options(name)
        properties: dict[str, Schema] = {}
        for key, option in options.items():
            inner = {"$ref": "#/definitions/wrapped_pruner"}  # Optuna's annotation is a class
            plain = key != "wrapped_pruner"
            properties[key] = {**default_schema(option), **value_schema(option.hint)} if plain else inner
        required = [key for key, option in options.items() if option.default is MISSING]
        cases.append(({"const": name}, properties, required))
    return chosen_schema("name", {"enum": list(PRUNERS)}, cases, shared)


def _named() -> dict[str, Schema]:
    """The keys that name things of the laboratory."""
    from trainers.criteria import CRITERIA
    from trainers.methods import METHODS

    criteria = one_or_several({"enum": list(CRITERIA)})
    criteria["anyOf"] += [{"enum": ["default", "all", None]}]
    criteria["anyOf"][1]["minItems"] = 1
    observer: Schema = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}
    oracle = one_or_several({"$ref": "#/definitions/oracle"})
    oracle["anyOf"] += [{"enum": ["none", None]}]
    return {
        "method": {"enum": list(METHODS)},
        "dataset": {"allOf": [_DATASET]},
        "encoder": _encoder(),
        "space": {"type": NULLABLE},
        "fixed": {"type": NULLABLE},
        "criteria": criteria,
        "objective": {"enum": list(CRITERIA), "default": DEFAULT_OBJECTIVE},
        "oracle": {**oracle, "default": DEFAULT_ORACLE[0]},
        "observers": {"anyOf": [*one_or_several(observer)["anyOf"], {"type": "null"}]},
    }


def _dataset() -> Schema:
    from trainers.datasets import DATASETS

    names: Schema = {"enum": list(DATASETS)}
    cases = [({"const": name}, fields_schema(kind.Options), ()) for name, kind in DATASETS.items()]
    return {"anyOf": [names, chosen_schema("name", names, cases)]}


def _oracle() -> Schema:
    """One oracle: a protocol, the short form with another data set, or a mapping."""
    from trainers.datasets import DATASETS
    from trainers.oracles import ORACLES

    names: Schema = {"enum": list(ORACLES)}
    elsewhere: Schema = {"type": "string", "pattern": f"^({'|'.join(ORACLES)})@({'|'.join(DATASETS)})$"}
    cases = [({"const": name}, fields_schema(type(one), constants_of(name)), ()) for name, one in ORACLES.items()]
    return {"anyOf": [names, elsewhere, chosen_schema("probe", names, cases, {"dataset": _DATASET})]}


_DATASET: Final[Schema] = {"$ref": "#/definitions/dataset"}


def _encoder() -> Schema:
    from trainers.encoders import ENCODERS, TIMM_PREFIX, TimmOptions

    timm: Schema = {"type": "string", "pattern": f"^{TIMM_PREFIX}."}
    kinds: list[Case] = [
        *(({"const": name}, fields_schema(kind), ()) for name, kind in ENCODERS.items()),
        (timm, fields_schema(TimmOptions), ()),
    ]
    names: Schema = {"anyOf": [{"enum": list(ENCODERS)}, timm]}
    return {"anyOf": [names, chosen_schema("name", names, kinds)]}


def _hyperparameters(method: str) -> dict[str, Schema]:
    """`space` and `fixed` of a method; those of every optimiser and augmentation are definitions."""
    from trainers.methods import METHODS
    from trainers.settings import hyperparameters

    docs = field_docs(METHODS[method].Params)
    space: dict[str, Schema] = {}
    fixed: dict[str, Schema] = {}
    for name, one in hyperparameters(method).items():
        own = one.part == "method"
        space[name] = _varied(one, docs) if own else {"$ref": f"#/definitions/space.{name}"}
        held = _held(one, docs) if own else {"allOf": [{"$ref": f"#/definitions/fixed.{name}"}]}
        fixed[name] = {"default": one.default, **held}
    return {"space": {**object_schema(space), "type": NULLABLE}, "fixed": {**object_schema(fixed), "type": NULLABLE}}


def _varied(one: Hyperparameter, docs: Mapping[str, str]) -> Schema:
    axis = {"$ref": f"#/definitions/{_axis_name(one.kind)}"}
    return {"description": docs.get(one.name, ""), "anyOf": [{"type": "null"}, axis]}


def _held(one: Hyperparameter, docs: Mapping[str, str]) -> Schema:
    return {"description": docs.get(one.name, ""), **value_schema(one.kind)}


def _definitions() -> dict[str, Schema]:
    """The shared parts: hyperparameters of every method, axes by annotation, and a wrapped pruner."""
    from trainers.methods import METHODS
    from trainers.settings import hyperparameters

    definitions = {"dataset": _dataset(), "oracle": _oracle(), "wrapped_pruner": {**_pruner({}), "type": NULLABLE}}
    for method, kind in METHODS.items():
        docs = field_docs(type(kind.optimizer)) | field_docs(type(kind.augmentation))
        for name, one in hyperparameters(method).items():
            definitions[_axis_name(one.kind)] = _axis(one.kind)
            if one.part != "method":
                definitions |= {f"space.{name}": _varied(one, docs), f"fixed.{name}": _held(one, docs)}
    return dict(sorted(definitions.items()))


def _axis_name(hint: Any) -> str:
    return f"axis of {describe(hint)}".replace(" ", "_")


def _axis(hint: Any) -> Schema:
    kinds = []
    for name in suitable_axes(hint):
        properties = {key: one for key, one in fields_schema(AXES[name]).items() if key != "type"}
        if AXES[name] is Choices:
            choices = {"type": "array", "minItems": 1, "uniqueItems": True, "items": value_schema(hint)}
            properties["choices"] = {"description": field_docs(Choices)["choices"], **choices}
        required = [key for key, option in options_of(AXES[name]).items() if option.default is MISSING]
        kinds.append(({"const": name}, properties, required))
    return chosen_schema("type", {"enum": list(suitable_axes(hint))}, kinds)
