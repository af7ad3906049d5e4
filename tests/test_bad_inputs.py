"""Bad input of every kind: one clear line, exit code 2, within seconds, before Ray starts."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from small_sweeps import make_images, mapping, small_config

from sweeper.cli.commands import execute
from sweeper.config import sizes
from sweeper.config.read import load_config
from sweeper.config.yaml_text import MAX_BYTES
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep
from trainers.methods.simclr import SimCLR

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a search-space file and a finished sweep."""
    root = tmp_path_factory.mktemp("place")
    images = make_images(root / "images")
    (root / "small.yaml").write_text(yaml.safe_dump(mapping(images, epochs=2, trials=2)))
    run_sweep(small_config(images, epochs=2, trials=2), root / "results" / "base", RunOptions(local=True))
    return root


@pytest.fixture
def file(place: Path) -> Path:
    return place / "small.yaml"


@pytest.fixture
def sweep(place: Path, tmp_path: Path) -> Path:
    """A copy of the finished sweep."""
    return Path(shutil.copytree(place / "results" / "base", tmp_path / "sweep"))


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may start Ray."""
    monkeypatch.setattr("sweeper.on_ray.cluster.ray_running", None)


def refused(*arguments: str | Path, lines: int = 1) -> str:
    """What a command says on stderr, which ends with exit code 2 in less than ten seconds."""
    out, error = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = execute([str(argument) for argument in arguments])
    said = error.getvalue().splitlines()
    assert (code, len(said)) == (2, lines), said
    assert all(line.startswith("sweeper: ") for line in said)
    assert "unexpected" not in error.getvalue()
    assert time.monotonic() < began + 10
    return error.getvalue()


# The search-space file as a file


def bomb(first: str, body: str) -> str:
    """Eight anchors, each of which holds the one before nine times."""
    names = "abcdefghi"
    below = [f"{name}: &{name} {body % ','.join(['*' + old] * 9)}" for old, name in pairwise(names)]
    return "\n".join([f"a: &a {first}", *below])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bomb("[1, 2]", "[%s]"), "line 5: must hold at most 20,000 values, its aliases (*) written out"),
        (bomb("{k: 1}", "{<<: [%s]}"), "line 5: must hold at most 20,000 values, its aliases (*) written out"),
        (
            "a: &a [1]\n" + "".join(f"b{i}: &b{i} [*{'a' if i == 0 else f'b{i - 1}'}]\n" for i in range(60)),
            "nested deeper",
        ),
        ("[" * 800 + "]" * 800, "line 1: must not be nested deeper than 40 levels"),
        ("- " * 800 + "1", "line 1: must not be nested deeper than 40 levels"),
        ("a: [" + "1, " * 100_000 + "1]", "line 1: must hold at most 20,000 values"),
        ("a: &a [*a]", "line 1: an anchor must not contain itself"),
        ("epochs: 1:30", "line 1: 1:30 is read as 90, to the base 60; write it as 90, or in quotes"),
        ("epochs: 1:30.5", "1:30.5 is read as 90.5"),
        ("epochs: 010", "line 1: 010 is read to the base 8; write it as 8 or as 10"),
        ("epochs: " + "9" * 400, "line 1: a number must have at most 40 digits, but has 400"),
        ("epochs: " + "9" * 5000, "a number must have at most 40 digits, but has 5,000"),
        ("epochs: 0x" + "f" * 5000, "a number must have at most 40 digits"),
        ("epochs: !!int ''", "line 1: a tag (tag:yaml.org,2002:int) is not accepted"),
        ("epochs: !!bool maybe", "a tag (tag:yaml.org,2002:bool) is not accepted"),
        ('method: "a\\0b"', "line 1: a text must not hold the character U+0000"),
        ('method: "\\ud800"', "line 1: a text must not hold the character U+D800"),
        ('method: "\\Uffffffff"', "not valid YAML"),
        ("null: 1", 'line 1: a key must be text, but got "null"'),
        ("a" * 300 + ": 1", "line 1: a key must have at most 200 characters, but aaaaaaaaaaaaaaaaaaaa… has 300"),
        ('method: "simclr', "line 1: not valid YAML: found a misplaced end of stream"),
    ],
)
def test_a_text_that_is_refused_before_any_value_is_made(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert said in refused("run", path)


def test_a_file_that_is_no_regular_file(tmp_path: Path) -> None:
    pipe, loop, device, huge = (tmp_path / name for name in ("pipe", "loop", "device", "huge"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    device.symlink_to("/dev/zero")
    huge.touch()
    os.truncate(huge, 2**40)
    assert "must be a regular file, but is a pipe" in refused("run", pipe)
    assert "cannot be read: Too many levels of symbolic links" in refused("run", loop)
    assert "must be a regular file, but is a device" in refused("run", device)
    assert f"must have at most {MAX_BYTES:,} bytes" in refused("run", huge)
    assert "File name too long" in refused("run", tmp_path / ("a" * 300))


# Its values


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("space.lr.points=1e8", "`space.lr.points` must be a whole number from 1 to 10,000"),
        ("encoder.blocks=1e8", "`encoder.blocks` must be a whole number from 1 to 100"),
        (
            "encoder={name: resnet, blocks: 100, stages: 9}",
            "`encoder.blocks` times `encoder.stages` must be at most 200",
        ),
        ("encoder.stages=60", "`encoder.stages` must be a whole number from 1 to 10"),
        ("epochs=1e9", "`epochs` must be a whole number from 1 to 1,000,000"),
        ("trials=1e9", "`trials` must be a whole number from 1 to 1,000,000"),
        ("jobs=1e9", "`jobs` must be a whole number from 1 to 10,000 or auto"),
        ("criteria_sample.views=1e9", "`criteria_sample.views` must be a whole number from 2 to 10,000"),
        ("resources.cpus=0.00001", "`resources.cpus` must be a number of at least 0.01, but got 1e-05"),
        ("search.seed=" + "9" * 30, "`search.seed` must be below 2^63 in size"),
        ("fixed.projection_dim=1e9", "`fixed.projection_dim` must be at most 16777216 in size, but got 1000000000"),
        ("space.lr.high=1e308", "`space.lr.high` must be at most 1e+100 in size"),
        (
            "space.lr={type: categorical, choices: [" + ",".join(map(str, range(2000))) + "]}",
            "must be at most 1,000 values",
        ),
        ("dataset.size=1000000000", "`dataset.size` must be at most 10,000 pixels, but got 1,000,000,000"),
        (
            "dataset.root=~nosuchuser/x",
            "`dataset.root` must be a path of this machine, but there is no user ~nosuchuser",
        ),
        ("dataset.root=" + "a" * 300, "`dataset.root` must have at most 255 bytes between two slashes"),
        ("dataset.root=" + "a/" * 3000, "`dataset.root` must have at most 4,000 bytes, but has 6,000"),
        ("space={[1]: 2}", "not valid YAML: found unhashable key"),
        ("space={true: 2}", 'a key must be text, but got "true"'),
        ("a" * 5000 + "=1", "must be key=value"),
        ("storage=sqlite://", "`storage` must be a file or a server"),
    ],
    ids=lambda value: value[:40],
)
def test_a_value_beyond_reason(override: str, said: str, file: Path, tmp_path: Path) -> None:
    assert said in refused("run", file, override, "--results", tmp_path / "results")
    assert said in refused("run", file, override, "--results", tmp_path / "results", "--dry-run")


def test_a_grid_that_is_too_large_to_list(file: Path) -> None:
    points = ["space.lr.points=999", "space.temperature.points=999"]
    said = refused("run", file, "search.sampler=grid", *points)
    assert "this grid must have at most 100,000 configurations, but got 998,001; lower `points`" in said


def test_mistakes_beyond_fifty_are_counted(file: Path) -> None:
    keys = ", ".join(f"key{number}: 1" for number in range(90))
    assert "sweeper: 40 more mistakes are not shown\n" in refused("run", file, f"fixed={{{keys}}}", lines=51)


GIGABYTE = 10**9


@pytest.mark.parametrize(
    ("overrides", "memory", "said"),
    [
        (["encoder.width=16384"], 24 * GIGABYTE, "`encoder` must be smaller: the encoder in training would need"),
        (["fixed.projection_dim=16000000"], 4 * GIGABYTE, "`fixed.projection_dim` must be smaller: the networks of a"),
        (["fixed.projection_dim=100000"], 24 * GIGABYTE, "smaller: LiDAR's covariances would need 320.0 GB of memory"),
        (
            ["criteria_sample={images: 40, views: 9000}"],
            20_000_000,
            "`criteria_sample` must be smaller: the embeddings",
        ),
        (
            ["dataset.size=9996", "dataset.pack=0"],  # without it they would be packed, and stay on disk
            2 * GIGABYTE,
            "`dataset.size` must be smaller: the images would need 9.6 GB of memory",
        ),
        (["dataset.size=1020"], GIGABYTE // 8, "`batch_size` must be smaller: the views of a batch would need 0.2 GB"),
        (
            ["space.projector_hidden_dim={type: int, low: 8, high: 16000000}"],
            4 * GIGABYTE,
            "`space.projector_hidden_dim` must be smaller: the networks of a trial in training would need",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_does_not_fit_into_memory(
    overrides: list[str], memory: int, said: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "machine_bytes", lambda *, cluster: memory)
    fixed = [] if "space.projector" not in overrides[0] else ["fixed={projection_dim: 8, optimizer: sgd}"]
    assert said in refused("run", file, *overrides, *fixed)


def test_a_method_that_cannot_be_measured_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def features(*_: object) -> None:
        raise RuntimeError("mat1 and mat2\nshapes cannot be multiplied")

    monkeypatch.setattr(SimCLR, "features", features)
    load_config(file)
    (said,) = [line for line in caplog.messages if "is not checked" in line]
    assert "`method` simclr" in said
    assert "(mat1 and mat2 shapes cannot be multiplied)" in said


# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--timeout", "9" * 400], "must be at most 3650d"),
        (["--timeout", "99999999999d"], "must be at most 3650d, but got '99999999999d'"),
        (["--jobs", "9" * 30], "is not in the range 1<=x<=10000"),
        (["--name", "a" * 201], "`--name` must have at most 200 characters, but has 201"),
        (["--name", "a\0b"], "an argument must not hold a null character"),
        (["--results", "a" * 300], "File name too long"),
        (["--results", "/dev/null/x"], "cannot be written: Not a directory; choose another folder with --results"),
        (["--results", "/proc"], "cannot be written: No such file or directory; choose another folder with --results"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_option_beyond_reason(options: list[str], said: str, file: Path) -> None:
    assert said in refused("run", file, "--local", *options)


def test_a_name_of_a_sweep_that_is_too_long() -> None:
    assert "File name too long" in refused("show", "a" * 5000)
    assert "is not in the range" in refused("show", "x", "--trial", "9" * 400)


# Results folders


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            bomb("[1, 2]", "[%s]"),
            "sweep.yaml is damaged (line 5: must hold at most 20,000 values, its aliases (*) written out); repair",
        ),
        ("[" * 800, "must not be nested deeper than 40 levels); repair it"),
        ("trials: " + "9" * 5000, "a number must have at most 40 digits"),
        ("a: [", "not valid YAML"),
    ],
    ids=["bomb", "depth", "digits", "cut"],
)
@pytest.mark.parametrize(
    "command",
    [["show"], ["best"], ["resume", "--local"], ["probe", "--local"], ["retrain", "--trial", "0"]],
    ids=lambda one: one[0],
)
def test_a_sweep_file_is_bounded_as_a_search_space_file_is(
    text: str, said: str, command: list[str], sweep: Path
) -> None:
    (sweep / "sweep.yaml").write_text(text)
    assert said in refused(command[0], sweep, *command[1:])


def test_a_sweep_file_that_is_a_pipe(sweep: Path) -> None:
    (sweep / "sweep.yaml").unlink()
    os.mkfifo(sweep / "sweep.yaml")
    assert "is not a sweep: it has no sweep.yaml" in refused("show", sweep)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trial": 10**400}, "`trial` in it must be below 2^63 in size"),
        (
            {"reported_at": "yesterday"},
            "`reported_at` in it must be a moment as ISO 8601 writes it, but got 'yesterday'",
        ),
        ({"train_seconds": None}, "`train_seconds` in it is missing"),
        ({"loss": "low"}, "`loss` in it must be a number, but got 'low'"),
        ({"rankme.representation": 2**63}, "`rankme.representation` in it must be below 2^63 in size"),
        ({"rankme.embedding": [1.0]}, "`rankme.embedding` in it must be a value, but got"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_report_that_no_sweep_wrote(change: dict[str, object], said: str, sweep: Path) -> None:
    log = sweep / "reports.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text(json.dumps(json.loads(first) | change) + "\n" + "".join(rest))
    assert said in refused("resume", sweep, "--local")


@pytest.mark.parametrize(
    "change",
    [{"epochs": "many"}, {"status": "odd"}, {"trial": 10**400}, {"oracles": {"lidar_paper": {"accuracy": "1e9"}}}],
)
def test_a_result_that_no_sweep_wrote_counts_as_missing(change: dict[str, object], sweep: Path) -> None:
    file = sweep / "trials" / "0001" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with contextlib.redirect_stdout(io.StringIO()):
        assert execute(["resume", str(sweep), "--local", "--quiet"]) == 0


def test_a_study_that_another_program_keeps_locked(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.search.storage.LOCKED_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(sweep / "study.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "study.db is locked by another program; end that program" in refused("resume", sweep, "--local")


def test_a_study_that_is_no_database(sweep: Path) -> None:
    (sweep / "trials.parquet").unlink()
    (sweep / "study.db").write_text("nothing of the kind" * 100)
    assert "cannot be opened" in refused("show", sweep)
    (sweep / "study.db").unlink()
    (sweep / "study.db").mkdir()
    assert "study.db is missing" in refused("resume", sweep, "--local")


# Stdout and the environment: in a process of its own, which owns its stdout

MAIN = [sys.executable, "-c", "from sweeper.cli.commands import main; main()"]


def start(*arguments: str | Path, out: int, **environment: str) -> subprocess.Popen[str]:
    command = [*MAIN, *map(str, arguments)]
    whole = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, env=whole)


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_stdout_is_told_from_a_full_disk(buffered: str, file: Path, tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    arguments = ["run", file, "--local", "--name", "full", "--results", tmp_path]
    with start(*arguments, out=full, PYTHONUNBUFFERED=buffered) as process:
        error = process.communicate()[1]
    os.close(full)
    assert process.returncode == 2
    assert error == (
        "sweeper: stdout cannot be written: its disk is full; free some space or write to another; continue with: "
        f"sweeper resume {tmp_path / 'full'}\n"
    )
    assert (tmp_path / "full" / "trials.parquet").is_file()


def test_a_reader_that_has_gone_ends_a_run_as_a_signal_would(file: Path, tmp_path: Path) -> None:
    with start(
        "run", file, "trials=4", "--local", "--name", "gone", "--results", tmp_path, out=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = next(line for line in process.stdout if not line.endswith(" …\n"))  # phases that lasted
        assert first.startswith("[1/4] trial 0")
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (141, "")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert execute(["resume", str(tmp_path / "gone"), "--local", "--json"]) == 0
    assert json.loads(out.getvalue().splitlines()[-1])["counts"] == {"completed": 4}


def test_a_terminal_that_knows_ascii_alone(place: Path) -> None:
    with start("best", place / "results" / "base", out=subprocess.PIPE, PYTHONIOENCODING="ascii") as process:
        out, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    assert out.isascii()
    assert "selects trial" in out
