"""A search-space file as read: its values, the line of every key, and the overrides laid over it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from sweeper.errors import ConfigError, did_you_mean

Key = tuple[str, ...]
"""A key as its path from the top: ("space", "lr", "high")."""


@dataclass(frozen=True)
class Document:
    """Nested values, and where each of them was written, so that an error can point at it."""

    values: Mapping[str, object]
    source: str
    lines: Mapping[Key, int] = field(default_factory=dict)
    overrides: Mapping[Key, str] = field(default_factory=dict)
    """Overridden key -> the argument as it was typed."""

    def get(self, key: Key) -> object:
        """The value at `key`, or None where there is none."""
        value: object = self.values
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def error(self, key: Key, problem: str, *others: Key) -> ConfigError:
        """A one-line error about `key`, placed at it, or at one of `others` if that one was overridden."""
        blamed = next((one for one in (key, *others) if one in self.overrides), key)
        return ConfigError(f"{self._place(blamed)}: {problem}")

    def _place(self, key: Key) -> str:
        for length in range(len(key), -1, -1):
            if key[:length] in self.overrides:
                return f"override {self.overrides[key[:length]]}"
            if key[:length] in self.lines:
                return f"{self.source}, line {self.lines[key[:length]]}{self._beside(key)}"
        return self.source + self._beside(key)

    def _beside(self, key: Key) -> str:
        """The override of a neighbour, which may be what made a line of the file wrong."""
        near = [
            typed for other, typed in self.overrides.items() if key[:1] and other[:-1] == key[: len(other) - 1] != ()
        ]
        return f" with {near[-1]}" if near else ""


def dotted(key: Key) -> str:
    """The key as it is shown and overridden.

    >>> dotted(("space", "lr", "high"))
    '`space.lr.high`'
    """
    return f"`{'.'.join(key)}`"


def shown(value: object) -> str:
    """A value as an error shows it: in YAML's own words, on one line, cut when it is long.

    >>> shown(True), shown(None), shown("fast"), shown({"low": 1e-4})
    ('true', 'null', '"fast"', '{"low": 0.0001}')
    """
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """The file at `path` with `overrides` ("key.key=value", values in YAML) laid over it.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, a key written twice, or an override that is not key=value.
    """
    text = _read_text(path)
    source = str(path)
    node, values = _parse_yaml(text, source)
    if node is None:
        raise ConfigError(f"{source}: the file is empty; a sweep needs at least method, dataset, encoder and space")
    if not isinstance(values, dict):
        raise ConfigError(f"{source}, line 1: the file must be a mapping (key: value), but got {shown(values)}")
    lines: dict[Key, int] = {}
    _walk(node, (), source, lines, ())
    typed: dict[Key, str] = {}
    for override in overrides:
        key = _apply_override(values, override)
        typed[key] = override
    return Document(values, source, lines, typed)


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path}: a search-space file is needed, but this is a folder{_yaml_within(path)}")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_similar_file(path)}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text, but byte {error.start} is not; is it a YAML file?") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _similar_file(path: Path) -> str:
    """Misspelt, without its suffix, or without its folder: the nearest file beside it or in search_spaces/."""
    folders = [path.parent, path.parent / "search_spaces"]
    stems = {file.stem: file for folder in reversed(folders) if folder.is_dir() for file in folder.glob("*.yaml")}
    hint = did_you_mean(path.stem, stems)
    for stem, file in stems.items():
        hint = hint.replace(f"`{stem}`", str(file))
    return hint or "; the sweeps that come with sweeper are in search_spaces/"


def _yaml_within(folder: Path) -> str:
    names = sorted(file.name for file in folder.glob("*.yaml"))
    return f"; it holds {', '.join(names[:6])}" if names else ""


def _parse_yaml(text: str, source: str) -> tuple[yaml.Node | None, object]:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        hint = "; indent with spaces" if "\\t" in str(error.problem) else ""
        raise ConfigError(f"{source}{line}: not valid YAML: {error.problem or error.context}{hint}") from None
    except (yaml.YAMLError, ValueError) as error:  # an impossible date or a control character has no mark
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def _walk(node: yaml.Node, key: Key, source: str, lines: dict[Key, int], above: tuple[int, ...]) -> None:
    """Notes the line of every key below `node`; refuses keys written twice and keys that are not text."""
    if id(node) in above:
        raise ConfigError(f"{source}, line {node.start_mark.line + 1}: an anchor must not contain itself")
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _walk(item, key, source, lines, (*above, id(node)))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for name_node, value_node in node.value:
        line = name_node.start_mark.line + 1
        name = str(name_node.value)
        if name_node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            raise ConfigError(
                f"{source}, line {line}: a key must be text, but got {shown(name)}; if it is a name, put it in quotes"
            )
        if name in seen:
            raise ConfigError(
                f"{source}, line {line}: {dotted((*key, name))} is written twice, first on line {seen[name]}; keep one"
            )
        seen[name] = line
        lines.setdefault((*key, name), line)
        _walk(value_node, (*key, name), source, lines, (*above, id(node)))


def _apply_override(values: dict[str, object], override: str) -> Key:
    """Lays one override over `values`, in place, and returns its key."""
    name, equals, text = override.partition("=")
    key = tuple(name.strip().split("."))
    place = f"override {override}"
    if not equals or not all(key):
        raise ConfigError(f"override {override!r} must be key=value, such as trials=40 or space.lr.high=0.3")
    _, value = _parse_yaml(text, place)
    branch = values
    for depth, part in enumerate(key[:-1], start=1):
        below = branch.get(part)
        if below is not None and not isinstance(below, dict):
            raise ConfigError(f"{place}: {dotted(key[:depth])} is {shown(below)}, so it cannot have `{key[depth]}`")
        # A copy, because two keys that share a YAML anchor share one mapping.
        branch[part] = branch = dict(below or {})
    branch[key[-1]] = value
    return key
