"""Ray as a sweep starts it: it rejects clients without its token, has no dashboard, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from killing import Victim, between_reports, comm, kill_driver, wait_for
from small_sweeps import ROOT, make_images, mapping

from sweeper.errors import ConfigError, SweepError
from sweeper.on_ray import reaper
from sweeper.on_ray.cluster import LONGEST_ROOT, PREFIX, RAY_FOLDER, Capacity, check_address, remove_leftovers
from sweeper.on_ray.reaper import clear, processes_in

pytestmark = pytest.mark.ray

TOKEN = "the-token-of-this-sweep"
CLIENT = """
import logging, sys
import ray
ray.init(address=sys.argv[1], logging_level=logging.CRITICAL)
print("nodes", len(ray.nodes()))
"""
WITHOUT = {"RAY_AUTH_MODE": "disabled"}
WRONG = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another-token"}
RIGHT = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A sweep that runs on Ray during the tests."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "file.yaml"
    file.write_text(yaml.safe_dump(mapping(make_images(folder / "images"), trials=1, epochs=100_000, oracle="none")))
    before = os.environ.get("RAY_AUTH_TOKEN")
    os.environ["RAY_AUTH_TOKEN"] = TOKEN
    try:
        victim = Victim.start(file, folder / "sweep", overrides=("jobs=1",))
    finally:
        os.environ.pop("RAY_AUTH_TOKEN") if before is None else os.environ.update(RAY_AUTH_TOKEN=before)
    assert wait_for(victim, between_reports)
    yield victim
    kill_driver(victim)


def listening(pids: list[int]) -> set[tuple[str, str, int]]:
    """(program, address, port) of every TCP socket on which the processes listen."""
    sockets: dict[str, tuple[str, int]] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            address, port = local.split(":")
            if state == "0A":
                sockets[f"socket:[{rest[5]}]"] = (named(address), int(port, 16))
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(descriptor) if descriptor.is_symlink() else ""
            if target in sockets:
                found.add((comm(pid), *sockets[target]))
    return found


def named(address: str) -> str:
    return {"0100007F": "loopback", "0" * 32: "any", "0" * 8: "any"}.get(address, address)


def start_client(address: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, address],
        env={**clean, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_who_has_no_token_is_refused(running: Victim, tmp_path: Path) -> None:
    (address,) = {
        f"127.0.0.1:{port}" for program, _, port in listening(running.pids("gcs_server")) if program == "gcs_server"
    }
    home = {"HOME": str(tmp_path)}
    clients = [start_client(address, environment | home) for environment in (WITHOUT, WRONG, RIGHT)]
    *refused, accepted = [(*client.communicate(timeout=180), client.returncode) for client in clients]
    for output, error, code in refused:
        assert code != 0
        assert "nodes" not in output
        assert "AuthenticationError" in error
    assert accepted[0] == "nodes 1\n", accepted[1]


def test_the_agent_refuses_who_has_no_token(running: Victim) -> None:
    """Ray's runtime environments are set up over HTTP, on the machine's own address."""
    root = running.root()
    assert root is not None
    agents = {(address, port) for program, address, port in listening(processes_in(root)) if "RuntimeEnv" in program}
    assert agents
    for address, port in agents:
        host = "127.0.0.1" if address in ("loopback", "any") else socket.inet_ntoa(bytes.fromhex(address)[::-1])
        url = f"http://{host}:{port}/get_or_create_runtime_env"
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST"), timeout=30)
        refused.value.close()


def test_the_dashboard_is_off_and_the_ports_are_those_documented(running: Victim) -> None:
    """Ray's gRPC servers listen on every address, regardless of settings; only the token excludes other users."""
    root = running.root()
    assert root is not None
    opened = listening([*processes_in(root), running.process.pid])
    assert not [port for _, _, port in opened if port == 8265]
    everywhere = {program for program, address, _ in opened if address != "loopback"}
    assert everywhere <= {"gcs_server", "raylet", "python", comm(running.process.pid), *ray_workers(root)}
    assert not {program for program in everywhere if "Agent" in program or "ashboard" in program}


def ray_workers(root: Path) -> set[str]:
    """The process titles of Ray's workers."""
    names = {comm(pid) for pid in processes_in(root)}
    return {name for name in names if name.startswith("ray::") and "Agent" not in name}


def test_a_sweep_leaves_nothing_in_the_environment_of_others(running: Victim) -> None:
    """The token is in the memory of the sweep's processes, not on their command lines."""
    root = running.root()
    assert root is not None
    for pid in [*processes_in(root), running.process.pid]:
        assert TOKEN.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_other_users_cannot_reach_the_files_of_ray(running: Victim) -> None:
    """Ray makes its own folders writable for everybody."""
    root = running.root()
    assert root is not None
    assert (stat.S_IMODE(root.stat().st_mode), root.stat().st_uid) == (0o700, os.getuid())
    assert list(root.glob(f"{RAY_FOLDER}/session_2*"))


def test_leftovers_that_are_another_users_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.on_ray.cluster._short_temporary_folder", lambda: str(tmp_path))
    planted = tmp_path / f"{PREFIX}planted"
    planted.mkdir()
    (planted / "owner").touch()
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    remove_leftovers()
    assert planted.exists()
    monkeypatch.setattr(os, "getuid", lambda: mine)
    remove_leftovers()
    assert not planted.exists()


def test_leftovers_of_a_dead_owner_are_cleared_and_a_living_one_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.on_ray.cluster._short_temporary_folder", lambda: str(tmp_path))
    dead, living = tmp_path / f"{PREFIX}dead", tmp_path / f"{PREFIX}living"
    for root in (dead, living):
        (root / "logs").mkdir(parents=True)
        (root / "owner").touch()
    holds = "import fcntl, sys, time; f = open(sys.argv[1]); {}; print('ready', flush=True); time.sleep(600)"
    orphan = start(holds.format("pass"), dead / "owner")
    owner = start(holds.format("fcntl.flock(f, fcntl.LOCK_EX)"), living / "owner")
    try:
        remove_leftovers()
        assert orphan.wait(timeout=30) == -9
        assert not dead.exists()
        assert living.exists()
        assert owner.poll() is None
    finally:
        orphan.kill()
        owner.kill()
        for process in (orphan, owner):
            process.communicate()


def start(code: str, *arguments: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("said", "cleared"), [(b"", True), (reaper.DONE, False)])
def test_the_reaper_clears_up_after_a_driver_that_says_nothing(tmp_path: Path, said: bytes, cleared: bool) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "log").touch()
    orphan = start("import sys, time; f = open(sys.argv[1]); print('ready', flush=True); time.sleep(600)", root / "log")
    command = [sys.executable, "-I", reaper.__file__, str(root)]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        time.sleep(0.2)
        assert processes_in(root) == [orphan.pid]
        watcher.communicate(said, timeout=60)
        assert root.exists() is not cleared
        assert (orphan.poll() is None) is not cleared
    finally:
        orphan.kill()
        orphan.communicate()


def test_clearing_spares_the_process_that_clears(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with (root / "mine").open("w"):
        clear(root)
    assert not root.exists()


def test_room() -> None:
    assert Capacity(cpus=2, gpus=0).room(1, 0) == 2
    assert Capacity(cpus=16, gpus=2).room(1, 0.25) == 8
    assert Capacity(cpus=16, gpus=1).room(1, 0.1) == 10
    assert Capacity(cpus=1, gpus=0).room(4, 0) == 1


@pytest.mark.parametrize("address", ["nowhere", "ray://head:10001", "head:", "head:port"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=f"must be host:port .* but got {address}"):
        check_address(address)


def test_a_cluster_that_does_not_answer_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(SweepError, match=f"no Ray cluster answers at {address} .Connection refused"):
            check_address(address)


def test_the_sockets_of_ray_fit_into_their_longest_path(running: Victim) -> None:
    root = running.root()
    assert root is not None
    sockets = list(root.glob(f"{RAY_FOLDER}/session_2*/sockets/*"))
    assert sockets
    below = max(len(str(path)) - len(str(root)) for path in sockets)
    assert LONGEST_ROOT + below <= 107
    assert str(ROOT) not in str(root)
