"""The report's first screen: the answer, the table of trials, the importance of hyperparameters, the configuration."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from simulated import World, simulate, write_sweep

from analysis.data.load import load
from analysis.report.html import FIRST_WARNINGS, Section, make_page
from analysis.report.judge import judge
from analysis.report.setup_table import entries, setup_table
from analysis.report.trial_table import COPIED, ROWS, hyperparameters_of, trial_table
from analysis.report.write import analyze
from analysis.stats.importance import FEWEST, importance, is_log
from analysis.stats.ranking import kendall
from analysis.stats.selection import select
from analysis.text import cautions as cautions_of_criteria
from analysis.text import trial_cautions
from analysis.text.answer import answer, steering, worth
from analysis.text.cautions import ORDER, cautions
from trainers.records import COLLAPSED, DIVERGED, FAILED

PLACES = r'(?:\[\(|append\(\(|^ +\()"([a-z ]+)", '


@pytest.fixture(scope="module")
def table() -> DataFrame:
    generator = np.random.default_rng(4)
    lr, decay = 10 ** generator.uniform(-4, -1, 40), generator.uniform(0.0, 1.0, 40)
    return DataFrame(
        {
            "trial": range(40),
            "status": "completed",
            "config.lr": lr,
            "config.decay": decay,
            "oracle": 0.5 + 0.1 * np.log10(lr / 1e-4) / 3 + 0.001 * generator.standard_normal(40),
            "lidar": decay,
            "rankme": np.log(lr),
        }
    )


def test_the_hyperparameter_that_decides_has_the_importance(table: DataFrame) -> None:
    found = importance(table).set_index(["score", "hyperparameter"])["importance"]
    assert found["oracle", "lr"] > 0.8
    assert found["rankme", "lr"] > 0.8
    assert found["lidar", "decay"] > 0.8
    np.testing.assert_allclose(found.groupby("score").sum(), 1.0, atol=1e-12)


def test_importance_needs_trials_and_takes_words_and_other_sweeps(table: DataFrame) -> None:
    assert importance(table.head(FEWEST - 1)).empty
    assert importance(table.assign(oracle=0.5)).query("score == 'oracle'").empty
    words = table.assign(**{"config.lr": np.where(table["config.lr"] > 1e-3, "high", "low")})
    found = importance(words).set_index(["score", "hyperparameter"])["importance"]
    assert found["rankme", "lr"] > 0
    failed = table.assign(status=["failed"] * 35 + ["completed"] * 5)
    assert importance(failed).empty
    two = pd.concat([table.assign(sweep="a"), table.assign(sweep="b")], ignore_index=True)
    assert set(importance(two)["sweep"]) == {"a", "b"}


def test_the_search_space_says_what_is_on_a_log_scale() -> None:
    values = list(10 ** np.linspace(-4, -1, 20))
    assert is_log("config.lr", values, {})
    assert not is_log("config.lr", values, {"space": {"lr": {"type": "float", "log": False}}})
    assert not is_log("config.ratio", list(np.linspace(0.004, 0.4, 20)), {})
    assert not is_log("config.name", ["a", "b"], {})


def test_the_answer_is_about_the_objective_and_names_the_better_criterion(table: DataFrame) -> None:
    ranking, selection = kendall(table), select(table)
    assert steering(ranking, {"objective": "rankme"}) == "rankme"
    assert steering(ranking, {}) == "lidar"
    baselines = DataFrame({"baseline": ["untrained", "raw_pixels"], "oracle": [0.2, np.nan]})
    lines = answer("lidar", ranking, selection, baselines)
    chosen = table.loc[table["lidar"].idxmax()]
    assert lines[0] == f"LiDAR selects trial {chosen['trial']}. It has {100 * chosen['oracle']:.1f}% accuracy."
    assert "below the best trial" in lines[1]
    assert "above the untrained encoder (20.0%)" in lines[1]
    assert "raw pixels" not in lines[1]
    assert lines[2].startswith("No clear relation between LiDAR and accuracy")
    assert "RankMe has the highest τ of 2 criteria" in lines[3]
    assert "found with these labels" in lines[3]
    assert len(answer("rankme", ranking, selection, baselines)) == 3


def test_the_answer_without_an_accuracy_invents_none(table: DataFrame) -> None:
    blind = table.assign(oracle=np.nan)
    lines = answer("lidar", kendall(blind), select(blind), DataFrame())
    assert lines[1] == "No accuracy of it was measured, so what it is worth is not known."
    assert lines[2] == "The 2 criteria select 2 different trials."
    none = table.assign(lidar=np.nan)
    assert "selects no trial" in answer("lidar", kendall(none), select(none), DataFrame())[0]


def test_the_best_trial_is_said_to_be_the_best() -> None:
    row = {"oracle": 0.7, "best_oracle": 0.7, "random_oracle": 0.5, "best_trial": 4}
    assert worth(row, DataFrame()) == "That is the best of all trials and 20.0 pp above the average (50.0%)."


def test_every_trial_is_in_the_table_the_best_first_and_the_chosen_one_marked(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=12, epochs=3))
    (folder / "trials" / "0003").mkdir(parents=True)
    results = load([folder])
    judgement = judge(results)
    found = trial_table(results, judgement, results.score_columns(), "lidar", lambda trial: "x/" * (trial == 3))
    assert len(found.rows) == len(results.trials)
    place = found.headings.index("accuracy")
    shown = [float(row[place].removesuffix("%")) for row in found.rows if row[place] != "–"]
    assert shown == sorted(shown, reverse=True)
    (marked,) = found.marked
    picked = judgement.selection.set_index("criterion").loc["lidar", "trial"]
    assert found.rows[marked][0] == str(picked)
    assert "LiDAR" in found.rows[marked][1]
    assert [row[0] for row, address in zip(found.rows, found.addresses, strict=True) if address] == ["3"]
    assert dict(hyperparameters_of(results.trials, picked)).keys() <= set(found.headings)
    analyze([folder])
    page = (folder / "analysis" / "report.html").read_text(encoding="utf-8")
    assert '<a href="../trials/0003/">3</a>' in page
    assert page.count("../trials/") == 1


def test_of_very_many_trials_the_best_are_shown(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="many", trials=ROWS + 10, epochs=1))
    results = load([folder])
    found = trial_table(results, judge(results), results.score_columns(), "lidar")
    assert len(found.rows) == ROWS > COPIED
    assert not found.copies
    assert "10 others" in found.note


def test_every_caution_has_its_place_and_what_overturns_the_answer_comes_first() -> None:
    trials, _, _ = simulate(World(name="one", trials=6))
    trials = trials.assign(oracle=np.nan, name="a")
    kinds = list(cautions(trials, DataFrame(), kendall(trials), DataFrame())["kind"])
    assert kinds[0] == "no oracle"
    assert kinds == sorted(kinds, key=ORDER.index)


def test_no_kind_of_caution_lacks_a_place() -> None:
    files = (trial_cautions, cautions_of_criteria)  # a kind is the first of a pair in a list
    written = {kind for file in files for kind in re.findall(PLACES, inspect.getsource(file), flags=re.MULTILINE)}
    assert written | {COLLAPSED, DIVERGED, FAILED} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)
    trials, _, _ = simulate(World(name="one", trials=12))
    settings = {"one": {"encoder": {"name": "resnet", "weights": "w.safetensors"}}}
    assert "start from weights" in set(cautions(trials, DataFrame(), kendall(trials), DataFrame(), settings)["kind"])


def test_a_page_folds_warnings_and_escapes_what_it_shows() -> None:
    warnings = tuple(f"w{place} <b>" for place in range(FIRST_WARNINGS + 2))
    section = Section("A & B?", text=("x",), warnings=warnings, facts=(("lr", "<i>"),), details=("<u>",), beside=True)
    page = make_page("t", "h", [section, Section("C"), Section("D")])
    assert "2 more" in page
    assert all(f"w{place} &lt;b&gt;" in page for place in range(len(warnings)))
    assert "&lt;i&gt;" in page
    assert "&lt;u&gt;" in page
    assert not {"<b>", "<i>", "<u>"} & set(page.split())
    assert 'id="a-b"' in page
    assert 'href="#c"' in page


def test_the_configuration_is_told_without_what_stands_elsewhere() -> None:
    settings = {
        "batch_size": 128,
        "method": "simclr",
        "space": {"lr": {"type": "float", "low": 0.1, "high": 1.0, "log": True}},
        "pruner": {"name": "median", "audit": 0.2},
        "provenance": {"device": "cpu", "criteria": {"lidar": {}}},
    }
    assert list(entries(settings)) == [
        ("method", "simclr"),
        ("batch_size", "128"),
        ("pruner", "name median, audit 0.2"),
        ("space.lr", "0.1 to 1.0, log"),
        ("device", "cpu"),
    ]
    assert setup_table({}) == ()
    assert dict(entries({"method": "simclr", "space": 3, "fixed": [1]})) == {"method": "simclr"}
