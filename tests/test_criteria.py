"""The description of a criterion in `analysis`: from a sweep.yaml or the catalogue's source, without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from simulated import World, simulate, write_sweep

from analysis.data.columns import ResultsUnreadable, condition_columns, make_score_column
from analysis.data.criteria import LOSS, CriterionInfo, known_criteria, label, labels_of, shelf
from analysis.data.load import load
from analysis.report.judge import judge
from analysis.stats.layers import layers_of
from analysis.stats.ranking import kendall
from analysis.text.cautions import about_conditions, across
from trainers.criteria import CRITERIA

TOY = {"toy_spread": {"label": "Toy spread", "higher_is_better": False, "layer": "representation"}}


WITHOUT_TORCH = """
import sys
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "ray"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from analysis import analyze
analyze([Path(sys.argv[1])])
"""
"""A finder blocks the imports, because SciPy takes a None in `sys.modules` for an installed torch."""


def test_the_judge_reads_of_the_catalogue_what_the_catalogue_says() -> None:
    assert list(shelf()) == [*CRITERIA, LOSS]
    for name, criterion in CRITERIA.items():
        conditions = tuple(column.removeprefix(f"{name}_") for column in criterion.record(2, 2))
        assert ("q" in conditions) == criterion.reads_views
        assert set(criterion.settings) <= set(conditions)
        assert shelf()[name] == CriterionInfo(criterion.label, criterion.higher_is_better, conditions), (
            f"trainers/criteria/{name}.py must give the arguments of `Criterion` as literals"
        )


def write_toy(results: Path, name: str, criteria: object) -> Path:
    """A sweep whose criterion is the negative LiDAR, with a name that is not in the catalogue."""
    provenance = {"criteria": criteria} if criteria else {}
    settings = {"criteria": ["toy_spread"], "objective": "toy_spread", "pruner": {"name": "median"}}
    folder = write_sweep(results, World(name=name, trials=12, epochs=4), provenance=provenance, **settings)
    for file in (folder / "trials.parquet", folder / "reports.parquet"):
        table = pd.read_parquet(file)
        toy = [column for column in table if column.split(".")[0] == "lidar"]
        table[toy] = -table[toy]
        ours = table.drop(columns=[column for column in table if column.startswith("rankme")])
        ours.rename(columns=lambda column: column.replace("lidar", "toy_spread")).to_parquet(file)
    (folder / "baselines.parquet").unlink()
    return folder


@pytest.mark.slow
def test_a_plug_ins_label_and_direction_reach_the_report_without_torch_and_ray(tmp_path: Path) -> None:
    folder = write_toy(tmp_path, "toy", TOY)
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(folder)], check=True)
    ranking = pd.read_csv(folder / "analysis" / "ranking.csv").set_index("criterion")
    assert ranking.loc["toy_spread", "label"] == "Toy spread"
    assert ranking.loc["toy_spread.embedding", "label"] == "Toy spread, embedding"
    assert not ranking.loc[["toy_spread", "toy_spread.embedding"], "higher_is_better"].any()
    trials, _, _ = simulate(World(name="toy", trials=12, epochs=4))
    assert ranking.loc["toy_spread", "tau"] == kendall(trials, ["lidar"])["tau"].item() > 0.3
    selected = pd.read_csv(folder / "analysis" / "selection.csv").set_index("criterion").loc["toy_spread", "trial"]
    audited = pd.read_csv(folder / "analysis" / "audit.csv").set_index("objective").loc["toy_spread", "oracle"]
    assert selected == trials["lidar"].idxmax()
    assert audited == trials["oracle"][selected]
    text = (folder / "analysis" / "report.md").read_text(encoding="utf-8")
    assert "Toy spread" in text
    assert "Layers: Toy spread on the embedding." in text
    judged, configuration = text.split("## What was run?")
    assert not re.search(r"(?<!-)toy_spread", judged)
    assert "toy_spread" in configuration


@pytest.mark.slow
def test_a_report_leaves_no_label_behind(tmp_path: Path) -> None:
    results = load(write_toy(tmp_path, "toy", TOY))
    assert judge(results).ranking["label"].iloc[0] == "Toy spread"
    assert not kendall(results.trials, results.score_columns())["higher_is_better"].any()
    assert label("toy_spread") == "toy_spread"
    with labels_of(results.criteria):
        assert label("toy_spread") == "Toy spread"


def test_a_sweep_goes_before_the_catalogue_but_not_for_the_loss() -> None:
    said = {"lidar": {"label": "My LiDAR"}, "loss": {"higher_is_better": True}, "new": None}
    known = known_criteria({"provenance": {"criteria": said}})
    assert known["lidar"] == CriterionInfo("My LiDAR", conditions=shelf()["lidar"].conditions)
    assert known["new"] == CriterionInfo("new")
    assert not known[LOSS].higher_is_better
    for settings in ({}, {"provenance": None}, {"provenance": {"criteria": ["lidar"]}}):
        assert dict(known_criteria(settings)) == dict(shelf())


@pytest.mark.slow
def test_a_direction_that_is_not_clear_is_refused(tmp_path: Path) -> None:
    write_toy(tmp_path, "one", TOY)
    write_toy(tmp_path, "two", {"toy_spread": {"higher_is_better": True}})
    with pytest.raises(ResultsUnreadable, match="`toy_spread` must have one direction"):
        load(tmp_path)
    file = write_toy(tmp_path, "three", {"toy_spread": {"higher_is_better": "no"}}) / "sweep.yaml"
    with pytest.raises(ResultsUnreadable, match=r"toy_spread\.higher_is_better` must be true or false, but got 'no'"):
        load(file.parent)


def test_a_name_with_a_sign_goes_before_what_a_sweep_says() -> None:
    known = known_criteria({"provenance": {"criteria": TOY}})
    assert not make_score_column("toy_spread", known).higher_is_better
    assert not make_score_column("toy_spread.embedding", known).higher_is_better
    assert make_score_column("+toy_spread", known).higher_is_better
    assert make_score_column("toy_spread").higher_is_better


def test_layers_and_conditions_are_cautioned_of_for_any_criterion(tmp_path: Path) -> None:
    trials = load(write_toy(tmp_path, "toy", TOY)).trials
    assert condition_columns(trials.columns) == [f"toy_spread_{name}" for name in ("n", "q", "delta", "epsilon")]
    assert layers_of(trials, ["toy_spread"]) == {"toy_spread": "embedding"}
    first = trials["trial"] < 6
    mixed = trials.assign(
        toy_spread=trials["toy_spread"].where(first, trials["toy_spread.representation"]),
        toy_spread_alpha=trials["trial"],
    )
    said = dict(about_conditions(mixed))
    assert "on the representation in some trials and on the embedding in others" in said["mixed layers"]
    assert "toy_spread_alpha" in said["mixed conditions"]
    apart = across(mixed.assign(sweep=first.map({True: "one", False: "two"})))
    assert any("toy_spread_alpha" in line for line in apart)
    assert any("on the embedding in one and on the representation in two" in line for line in apart)


def test_sweeps_of_before_the_description_are_read_with_the_catalogue() -> None:
    folder = Path(__file__).parents[1] / "results" / "reference" / "dino"
    assert "criteria" not in yaml.safe_load((folder / "sweep.yaml").read_text(encoding="utf-8"))["provenance"]
    assert dict(load(folder).criteria) == dict(shelf())
