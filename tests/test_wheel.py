"""The examples: what `sweeper init` writes, which file a name means, and both from the wheel in an empty folder."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from small_sweeps import ROOT

from sweeper import __version__
from sweeper.cli import doctor
from sweeper.cli.commands import execute
from sweeper.config.examples import examples, find_file
from sweeper.config.read import load_config
from trainers.methods import METHODS

PACKAGES = ("sweeper", "trainers", "analysis")
INPUTS = (*PACKAGES, "search_spaces", "pyproject.toml", "setup.py", "README.md", "LICENSE")
"""What the wheel is built from."""


def test_init_writes_the_examples_and_their_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "b"
    assert execute(["init", str(folder)]) == 0
    written = capsys.readouterr().out.splitlines()
    assert sorted(written) == sorted(str(file) for file in folder.iterdir())
    assert set(METHODS) == {Path(name).stem for name in written if name.endswith(".yaml")}
    for file in folder.glob("*.yaml"):
        first, _, _ = file.read_text().partition("\n")
        schema = folder / first.removeprefix("# yaml-language-server: $schema=")
        assert schema.read_bytes() == (ROOT / "search_spaces" / "schema.json").read_bytes()
    assert load_config(folder / "simclr.yaml").method == "simclr"
    assert execute(["init", str(folder)]) == 0  # the same files again


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vicreg.yaml"
    file.write_text("mine: true\n")
    assert execute(["init", str(tmp_path)]) == 2
    said = f"sweeper: {file} is there and differs from the example; move it away, or choose another DIR\n"
    assert capsys.readouterr() == ("", said)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("vicreg.yaml", "mine: true\n")]


def test_a_name_means_the_file_and_then_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.WARNING)
    assert find_file(Path("dino")) == examples()["dino"]
    assert "dino is the example that comes with sweeper" in caplog.text
    for other in ("dinno", "dino.yaml", "a/dino", "README"):
        assert find_file(Path(other)) == Path(other)
    Path("search_spaces").mkdir()
    for near in (Path("search_spaces/dino.yaml"), Path("dino.yaml"), Path("dino")):  # each comes before those above
        near.write_text("method: dino\n")
        assert find_file(Path("dino")) == near
    assert "dino is the file dino.yaml" in caplog.text


def test_a_misspelt_example_is_told_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["run", "vicregg"]) == 2
    assert capsys.readouterr().err == "sweeper: vicregg: no such file; did you mean vicreg?\n"


def test_one_version_and_one_name_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert project["name"] == doctor.DISTRIBUTION
    assert (citation["version"], citation["license"]) == (__version__, project["license"])
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert {f"{project['name']}[docs,test]"} <= set(project["optional-dependencies"]["dev"])


def test_the_doctor_reads_what_a_source_tree_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", missing)
    checks = {check.name: check for check in doctor.check_packages()}
    assert checks["sweeper"].advice == "pip install -e ."
    assert {"click", "safetensors", "torch"} <= set(checks)
    assert checks["click"].verdict == "ok"


def test_the_image_is_built_from_what_the_wheel_needs() -> None:
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split() for line in lines if line and not line.startswith((" ", "#"))]
    copied = [word for verb, *words in steps if verb == "COPY" and "--from" not in words[0] for word in words[:-1]]
    assert sorted(copied) == sorted(INPUTS)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == set(INPUTS)
    assert [words for verb, *words in steps if verb == "ENTRYPOINT"] == [['["sweeper"]']]
    defaults = dict(words[0].split("=") for verb, *words in steps if verb == "ARG")
    (user,) = (words[0] for verb, *words in steps if verb == "USER")
    assert int(defaults[user.removeprefix("$")]) > 0  # not root


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by pip from a copy of the repository."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in INPUTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(built), str(source)], check=True, capture_output=True)
    (file,) = built.iterdir()
    return file


@pytest.mark.slow
def test_the_wheel_holds_the_examples_once(wheel: Path) -> None:
    assert wheel.name == f"ssl_sweeper-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    shipped = {name.removeprefix("sweeper/examples/") for name in held if name.startswith("sweeper/examples/")}
    source = ROOT / "search_spaces"
    assert shipped == {file.name for file in source.iterdir() if file.is_file()}
    assert all(held[f"sweeper/examples/{name}"] == (source / name).read_bytes() for name in shipped)
    for package in PACKAGES:
        files = [file.relative_to(ROOT) for file in (ROOT / package).rglob("*.py")]
        assert {str(file) for file in files} <= set(held)
        assert held[f"{package}/py.typed"] == b""
    assert {"analysis/figures/sweeper.mplstyle", "analysis/report/template/page.css"} <= set(held)
    inside = {name.partition("/")[0] for name in held}
    assert inside == {*PACKAGES, f"ssl_sweeper-{__version__}.dist-info"}


@pytest.mark.slow
def test_the_wheel_runs_an_example_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python, libraries = venv / "bin" / "python", sysconfig.get_path("purelib")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(f"{libraries}\n")  # torch and the others, after the wheel on the path
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    where = "import sweeper, importlib.metadata as m; print(sweeper.__file__, m.version('ssl-sweeper'))"
    assert run(str(python), "-c", where).split() == [str(site / "sweeper" / "__init__.py"), __version__]
    command = str(venv / "bin" / "sweeper")
    said = run(command, "run", "dino", "--dry-run", "epochs=1", "batch_size=64", "criteria_sample.images=50")
    assert f"sweeper: dino is the example that comes with sweeper: {site}/sweeper/examples/dino.yaml\n" in said
    assert "the first 12 of 16 trials:" in said
    assert "estimated time:" in said
    assert "search_spaces/dino.yaml\n" in run(command, "init")
