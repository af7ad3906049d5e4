"""The key `oracle`: protocols of the catalogue, each on the sweep's data set or on another one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sweeper.config.document import Document, Key, Mistakes
from sweeper.config.model import DEFAULT_ORACLE, SweepConfig
from sweeper.config.names import read_dataset
from sweeper.errors import ConfigError
from trainers.fields import as_yaml
from trainers.options import Option, check_options, options_of
from trainers.plugins import hint_for
from trainers.records import OracleChoice, Scalar

KEY: Final[Key] = ("oracle",)
ON: Final = "@"
"""Between a protocol and another data set, in the names of columns and as a short form in the file."""


def read_oracles(document: Document) -> tuple[OracleChoice, ...]:
    """The oracles of the sweep, which may be none.

    Raises:
        ConfigError: an unknown protocol, data set or constant, or two oracles of one name.
    """
    value = document.get(KEY) if "oracle" in document.values else list(DEFAULT_ORACLE)
    if value is None or value == "none":
        return ()
    choices = tuple(_read_entry(document, entry) for entry in (value if isinstance(value, list | tuple) else [value]))
    names = [choice.name for choice in choices]
    if len(set(names)) < len(names):
        raise document.error(KEY, f"`oracle` must name each once, but got {as_yaml(names)}")
    return choices


def choices_of(oracles: Iterable[OracleChoice]) -> dict[str, OracleChoice]:
    """Name -> oracle, of those that are not just a protocol of the catalogue."""
    return {one.name: one for one in oracles if one.dataset is not None or one.constants}


def asked_oracles(texts: Sequence[str], config: SweepConfig) -> tuple[OracleChoice, ...]:
    """The oracles that a command names: the sweep's own, or protocols on its data set or, after `@`, on another one.

    Raises:
        ConfigError: there is none, or an unknown protocol or data set.
    """
    from trainers.oracles import ORACLES

    if not texts:
        raise ConfigError(f"`--oracle` must be one of {', '.join(ORACLES)}, but the sweep has none; name one")
    document = Document({"oracle": list(texts)}, "--oracle")
    try:
        return tuple(
            config.oracle_choices.get(text, OracleChoice(text))
            if text in config.oracle
            else _read_entry(document, text)
            for text in dict.fromkeys(texts)
        )
    except Mistakes as error:
        raise ConfigError(*(_told(line) for line in error.lines)) from None


def _told(line: str) -> str:
    """A mistake in an entry as a mistake in the option `--oracle`.

    >>> _told("--oracle: `oracle` must be one or be none, but got 3"), _told("--oracle: `oracle.dataset.root` must")
    ('`--oracle` must be one, but got 3', '--oracle: `dataset.root` must')
    """
    line = line.replace("--oracle: `oracle`", "`--oracle`").replace(" or be none, but", ", but")
    return line.replace("`oracle.dataset", "`dataset")


def constants_of(probe: str) -> dict[str, Option]:
    """The constants of a protocol, with their values as defaults."""
    from trainers.oracles import ORACLES

    protocol = ORACLES[probe]
    return {name: Option(option.hint, getattr(protocol, name)) for name, option in options_of(type(protocol)).items()}


def _read_entry(document: Document, entry: object) -> OracleChoice:
    """One oracle: a name, `probe@dataset`, or a mapping with `probe`, `dataset` and constants of the protocol."""
    if isinstance(entry, str) and ON in entry:
        short, _, other = entry.partition(ON)
        entry = {"probe": short, "dataset": other}
    values: dict[str, Any] = {"probe": entry} if not isinstance(entry, Mapping) else dict(entry)
    probe = _read_probe(document, values.pop("probe", None))
    dataset = _read_dataset(document, values.pop("dataset")) if "dataset" in values else None
    return OracleChoice(probe, dataset, _read_constants(document, probe, values))


def _read_probe(document: Document, value: object) -> str:
    from trainers.oracles import ORACLES

    if isinstance(value, str) and value in ORACLES:
        return value
    expected = f"`oracle` must be among {', '.join(ORACLES)} or be none"
    got = "has no `probe`" if value is None else f"got {as_yaml(value)}"
    raise document.error(KEY, f"{expected}, but {got}{hint_for(str(value), ORACLES, 'sweeper.oracles')}")


def _read_dataset(document: Document, value: object) -> dict[str, Scalar]:
    """The other data set, read as that of the sweep is; its mistakes are placed at `oracle`."""
    nested = replace(
        document,
        values={"dataset": value},
        lines={KEY_OF_DATASET: document.lines[KEY]} if KEY in document.lines else {},
        overrides={KEY_OF_DATASET: document.overrides[KEY]} if KEY in document.overrides else {},
    )
    try:
        return read_dataset(nested)
    except Mistakes as error:
        raise Mistakes(
            replace(one, text=one.text.replace("`dataset", "`oracle.dataset")) for one in error.mistakes
        ) from None


KEY_OF_DATASET: Final[Key] = ("dataset",)


def _read_constants(document: Document, probe: str, values: Mapping[str, object]) -> dict[str, Any]:
    """The given constants of a protocol, converted to what it declares."""
    from trainers.oracles import ORACLES

    owner = f"a constant of {probe}"
    good, problems = check_options(constants_of(probe), values, path="oracle", owner=owner, others=("probe", "dataset"))
    for problem in problems.values():
        raise document.error(KEY, problem)
    try:
        replace(ORACLES[probe], **good)
    except ValueError as error:
        raise document.error(KEY, f"`oracle` {error}") from None
    return good
