"""A sweep's folder: where things are in it, its sweep.yaml, who may write, and how files are written whole."""

from __future__ import annotations

import difflib
import errno
import fcntl
import os
import platform
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import yaml

from sweeper.config.model import SweepConfig, parse_config, to_mapping, usable_cores
from sweeper.errors import ResultsError, SweepError
from trainers.records import CHECKPOINT

SWEEP_FILE: Final = "sweep.yaml"
PROVENANCE: Final = "provenance"
"""The key of sweep.yaml that holds what is not configuration: versions, machine, the study's name."""
PACKAGES: Final = ("torch", "torchvision", "timm", "ray", "optuna", "numpy", "scipy", "pyarrow")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class SweepFolder:
    """The paths of one sweep."""

    path: Path

    @property
    def name(self) -> str:
        """The sweep's name is its folder's."""
        return self.path.name

    @property
    def sweep_file(self) -> Path:
        """The configuration as resolved."""
        return self.path / SWEEP_FILE

    @property
    def reports_log(self) -> Path:
        """Append-only, one line per report."""
        return self.path / "reports.jsonl"

    @property
    def baselines(self) -> Path:
        """What no training at all is worth."""
        return self.path / "baselines.parquet"

    @property
    def storage_url(self) -> str:
        """Where the study is, unless the configuration says otherwise."""
        return f"sqlite:///{self.path / 'study.db'}"

    def trial(self, number: int) -> Path:
        """The folder of one trial."""
        return self.path / "trials" / f"{number:04d}"

    def checkpoint(self, number: int) -> Path:
        """The checkpoint of one trial's last epoch."""
        return self.trial(number) / CHECKPOINT


def create_folder(path: Path, config: SweepConfig, *, study: str) -> SweepFolder:
    """Make a new sweep's folder with its sweep.yaml.

    Raises:
        ResultsError: there is a sweep of that name.
    """
    folder = SweepFolder(path.absolute())
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ResultsError(f"{path} is there already; continue it with --resume, or choose another --name")
    (folder.path / "trials").mkdir(parents=True)
    write_sweep_file(folder, config, {"study": study, **provenance()})
    return folder


def write_sweep_file(folder: SweepFolder, config: SweepConfig, origin: Mapping[str, Any]) -> None:
    """Write sweep.yaml whole or not at all."""
    content = to_mapping(config) | {PROVENANCE: dict(origin)}
    write_text(folder.sweep_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_origin(folder: SweepFolder) -> dict[str, Any]:
    """The provenance in a sweep.yaml that this process wrote or has read."""
    return dict(yaml.safe_load(folder.sweep_file.read_text())[PROVENANCE])


def noted(folder: SweepFolder, key: str, value: Any) -> Any:
    """What the provenance says a sweep began with; where it says nothing yet, `value`, which it says from now on."""
    content = yaml.safe_load(folder.sweep_file.read_text())
    if key not in content[PROVENANCE]:
        content[PROVENANCE][key] = value
        write_text(folder.sweep_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return content[PROVENANCE][key]


def read_folder(path: Path, *, cluster: bool = False) -> tuple[SweepFolder, SweepConfig, dict[str, Any]]:
    """A sweep's folder, its configuration and its provenance.

    Raises:
        ResultsError: it is missing, or its sweep.yaml is.
        ConfigError: its sweep.yaml does not fit this version or this machine.
    """
    folder = SweepFolder(path.absolute())
    if not folder.sweep_file.is_file():
        raise ResultsError(
            f"{path} holds no {SWEEP_FILE}, so it is no sweep; `sweeper list` shows the sweeps there are"
        )
    try:
        content = yaml.safe_load(folder.sweep_file.read_text())
        origin = content.pop(PROVENANCE)
        origin["study"]
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        what = (
            f"line {mark.line + 1} of {folder.sweep_file} is damaged" if mark else f"{folder.sweep_file} is cut short"
        )
        raise ResultsError(f"{what}; repair it, or start a new sweep") from error
    return folder, parse_config(content, source=str(folder.sweep_file), cluster=cluster), origin


def find_sweep(name_or_path: str, results: Path) -> Path:
    """The folder of a sweep that is named by its name below `results` or by its path.

    Raises:
        ResultsError: there is none; the nearest names are given.
    """
    for path in (Path(name_or_path), results / name_or_path):
        if (path / SWEEP_FILE).is_file():
            return path
    for path in (Path(name_or_path), results / name_or_path):
        if path.is_dir() and path.resolve() != results.resolve():
            raise ResultsError(f"{path} is no sweep: it has no {SWEEP_FILE}, which says what was run")
    names = sorted(file.parent.name for file in results.glob(f"*/{SWEEP_FILE}"))
    if not names:
        raise ResultsError(f"there is no sweep {name_or_path}: {results} holds none yet; start one with `sweeper run`")
    near = difflib.get_close_matches(name_or_path, names, n=3, cutoff=0.4) or names[-3:]
    raise ResultsError(f"there is no sweep {name_or_path} in {results}; is it {' or '.join(near)}?")


def provenance() -> dict[str, Any]:
    """Where and with what the sweep was started."""
    packages = {}
    for name in ("sweeper", *PACKAGES):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "id": secrets.token_hex(8),  # the study's user attribute says the same
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": packages,
        "git_commit": _git_commit(),
        "machine": {"node": platform.node(), "system": platform.platform(), "cores": usable_cores()},
    }


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


@contextmanager
def locked(folder: SweepFolder) -> Iterator[None]:
    """Hold the sweep for this process; the kernel lets go of it when the process dies, however it dies.

    Raises:
        ResultsError: another process holds it.
    """
    descriptor = os.open(folder.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode(errors="replace").strip() or "unknown"
            raise ResultsError(
                f"{folder.path} is in use by another process (pid {holder}); wait until it has ended, or end it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        remove_torn(folder.path)
        yield
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it: it is whole or it is the one before."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn(path: Path) -> None:
    """Delete what a killed process has left of files that it was writing into this folder."""
    for torn in (*path.glob(".*.tmp"), *path.glob("*.tmp")):
        torn.unlink(missing_ok=True)


def disk_full(path: Path) -> SweepError:
    """The error that a full disk is."""
    return SweepError(f"the disk that holds {path} is full; free some space, then `sweeper resume {path}`")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, says that a disk is full; SQLite says it in words alone."""
    seen: set[int] = set()  # errors that name each other as the cause are no endless chain
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (isinstance(error, OSError) and error.errno in FULL) or "disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
