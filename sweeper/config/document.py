"""The values of a search-space file, the place of every key, and the mistakes found in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sweeper.errors import ConfigError

SHOWN: Final = 50
"""Mistakes that are printed."""

NAMED: Final = ("dataset", "encoder", "pruner")
"""Sections that may be written as a name alone."""

Key = tuple[str, ...]
"""A key as its path from the top: ("space", "lr", "high")."""


@dataclass(frozen=True)
class Mistake:
    """One line about one mistake."""

    position: tuple[int, int]
    """(0, line of the file) or (1, number of the override): mistakes are printed in this order."""
    text: str


class Mistakes(ConfigError):
    """The mistakes in a search-space file, in the order of the file's lines and then of the overrides."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.position)
        shown = [mistake.text for mistake in self.mistakes[:SHOWN]]
        more = len(self.mistakes) - len(shown)
        super().__init__(*shown, *([f"{more:,} more mistakes are not shown"] if more else []))


@dataclass(frozen=True)
class Document:
    """Nested values, and the place of every key: its line in the file, or the override that set it."""

    values: Mapping[str, object]
    source: str
    lines: Mapping[Key, int] = field(default_factory=dict)
    overrides: Mapping[Key, str] = field(default_factory=dict)
    """Overridden key -> the argument as it was typed."""
    mistakes: tuple[Mistake, ...] = ()
    """Overrides that could not be applied."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {key: spelt_out(key, value) for key, value in self.values.items()})

    def get(self, key: Key) -> object:
        """The value at `key`, or None if there is none."""
        value: object = self.values
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def error(self, key: Key, problem: str, *others: Key) -> Mistakes:
        """The error that holds one mistake; see `mistake`."""
        return Mistakes([self.mistake(key, problem, *others)])

    def mistake(self, key: Key, problem: str, *others: Key) -> Mistake:
        """A mistake at `key`; if `key` was not overridden but one of `others` was, it is placed there."""
        placed = next((one for one in (key, *others) if one in self.overrides), key)
        position, place = self._place(placed)
        return Mistake(position, f"{place}: {problem}")

    def _place(self, key: Key) -> tuple[tuple[int, int], str]:
        """The position and the name of the override that is nearest to `key`; without one, of the nearest line."""
        nearest = [key[:length] for length in range(len(key), -1, -1)]
        for above in nearest:
            if above in self.overrides:
                return (1, list(self.overrides).index(above)), f"override {self.overrides[above]}"
        for above in nearest:
            if above in self.lines:
                line = self.lines[above]
                return (0, line), f"{self.source}, line {line}{self._neighbouring_override(key)}"
        return (0, 0), self.source + self._neighbouring_override(key)

    def _neighbouring_override(self, key: Key) -> str:
        """The override of another key of the same section: it may be the reason why a line of the file is wrong."""
        near = [
            typed for other, typed in self.overrides.items() if key[:1] and other[:-1] == key[: len(other) - 1] != ()
        ]
        return f" with {near[-1]}" if near else ""


class Parts:
    """The parts of a document that have been read so far, and the mistakes in the others."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values: dict[str, Any] = {}
        self.mistakes: list[Mistake] = []

    def read(self, name: str, reader: Callable[..., object], *needs: str) -> None:
        """Keep `reader(document, …)` as the part `name`. It is skipped if a part that it needs has a mistake."""
        for value in self._attempt(reader, needs):
            self.values[name] = value

    def check(self, checker: Callable[..., None], *needs: str) -> None:
        """Call `checker(document, …)`. It is skipped if a part that it needs has a mistake."""
        self._attempt(checker, needs)

    def finish(self) -> dict[str, Any]:
        """The parts by name.

        Raises:
            ConfigError: there were mistakes: all of them, one line each.
        """
        refuse(self.mistakes)
        return self.values

    def _attempt(self, function: Callable[..., object], needs: Sequence[str]) -> list[object]:
        """The one result, or nothing."""
        if not all(name in self.values for name in needs):
            return []
        try:
            return [function(self.document, *(self.values[name] for name in needs))]
        except Mistakes as error:
            self.mistakes += error.mistakes
            return []


def spelt_out(section: str, value: object) -> object:
    """A section that is written as a name alone, as the mapping with that name; any other value as it is.

    >>> spelt_out("pruner", "median"), spelt_out("method", "dino")
    ({'name': 'median'}, 'dino')
    """
    return {"name": value} if section in NAMED and isinstance(value, str) else value


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raises: Mistakes, if there are any."""
    found = list(mistakes)
    if found:
        raise Mistakes(found)


def dotted(key: Key) -> str:
    """The key as errors print it and overrides name it.

    >>> dotted(("space", "lr", "high"))
    '`space.lr.high`'
    """
    return f"`{'.'.join(key)}`"
