"""The search-space file that trains one trial of a sweep again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sweeper.config.model import SweepConfig

ALWAYS: Final = ("method", "dataset", "encoder", "epochs", "batch_size", "criteria", "criteria_sample")
"""Keys that the file has in any case."""
UNLESS_DEFAULT: Final = ("criteria_every", "objective", "oracle", "collapse", "resources")
"""Keys that matter to a single trial; the file has those that differ from the default."""

LONGER: Final = 10
"""How many times as long the suggested training is; a sweep has short trials, and the user knows the time there is."""
UNBROKEN: Final = 1_000_000
"""Columns, so that PyYAML breaks no line."""


def file_of_trial(settings: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """A search-space file with one trial, whose hyperparameters are those given; `settings` is the sweep's sweep.yaml.

    >>> settings = {"method": "simclr", "epochs": 2, "objective": "lidar", "criteria_every": 2, "jobs": 4}
    >>> file_of_trial(settings, {"lr": 0.1})
    {'method': 'simclr', 'epochs': 2, 'criteria_every': 2, 'trials': 1, 'space': {}, 'fixed': {'lr': 0.1}}
    """
    default = {one.name: _as_file(one.default) for one in fields(SweepConfig)}
    kept = [name for name in ALWAYS if name in settings]
    kept += [name for name in UNLESS_DEFAULT if name in settings and settings[name] != default[name]]
    return {name: settings[name] for name in kept} | {"trials": 1, "space": {}, "fixed": dict(hyperparameters)}


def _as_file(value: Any) -> Any:
    """A default as sweep.yaml holds it."""
    if isinstance(value, tuple):
        return list(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def as_written(settings: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters of a table as sweep.yaml holds them; a column of a table has one type, a hyperparameter may not.

    >>> space = {"a": {"type": "categorical", "choices": ["auto", 2]}, "b": {"type": "int", "low": 1, "high": 9}}
    >>> as_written({"space": space, "fixed": {"c": 3}}, {"a": "2", "b": 4.0, "c": 3.0, "lr": 0.5})
    {'a': 2, 'b': 4, 'c': 3, 'lr': 0.5}
    """
    space, fixed = _mapping(settings.get("space")), _mapping(settings.get("fixed"))
    written = {}
    for name, value in hyperparameters.items():
        axis = _mapping(space.get(name))
        choices = axis.get("choices")
        known = [*(choices if isinstance(choices, list) else ()), *([fixed[name]] if name in fixed else [])]
        if axis.get("type") == "int" and isinstance(value, int | float):
            known.append(int(value))
        same = [one for one in known if type(one) is type(value) and one == value]
        same += [one for one in known if one == value or str(one) == str(value)]
        written[name] = same[0] if same else value
    return written


def _mapping(value: Any) -> Mapping[str, Any]:
    """A part of a sweep.yaml that should be a mapping; an empty one if it is not."""
    return value if isinstance(value, Mapping) else {}


def command_again(folder: str, criterion: str, objective: str) -> str:
    """The command that trains the selected trial again.

    >>> command_again("results/a b", "rankme", "lidar")
    "sweeper best 'results/a b' --criterion rankme > best.yaml && sweeper run best.yaml"
    """
    return f"sweeper best {shlex.quote(folder)}{_by(criterion, objective)} > best.yaml && sweeper run best.yaml"


def export_command(folder: str, criterion: str, objective: str) -> str:
    """The command that exports the encoder of the selected trial.

    >>> export_command("results/a b", "rankme", "lidar")
    "sweeper export 'results/a b' --criterion rankme --out encoder"
    """
    return f"sweeper export {shlex.quote(folder)}{_by(criterion, objective)} --out encoder"


def longer_command(settings: Mapping[str, Any], folder: str, chosen: Mapping[str, Any]) -> str:
    """The command that trains the `chosen` hyperparameters `LONGER` times as long, in a sweep of one trial.

    >>> longer_command({"epochs": 3, "seeds": 2}, "a b", {"lr": 1e-5})
    "sweeper run 'a b/sweep.yaml' provenance=null epochs=30 trials=1 seeds=1 'space={}' fixed.lr=1.0e-05"
    """
    only = {
        "seeds=1": settings.get("seeds", 1) != 1,
        "pruner=none": _mapping(settings.get("pruner")).get("name", "none") != "none",
        "search=null": _mapping(settings.get("search")).get("sampler", "random") != "random",
        "storage=null": settings.get("storage") is not None,
        "keep_checkpoints=best": settings.get("keep_checkpoints") == "none",
    }
    changes = ["provenance=null", f"epochs={LONGER * int(settings['epochs'])}", "trials=1"]
    changes += [text for text, needed in only.items() if needed]
    changes += ["space={}", *(f"fixed.{name}={_in_yaml(value)}" for name, value in chosen.items())]
    return " ".join(map(shlex.quote, ["sweeper", "run", f"{folder}/sweep.yaml", *changes]))


def _in_yaml(value: Any) -> str:
    """A plain value as YAML, so that a text stays a text.

    >>> _in_yaml("2"), _in_yaml(1e-5), _in_yaml(None), _in_yaml("adamw")
    ("'2'", '1.0e-05', 'null', 'adamw')
    """
    return str(yaml.safe_dump(value, width=UNBROKEN)).removesuffix("...\n").rstrip("\n")


def _by(criterion: str, objective: str) -> str:
    return "" if criterion == objective else f" --criterion {shlex.quote(criterion)}"


def retrain_command(folder: Path, trial: int) -> str:
    """The command that makes the checkpoint of a trial again.

    >>> retrain_command(Path("results/a b"), 3)
    "sweeper retrain 'results/a b' --trial 3"
    """
    return f"sweeper retrain {shlex.quote(str(folder))} --trial {trial}"
