"""A search-space file becomes a Document: YAML with the line of every key, and the overrides of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from sweeper.config.document import Document, Key, Mistake, dotted, refuse, spelt_out
from sweeper.config.examples import examples
from sweeper.config.yaml_text import parse_yaml, read_text
from sweeper.errors import ConfigError
from trainers.fields import as_yaml, shortened
from trainers.names import did_you_mean

PROVENANCE: Final = "provenance"
"""The key of a sweep.yaml that is not configuration."""
MAX_KEY: Final = 200
"""Characters of a key, or of an override's path of keys."""


def read_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """The file at `path`, with the values of `overrides` ("key.key=value", values in YAML) in place of its own.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, or keys written twice.
    """
    text = _read_text(path)
    source = str(path)
    node, values = parse_yaml(text, source)
    if node is None:
        raise ConfigError(f"{source}: the file is empty; a sweep needs at least method, dataset, encoder and space")
    if not isinstance(values, dict):
        raise ConfigError(f"{source}, line 1: the file must be a mapping (key: value), but got {as_yaml(values)}")
    lines = _Lines(source)
    lines.visit(node, ())
    refuse(lines.mistakes)  # which of two equal keys is meant is unknown, so that nothing else can be checked
    return make_document(values, source, overrides, lines.of_key)


def make_document(
    values: Mapping[str, object], source: str, overrides: Sequence[str] = (), lines: Mapping[Key, int] | None = None
) -> Document:
    """The values with those of `overrides` in place of their own; an override that is no override is a mistake.

    Args:
        values: nested values; they are not changed.
        source: what errors call them.
        overrides: "key.key=value", values in YAML.
        lines: the line of every key, for values from a file.
    """
    changed = dict(values)
    mistakes: list[Mistake] = []
    typed: dict[Key, str] = {}
    for number, override in enumerate(overrides):
        try:
            typed[_apply_override(changed, override)] = shortened(override, MAX_KEY)
        except ConfigError as error:
            mistakes.append(Mistake((1, number), str(error)))
    if (PROVENANCE,) in typed and changed[PROVENANCE] is None:  # the sweep.yaml of a sweep is to be run anew
        del changed[PROVENANCE]
    return Document(changed, source, lines or {}, typed, tuple(mistakes))


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path}: a search-space file is needed, but this is a folder{_yaml_within(path)}")
    try:
        return read_text(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file{_similar_file(path)}") from None


def _similar_file(path: Path) -> str:
    """The nearest file in the same folder or in search_spaces/, or example, if the name is misspelt or incomplete."""
    folders = [path.parent, path.parent / "search_spaces"]
    stems: dict[str, Path | str] = {name: name for name in examples()}
    stems |= {file.stem: file for folder in reversed(folders) if folder.is_dir() for file in folder.glob("*.yaml")}
    hint = did_you_mean(path.stem, stems)
    for stem, file in stems.items():
        hint = hint.replace(f"`{stem}`", str(file))
    return hint or f"; the sweeps that come with sweeper are {', '.join(examples())}"


def _yaml_within(folder: Path) -> str:
    names = sorted(file.name for file in folder.glob("*.yaml"))
    return f"; it holds {', '.join(names[:6])}" if names else ""


class _Lines:
    """The line of every key of a file, and the mistakes in the keys themselves."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.of_key: dict[Key, int] = {}
        self.mistakes: list[Mistake] = []

    def visit(self, node: yaml.Node, key: Key) -> None:
        """Note every key below `node`."""
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self.visit(item, key)
        if isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for name_node, value_node in node.value:
                self._check_name(name_node, key, first)
                name = (*key, str(name_node.value))
                self.of_key.setdefault(name, _line(name_node))
                self.visit(value_node, name)

    def _check_name(self, node: yaml.Node, key: Key, first: dict[str, int]) -> None:
        """A key must be text, and must not be written twice; `first` holds the lines of the keys so far."""
        name, line = str(node.value), _line(node)
        problem = ""
        if len(name) > MAX_KEY:
            problem = f"a key must have at most {MAX_KEY} characters, but {name[:20]}… has {len(name):,}"
        elif node.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            problem = f"a key must be text, but got {as_yaml(name)}; if it is a name, put it in quotes"
        elif name in first:
            problem = f"{dotted((*key, name))} is written twice, first on line {first[name]}; keep one"
        if problem:
            self.mistakes.append(Mistake((0, line), f"{self.source}, line {line}: {problem}"))
        first.setdefault(name, line)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _apply_override(values: dict[str, object], override: str) -> Key:
    """Set the overridden key in `values` and return it."""
    name, equals, text = override.partition("=")
    key = tuple(name.strip().split("."))
    place = f"override {shortened(override, MAX_KEY)}"
    if not equals or not all(key) or len(name) > MAX_KEY:
        raise ConfigError(
            f"override {shortened(override, MAX_KEY)!r} must be key=value, such as trials=40 or space.lr.high=0.3"
        )
    node, value = parse_yaml(text, place)
    if node is not None:
        keys = _Lines(place)
        keys.visit(node, key)
        for mistake in keys.mistakes:
            raise ConfigError(mistake.text)
    branch = values
    for depth, part in enumerate(key[:-1], start=1):
        below = spelt_out(part, branch.get(part)) if depth == 1 else branch.get(part)
        if below is not None and not isinstance(below, dict):
            raise ConfigError(f"{place}: {dotted(key[:depth])} is {as_yaml(below)}, so it cannot have `{key[depth]}`")
        # A copy, because two keys that share a YAML anchor share one mapping.
        branch[part] = branch = dict(below or {})
    branch[key[-1]] = value
    return key
