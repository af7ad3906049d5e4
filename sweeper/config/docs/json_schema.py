"""JSON schemas of annotations, of dataclasses, and of mappings whose first key says which other keys they have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from sweeper.config.docs.docstrings import field_docs
from trainers.fields import Above, AtLeast, Between
from trainers.options import Option, options_of

Schema = dict[str, Any]

NULLABLE: Final = ["object", "null"]
"""A section with nothing below it is null, and counts as absent."""


def value_schema(hint: Any) -> Schema:
    """The schema of an annotation.

    >>> value_schema(Annotated[int, AtLeast(1)] | Literal["auto"])
    {'anyOf': [{'type': 'integer', 'minimum': 1}, {'enum': ['auto']}]}
    >>> value_schema(float | None)
    {'type': ['number', 'null']}
    """
    origin = get_origin(hint)
    if origin is Annotated:
        kind, *bounds = get_args(hint)
        return {**value_schema(kind), **{key: value for bound in bounds for key, value in _bounds(bound).items()}}
    if origin in (Union, UnionType):
        parts = [value_schema(one) for one in get_args(hint)]
        if all(set(part) == {"type"} for part in parts):
            return {"type": [part["type"] for part in parts]}
        return {"anyOf": parts}
    if origin is tuple:
        return one_or_several(value_schema(get_args(hint)[0]))
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    return {"type": _TYPES[hint]}


_TYPES: Final = {int: "integer", float: "number", bool: "boolean", str: "string", NoneType: "null"}


def _bounds(bound: AtLeast | Above | Between) -> Schema:
    match bound:
        case AtLeast():
            return {"minimum": bound.bound}
        case Above():
            return {"exclusiveMinimum": bound.bound}
        case Between():
            return {"minimum": bound.low, "maximum": bound.high}


def default_schema(option: Option) -> Schema:
    """The default, if JSON can write it."""
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    return {"default": value} if isinstance(value, bool | int | float | str | list | None) else {}


def object_schema(properties: Mapping[str, Schema | bool], required: Iterable[str] = ()) -> Schema:
    """A mapping with these keys and no others."""
    needed = sorted(required)
    ends = {"required": needed} if needed else {}
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **ends}


def one_or_several(item: Schema) -> Schema:
    """One value, or a list of different ones."""
    return {"anyOf": [item, {"type": "array", "items": item, "uniqueItems": True}]}


def when(key: str, value: Schema, then: Schema) -> Schema:
    """`then` applies if `key` has this value."""
    return {"if": {"type": "object", "properties": {key: value}, "required": [key]}, "then": then}


Case = tuple[Schema, Mapping[str, Schema], Iterable[str]]
"""The schema of the value at a mapping's first key, the further keys that it brings, and the required ones of them."""


def chosen_schema(key: str, names: Schema, cases: Iterable[Case], shared: Mapping[str, Schema] | None = None) -> Schema:
    """A mapping whose value at `key` says which other keys it has; the keys in `shared` may always stand there."""
    always = {key: names, **(shared or {})}
    conditions = []
    for value, properties, required in cases:
        then = object_schema({**dict.fromkeys(always, True), **properties}, required)
        conditions.append(when(key, value, then))
    return {"type": "object", "properties": always, "required": [key], "allOf": conditions}


def fields_schema(kind: type[Any], options: Mapping[str, Option] | None = None) -> dict[str, Schema]:
    """The fields of a dataclass, with their meaning and default."""
    docs = field_docs(kind)
    return {
        name: {"description": docs.get(name, ""), **default_schema(option), **value_schema(option.hint)}
        for name, option in (options_of(kind) if options is None else options).items()
    }


def json_text(value: Any, indent: str = "") -> str:
    """JSON text; a value of less than 100 characters is on one line."""
    text = json.dumps(value, ensure_ascii=False)
    if len(indent + text) < 100 or not isinstance(value, dict | list) or not value:
        return text
    inner = indent + "  "
    if isinstance(value, list):
        return "[\n" + ",\n".join(inner + json_text(one, inner) for one in value) + f"\n{indent}]"
    parts = [f"{inner}{json.dumps(key)}: {json_text(one, inner)}" for key, one in value.items()]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
