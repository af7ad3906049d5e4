"""From Python: `sweeper.run`, `sweeper.open` and what a Sweep gives; what is imported for it and what is not."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from small_sweeps import ROOT, make_images, mapping

import sweeper
from sweeper.cli.commands import execute
from sweeper.errors import ConfigError, ResultsError
from sweeper.notebook.start import run as run_function
from sweeper.store.manifest import PROVENANCE, read_settings
from trainers import load_encoder

REFERENCE = ROOT / "results" / "reference" / "dino"
SHORT: Mapping[str, Any] = {"epochs": 2, "trials": 2, "keep_checkpoints": "best"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def done(images: Path, tmp_path_factory: pytest.TempPathFactory) -> sweeper.Sweep:
    """Two trials with an oracle, run from a mapping with overrides."""
    config = {**mapping(images, **SHORT), "criteria": ("lidar", "rankme"), "batch_size": np.int64(24)}
    config["dataset"] = {**config["dataset"], "root": images}
    results = tmp_path_factory.mktemp("results")
    before = json.dumps(config, default=str)
    sweep = sweeper.run(config, "dataset.size=10", name="two", results=results, local=True, device="cpu", quiet=True)
    assert json.dumps(config, default=str) == before
    return sweep


def imported(code: str, packages: set[str]) -> set[str]:
    """Which of the packages a new process has imported after the code."""
    line = f"import sys\n{code}\nprint()\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(ran.stdout.splitlines()[-1].split()) & packages


# what is imported


def test_the_package_alone_imports_nothing() -> None:
    code = "import sweeper; assert {'run', 'open', 'Sweep'} <= set(dir(sweeper))"
    assert (
        imported(code, {"torch", "ray", "optuna", "pandas", "numpy", "yaml", "click", "trainers", "analysis"}) == set()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import analysis; from analysis import load, kendall, select, compare, replay, analyze; import pandas",
        f"import sweeper, pandas; s = sweeper.open({str(REFERENCE)!r}); s.trials, s.reports, s.baselines, repr(s); "
        "s.best('rankme'); s.results.trials",
    ],
    ids=["judge", "sweep"],
)
def test_the_judge_and_a_finished_sweep_need_neither_torch_nor_ray(code: str) -> None:
    assert imported(code, {"torch", "torchvision", "timm", "ray", "pandas"}) == {"pandas"}


def test_run_is_a_package_and_a_function() -> None:
    import sweeper.run.sweep

    assert callable(sweeper.run)
    assert sweeper.run.sweep.run_sweep is not None  # type: ignore[attr-defined]
    assert inspect.signature(sweeper.run) == inspect.signature(run_function)
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        _ = sweeper.rum  # type: ignore[attr-defined]


# the tables


@pytest.mark.slow
def test_the_tables_are_those_on_disk(done: sweeper.Sweep) -> None:
    trials, table = done.trials, pd.read_parquet(done.folder / "trials.parquet").set_index("trial")
    assert list(trials.columns[:6]) == ["status", "lr", "temperature", "lidar", "rankme", "oracle"]
    assert trials["status"].cat.categories[0] == "completed"
    for short, full in (("lr", "config.lr"), ("lidar", "lidar"), ("oracle", "oracle"), ("seed", "seed")):
        assert trials[short].to_list() == table[full].to_list()
        assert trials[short].dtype == table[full].dtype
    assert str(trials["started_at"].dtype).startswith("datetime64")
    reports, log = done.reports, pd.read_parquet(done.folder / "reports.parquet")
    log = log.sort_values(["trial", "epoch"])
    assert reports.index.to_list() == list(zip(log["trial"], log["epoch"], strict=True))
    assert reports["lidar"].to_list() == log["lidar"].to_list()
    assert done.baselines.loc["untrained", "oracle"] > 0
    assert np.isnan(done.baselines.loc["raw_pixels", "lidar"])


def test_a_hyperparameter_with_the_name_of_another_column_keeps_its_prefix() -> None:
    from sweeper.notebook.frames import reports_frame, trials_frame
    from sweeper.store.listing import Listing

    settings = {
        "objective": "lidar",
        "criteria": ["lidar"],
        "seeds": 2,
        "space": {"seed": {}, "lidar": {}, "depth": {}},
    }
    row = {"trial": 3, "status": "running", "config.seed": 1, "config.lidar": "x", "config.depth": 2, "lidar": None}
    frame = trials_frame(Listing(Path("s"), settings, [row], [], [], True))
    assert list(frame.columns) == ["status", "config.seed", "config.lidar", "depth", "lidar"]
    assert frame.loc[3].to_list()[:4] == ["running", 1, "x", 2]
    assert np.isnan(frame.loc[3, "lidar"])
    assert reports_frame(Listing(Path("s"), settings, [], [], [], True)).empty


@pytest.mark.slow
def test_the_judge_takes_the_tables(done: sweeper.Sweep, tmp_path: Path) -> None:
    from analysis import kendall

    short, full = kendall(done.trials), kendall(done.results.trials, done.results.score_columns())
    assert set(short["criterion"]) == {"lidar", "rankme", "loss"}
    taus = full.set_index("criterion")["tau"]
    assert short.set_index("criterion")["tau"].to_dict() == taus[["lidar", "rankme", "loss"]].to_dict()
    report = done.analyze(tmp_path / "report")
    assert (tmp_path / "report" / "report.html").is_file()
    assert {"lidar", "rankme", "loss"} <= set(report.selection["criterion"])


# the choice and its encoder


@pytest.mark.slow
def test_the_best_trial_is_that_of_the_command(done: sweeper.Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    for criterion in ("lidar", "rankme", "loss"):
        capsys.readouterr()
        assert execute(["best", str(done.folder), "--criterion", criterion, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        best = done.best(criterion)
        assert (best.trial, best.value, best.accuracy) == (told["trial"], told["value"], told["accuracy"])
        assert dict(best.hyperparameters) == told["hyperparameters"]
        assert best.config == told["file"]
    assert done.best() == done.best("lidar")
    assert "<td>" in done.best()._repr_html_()


@pytest.mark.slow
def test_the_encoder_is_the_exported_one(done: sweeper.Sweep, tmp_path: Path) -> None:
    assert execute(["export", str(done.folder), "--out", str(tmp_path / "encoder")]) == 0
    pixels = torch.rand(3, 1, 10, 10, generator=torch.Generator().manual_seed(0))
    expected = load_encoder(tmp_path / "encoder")(pixels)
    best = done.best()
    for which in (None, "lidar", best.trial, np.int64(best.trial)):
        encoder = done.encoder(which)
        assert not encoder.training
        assert torch.equal(encoder(pixels), expected)
    assert best.checkpoint is not None


@pytest.mark.slow
def test_an_encoder_that_was_not_kept_is_an_error(done: sweeper.Sweep, tmp_path: Path) -> None:
    best = done.best().trial
    shutil.copytree(done.folder, tmp_path / "two")
    (tmp_path / "two" / "trials" / f"{1 - best:04d}" / "checkpoint.pt").unlink(missing_ok=True)
    done = sweeper.open("two", results=tmp_path)
    with pytest.raises(ResultsError, match=rf"trial {1 - best} of two kept no checkpoint \(kept: {best}\)"):
        done.encoder(1 - best)
    with pytest.raises(ResultsError, match="two has no trial 7"):
        done.encoder(7)
    with pytest.raises(ResultsError, match="but got rank"):
        done.best("rank")


# states


@pytest.mark.slow
def test_a_sweep_tells_its_state_in_a_line(done: sweeper.Sweep) -> None:
    best = done.best()
    assert repr(done) == (
        f"<Sweep two: finished, 2 trials (2 completed), best lidar {best.value:.4g} of trial {best.trial}, "
        f"accuracy {best.accuracy:.1%}>"
    )
    shown = done._repr_html_()
    assert "two: finished" in shown
    assert shown.count("<tr") == 4  # two lines of headings, two trials
    assert "no sweep" in repr(sweeper.Sweep(done.folder / "trials"))


@pytest.mark.slow
def test_a_sweep_is_opened_continued_and_run_again(images: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(mapping(images, **SHORT, oracle="none")))
    where = {"results": tmp_path / "results", "local": True, "device": "cpu", "quiet": True}
    first = sweeper.run(file, "trials=1", "epochs=1", name="small", **where)
    again = sweeper.open("sma", tmp_path / "results")
    assert again.folder == first.folder
    assert again.resume(trials=2, local=True, device="cpu", quiet=True) is again
    assert list(first.trials.index) == [0, 1]
    assert "oracle" not in first.trials
    same = sweeper.run(first.config, "trials=3", name="small", resume=True, **where)
    assert list(same.trials.index) == [0, 1, 2]
    assert first.config == {key: one for key, one in read_settings(first.folder).items() if key != PROVENANCE}
    with pytest.raises(ResultsError, match="small exists; continue it with"):
        sweeper.run(file, name="small", **where)


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_runs_on_ray(images: Path, tmp_path: Path) -> None:
    config = mapping(images, epochs=1, trials=1, oracle="none", keep_checkpoints="none")
    sweep = sweeper.run(config, name="one", results=tmp_path, device="cpu", jobs=1, quiet=True)
    assert sweep.state == "finished"
    assert sweep.trials["status"].to_list() == ["completed"]
    with pytest.raises(ResultsError, match="trial 0 of one kept no checkpoint"):
        sweep.encoder()


# errors


def test_mistakes_are_exceptions_with_the_lines_of_the_command(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = mapping(images, epochs=0, metod="simclr")
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError) as caught:
        sweeper.run(config, "trials=0", "space.lr.hihg=1", results=tmp_path)
    assert execute(["run", str(file), "trials=0", "space.lr.hihg=1", "--results", str(tmp_path)]) == 2
    told = [line.removeprefix("sweeper: ") for line in capsys.readouterr().err.splitlines()]
    assert len(told) == 4
    without_places = [line.partition(": `")[2] for line in told]
    assert sorted(line.partition(": `")[2] for line in caught.value.lines) == sorted(without_places)
    assert caught.value.lines[0].startswith("config: `")
    assert {line for line in told if line.startswith("override")} <= set(caught.value.lines)
    assert [one.name for one in tmp_path.iterdir()] == ["config"]


@pytest.mark.parametrize(
    ("config", "options", "problem"),
    [
        ("dinno", {}, "dinno: no such file; did you mean .*dino"),
        ({}, {}, "`method` is missing"),
        ("dino", {"resume": True}, "`resume` must be given with the `name`"),
        ("dino", {"name": "a/b"}, "`--name` must begin with"),
        ("dino", {"local": True, "jobs": 2}, "`--jobs` must be 1 with --local"),
    ],
)
def test_wrong_calls_are_config_errors(config: Any, options: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        sweeper.run(config, results=tmp_path / "results", **options)
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no sweep nothing"):
        sweeper.open("nothing", tmp_path)
