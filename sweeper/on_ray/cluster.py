"""Starts or joins Ray, without output and closed to other users, and removes it when the driver ends or is killed."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sweeper.errors import ConfigError, SweepError
from sweeper.on_ray import reaper

ENVIRONMENT: Final[Mapping[str, str]] = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # A stopped thread may still run its last step; if the wait is too short, the *next* trial fails.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "3600",
    # Tune's own state is never read, because the study is the state.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
PREFIX: Final = f"sweeper-{os.getuid()}-"
RAY_FOLDER: Final = "r"
"""Ray's folder inside ours. Ray opens it to every user of the machine, so our folder must exclude other users."""
LONGEST_ROOT: Final = 38
"""Characters: Ray's sockets have paths about 67 longer, and the path of a Unix socket has at most 107."""
ABANDONED_SECONDS: Final = 60
"""A folder without an owner file is being created, unless it is older than this."""
STORE_BYTES: Final = 128 * 2**20
"""Memory of the object store, in addition to the images."""


@dataclass(frozen=True)
class Capacity:
    """The cores and GPUs that trials can use."""

    cpus: float
    gpus: float

    def room(self, cpus: float, gpus: float) -> int:
        """The number of trials of this size that fit at once; at least 1.

        >>> Capacity(cpus=16, gpus=1).room(cpus=1, gpus=0.25)
        4
        """
        by_gpu = self.gpus / gpus if gpus else math.inf
        return max(1, int(min(self.cpus / cpus, by_gpu) + 1e-9))


def capacity() -> Capacity:
    """The cores and GPUs of the running Ray."""
    import ray

    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return Capacity(there.get("CPU", 0.0), there.get("GPU", 0.0))


def check_address(address: str) -> None:
    """Check that a cluster answers at host:port, because Ray itself would retry for minutes.

    Raises:
        ConfigError: the address is not host:port or auto.
        SweepError: no cluster answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in address:
        raise ConfigError(f"`--address` must be host:port of a Ray cluster's head, or auto, but got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise SweepError(f"no Ray cluster answers at {address} ({error.strerror or error})") from error


@contextmanager
def ray_running(address: str | None, *, cpus: float, store_bytes: int) -> Iterator[Path]:
    """Start Ray, or join it at `address`, within the block, and yield a temporary folder for its files.

    If Ray already runs in this process, it is used and left running.

    Raises:
        SweepError: Ray does not start, or the cluster does not answer.
    """
    os.environ.update(ENVIRONMENT)
    remove_leftovers()
    with _own_folder() as root:
        import ray

        if ray.is_initialized():
            yield root
            return
        try:
            _start(address, root, cpus, store_bytes)
            yield root
        finally:
            ray.shutdown(wait_for_processes=address is None)
            _print_messages(True)


def _start(address: str | None, root: Path, cpus: float, store_bytes: int) -> None:
    import ray

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
    try:
        if address is not None:
            with _our_signal_handlers():
                ray.init(address=address, runtime_env={"env_vars": dict(ENVIRONMENT)}, **quiet)
        else:
            # Without RAY_AUTH_MODE, Ray turns on its token authentication, even if it was imported before. The token
            # stays the same in this process, because Ray reads it once. Other users cannot read it.
            os.environ.pop("RAY_AUTH_MODE", None)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            os.environ.pop("RAY_ADDRESS", None)
            with _our_signal_handlers():
                ray.init(
                    num_cpus=math.ceil(cpus),
                    include_dashboard=False,
                    object_store_memory=store_bytes + STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(root / RAY_FOLDER),
                    **quiet,
                )
    except Exception as error:  # Ray raises exceptions of many types
        where = f"the Ray cluster at {address} does not answer" if address else "Ray does not start"
        raise SweepError(f"{where} ({' '.join(str(error).split())[:300]}); --local runs without Ray") from error
    # Ray prints messages about dead workers despite log_to_driver=False; the trial's log and reason have them.
    _print_messages(False)


@contextmanager
def _our_signal_handlers() -> Iterator[None]:
    """Keep Ray from replacing the SIGTERM handler while it starts; Ray's handler ends the process immediately."""
    from ray._private import utils

    before = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = before


def _print_messages(wanted: bool) -> None:
    from ray._private import worker

    worker._worker_logs_enabled = wanted


def ray_died() -> bool:
    """Whether the Ray that this process started has lost its raylet or its control server."""
    from ray._private import worker

    node = worker._global_node
    return node is not None and any(name in ("raylet", "gcs_server") for name, _ in node.dead_processes())


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A temporary folder that this process owns, and that a reaper process removes if this process is killed.

    It is new and accessible only to this user, whatever permissions Ray sets inside it.
    """
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_short_temporary_folder()))
    with (root / "owner").open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        command = [sys.executable, "-I", reaper.__file__, str(root)]
        watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        try:
            yield root
        finally:
            reaper.clear(root)
            watcher.communicate(reaper.DONE)


def _short_temporary_folder() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) + len(PREFIX) + 8 <= LONGEST_ROOT else "/tmp"


def remove_leftovers() -> None:
    """Remove the folders of drivers that were killed together with their reaper."""
    for root in Path(_short_temporary_folder()).glob(f"{PREFIX}*"):
        try:
            if root.lstat().st_uid != os.getuid():
                continue  # another user may have created a folder with our prefix
            if not (root / "owner").exists() and time.time() - root.stat().st_mtime > ABANDONED_SECONDS:
                reaper.clear(root)  # created again by a Ray that was shutting down
                continue
            with (root / "owner").open("r+") as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                reaper.clear(root)
        except OSError:  # it is in use, being created, or being removed
            continue
