"""A search-space file as text that no terminal obeys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from trainers.formats import one_line


def file_text(content: Mapping[str, Any]) -> str:
    """A search-space file: short sections on one line, hyperparameters one per line."""
    head = yaml_short({name: value for name, value in content.items() if name != "fixed"})
    return head + yaml_lines({"fixed": content["fixed"]})


def yaml_short(mapping: Mapping[str, Any]) -> str:
    """A mapping in the format of a search-space file: short values on one line."""
    return _dump(mapping, default_flow_style=None, width=100)


def yaml_lines(mapping: Mapping[str, Any]) -> str:
    """A mapping with one key per line."""
    return _dump(mapping)


def _dump(mapping: Mapping[str, Any], **how: Any) -> str:
    """YAML that no terminal obeys and that reads back as the same values: what is not shown as it is, is escaped."""
    text = str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True, **how))
    if all(one_line(line) == line for line in text.split("\n")):
        return text
    return str(yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=False, **how))
