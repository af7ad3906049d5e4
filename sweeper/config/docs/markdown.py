"""Markdown tables: of any rows, and of the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, is_dataclass
from typing import Any

import yaml

from sweeper.config.docs.docstrings import field_docs
from trainers.fields import describe
from trainers.options import Option, options_of


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; columns that are empty in every row are left out.

    >>> print(table(("key", "default"), [("`lr`", "`0.1`")]))
    | key | default |
    | --- | --- |
    | `lr` | `0.1` |
    """
    rows = list(rows)
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line[index].replace("|", "\\|") for index in kept) + " |" for line in lines)


def field_rows(kind: type[Any], options: Mapping[str, Option] | None = None) -> list[tuple[str, str, str, str]]:
    """Name, allowed values, default and meaning of every field of a dataclass."""
    meanings = field_docs(kind)
    rows = []
    for name, option in (options_of(kind) if options is None else options).items():
        plain = option.default is not MISSING and not is_dataclass(option.default)
        try:
            expected = describe(option.hint)
        except KeyError:  # a mapping or a dataclass, which has a text of its own
            expected = ""
        rows.append((name, expected, quoted_default(option.default) if plain else "", meanings.get(name, "")))
    return rows


def quoted_default(value: object) -> str:
    """A default as YAML writes it.

    >>> quoted_default(None), quoted_default(1e-05), quoted_default(("lidar",))
    ('`null`', '`1.0e-05`', '`[lidar]`')
    """
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=1000).strip()
    return f"`{text.removesuffix('...').strip()}`"
