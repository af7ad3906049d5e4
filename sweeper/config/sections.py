"""The sections of a Document: each is read by the validator, and its problems become mistakes with a place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from sweeper.config.document import NAMED, Document, Key, Mistakes, dotted, refuse
from trainers.fields import as_yaml, read_value
from trainers.options import Option, check_options, options_of, unknown_keys

Part = TypeVar("Part")


def read_section(
    kind: type[Part], document: Document, key: Key, *, others: Collection[str] = (), owner: str = ""
) -> Part:
    """The dataclass `kind`, made from the mapping at `key`; see `read_section_values`."""
    return kind(**read_section_values(options_of(kind), document, key, others=others, owner=owner))


def read_section_values(
    options: Mapping[str, Option], document: Document, key: Key, *, others: Collection[str] = (), owner: str = ""
) -> dict[str, Any]:
    """The values of the mapping at `key`, without defaults.

    Args:
        options: the keys that are read.
        document: the file.
        key: the section.
        others: keys that may also stand in the section, and that the caller reads.
        owner: what the keys are, such as "an option of mnist5k".

    Raises:
        ConfigError: unknown keys, missing keys, wrong values: all of them.
    """
    section = read_mapping(document, key)
    advice = _advice(document, key) if "name" in others else ""
    path = ".".join(key)
    values, problems = check_options(options, section, path=path, owner=owner, others=others, advice=advice)
    for name in [name for name in problems if name not in options][1:]:
        if advice:
            del problems[name]  # one override made them all wrong: that is one mistake
    refuse(document.mistake((*key, name), problem) for name, problem in problems.items())
    return values


def _advice(document: Document, key: Key) -> str:
    """An overridden name, with the old one's options still in the file: all of the section must be overridden."""
    override = document.overrides.get((*key, "name"))
    return f"; override all of it: {key[0]}='{{name: {override.partition('=')[2]}}}'" if override else ""


def read_mapping(document: Document, key: Key) -> Mapping[str, object]:
    """The mapping at `key`; it is empty if the key is absent or has nothing below it.

    Raises:
        ConfigError: the value is not a mapping.
    """
    value = document.get(key)
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    expected = "a name or a mapping (key: value)" if key[0] in NAMED and len(key) == 1 else "a mapping (key: value)"
    advice = "; write `search.sampler`" if key == ("search",) and isinstance(value, str) else ""
    if key[0] == "space" and len(key) == 2:
        advice = f"; to hold the value, write `fixed.{key[1]}`"
    raise document.error(key, f"{dotted(key)} must be {expected}, but got {as_yaml(value)}{advice}")


def refuse_unknown(document: Document, key: Key, known: Collection[str], *, owner: str, advice: str = "") -> None:
    """Raises: ConfigError, for every key of the mapping at `key` that is not known."""
    problems = unknown_keys(read_mapping(document, key), known, path=".".join(key), owner=owner, advice=advice)
    refuse(document.mistake((*key, name), problem) for name, problem in problems.items())


def read_at(document: Document, key: Key, hint: Any) -> Any:
    """The value at `key`, as its annotation says.

    Raises:
        ConfigError: the value is something else.
    """
    try:
        return read_value(document.get(key), hint, ".".join(key))
    except ValueError as error:
        raise document.error(key, str(error)) from None


def missing(document: Document, key: Key, expected: str) -> Mistakes:
    """The error about a required key that is absent."""
    return document.error(key, f"{dotted(key)} is missing; it must be {expected}")
