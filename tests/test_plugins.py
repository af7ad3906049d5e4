"""A toy of each kind, one file and one line each: in another package, and in our own catalogues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from small_sweeps import ROOT

from analysis import analyze
from sweeper.cli.choice import choose
from sweeper.cli.commands import execute
from sweeper.cli.doctor import check_plugins
from sweeper.cli.evidence import gather
from sweeper.cli.screens.choice import choice_text
from sweeper.config import reference
from sweeper.config.read import parse_config
from sweeper.errors import ConfigError
from sweeper.run.observers import OBSERVERS, make_observers, observer_options
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep
from sweeper.store.listing import open_listing
from sweeper.store.manifest import create_folder
from trainers import plugins
from trainers.criteria import CRITERIA
from trainers.datasets import DATASETS
from trainers.methods import METHODS
from trainers.methods.base import MethodParams
from trainers.oracles import ORACLES
from trainers.settings import hyperparameters

PLUGIN = ROOT / "tests" / "plugin"
TOY: dict[str, Any] = {
    "method": "toy_siamese",
    "dataset": {"name": "toy_stripes", "count": 48},
    "encoder": {"name": "resnet", "width": 8, "blocks": 1, "stages": 1},
    "epochs": 2,
    "batch_size": 24,
    "trials": 3,
    "criteria": ["toy_spread", "lidar"],
    "criteria_sample": {"images": 40, "views": 3},
    "objective": "toy_spread",
    "oracle": ["toy_centroid", "lidar_paper"],
    "space": {
        "lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
        "repulsion": {"type": "float", "low": 0.1, "high": 2},
    },
}


JOURNAL = {"name": "toy_journal", "file": "notes.txt"}


def look_at(folder: Path) -> None:
    """Assert that the toys were used, from the folder of a sweep to the report."""
    trials = pd.read_parquet(folder / "trials.parquet")
    assert set(trials["status"]) == {"completed"}
    assert {"oracle.toy_centroid", "oracle.lidar_paper", "config.repulsion", "toy_spread_q"} <= set(trials.columns)
    assert trials["oracle"].equals(trials["oracle.toy_centroid"])
    reports = pd.read_parquet(folder / "reports.parquet")
    assert (reports["toy_spread"] > 0).all()
    assert reports["toy_spread.embedding"].isna().all()  # it reads both layers at once
    journal = (folder / "notes.txt").read_text().splitlines()
    assert journal[0] == "begin toy_siamese 3"
    assert journal[-1] == "close"
    assert len([line for line in journal if line.startswith("report")]) == len(reports) == 6
    ranking = pd.read_csv(folder / "analysis" / "ranking.csv").set_index("criterion")
    assert not ranking.loc["toy_spread", "higher_is_better"]
    assert "Toy spread" in (folder / "analysis" / "report.md").read_text()
    selection = pd.read_csv(folder / "analysis" / "selection.csv").set_index("criterion")
    assert selection.loc["toy_spread", "trial"] == trials.loc[trials["toy_spread"].idxmin(), "trial"]
    criteria = yaml.safe_load((folder / "sweep.yaml").read_text())["provenance"]["criteria"]
    assert criteria["toy_spread"] == {"label": "Toy spread", "higher_is_better": False, "layer": "both"}
    # Less is better, so a caution would need an untrained value below that of the selected trial.
    listing = open_listing(str(folder), folder.parent)
    choice = choose(listing)
    assert choice.untrained_value is not None
    assert ("caution" in choice_text(choice, gather(listing, choice))) == (choice.untrained_value < choice.value)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each toy in the catalogue of its shelf."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    from sweeper_toy.criterion import TOY_SPREAD
    from sweeper_toy.dataset import ToyStripes
    from sweeper_toy.method import ToySiamese
    from sweeper_toy.observer import ToyJournal
    from sweeper_toy.oracle import TOY_CENTROID

    monkeypatch.setitem(METHODS, "toy_siamese", ToySiamese)
    monkeypatch.setitem(CRITERIA, "toy_spread", TOY_SPREAD)
    monkeypatch.setitem(DATASETS, "toy_stripes", ToyStripes)
    monkeypatch.setitem(ORACLES, "toy_centroid", TOY_CENTROID)
    monkeypatch.setitem(OBSERVERS, "toy_journal", ToyJournal)


@pytest.mark.usefixtures("toys")
@pytest.mark.slow
def test_a_toy_on_each_shelf_is_swept_judged_and_documented(tmp_path: Path) -> None:
    options = RunOptions(local=True, device="cpu", quiet=True)
    folder = tmp_path / "toy"
    config = parse_config(TOY | {"observers": JOURNAL}, source="toy", observers=observer_options())
    run_sweep(config, folder, options, make_observers(options))
    assert yaml.safe_load((folder / "sweep.yaml").read_text())["observers"] == [JOURNAL]
    analyze([folder])
    look_at(folder)
    document = reference.write()
    for words in (
        "### toy_siamese",
        "Weight of the term that spreads a batch",
        "### toy_stripes",
        "`toy_spread`",
        "`toy_centroid`",
    ):
        assert words in document


@pytest.mark.usefixtures("toys")
def test_a_method_refuses_an_encoder_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="`projection_dim` must be at most the encoder's 8 outputs"):
        parse_config(TOY | {"fixed": {"projection_dim": 16}}, source="toy")
    axis = {"type": "int", "low": 4, "high": 16}  # one end of it cannot be trained
    with pytest.raises(ConfigError, match="`projection_dim` must be at most the encoder's 8 outputs"):
        parse_config(TOY | {"space": {"projection_dim": axis}}, source="toy")
    parse_config(TOY | {"space": {"projection_dim": axis | {"high": 8}}}, source="toy")


@pytest.mark.usefixtures("toys")
def test_a_method_that_repeats_the_name_of_another_hyperparameter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be the optimiser's, without a word."""

    @dataclass(frozen=True)
    class Params(MethodParams):
        momentum: float = 0.99

    monkeypatch.setattr(METHODS["toy_siamese"], "Params", Params)
    with pytest.raises(ValueError, match=r"toy_siamese must have one hyperparameter of each name, but .* `momentum`"):
        hyperparameters("toy_siamese")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in package, built and installed by pip into a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "plugin"
    subprocess.run(["cp", "-r", str(PLUGIN), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True, capture_output=True)
    return folder


def sweeper(installed: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), str(ROOT)])
    command = [sys.executable, "-W", "error::UserWarning:trainers", "-m", "sweeper", *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)


@pytest.mark.ray
def test_a_package_of_its_own_is_swept_with_on_ray(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(TOY))
    line = [
        "run",
        file,
        "--results",
        tmp_path,
        "--name",
        "toy",
        "--device",
        "cpu",
        "--observer",
        json.dumps(JOURNAL),
        "--json",
    ]
    ran = sweeper(installed, *line)
    assert ran.returncode == 0, ran.stderr
    assert sweeper(installed, "analyze", tmp_path / "toy").returncode == 0
    look_at(tmp_path / "toy")


def test_without_the_package_its_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'`method` must be one of .*, but got "toy_siamese"'):
        parse_config(TOY, source="toy")


@dataclass(frozen=True)
class Package:
    name: str = "sweeper-toy"
    version: str = "1.0"


class Entry:
    """An entry point whose object is given, or cannot be imported."""

    dist = Package()

    def __init__(self, name: str, found: Any) -> None:
        self.name, self.value, self.found = name, f"somewhere:{name}", found

    def load(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def test_a_plugin_that_takes_a_name_or_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue: dict[str, Any] = {"lidar": 1}
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("lidar", 2)])
    with pytest.raises(ValueError, match=r"the plug-in somewhere:lidar .* has the name `lidar`, which is taken"):
        plugins.load_plugins("sweeper.criteria", catalogue)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("mine", ImportError("no\nscipy"))])
    with pytest.raises(ValueError, match=r"the plug-in somewhere:mine .* cannot be imported: ImportError: no scipy"):
        plugins.load_plugins("sweeper.criteria", catalogue)
    other = CRITERIA["lidar"]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("mine", other)])
    with pytest.raises(ValueError, match=r"the plug-in somewhere:mine .* must have the name `lidar`, not `mine`"):
        plugins.load_plugins("sweeper.criteria", catalogue)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [Entry("mine", 3)])
    plugins.load_plugins("sweeper.criteria", catalogue)
    plugins.load_plugins("sweeper.criteria", catalogue)  # a second call changes nothing
    assert catalogue == {"lidar": 1, "mine": 3}


TOYS = {
    "methods": "toy_siamese",
    "criteria": "toy_spread",
    "datasets": "toy_stripes",
    "oracles": "toy_centroid",
    "observers": "toy_journal",
}
"""Group -> the toy of that group."""


def catalogues() -> dict[str, dict[str, Any]]:
    return {
        "methods": METHODS,
        "criteria": CRITERIA,
        "datasets": DATASETS,
        "oracles": ORACLES,
        "observers": OBSERVERS,
    }


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("lost", [("criteria",), ("observers",), tuple(TOYS)], ids="+".join)
def test_a_sweep_whose_plugin_is_gone_says_which_package_to_install(
    lost: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = {f"sweeper.{group}": [Entry(name, catalogues()[group][name])] for group, name in TOYS.items()}
    monkeypatch.setattr(plugins, "entry_points", lambda group: there.get(group, []))
    config = parse_config(TOY | {"observers": JOURNAL}, source="toy", observers=observer_options())
    create_folder(tmp_path / "toy", config, study="toy")
    for group in lost:
        del there[f"sweeper.{group}"]
        monkeypatch.delitem(catalogues()[group], TOYS[group])
    for command in ("resume", "probe"):
        assert execute([command, str(tmp_path / "toy")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        for group in TOYS:
            assert (f"`{TOYS[group]}` (`sweeper.{group}`)" in said) == (group in lost), said
        assert said.endswith("; install the package sweeper-toy 1.0\n")
    assert execute(["show", str(tmp_path / "toy")]) == (0 if lost == ("observers",) else 2)  # no run, no observer


def test_a_name_that_may_be_a_plugin_says_where_plugins_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    with pytest.raises(ConfigError) as caught:
        parse_config(TOY | {"space": {}, "observers": JOURNAL}, source="toy", observers=observer_options())
    lines = str(caught.value).splitlines()
    for group, name in TOYS.items():
        (line,) = [line for line in lines if f'"{name}"' in line and "objective" not in line]
        assert line.endswith(f"install the package that provides it (entry points `sweeper.{group}`)")
    with pytest.raises(ConfigError, match=r"(?m)did you mean `simclr`\?$"):
        parse_config(TOY | {"method": "simclrr", "space": {}}, source="toy")


def test_the_doctor_lists_plugins_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    assert [(check.verdict, check.found) for check in check_plugins()] == [("optional", "none is installed")]
    there: dict[str, list[Entry]] = {"sweeper.criteria": [Entry("lidar", CRITERIA["lidar"])]}
    monkeypatch.setattr(plugins, "entry_points", lambda group: there.get(group, []))
    (check,) = check_plugins()
    assert (check.verdict, check.found) == ("ok", "sweeper-toy 1.0: lidar (sweeper.criteria)")
    there["sweeper.observers"] = [Entry("mine", ImportError("no scipy"))]
    first, second = check_plugins()
    assert (first.verdict, second.verdict) == ("fail", "ok")
    assert "no scipy; repair or uninstall its package, sweeper-toy 1.0" in first.found
    assert second.found == "sweeper-toy 1.0: lidar (sweeper.criteria), mine (sweeper.observers)"
