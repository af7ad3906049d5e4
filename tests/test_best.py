"""`sweeper best`: whether the choice is any good, which criterion ranked well, and commands that run as printed."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats
from small_sweeps import make_images, mapping

from analysis import kendall, load
from analysis.stats.leading import Ranked, mean_taus
from analysis.stats.worth import against
from sweeper.cli.choice import choose, trials_with_checkpoint
from sweeper.cli.commands import execute
from sweeper.cli.evidence import gather
from sweeper.cli.screens.choice import choice_text
from sweeper.cli.screens.evidence import answer
from sweeper.config.read import load_config, parse_config
from sweeper.run.options import RunOptions
from sweeper.run.sweep import run_sweep
from sweeper.store.listing import Listing, open_listing
from sweeper.store.manifest import create_folder

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
SWEEPS = ("dino", "simclr", "vicreg")


def best(sweep: Path, *more: str) -> Any:
    """What `sweeper best` says as JSON."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert execute(["best", str(sweep), "--json", *more]) == 0
    return json.loads(said.getvalue())


def made(folder: Path, oracles: dict[int, float], n: int | None = 1000, **baselines: float) -> Listing:
    """A sweep in memory; the higher the number of a trial, the better it is by LiDAR, and the worse by RankMe."""
    trials = [
        {"trial": trial, "status": "completed", "configuration": trial, "lidar": float(trial), "rankme": -float(trial),
         "loss": 1.0, "oracle": oracle, "oracle_n": n, "oracle.knn": oracle, "config.lr": 0.1}
        for trial, oracle in oracles.items()
    ]  # fmt: skip
    rows = [{"baseline": name, "oracle": value, "oracle_n": n} for name, value in baselines.items()]
    settings = {"objective": "lidar", "seeds": 1, "trials": 4, "criteria": ["lidar", "rankme"], "space": {"lr": None}}
    return Listing(folder, settings, trials, [], rows, held=False)


@pytest.mark.parametrize(
    ("chosen", "untrained", "said"),
    [
        (0.50, 0.90, "worse than the untrained encoder, and not clearly better than raw pixels and the average trial."),
        (0.90, 0.50, "better than the untrained encoder, raw pixels and the average trial."),
        (0.51, 0.50, "not clearly better than the untrained encoder, raw pixels and the average trial."),
        (0.49, 0.50, "not clearly better than the untrained encoder, raw pixels and the average trial."),
    ],
)
def test_the_answer_is_what_the_accuracies_say(tmp_path: Path, chosen: float, untrained: float, said: str) -> None:
    listing = made(tmp_path / "s", {0: 0.5, 1: 0.5, 2: 0.5, 3: chosen}, untrained=untrained, raw_pixels=0.5)
    choice = choose(listing)
    assert choice.trial == 3
    assert answer(choice, gather(listing, choice)) == f"By its accuracy, it is {said}"


def test_a_difference_is_clear_beyond_two_standard_errors() -> None:
    """The error is that of two independent shares, with one right and one wrong answer added to each."""
    for mine, theirs, n, m in ((0.6, 0.5, 100, 100), (1.0, 1.0, 24, 24), (0.7, 0.5, 200, 50), (0.2, 0.9, 1000, 1000)):
        found = against("untrained", mine, n, theirs, m)
        a, b = (mine * n + 1) / (n + 2), (theirs * m + 1) / (m + 2)
        error = math.sqrt(a * (1 - a) / (n + 2) + b * (1 - b) / (m + 2))
        assert found.standard_error == pytest.approx(error, rel=1e-12)
        clear = abs(mine - theirs) > 2 * error
        assert found.verdict == (("better" if mine > theirs else "worse") if clear else "not clearly better")


def test_what_is_not_known_is_said_and_not_invented(tmp_path: Path) -> None:
    listing = made(tmp_path / "s", {0: 0.5, 1: 0.7, 2: 0.8}, n=None, untrained=0.1)
    choice = choose(listing)
    evidence = gather(listing, choice)
    assert [one.verdict for one in evidence.against] == ["not known", "not known"]
    said = answer(choice, evidence)
    assert "Whether it is better than the untrained encoder and the average trial is not known" in said
    assert "It is not known beside raw pixels" in said
    blind = Listing(
        tmp_path / "s", listing.settings, [{**row, "oracle": None} for row in listing.trials], [], [], False
    )
    choice = choose(blind)
    evidence = gather(blind, choice)
    assert answer(choice, evidence).startswith("No oracle has measured it, so it is not known whether it is better")
    assert (evidence.against, evidence.ranked, evidence.here, evidence.elsewhere) == ((), (), None, None)
    text = choice_text(choice, evidence)
    assert "is not known: no trial has an accuracy" in text.replace("\n#  ", "")
    assert "%" not in text
    assert "τ" not in text


def test_the_criterion_that_ranked_best_and_its_choice(tmp_path: Path) -> None:
    listing = made(tmp_path / "s", {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6}, untrained=0.1, raw_pixels=0.2)
    choice = choose(listing)
    evidence = gather(listing, choice)
    assert [(one.criterion, one.tau) for one in evidence.ranked] == [("rankme", 1.0), ("lidar", -1.0)]
    assert evidence.here is not None
    assert (evidence.here.criterion, evidence.here.trial, evidence.here.accuracy) == ("rankme", 0, 0.9)
    text = " ".join(choice_text(choice, evidence).replace("\n#", "").split())
    assert "Of 2 criteria, rankme ranked the trials best, with τ 1.00" in text
    assert "and selects trial 0 (90.0%), which is optimistic, because rankme was chosen with these labels" in text
    two = made(tmp_path / "s", {0: 0.9, 1: 0.8})
    assert gather(two, choose(two)).ranked == ()


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_taus_are_those_of_the_analysis(sweep: str) -> None:
    found = {one["criterion"]: one for one in best(REFERENCE / sweep)["ranked"]}
    trials = load(REFERENCE / sweep).trials
    table = kendall(trials).set_index("criterion")
    assert set(found) == {"lidar", "rankme", "loss"}
    for name, one in found.items():
        assert [one["n"], one["tau"], one["low"], one["high"]] == list(
            table.loc[name, ["n", "tau", "tau_low", "tau_high"]]
        )
        known = trials.dropna(subset=[name, "oracle"])
        sign = -1 if name == "loss" else 1
        assert one["tau"] == pytest.approx(stats.kendalltau(sign * known[name], known["oracle"]).statistic)


@pytest.mark.slow
def test_the_mean_elsewhere_leaves_this_sweep_and_its_copies_out(tmp_path: Path) -> None:
    for name in SWEEPS:
        shutil.copytree(REFERENCE / name, tmp_path / name)
    file = tmp_path / "simclr" / "sweep.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["provenance"]["id"] = "one"
    file.write_text(yaml.safe_dump(settings))
    shutil.copytree(tmp_path / "simclr", tmp_path / "copy-of-simclr")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sweep.yaml").write_text("method: 3\n")
    table = kendall(load([REFERENCE / "dino", REFERENCE / "vicreg"]).trials)
    means = table[table["criterion"].isin(["lidar", "rankme", "loss"])].groupby("criterion")["tau"].mean()
    found = best(tmp_path / "simclr")
    assert found["mean"]["sweeps"] == ["dino", "vicreg"]
    assert found["others"] == 2
    assert found["mean"]["criterion"] == means.idxmax() == found["elsewhere"]["criterion"]
    assert found["mean"]["mean"] == pytest.approx(means.max())
    selected = best(tmp_path / "simclr", "--criterion", means.idxmax())
    assert (found["elsewhere"]["trial"], found["elsewhere"]["accuracy"]) == (selected["trial"], selected["accuracy"])


def test_only_criteria_of_the_most_sweeps_are_compared() -> None:
    lidar, rankme = Ranked("lidar", 9, 0.3, 0.1, 0.5), Ranked("rankme", 9, 0.9, 0.8, 1.0)
    (found,) = mean_taus({"a": [lidar, rankme], "b": [lidar]})
    assert (found.criterion, found.mean, found.sweeps) == ("lidar", 0.3, ("a", "b"))
    assert mean_taus({}) == []


@pytest.mark.slow
def test_what_each_criterion_selects_can_be_exported(tmp_path: Path) -> None:
    """A sweep with `criteria: default` and `keep_checkpoints: best`, one that a criterion minimises among them."""
    config = parse_config(
        mapping(make_images(tmp_path / "images"), criteria="default", oracle="none", epochs=1), source="test"
    )
    folder = tmp_path / "small"
    run_sweep(config, folder, RunOptions(local=True, device="cpu"))
    listing = open_listing("small", tmp_path)
    chosen = {name: choose(listing, name) for name in (*config.criteria, "loss")}
    assert len(config.criteria) > 2
    assert all(choice.checkpoint for choice in chosen.values())
    assert set(trials_with_checkpoint(listing)) == {choice.trial for choice in chosen.values()}
    for name in ("rankme", "loss"):
        arguments = ["export", "small", "--results", str(tmp_path), "--criterion", name, "--out", str(tmp_path / name)]
        assert execute(arguments) == 0
        about = json.loads((tmp_path / name / "config.json").read_text())
        assert f'"trial": {chosen[name].trial}' in json.dumps(about)


@pytest.mark.slow
def test_the_command_to_train_longer_is_accepted_by_a_shell_as_it_is_printed(tmp_path: Path) -> None:
    """A folder with a blank and a quote, a text that YAML would read as a number, seeds, a pruner and a grid."""
    space = {
        "lr": {"type": "float", "low": 1e-6, "high": 1e-5, "log": True},
        "optimizer": {"type": "categorical", "choices": ["sgd", "adamw"]},
        "clip_norm": {"type": "categorical", "choices": [None, 3.0]},
    }
    fixed = {"projector_hidden_dim": 16, "projection_dim": 8}
    changes: dict[str, Any] = {"space": space, "fixed": fixed, "seeds": 2, "pruner": {"name": "median"}}
    (tmp_path / "file.yaml").write_text(
        yaml.safe_dump(mapping(make_images(tmp_path / "the images"), search={"sampler": "tpe"}, **changes))
    )
    config = load_config(tmp_path / "file.yaml", ["keep_checkpoints=none"])
    folder = create_folder(tmp_path / "it's a sweep", config, study="s").path
    row = {"trial": 0, "status": "completed", "lidar": 1.0, "configuration": 0}
    values = {"config.lr": 1e-5, "config.optimizer": "adamw", "config.clip_norm": None, "config.projection_dim": 8}
    settings = yaml.safe_load((folder / "sweep.yaml").read_text())
    command = choose(Listing(folder, settings, [row | values], [], [], held=False)).commands["longer"]
    script = f'sweeper() {{ {shlex.quote(sys.executable)} -m sweeper "$@"; }}; {command} --dry-run --json'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    said = json.loads(done.stdout)
    assert said["runs"] == 1
    assert said["config"]["fixed"] == {**fixed, "lr": 1e-5, "optimizer": "adamw", "clip_norm": None}
    assert (said["config"]["epochs"], said["config"]["space"]) == (10 * config.epochs, {})
    assert said["config"]["pruner"]["name"] == "none"
    assert said["config"]["keep_checkpoints"] == "best"


@pytest.mark.parametrize("sweep", SWEEPS)
def test_sentences_fit_80_columns_and_commands_are_not_broken(sweep: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert execute(["best", str(REFERENCE / sweep)]) == 0
    wide = [line for line in said.getvalue().splitlines() if len(line) > 80]
    assert all(line.startswith(("#   sweeper ", "# checkpoint: ")) for line in wide), wide
    commands = best(REFERENCE / sweep)["commands"]
    assert all(f"\n#   {command}\n" in said.getvalue() for command in commands.values())
    assert list(commands) == ["retrain", "export", "longer", "again"]
