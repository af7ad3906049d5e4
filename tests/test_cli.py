"""The commands: their output, their exit codes, and a one-line message for every user error."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from small_sweeps import make_images, mapping

from sweeper import __version__
from sweeper.cli.choice import choose
from sweeper.cli.commands import execute
from sweeper.cli.doctor import check_devices, check_disk, check_optional_packages
from sweeper.cli.needs import check_file
from sweeper.cli.screens.choice import cautions
from sweeper.cli.verdicts import Check, worst
from sweeper.config.read import load_config
from sweeper.store.layout import SweepFolder
from sweeper.store.listing import Listing

ROOT = Path(__file__).parents[1]
COMMANDS = (
    *("init", "pack", "run", "resume", "analyze", "best", "export", "embed", "score", "retrain", "probe"),
    *("list", "show", "dashboard", "doctor"),
)


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def sweeper(*arguments: str | Path) -> Ran:
    """Run a command line in this process."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = execute([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), error.getvalue())


@pytest.fixture(autouse=True)
def on_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe has no width; pytest-xdist gives its workers one."""
    monkeypatch.delenv("COLUMNS", raising=False)


def refused(*arguments: str | Path) -> str:
    """The one line on stderr of a command that ends with exit code 2 and prints nothing else."""
    ran = sweeper(*arguments)
    assert ran.code == 2, ran
    assert ran.out == ""
    assert ran.error.startswith("sweeper: ")
    assert ran.error.endswith("\n")
    assert ran.error.count("\n") == 1, ran.error
    assert "Traceback" not in ran.error
    return ran.error.strip().removeprefix("sweeper: ")


# Help


def test_help_names_every_command() -> None:
    ran = sweeper("--help")
    assert ran.code == 0
    assert re.findall(r"^  (\w+)  +[A-Z]", ran.out.partition("Commands:")[2], flags=re.MULTILINE) == list(COMMANDS)
    assert "sweeper run search_spaces/dino.yaml" in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    ran = sweeper(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: sweeper {command} ")
    for line in ran.out.partition("Options:")[2].splitlines():
        assert not re.fullmatch(r"\s+--[\w-]+( [A-Z:]+)?", line) or len(line) > 24, f"no help beside {line}"


def test_version() -> None:
    assert sweeper("--version") == Ran(0, f"sweeper {__version__}\n", "")


@pytest.mark.slow
def test_the_script_ends_with_the_exit_code() -> None:
    command = [sys.executable, "-c", "from sweeper.cli.commands import main; main()", "run", "no.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sweeper: no.yaml: no such file")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-c", "from sweeper.cli.commands import main; main()", "run", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


# Mistakes on the command line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "there is no command 'rum'; did you mean `run`?"),
        (["frobnicate"], "there is no command 'frobnicate'; the commands are init, pack, run"),
        (["run"], "missing argument 'FILE'; see `sweeper run --help`"),
        (["run", "search_spaces/dino.yaml", "--nmae", "x"], "Did you mean one of: '--cache', '--name'?"),
        (
            ["run", "search_spaces/dino.yaml", "--trials", "40"],
            "a key of the file is overridden without dashes: trials=…",
        ),
        (["run", "search_spaces/dino.yaml", "--jobs", "0"], "'--jobs': 0 is not in the range 1<=x<=10000"),
        (["run", "search_spaces/dino.yaml", "--jobs", "all"], "'--jobs': 'all' is not a valid integer range"),
        (
            ["run", "search_spaces/dino.yaml", "--timeout", "soon"],
            "must be a time such as 90s, 30m or 2h, but got 'soon'",
        ),
        (["run", "search_spaces/dino.yaml", "--timeout", "0"], "must be a time such as 90s, 30m or 2h, but got '0'"),
        (["run", "search_spaces/dino.yaml", "--resume"], "`--resume` must be given with the --name"),
        (["run", "search_spaces/dino.yaml", "--name", "a/b"], "`--name` must begin with a letter, a digit or _"),
        (["run", "search_spaces/dino.yaml", "--name", ""], "`--name` must begin with a letter, a digit or _"),
        (["run", "search_spaces/dino.yaml", "--name", "reference"], "`--name` must not be analysis or reference"),
        (["run", "search_spaces/dino.yaml", "--local", "--jobs", "4"], "`--jobs` must be 1 with --local"),
        (
            ["run", "search_spaces/dino.yaml", "--local", "--address", "a:1"],
            "`--local` must be given without --address",
        ),
        (["run", "search_spaces/dino.yaml", "--dry-run", "--device", "tpu"], "`--device` must be auto, cpu or cuda"),
        (["run", "search_spaces/dino.yaml", "trials"], "override 'trials' must be key=value"),
        (
            ["run", "search_spaces/dino.yaml", "trials=0"],
            "`trials` must be a whole number from 1 to 1,000,000, but got 0",
        ),
        (["run", "search_spaces/dino.yaml", "method=dinno"], "did you mean `dino`?"),
        (["run", "search_spaces/dino.yaml", "objective=accuracy"], "the search uses criteria, which need no labels"),
        (["run", "search_spaces/dino.yaml", "resources.gpus=1"], "`resources.gpus` must be at most the"),
        (["run", "search_spaces/dino.yam"], "did you mean search_spaces/dino.yaml?"),
        (["resume"], "missing argument 'SWEEP'"),
        (["analyze"], "missing argument 'PATH...'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    results = ["--results", str(tmp_path / "results")] if arguments[0] == "run" else []
    assert said in refused(*arguments, *results)
    assert not (tmp_path / "results").exists()


def test_each_mistake_of_a_search_space_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ran = sweeper("run", "search_spaces/dino.yaml", "trials=0", "epochs=\n1.5", "method=dinno")
    assert (ran.code, ran.out) == (2, "")
    assert [line.partition(": `")[0] for line in ran.error.splitlines()] == [
        *("sweeper: override trials=0", "sweeper: override epochs= 1.5", "sweeper: override method=dinno")
    ]


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" not in sweeper("run", "no.yaml").error
    assert "Traceback" in sweeper("run", "no.yaml", "--debug").error
    assert "Traceback" in sweeper("--debug", "run", "no.yaml").error
    monkeypatch.setenv("SWEEPER_DEBUG", "1")
    ran = sweeper("run", "no.yaml")
    assert ran.code == 2
    assert "Traceback" in ran.error
    monkeypatch.setenv("SWEEPER_DEBUG", "0")
    assert "Traceback" not in sweeper("run", "no.yaml").error


# Results folders that cannot be read


@pytest.mark.parametrize("command", ["resume", "best", "probe", "show"])
def test_a_results_folder_that_is_missing_or_empty(command: str, tmp_path: Path) -> None:
    assert "holds none yet; start one with `sweeper run`" in refused(command, "x", "--results", tmp_path / "no")
    assert "holds none yet; start one with `sweeper run`" in refused(command, "x", "--results", tmp_path)


def test_listing_a_results_folder_that_is_missing_or_empty(tmp_path: Path) -> None:
    assert "there is no folder" in refused("list", "--results", tmp_path / "no")
    assert "holds no sweep yet; start one: `sweeper run" in refused("list", "--results", tmp_path)
    assert "it has none" in refused("analyze", tmp_path)
    assert "does not exist" in refused("analyze", tmp_path / "no")


# A sweep from beginning to end


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished sweep, `small`, run by the commands."""
    root = tmp_path_factory.mktemp("cli")
    (root / "images.yaml").write_text(yaml.safe_dump(mapping(make_images(root / "images"))))
    ran = sweeper(
        "run", root / "images.yaml", "--local", "--device", "cpu", "--results", root / "results", "--name", "small",
        "keep_checkpoints=all", "seeds=1",
    )  # fmt: skip
    assert ran.code == 0, ran
    (root / "said").write_text(ran.out)
    return root / "results"


def file_of(results: Path) -> Path:
    return results.parent / "images.yaml"


@pytest.mark.slow
def test_run_says_what_to_do_next(results: Path) -> None:
    said = (results.parent / "said").read_text()
    assert "4 completed, in " in said
    assert f"  sweeper analyze {results / 'small'} " in said
    assert f"  sweeper best {results / 'small'} " in said


@pytest.mark.slow
def test_dry_run_starts_nothing(results: Path, tmp_path: Path) -> None:
    ran = sweeper("run", file_of(results), "--dry-run", "--device", "cpu", "--results", tmp_path / "r", "trials=30")
    assert ran.code == 0, ran
    assert not (tmp_path / "r").exists()
    text, _, rest = ran.out.partition("\n\nthe first 12 of 30 trials:\n")
    shown = yaml.safe_load(text)
    assert shown["trials"] == 30
    assert shown["collapse"]["warmup"] == 0.2
    assert re.search(r"estimated time: an epoch .*, its criteria .*, a trial .*, the sweep .* with \d+ at a time", rest)
    data = sweeper("run", file_of(results), "--dry-run", "--json", "--device", "cpu", "trials=2").json
    assert [one["trial"] for one in data["first_trials"]] == [0, 1]
    assert data["runs"] == 2
    assert data["config"] == {**shown, "trials": 2}
    assert data["estimate"]["total_seconds"] > 0
    first = pd.DataFrame(show(results)["trials"]).set_index("trial")
    for one in data["first_trials"]:
        assert one["hyperparameters"]["lr"] == first.loc[one["trial"], "config.lr"]


def show(results: Path, *more: str) -> Any:
    return sweeper("show", "small", "--results", results, "--json", *more).json


@pytest.mark.slow
def test_more_trials_than_a_grid_has_are_refused(results: Path, tmp_path: Path) -> None:
    line = ["run", file_of(results), "--local", "--results", tmp_path / "r", "search.sampler=grid", "trials=26"]
    for more in ([], ["--dry-run"]):
        assert "at most the 25 configurations of this grid, but got 26" in refused(*line, *more)
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    content = mapping(make_images(tmp_path / "images"))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "images" / "rows" / "001.png").write_bytes(b"no image")
    for more in ([], ["--dry-run"]):
        said = refused("run", tmp_path / "sweep.yaml", "--local", "--results", tmp_path / "r", "--quiet", *more)
        assert "001.png cannot be read as an image" in said


def test_list(results: Path) -> None:
    (row,) = sweeper("list", "--results", results, "--json").json
    trials = pd.DataFrame(show(results)["trials"])
    best = trials.loc[trials["lidar"].idxmax()]
    expected = {
        "name": "small",
        "method": "simclr",
        "dataset": "folder",
        "state": "finished",
        "runs": 4,
        "trials": {"completed": 4},
        "objective": "lidar",
        "best_trial": int(best["trial"]),
        "best_value": best["lidar"],
        "folder": str(results / "small"),
    }
    assert {key: row[key] for key in expected} == expected
    text = sweeper("list", "--results", results).out
    assert re.search(rf"small +simclr +folder +4 completed +lidar [\d.]+ \(trial {row['best_trial']}\) +20\d\d-", text)


def test_show(results: Path) -> None:
    text = sweeper("show", "small", "--results", results).out
    assert len(re.findall(r"^[0-3]\*? +completed +3 ", text, flags=re.MULTILINE)) == 4
    assert re.search(r"^– +untrained ", text, flags=re.MULTILINE)
    assert re.search(r"^– +raw pixels ", text, flags=re.MULTILINE)
    config = yaml.safe_load("method:" + text.partition("\nmethod:")[2])
    assert config == {key: value for key, value in show(results)["config"].items() if key != "provenance"}


@pytest.mark.slow
def test_show_marks_what_is_chosen_and_sorts(results: Path) -> None:
    data = show(results, "--sort", "rankme")
    trials = pd.DataFrame(data["trials"])
    assert list(trials["rankme"]) == sorted(trials["rankme"], reverse=True)
    assert list(show(results)["trials"][0]) == list(data["trials"][0])
    by_number = trials.set_index("trial").sort_index()
    assert data["chosen"] == {
        "loss": by_number["loss"].idxmin(),
        "lidar": by_number["lidar"].idxmax(),
        "rankme": by_number["rankme"].idxmax(),
        "oracle.lidar_paper": by_number["oracle.lidar_paper"].idxmax(),
    }
    lines = sweeper("show", "small", "--results", results, "--sort", "lr").out.splitlines()
    rows = [line.split() for line in lines if re.match(r"[0-3]\*? ", line)]
    assert [row[0].rstrip("*") for row in rows] == [str(one) for one in trials.sort_values("config.lr")["trial"]]
    headings = lines[0].split()
    for column in ("loss", "lidar", "rankme", "lidar_paper"):
        (marked,) = [row[0].rstrip("*") for row in rows if row[headings.index(column)].endswith("*")]
        assert int(marked) == data["chosen"]["oracle.lidar_paper" if column == "lidar_paper" else column]
    assert [row[0] for row in rows if row[0].endswith("*")] == [f"{data['chosen']['lidar']}*"]
    assert "did you mean `temperature`?" in refused("show", "small", "--results", results, "--sort", "temprature")
    assert "without --trial" in refused("show", "small", "--results", results, "--sort", "lr", "--trial", "1")


@pytest.mark.slow
def test_show_fits_a_terminal_of_80_columns(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of the images is the only word that may be longer."""
    wide = sweeper("show", "small", "--results", results).out
    monkeypatch.setenv("COLUMNS", "80")
    for more in ([], ["--trial", "1"]):
        text = sweeper("show", "small", "--results", results, *more).out
        assert not [line for line in text.splitlines() if len(line.rstrip()) > 80 and str(results.parent) not in line]
    text = sweeper("show", "small", "--results", results).out
    assert len(re.findall(r"^trial ", text, flags=re.MULTILINE)) >= 2
    assert set(text.partition("\nmethod:")[0].split()) == set(wide.partition("\nmethod:")[0].split())
    assert text.partition("\nmethod:")[2] == wide.partition("\nmethod:")[2]


def test_show_a_trial(results: Path) -> None:
    data = show(results, "--trial", "2")
    assert data["trial"] == 2
    assert [row["epoch"] for row in data["reports"]] == [1, 2, 3]
    assert data["reports"][-1]["lidar"] == data["lidar"]
    assert Path(data["log"]).is_file()
    text = sweeper("show", str(results / "small"), "--trial", "2").out
    assert text.startswith("trial 2: completed\n")
    assert f"  lr: {data['config.lr']}" in text
    assert "has no trial 9: its trials are 0 to 3" in refused("show", "small", "--trial", "9", "--results", results)


@pytest.mark.parametrize("criterion", [None, "rankme", "lidar.representation", "loss", "-rankme"])
def test_best_is_the_best_completed_trial(results: Path, criterion: str | None) -> None:
    more = ["--criterion", criterion] if criterion else []
    choice = sweeper("best", "small", "--results", results, "--json", *more).json
    trials = pd.DataFrame(show(results)["trials"])
    name = (criterion or "lidar").removeprefix("-")
    scores = -trials[name] if criterion in ("loss", "-rankme") else trials[name]
    best = trials.loc[scores.idxmax()]
    assert choice["trial"] == best["trial"]
    assert choice["value"] == best[name]
    assert choice["oracle"] == "lidar_paper"
    assert choice["accuracy"] == best["oracle"]
    assert choice["regret"] == pytest.approx(trials["oracle"].max() - best["oracle"])
    assert choice["best_accuracy"] == trials["oracle"].max()
    assert Path(choice["checkpoint"]).is_file()


def test_best_of_several_seeds_says_what_their_mean_selects(tmp_path: Path) -> None:
    trials = [
        {"trial": number, "status": "completed", "configuration": number // 2, "lidar": lidar, "config.lr": 0.1}
        for number, lidar in enumerate([5.0, 9.0, 8.0, 8.0])
    ]
    settings = {"objective": "lidar", "seeds": 2, "trials": 2, "criteria": ["lidar"], "space": {"lr": None}}
    choice = choose(Listing(tmp_path, settings, trials, [], [], held=False))
    assert (choice.trial, choice.configuration, choice.configuration_mean) == (1, 0, 7.0)
    assert (choice.best_configuration, choice.best_mean) == (1, 8.0)
    assert "it is one of 2 runs of configuration 0, whose mean is 7; configuration 1 has a better mean, 8" in cautions(
        choice
    )
    single = choose(Listing(tmp_path, settings | {"seeds": 1}, trials, [], [], held=False))
    assert single.best_configuration is None
    assert not list(cautions(single))


def test_best_shows_an_untrained_encoder_whose_values_are_0(tmp_path: Path) -> None:
    trials = [{"trial": 0, "status": "completed", "lidar": -1.0, "oracle": 0.5, "config.lr": 0.1}]
    baselines = [{"baseline": "untrained", "lidar": 0.0, "oracle": 0.0}]
    settings = {"objective": "lidar", "seeds": 1, "trials": 1, "criteria": ["lidar"], "space": {"lr": None}}
    choice = choose(Listing(tmp_path, settings, trials, [], baselines, held=False))
    assert (choice.untrained_value, choice.untrained_accuracy) == (0.0, 0.0)
    (caution,) = cautions(choice)
    assert caution.startswith("caution: the untrained encoder has 0, more than this trial")


@pytest.mark.slow
def test_what_best_prints_runs_as_it_is(results: Path, tmp_path: Path) -> None:
    ran, choice = (sweeper("best", "small", "--results", results, *more) for more in ((), ("--json",)))
    file = tmp_path / "again.yaml"
    file.write_text(ran.out)
    assert yaml.safe_load(ran.out) == choice.json["file"]
    first, again = load_config(file_of(results)), load_config(file)
    assert again.fixed == choice.json["hyperparameters"]
    assert (again.trials, again.space) == (1, {})
    same = ("method", "dataset", "encoder", "epochs", "batch_size", "criteria", "criteria_sample", "oracle", "collapse")
    assert all(getattr(again, name) == getattr(first, name) for name in same)
    assert f"lidar selects trial {choice.json['trial']}" in ran.out
    assert f"the regret is {100 * choice.json['regret']:.1f} points" in sentences(ran.out)
    done = sweeper("run", file, "--local", "--quiet", "--results", tmp_path, "--name", "again", "--device", "cpu")
    assert (done.code, done.error) == (0, ""), done
    (trial,) = sweeper("show", tmp_path / "again", "--json").json["trials"]
    assert {name: trial[f"config.{name}"] for name in again.fixed} == choice.json["hyperparameters"]


def sentences(text: str) -> str:
    """The comments of `best` without their line breaks."""
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    return " ".join(lines)


@pytest.mark.slow
def test_best_says_why_there_is_no_checkpoint_and_what_to_do(copied: Path) -> None:
    kept = sweeper("best", "small", "--results", copied, "--json").json["checkpoint"]
    assert f"# checkpoint: {kept}" in sweeper("best", "small", "--results", copied).out
    Path(kept).unlink()
    ran, again = sweeper("best", "small", "--results", copied), f"sweeper retrain {copied / 'small'} --trial"
    assert f"# checkpoint: {kept}\n# it is missing, although the sweep kept it; copy it back" in ran.out
    assert f"\n#   {again} " in ran.out
    table = pd.read_parquet(copied / "small" / "trials.parquet")
    table.assign(checkpoint=None).to_parquet(copied / "small" / "trials.parquet")
    file = copied / "small" / "sweep.yaml"
    file.write_text(file.read_text().replace("keep_checkpoints: all", "keep_checkpoints: best"))
    ran = sweeper("best", "small", "--results", copied)
    why = "keep_checkpoints: best keeps those of the best by each criterion and the loss"
    assert f"checkpoint: none was kept of this trial ({why})" in sentences(ran.out)
    assert f"\n#   {again} " in ran.out


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        ("lidr", "must be one of loss, lidar, rankme or a layer of it, but got lidr; did you mean `lidar`?"),
        ("oracle", "is the oracle"),
    ],
)
def test_best_by_what_is_no_criterion(results: Path, criterion: str, said: str) -> None:
    assert said in refused("best", "small", "--results", results, "--criterion", criterion)


def test_a_misspelt_sweep_is_told_the_nearest(results: Path) -> None:
    assert "is it small?" in refused("show", "smll", "--results", results)


@pytest.mark.slow
def test_a_sweep_is_named_by_the_beginning_of_its_name_or_as_the_latest(results: Path, tmp_path: Path) -> None:
    for name, made in (("small-1", "2026-01-03"), ("small-2", "2026-01-04"), ("other", "2026-01-01")):
        shutil.copytree(results / "small", tmp_path / name)
        file = tmp_path / name / "sweep.yaml"
        file.write_text(re.sub(r"created: .*", f"created: '{made}T00:00:00+00:00'", file.read_text()))
    assert sweeper("show", "oth", "--json", "--results", tmp_path).json["name"] == "other"
    assert sweeper("best", "latest", "--json", "--results", tmp_path).json["sweep"] == "small-2"
    said = refused("best", "sma", "--results", tmp_path)
    assert said == "sma is the beginning of 2 sweeps: small-1, small-2; write more of it"
    assert "which means the newest sweep" in refused("run", "search_spaces/dino.yaml", "--name", "latest")


def test_a_shell_completes_the_names_of_sweeps(results: Path) -> None:
    environment = {**os.environ, "_SWEEPER_COMPLETE": "bash_complete", "COMP_CWORD": "4"}
    environment["COMP_WORDS"] = f"sweeper show --results {results} s"
    command = [sys.executable, "-c", "from sweeper.cli.commands import main; main()"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (done.stdout, done.stderr) == ("plain,small\n", "")


@pytest.mark.slow
def test_analyze(results: Path, tmp_path: Path) -> None:
    ran = sweeper("analyze", results / "small", "--out", tmp_path / "report")
    assert ran.code == 0, ran
    assert "LiDAR" in ran.out
    assert f"report: {tmp_path / 'report' / 'report.html'}" in ran.out
    assert (tmp_path / "report" / "report.html").is_file()
    assert not (results / "small" / "analysis").exists()
    named = sweeper("analyze", "smal", "--results", results, "--out", tmp_path / "named")
    assert (named.code, (tmp_path / "named" / "report.html").is_file()) == (0, True)
    assert "`large` must be" in refused("analyze", "large", "--results", results)
    data = sweeper("analyze", results / "small", "--criteria", "lidar,rankme", "--out", tmp_path / "two", "--json").json
    assert [row["criterion"] for row in data["ranking"]] == ["lidar", "rankme"]
    assert data["folder"] == str(tmp_path / "two")


def test_an_existing_name_is_refused_with_both_ways_out(results: Path) -> None:
    said = refused("run", file_of(results), "--local", "--results", results, "--name", "small")
    assert f"{results / 'small'} exists; continue it with `sweeper resume {results / 'small'}`" in said
    assert "or choose another --name" in said


def test_a_name_that_something_else_has_is_refused(results: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"")
    said = refused("run", file_of(results), "--local", "--results", tmp_path, "--name", "photos")
    assert said == f"{tmp_path / 'photos'} exists and is not a sweep; choose another --name"


def test_a_results_folder_that_no_url_can_hold_is_refused(results: Path, tmp_path: Path) -> None:
    said = refused("run", file_of(results), "--local", "--results", tmp_path / "a?b", "--name", "one")
    assert said == (
        f"the sweep's folder must have a path without `?`, but got {tmp_path / 'a?b' / 'one'}; choose another --results"
    )
    assert not list(tmp_path.iterdir())  # SQLite would write to the file `a`


def test_a_results_folder_that_is_a_file_is_named(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = sweeper("run", file_of(results), "--local", "--results", tmp_path / "file", "--name", "x")
    said = f"invalid value for '--results': Directory '{tmp_path / 'file'}' is a file; see `sweeper run --help`"
    assert ran == Ran(2, "", f"sweeper: {said}\n")


@pytest.mark.slow
def test_run_resume_goes_on_with_the_same_file_only(results: Path) -> None:
    again = ["run", file_of(results), "--local", "--device", "cpu", "--results", results, "--name", "small", "--resume"]
    said = refused(*again, "keep_checkpoints=all", "epochs=7", "space.lr.high=0.2")
    assert "the file differs from" in said
    assert "in `epochs`, `space`, and a resume keeps the sweep's own values" in said


@pytest.fixture
def copied(results: Path, tmp_path: Path) -> Path:
    """A copy of the finished sweep, to be changed by a test."""
    shutil.copytree(results / "small", tmp_path / "results" / "small")
    return tmp_path / "results"


@pytest.mark.slow
def test_more_trials_and_their_missing_oracle(copied: Path, results: Path) -> None:
    ran = sweeper("resume", copied / "small", "--trials", "5", "--local", "--device", "cpu", "--json")
    assert ran.code == 0, ran
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert {event["trial"] for event in events if event["event"] == "finished"} == {4}
    assert events[-1]["event"] == "end"
    assert events[-1]["counts"] == {"completed": 5}
    assert {row["trial"]: row["lidar"] for row in show(copied)["trials"][:4]} == {
        row["trial"]: row["lidar"] for row in show(results)["trials"]
    }
    ran = sweeper("probe", "small", "--results", copied, "--local", "--device", "cpu", "--quiet")
    assert ran == Ran(0, "", "")


@pytest.mark.slow
def test_probe_measures_the_trials_that_lack_an_oracle(results: Path, tmp_path: Path) -> None:
    line = ["run", file_of(results), "--local", "--device", "cpu", "--results", tmp_path, "--name", "blind", "--quiet"]
    more = ["oracle=none", "trials=2", "epochs=1", "keep_checkpoints=last"]
    assert sweeper(*line, *more) == Ran(0, "", "")
    assert sweeper("analyze", tmp_path / "blind").code == 0
    before = sweeper("best", "blind", "--results", tmp_path, "--json").json
    assert (before["oracle"], before["accuracy"], before["regret"]) == (None, None, None)
    assert "lidar_paper" not in sweeper("show", "blind", "--results", tmp_path).out.partition("\nmethod:")[0]
    assert "`--oracle` must be one of lidar_paper" in refused("probe", "blind", "--results", tmp_path, "--local")
    ran = sweeper("probe", "blind", "--results", tmp_path, "--local", "--device", "cpu", "--oracle", "lidar_paper")
    assert ran.code == 0, ran
    after = sweeper("best", "blind", "--results", tmp_path, "--json").json
    assert after["trial"] == before["trial"]
    assert after["oracle"] == "lidar_paper"
    assert 0 <= after["accuracy"] <= after["best_accuracy"] <= 1


# Sweeps that are not finished


@pytest.mark.slow
def test_a_sweep_that_was_cut_off_says_so_and_what_to_do(results: Path, tmp_path: Path) -> None:
    line = [
        "run",
        file_of(results),
        "--local",
        "--device",
        "cpu",
        "--results",
        tmp_path,
        "--name",
        "cut",
        "trials=4000",
    ]
    ran = sweeper(*line, "--timeout", "3s", "epochs=2", "oracle=none")
    assert ran.code == 130
    assert (
        f"interrupted, because the time of --timeout is over; continue with: sweeper resume {tmp_path / 'cut'}\n"
        in ran.out
    )
    (row,) = sweeper("list", "--results", tmp_path, "--json").json
    assert row["state"] == "interrupted"
    assert 0 < sum(row["trials"].values()) < 4000
    text = sweeper("show", "cut", "--results", tmp_path).out
    assert " of 4000" in text
    assert f"continue with: sweeper resume {tmp_path / 'cut'}" in text
    data = sweeper("show", "cut", "--results", tmp_path, "--json").json

    # a killed driver leaves the log and the study, and no tables
    for name in ("trials.parquet", "reports.parquet"):
        (tmp_path / "cut" / name).unlink()
    (same,) = sweeper("list", "--results", tmp_path, "--json").json
    assert (same["state"], same["best_trial"]) == (row["state"], row["best_trial"])
    assert same["trials"]["completed"] == row["trials"]["completed"]
    # a trial that was cut off before it wrote a file is in the study alone, which `list` does not open
    assert row["trials"].get("interrupted", 0) - same["trials"].get("interrupted", 0) in (0, 1)
    again = sweeper("show", "cut", "--results", tmp_path, "--json").json
    columns = ("trial", "status", "config.lr", "started_at", "finished_at")
    assert [[one[name] for name in columns] for one in again["trials"]] == [
        [one[name] for name in columns] for one in data["trials"]
    ]
    assert "sweeper resume" in refused("analyze", tmp_path / "cut")
    started = str(len(data["trials"]))
    ran = sweeper("resume", "cut", "--results", tmp_path, "--local", "--device", "cpu", "--trials", started, "--quiet")
    assert ran == Ran(0, "", "")
    (row,) = sweeper("list", "--results", tmp_path, "--json").json
    assert (row["state"], row["trials"]) == ("finished", {"completed": int(started)})


@pytest.mark.slow
def test_a_sweep_that_another_process_holds_is_running(copied: Path) -> None:
    with (copied / "small" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (row,) = sweeper("list", "--results", copied, "--json").json
        assert row["state"] == "running"
        assert "running" in sweeper("show", "small", "--results", copied).out
        assert "is in use by another process" in refused("resume", "small", "--results", copied, "--local")
    (row,) = sweeper("list", "--results", copied, "--json").json
    assert row["state"] == "finished"


def test_one_damaged_sweep_does_not_hide_the_others(copied: Path) -> None:
    for name, content in (("torn", "method: ["), ("small2", (copied / "small" / "sweep.yaml").read_text())):
        (copied / name).mkdir()
        (copied / name / "sweep.yaml").write_text(content)
    ran = sweeper("list", "--results", copied, "--json")
    assert ran.code == 0
    assert {row["name"]: row["state"] for row in ran.json} == {"small": "finished", "small2": "interrupted"}
    assert ran.error.startswith("sweeper: left out: ")
    assert "torn/sweep.yaml is damaged" in ran.error


@pytest.mark.slow
def test_trials_that_end_badly_say_why(results: Path, tmp_path: Path) -> None:
    line = ["run", file_of(results), "--local", "--device", "cpu", "--results", tmp_path, "--name", "bad", "trials=2"]
    ran = sweeper(*line, "space={}", "fixed={optimizer: sgd, lr: 1e30}", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out.splitlines()[-1])["counts"] == {"diverged": 2}
    assert "2 diverged" in sweeper("list", "--results", tmp_path).out
    data = sweeper("show", "bad", "--trial", "1", "--results", tmp_path, "--json").json
    assert (data["status"], data["loss"]) == ("diverged", None)
    assert data["reason"] in sweeper("show", "bad", "--trial", "1", "--results", tmp_path).out
    said = refused("best", "bad", "--results", tmp_path)
    assert said == f"no trial of bad has completed; `sweeper show {tmp_path / 'bad'}` says why"


@pytest.mark.parametrize("content", ["", "method: [", "method: simclr\n", "- 1\n"])
def test_a_damaged_sweep_file_is_named(copied: Path, content: str) -> None:
    (copied / "small" / "sweep.yaml").write_text(content)
    for command in ("show", "best", "resume", "probe"):
        more = ["--local"] if command in ("resume", "probe") else []
        assert "sweep.yaml" in refused(command, "small", "--results", copied, *more)
    assert "sweep.yaml" in refused("list", "--results", copied)


def test_a_damaged_table_is_named(copied: Path) -> None:
    table = copied / "small" / "trials.parquet"
    table.write_bytes(table.read_bytes()[:100])
    for command in (["show", "small"], ["best", "small"]):
        assert "trials.parquet" in refused(*command, "--results", copied)
    assert "trials.parquet" in refused("analyze", copied / "small")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["parquet", "csv"])
def test_tables_that_pandas_wrote_again_are_read(copied: Path, way: str) -> None:
    folder = copied / "small"
    table = pd.read_parquet(folder / "trials.parquet")
    table["would_prune_epoch"] = pd.array([2, *[None] * (len(table) - 1)], "Int64")
    table["sweep"] = "2024"  # which a CSV does not tell from a number
    table.to_parquet(folder / "trials.parquet")
    before = [show(copied), sweeper("best", "small", "--results", copied, "--json").json]
    before += [show(copied, "--trial", str(number)) for number in table["trial"]]
    for name in ("trials", "reports", "baselines"):
        file = folder / f"{name}.parquet"
        again = pd.read_parquet(file).rename(columns=str)
        if name == "trials":  # as numpy has it: a float
            again["would_prune_epoch"] = again["would_prune_epoch"].astype(float)
        if way == "csv":
            again.to_csv(folder / "again.csv", index=False)
            again = pd.read_csv(folder / "again.csv")
        again.to_parquet(file)
    after = [show(copied), sweeper("best", "small", "--results", copied, "--json").json]
    after += [show(copied, "--trial", str(number)) for number in table["trial"]]
    assert [without_moments(one) for one in after] == [without_moments(one) for one in before]
    assert sweeper("resume", folder, "--local", "--device", "cpu").code == 0


def without_moments(content: Any) -> Any:
    """The content, its times compared as times, since text and pandas write them in different ways; a CSV has no ""."""
    if isinstance(content, dict):
        return {
            name: datetime.fromisoformat(value) if name.endswith("_at") and value else without_moments(value)
            for name, value in content.items()
        }
    if isinstance(content, list):
        return [without_moments(one) for one in content]
    return None if content == "" else content


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trials", "reports", "baselines"])
def test_a_resume_writes_a_damaged_table_again(copied: Path, name: str) -> None:
    """What the message about a damaged table promises."""
    file = copied / "small" / f"{name}.parquet"
    whole = pd.read_parquet(file)
    file.write_bytes(file.read_bytes()[:200])
    what = "measures it again" if name == "baselines" else "writes it again from study.db and reports.jsonl"
    said = refused("analyze", copied / "small")
    assert said.endswith(f"; `sweeper resume {copied / 'small'}` {what}")
    assert sweeper("resume", copied / "small", "--local", "--device", "cpu", "--quiet").code == 0
    again = pd.read_parquet(file)
    times = [column for column in whole if column.endswith("seconds")] if name == "baselines" else []
    pd.testing.assert_frame_equal(again.drop(columns=times), whole.drop(columns=times))


def test_a_folder_that_holds_only_its_config_can_be_shown(copied: Path) -> None:
    folder = SweepFolder(copied / "small")
    for name in ("trials.parquet", "reports.parquet", "baselines.parquet", "reports.jsonl", "study.db"):
        (folder.path / name).unlink()
    shutil.rmtree(folder.path / "trials")
    (row,) = sweeper("list", "--results", copied, "--json").json
    assert (row["state"], row["trials"], row["best_trial"]) == ("interrupted", {}, None)
    assert "of 4, interrupted" in sweeper("list", "--results", copied).out
    assert "sweeper resume" in refused("best", "small", "--results", copied)
    assert "no trial 0: no trial has started" in refused("show", "small", "--trial", "0", "--results", copied)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".csv", ".tsv.gz"])
def test_tables_that_were_kept_as_csv_are_read_as_parquet_is(copied: Path, ending: str) -> None:
    folder = copied / "small"
    for name in ("reports.jsonl", "study.db"):
        (folder / name).unlink()
    commands = [["show", "small"], ["best", "small"], ["best", "small", "--criterion", "loss"], ["list"]]
    commands += [["show", "small", "--trial", str(trial)] for trial in range(4)]
    before = [sweeper(*command, "--json", "--results", copied).json for command in commands]
    for name in ("trials", "reports", "baselines"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table.to_csv(folder / f"{name}{ending}", index=False, sep="\t" if "tsv" in ending else ",")
        (folder / f"{name}.parquet").unlink()
    after = [sweeper(*command, "--json", "--results", copied).json for command in commands]
    assert [without_moments(one) for one in after] == [without_moments(one) for one in before]
    assert sweeper("analyze", folder).code == 0
    (folder / f"trials{ending}").write_bytes(b"")
    assert f"trials{ending} is damaged" in refused("show", "small", "--results", copied)


def test_tables_that_were_kept_without_the_study_are_enough(copied: Path) -> None:
    folder = SweepFolder(copied / "small")
    (folder.path / "study.db").unlink()
    shutil.rmtree(folder.path / "trials")
    os.utime(folder.path / "trials.parquet", (0, 0))
    assert sweeper("list", "--results", copied, "--json").json[0]["trials"] == {"completed": 4}
    assert len(show(copied)["trials"]) == 4
    assert sweeper("best", "small", "--results", copied, "--json").json["checkpoint"] is None
    assert "is missing, although the sweep kept it" in sweeper("best", "small", "--results", copied).out


# The doctor


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "not" / "there").verdict in ("ok", "warn")
    (tmp_path / "file").write_text("")
    check = check_disk(tmp_path / "file")
    assert (check.verdict, check.advice) == ("fail", "choose another folder with --results")
    assert worst([Check("a", "ok", ""), check, Check("b", "warn", "")]) == "fail"
    assert f"{os.cpu_count()} cores" in [one.found for one in check_devices()]


def test_what_is_optional_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    checks = list(check_optional_packages())
    assert {check.verdict for check in checks} == {"optional"}
    assert checks[0].advice == "pip install 'ssl-sweeper[onnx]'"
    assert worst(checks) == "optional"


@pytest.mark.slow
def test_the_doctor_looks_at_what_a_file_needs(results: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((results / "small" / "sweep.yaml").read_text())
    del config["provenance"]
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(config))
    storage = f"storage=sqlite:///{tmp_path}/no/study.db"
    checks = {check.name: check for check in check_file(file, ["search.sampler=tpe", storage])}
    assert checks["data set"].found == "folder: 72 images to train and 24 to test, of 12×12×1"
    assert checks["sampler"].found.startswith("tpe draws")
    assert (checks["storage"].verdict, f"no folder {tmp_path}/no" in checks["storage"].found) == ("fail", True)
    assert checks["time"].found.startswith("an epoch takes")
    assert [check.verdict for check in checks.values()] == ["ok", "ok", "ok", "fail", "ok"]
    assert not (tmp_path / "no").exists()
    (tmp_path / "no").mkdir()
    checks = {check.name: check for check in check_file(file, [storage])}
    assert checks["storage"].verdict == "ok"
    assert list((tmp_path / "no").iterdir()) == []


def test_the_doctor_names_every_mistake_of_a_file() -> None:
    checks = list(check_file(ROOT / "search_spaces" / "dino.yaml", ["trials=0", "method=dinno"]))
    assert [check.verdict for check in checks] == ["fail", "fail"]
    assert "`trials` must be a whole number" in checks[0].found
    assert checks[1].found.endswith("did you mean `dino`?")
    (missing,) = check_file(Path("dinno"), [])
    assert "no such file" in missing.found


@pytest.mark.ray
def test_the_doctor_looks_at_everything() -> None:
    command = [sys.executable, "-c", "from sweeper.cli.commands import main; main()", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert {"python", "torch", "ray", "optuna", "cpu", "mnist5k", "disk", "step"} <= set(checks), done
    assert checks["mnist5k"]["found"] == "4000 training images of 28×28×1"
    assert checks["step"]["verdict"] == "ok", checks["step"]
    assert done.returncode == (1 if any(check["verdict"] == "fail" for check in checks.values()) else 0)
    assert {check["verdict"] for check in checks.values()} <= {"ok", "optional", "warn"}, done.stdout
