"""What was run: the config of a sweep and where it ran, from its sweep.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from analysis.report.tables import TextColumn, TextTable, format_table
from trainers.formats import one_line

TITLE: Final = "The sweep's configuration"
FIRST: Final = ("method", "dataset", "encoder", "epochs", "batch_size", "trials", "seeds", "objective", "criteria")
"""The keys at the top; the others follow in the file's order."""
LEFT_OUT: Final = ("criteria", "images", "plugins", "id")
"""Of the provenance: what the report has elsewhere, or nobody reads."""

COLUMNS: Final = (
    TextColumn("key", lambda row: row["key"], is_text=True),
    TextColumn("value", lambda row: row["value"], is_text=True),
)


def setup_table(settings: Mapping[str, Any]) -> tuple[TextTable, ...]:
    """The table of one sweep; none without a sweep.yaml."""
    if not settings:
        return ()
    rows = [{"key": key, "value": value} for key, value in entries(settings)]
    return (format_table(TITLE, rows, COLUMNS),)


def entries(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and value of each row; hyperparameters have a row each."""
    plain = {key: value for key, value in settings.items() if key not in ("space", "fixed", "provenance")}
    for key in (*FIRST, *(key for key in plain if key not in FIRST)):
        if key in plain:
            yield key, in_words(plain[key])
    for section in ("space", "fixed"):
        for name, value in _mapping(settings.get(section)).items():
            yield f"{section}.{name}", in_words(value)
    for key, value in _mapping(settings.get("provenance")).items():
        if key not in LEFT_OUT:
            yield key, in_words(value)


def _mapping(value: object) -> Mapping[str, Any]:
    """A part of a sweep.yaml that should be a mapping; an empty one if it is not."""
    return value if isinstance(value, Mapping) else {}


def in_words(value: object) -> str:
    """A value of the YAML in one line.

    >>> in_words({"name": "median", "audit": 0.2}), in_words(["lidar", "rankme"]), in_words(None)
    ('name median, audit 0.2', 'lidar, rankme', 'none')
    """
    if isinstance(value, Mapping):
        if value.get("type") in ("float", "int") and {"low", "high"} <= set(value):
            return f"{value['low']} to {value['high']}{', log' if value.get('log') else ''}"
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else one_line(str(value))
