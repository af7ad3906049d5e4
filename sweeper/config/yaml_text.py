"""YAML text that somebody else wrote: its size is bounded before any value is made of it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, Final, cast

import yaml

from sweeper.errors import ConfigError

MAX_BYTES: Final = 1_000_000
"""Of a file; the shipped ones have a thousandth of it."""
MAX_DEPTH: Final = 40
"""Of mappings and lists within each other; PyYAML calls itself for each."""
MAX_VALUES: Final = 20_000
"""Keys and values of a file, its aliases written out."""

MAX_DIGITS: Final = 40
"""Of a number; 2^64 has 20."""
SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
"""1:30, which YAML 1.1 reads as 90."""
OCTAL: Final = re.compile(r"[-+]?0[0-7_]+")
"""010, which YAML 1.1 reads as 8."""
NO_TEXT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of characters that UTF-8 cannot hold; they enter by escapes such as "\\0"."""


def read_text(path: Path) -> str:
    """The text of a regular file of bounded size.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is anything else than a readable text file; the line begins with its path.
    """
    try:
        kind = os.stat(path)  # opening a pipe would wait for somebody who writes to it
        if not stat.S_ISREG(kind.st_mode):
            raise ConfigError(f"{path}: must be a regular file, but is {_kind(kind.st_mode)}; copy it into a file")
        if kind.st_size > MAX_BYTES:
            raise ConfigError(f"{path}: must have at most {MAX_BYTES:,} bytes, but has {kind.st_size:,}")
        return path.read_bytes()[: MAX_BYTES + 1].decode()
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8 text, but byte {error.start} is not; is it a YAML file?") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{str(path)!r}: must be the path of a file, but holds a null character") from None


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def parse_yaml(text: str, source: str) -> tuple[yaml.Node | None, object]:
    """The nodes of a YAML text, with their lines, and its values; both are None where it is empty.

    Raises:
        ConfigError: it is not valid YAML, or too deep or too large, or a number or a text is not what it seems.
    """
    try:
        loader = BoundedLoader(text)
        try:
            node = loader.get_single_node()
            return node, None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        hint = "; indent with spaces" if "\\t" in str(error.problem) else ""
        what = "" if isinstance(error, Refused) else "not valid YAML: "
        problem = str(error.problem or error.context).replace("found unexpected", "found a misplaced")
        raise ConfigError(f"{source}{line}: {what}{problem}{hint}") from None
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ) as error:  # an impossible date has no mark
        raise ConfigError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


class Refused(yaml.MarkedYAMLError):
    """Valid YAML that is refused, for a reason of ours."""

    def __init__(self, problem: str, node_or_mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=getattr(node_or_mark, "start_mark", node_or_mark))


class BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a text once it is too deep or expands to too many values."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.composed = 0
        self.sizes: dict[yaml.Node, tuple[int, int]] = {}
        """Node -> values in it and depth below it, its aliases written out."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node; what it expands to is counted before anything is made of it."""
        event = cast(Any, self).peek_event()  # PyYAML has no annotations here
        self.composed += 1
        if self.composed > MAX_VALUES:
            raise Refused(f"must hold at most {MAX_VALUES:,} values", event.start_mark)
        if self.depth > MAX_DEPTH:
            raise Refused(f"must not be nested deeper than {MAX_DEPTH} levels", event.start_mark)
        if getattr(event, "tag", None) not in (None, "!"):
            raise Refused(f"a tag ({event.tag[-60:]}) is not accepted; write the value alone", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if node is not None:
            if node not in self.sizes and isinstance(event, yaml.AliasEvent):
                raise Refused("an anchor must not contain itself", event.start_mark)
            if node not in self.sizes:
                self._measure(node)
        return node

    def _measure(self, node: yaml.Node) -> None:
        below: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            below = node.value
        elif isinstance(node, yaml.MappingNode):
            below = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        size = 1 + sum(self.sizes[one][0] for one in below)
        depth = 1 + max((self.sizes[one][1] for one in below), default=0)
        if size > MAX_VALUES:
            raise Refused(f"must hold at most {MAX_VALUES:,} values, its aliases (*) written out", node)
        if depth > MAX_DEPTH:
            raise Refused(f"must not be nested deeper than {MAX_DEPTH} levels, its aliases (*) written out", node)
        self.sizes[node] = size, depth


def _check_scalar(node: yaml.ScalarNode) -> None:
    """Refuse a number that YAML 1.1 reads as another one, and a text that no file could hold."""
    text, tag = str(node.value), node.tag.rpartition(":")[2]
    if tag in ("int", "float") and len(text) > MAX_DIGITS:
        raise Refused(f"a number must have at most {MAX_DIGITS} digits, but has {len(text):,}", node)
    if tag in ("int", "float") and SEXAGESIMAL.fullmatch(text):
        value = yaml.safe_load(text)
        raise Refused(f"{text} is read as {value}, to the base 60; write it as {value}, or in quotes", node)
    if tag == "int" and OCTAL.fullmatch(text):
        plain = text.replace("_", "").lstrip("+-0") or "0"
        ways = " or as ".join(dict.fromkeys([str(yaml.safe_load(text)), plain]))
        raise Refused(f"{text} is read to the base 8; write it as {ways}", node)
    if found := NO_TEXT.search(text):
        raise Refused(f"a text must not hold the character U+{ord(found[0]):04X}", node)
