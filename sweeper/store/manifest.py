"""sweep.yaml: the configuration as resolved, and where and with what the sweep was started. Nothing else opens it."""

from __future__ import annotations

import platform
import secrets
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import yaml

from sweeper import __version__
from sweeper.config.model import SweepConfig, to_mapping
from sweeper.config.observers import Known
from sweeper.config.read import parse_config
from sweeper.config.resources import usable_cores
from sweeper.config.yaml_text import parse_yaml, read_text
from sweeper.errors import ConfigError, ResultsError
from sweeper.store.atomic import disk_full, is_disk_full, write_text
from sweeper.store.layout import SweepFolder
from sweeper.store.plugged import PLUGINS, check_plugins, used_plugins
from trainers.fields import shortened

PROVENANCE: Final = "provenance"
"""The key that holds what is not configuration: versions, machine, the study's name."""
NOTES: Final = "notes"
"""The key of the provenance: what the data set said of its images."""
UNREADABLE: Final = "unreadable"
"""The key of the provenance: how many files of the data set were left out, because they could not be read."""
PACKAGES: Final = ("torch", "torchvision", "timm", "ray", "optuna", "numpy", "scipy", "pyarrow")
"""Packages whose versions a sweep records."""
SHOWN: Final = {"method": str, "dataset": dict, "trials": int, "seeds": int, "objective": str}
"""Keys without which a sweep cannot be listed -> their types."""


def create_folder(path: Path, config: SweepConfig, *, study: str) -> SweepFolder:
    """Make a new sweep's folder with its sweep.yaml.

    Raises:
        ResultsError: there is a sweep of that name.
    """
    folder = SweepFolder(path.absolute())
    if not is_free(path):
        raise ResultsError(f"{path} exists; continue it with --resume, or choose another --name")
    try:
        (folder.path / "trials").mkdir(parents=True, exist_ok=True)
        write_manifest(folder, config, {"study": study, **provenance(config)})
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(folder.path) from error
        problem = f"{shortened(str(path), 300)} cannot be written: {error.strerror}"
        raise ResultsError(f"{problem}; choose another folder with --results") from error
    return folder


def is_free(path: Path) -> bool:
    """Whether a new sweep can have this folder: it is absent or empty, or a kill left it before it had a sweep.yaml."""
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    remains = [file for file in path.iterdir() if file.name != ".lock" and not file.name.endswith(".tmp")]
    return all(file.name == "trials" and file.is_dir() and not any(file.iterdir()) for file in remains)


def write_manifest(folder: SweepFolder, config: SweepConfig, origin: Mapping[str, Any]) -> None:
    """Write sweep.yaml whole or not at all."""
    _write(folder, to_mapping(config) | {PROVENANCE: dict(origin)})


def read_manifest(
    path: Path, *, cluster: bool = False, observers: Known | None = None
) -> tuple[SweepFolder, SweepConfig, dict[str, Any]]:
    """A sweep's folder, its configuration and its provenance; `observers` as for `load_config`.

    Raises:
        ResultsError: it is missing, or its sweep.yaml is, or a plug-in that it uses.
        ConfigError: its sweep.yaml does not fit this version or this machine.
    """
    folder = SweepFolder(path.absolute())
    content, origin = _read(folder)
    check_plugins(origin, str(path), observed=observers is not None)
    config = parse_config(content, source=str(folder.sweep_file), cluster=cluster, observers=observers)
    return folder, config, origin


def read_settings(path: Path) -> dict[str, Any]:
    """sweep.yaml as it was written, with its provenance, for commands that show a sweep and run nothing.

    Raises:
        ResultsError: it is missing or damaged.
    """
    folder = SweepFolder(path)
    content = _load(folder)
    for key, kind in SHOWN.items():
        if not isinstance(content.get(key), kind) or isinstance(content[key], bool):
            what = {str: "text", int: "a whole number", dict: "a mapping"}[kind]
            got = repr(content.get(key))[:60]
            raise ResultsError(f"`{key}` in {folder.sweep_file} must be {what}, but got {got}; repair it")
    if not isinstance(content["dataset"].get("name"), str):
        raise ResultsError(f"`dataset` in {folder.sweep_file} must have a `name`; repair it")
    return content


def read_origin(folder: SweepFolder) -> dict[str, Any]:
    """The provenance alone."""
    return _read(folder)[1]


def record_once(folder: SweepFolder, key: str, value: Any) -> Any:
    """What the provenance has under `key`; where it has nothing yet, `value` is stored and returned."""
    content, origin = _read(folder)
    if key not in origin:
        origin[key] = value
        _write(folder, {**content, PROVENANCE: origin})
    return origin[key]


def provenance(config: SweepConfig) -> dict[str, Any]:
    """Where and with what the sweep was started, and what the judge must know of its criteria and its method."""
    from trainers.criteria import CRITERIA
    from trainers.methods import METHODS

    return {
        "id": secrets.token_hex(8),  # the study's user attribute says the same
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": versions(),
        "git_commit": git_commit(),
        "machine": {"node": platform.node(), "system": platform.platform(), "cores": usable_cores()},
        "criteria": {name: CRITERIA[name].description(config.method) for name in config.criteria},
        "moves_loss": list(METHODS[config.method].moves_loss),
        **({PLUGINS: plugins} if (plugins := used_plugins(config)) else {}),
    }


def versions() -> dict[str, str]:
    """Package -> its version here."""
    packages = {"sweeper": __version__}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return packages


def git_commit() -> str | None:
    """The commit of this code, where it is a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _read(folder: SweepFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration and the provenance in sweep.yaml."""
    content = _load(folder)
    origin = content.pop(PROVENANCE, None)
    if not isinstance(origin, dict) or "study" not in origin:
        raise ResultsError(
            f"{folder.sweep_file} is cut short: it has no `{PROVENANCE}.study`; repair it, or start a new sweep"
        )
    return content, origin


def _load(folder: SweepFolder) -> dict[str, Any]:
    path = folder.sweep_file
    if not path.is_file():
        raise ResultsError(f"{folder.path} holds no {path.name}, so it is not a sweep; `sweeper list` shows them")
    try:
        _, content = parse_yaml(read_text(path), str(path))
    except (OSError, ConfigError) as error:
        reason = str(error).removeprefix(str(path)).lstrip(":, ")
        raise ResultsError(f"{path} is damaged ({reason}); repair it, or start a new sweep") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} is cut short; repair it, or start a new sweep")
    return content


def _write(folder: SweepFolder, content: Mapping[str, Any]) -> None:
    write_text(folder.sweep_file, yaml.safe_dump(dict(content), sort_keys=False, allow_unicode=True))


def store_trials(folder: SweepFolder, config: SweepConfig) -> None:
    """Store the new `trials` in sweep.yaml, once all checks have passed."""
    content, origin = _read(folder)
    if content["trials"] != config.trials:
        write_manifest(folder, config, origin)
