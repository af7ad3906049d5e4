"""A search-space file as text that no terminal obeys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from trainers.formats import one_line


def file_text(content: Mapping[str, Any]) -> str:
    """A search-space file: short sections on one line, hyperparameters one per line, in 80 columns where it can be."""
    head = yaml_narrow({name: value for name, value in content.items() if name != "fixed"})
    return head + yaml_lines({"fixed": content["fixed"]})


NARROW: Final = 80
"""Columns of the smallest terminal."""
UNBROKEN: Final = 1_000_000
"""Columns, so that PyYAML, which breaks a line only after it is too long, breaks none."""


def yaml_short(mapping: Mapping[str, Any]) -> str:
    """A mapping in the format of a search-space file: short values on one line."""
    return _dump(mapping, default_flow_style=None, width=100)


def yaml_narrow(mapping: Mapping[str, Any], width: int = NARROW) -> str:
    """The same in lines of at most `width` characters, where a comma allows it.

    >>> yaml_narrow({"a": [1, 22, 333], "b": {"c": 1}}, width=11)
    'a: [1, 22,\\n  333]\\nb: {c: 1}\\n'
    """
    text = _dump(mapping, default_flow_style=None, width=UNBROKEN)
    narrow = "\n".join(part for line in text.split("\n") for part in _broken(line, width))
    return narrow if _reads_as(narrow, yaml.safe_load(text)) else text


def _reads_as(text: str, value: object) -> bool:
    """Whether YAML reads the text as the value; a key with a comma in it must not be broken."""
    try:
        return bool(yaml.safe_load(text) == value)
    except yaml.YAMLError:
        return False


def _broken(line: str, width: int) -> Iterator[str]:
    """A line in parts. YAML reads a break behind a comma as a blank, also within a value, if no other blank follows."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    while len(line) > width:
        ends = [found.start() + 1 for found in re.finditer(r", (?=\S)", line)]
        end = max((one for one in ends if one <= width), default=min(ends, default=None))
        if end is None:
            break
        yield line[:end]
        line = indent + line[end + 1 :]
    yield line


def yaml_lines(mapping: Mapping[str, Any]) -> str:
    """A mapping with one key per line."""
    return _dump(mapping)


def _dump(mapping: Mapping[str, Any], **how: Any) -> str:
    """YAML that no terminal obeys and that reads back as the same values: what is not shown as it is, is escaped."""
    text = str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True, **how))
    if all(one_line(line) == line for line in text.split("\n")):
        return text
    return str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=False, **how))
