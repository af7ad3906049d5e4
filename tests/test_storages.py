"""The study with external tools: PostgreSQL as its storage, optuna-dashboard as its reader."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from killing import Victim, between_reports, kill_driver, wait_for
from small_sweeps import make_images, mapping, same_reports, small_config, wait_until

from sweeper.config.model import to_mapping
from sweeper.config.storage import hide_password, mask_password, whole_url
from sweeper.errors import ConfigError, ResultsError
from sweeper.run.options import RunOptions
from sweeper.run.sweep import resume_sweep, run_sweep
from sweeper.search.storage import open_study

pytestmark = pytest.mark.slow

LOCAL = RunOptions(local=True, device="cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def plain(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep with SQLite."""
    folder = tmp_path_factory.mktemp("plain") / "sweep"
    run_sweep(small_config(images, trials=2), folder, LOCAL)
    return folder


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def postgres_programs() -> Path | None:
    """Where initdb and postgres are: Debian keeps them out of the PATH."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").is_file()), None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL that was started for these tests, on loopback, with a password."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (pip install 'psycopg[binary]')")
    owner = None
    if os.getuid() == 0:  # PostgreSQL does not run as root
        try:
            owner = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    password, port = folder / "password", free_port()
    password.write_text("a secret")
    data = folder / "data"
    data.mkdir(mode=0o700)
    for path in (folder, password, data):
        shutil.chown(path, owner or os.getuid())
    create = [programs / "initdb", "-D", data, "-U", "me", "--auth=scram-sha-256", "--pwfile", password]
    subprocess.run(create, user=owner, check=True, capture_output=True, cwd=folder)
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    command = [programs / "postgres", "-D", data, *(part for one in settings for part in ("-c", one))]
    server = subprocess.Popen(command, user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        yield f"postgresql+psycopg://me:a%20secret@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown; at SIGTERM it waits for its clients
        server.wait(timeout=60)
        shutil.rmtree(folder)


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def test_a_sweep_in_postgresql_is_the_same_sweep(images: Path, plain: Path, tmp_path: Path, postgres: str) -> None:
    folder = tmp_path / "elsewhere"
    config = small_config(images, trials=1, storage=postgres)
    run_sweep(config, folder, LOCAL)
    assert not (folder / "study.db").exists()
    assert "a secret" not in (folder / "sweep.yaml").read_text()
    with pytest.raises(ConfigError, match=r"`storage` is .*:\*\*\*@.* with --storage or in .* SWEEPER_STORAGE"):
        resume_sweep(folder, LOCAL, trials=2)
    resume_sweep(folder, replace(LOCAL, storage=postgres), trials=2)
    same_reports(plain, folder)
    with closing(open_study(config, url=postgres, name="elsewhere", create=False)) as study:
        assert [record.status for record in study.records()] == ["completed"] * 2
    with pytest.raises(ResultsError, match="already holds a study named elsewhere"):
        run_sweep(config, tmp_path / "again" / "elsewhere", LOCAL)


@pytest.mark.kill
def test_a_kill_is_survived_in_postgresql_too(
    images: Path, plain: Path, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, folder = tmp_path / "file.yaml", tmp_path / "killed"
    file.write_text(yaml.safe_dump(mapping(images, trials=2, storage=postgres)))
    victim = Victim.start(file, folder, where="local")
    assert wait_for(victim, between_reports)
    kill_driver(victim)
    monkeypatch.setenv("SWEEPER_STORAGE", postgres)
    resume_sweep(folder, LOCAL)
    same_reports(plain, folder)
    assert list(pd.read_parquet(folder / "trials.parquet")["status"]) == ["completed"] * 2


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://me:secret@db/sweeps", "postgresql://me:***@db/sweeps"),
        ("postgresql+psycopg://me:se@cr:et@db:5432/sweeps", "postgresql+psycopg://me:***@db:5432/sweeps"),
        ("mysql://me:se/cret@db/sweeps", "mysql://me:***@db/sweeps"),
        ("postgresql://me@db/sweeps", "postgresql://me@db/sweeps"),
        ("postgresql://db/sweeps?user=me&password=secret", "postgresql://db/sweeps?user=me&password=***"),
        ("sqlite:////data/a@b:c/study.db", "sqlite:////data/a@b:c/study.db"),
    ],
)
def test_a_password_is_masked(images: Path, url: str, masked: str) -> None:
    assert mask_password(url) == masked
    assert mask_password(masked) == masked
    assert to_mapping(replace(small_config(images), storage=url))["storage"] == masked
    assert hide_password(f"no answer from {url}", url) == f"no answer from {masked}"


def test_the_whole_url_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    masked, whole = "postgresql://me:***@db/s", "postgresql://me:secret@db/s"
    monkeypatch.delenv("SWEEPER_STORAGE", raising=False)
    with pytest.raises(ConfigError, match="its password is not stored"):
        whole_url(masked, None)
    monkeypatch.setenv("SWEEPER_STORAGE", whole)
    assert whole_url(masked, None) == whole
    assert whole_url(masked, "postgresql://me:other@db/s") == "postgresql://me:other@db/s"
    assert whole_url("sqlite:///a.db", None) == "sqlite:///a.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///?timeout=5"])
def test_a_study_in_memory_is_refused(images: Path, tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="`storage` must be a file or a server"):
        run_sweep(small_config(images, storage=url), tmp_path / "s", LOCAL)
    assert not (tmp_path / "s").exists()


def test_an_error_of_the_storage_does_not_show_the_password(images: Path, tmp_path: Path) -> None:
    url = f"postgresql+psycopg://me:s3cr%40t@127.0.0.1:{free_port()}/none"
    with pytest.raises(ResultsError, match=r"the storage postgresql.*:\*\*\*@.* cannot be opened") as caught:
        run_sweep(small_config(images, storage=url), tmp_path / "s", LOCAL)
    assert "s3cr" not in str(caught.value)
    assert not (tmp_path / "s").exists()


@pytest.fixture(scope="module")
def dashboard_program() -> str:
    if find_spec("optuna_dashboard") is None:
        pytest.skip("optuna-dashboard is not installed (pip install optuna-dashboard)")
    return "from optuna_dashboard._cli import main; main()"


def ask(program: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The summary and the details of a sweep's study, from the dashboard's API."""
    port = free_port()
    command = [sys.executable, "-c", program, f"sqlite:///{folder / 'study.db'}", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        (summary,) = fetch(port, "/api/studies")["study_summaries"]
        return summary, fetch(port, f"/api/studies/{summary['study_id']}")
    finally:
        server.kill()
        server.wait()


def fetch(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.load(answer)


def test_the_dashboard_reads_a_finished_sweep(plain: Path, dashboard_program: str) -> None:
    summary, details = ask(dashboard_program, plain)
    assert summary["study_name"] == "simclr-folder"
    assert summary["directions"] == ["maximize"]
    assert [trial["state"] for trial in details["trials"]] == ["Complete"] * 2
    trials = pd.read_parquet(plain / "trials.parquet")
    assert [trial["values"] for trial in details["trials"]] == [[value] for value in trials["lidar"]]
    assert [len(trial["intermediate_values"]) for trial in details["trials"]] == [3, 3]
    names = {parameter["name"] for parameter in details["trials"][0]["params"]}
    assert names == {"lr", "temperature"}


@pytest.mark.kill
def test_the_dashboard_reads_a_running_sweep(images: Path, tmp_path: Path, dashboard_program: str) -> None:
    file, folder = tmp_path / "file.yaml", tmp_path / "running"
    file.write_text(yaml.safe_dump(mapping(images, trials=1, epochs=3000, oracle="none")))
    victim = Victim.start(file, folder, where="local")
    assert wait_for(victim, between_reports)
    _, details = ask(dashboard_program, folder)
    reported = len((folder / "reports.jsonl").read_text().splitlines())
    assert victim.running
    assert [trial["state"] for trial in details["trials"]] == ["Running"]
    assert 2 <= len(details["trials"][0]["intermediate_values"]) <= reported
    wait_until(lambda: len((folder / "reports.jsonl").read_text().splitlines()) > reported)
    kill_driver(victim)
