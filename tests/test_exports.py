"""Exports of other tools, made by these tools, are read for what they are; run names; CSV dialects."""

from __future__ import annotations

import csv
import gzip
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from pandas import DataFrame

from analysis.data.columns import ResultsUnreadable
from analysis.data.load import load
from analysis.report.write import analyze
from sweeper.cli.commands import execute

pytestmark = pytest.mark.slow

RAY = Path(__file__).parent / "exports" / "ray.csv"
"""Written by Ray 2.60: `Tuner(train, param_space={"lr": grid_search([0.1, 0.2, 0.3]), "opt": {"name":
grid_search(["sgd", "bad", "late"])}}).fit().get_dataframe().to_csv("ray.csv", index=False)`, where `bad` raises before
its first report and `late` after two of three. The table tells neither from a trial that completed.
"""
STATES = ["completed", "completed", "pruned", "failed", "completed"]


def study_of(storage: optuna.storages.BaseStorage | None = None) -> optuna.Study:
    """Six trials: three completed, one pruned, one failed with the highest values, one still running."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, study_name="small", direction="maximize")
    for number, state in enumerate(["complete", "complete", "pruned", "fail", "complete", "running"]):
        trial = study.ask()
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        trial.suggest_categorical("opt", ["sgd", "adamw"])
        trial.set_user_attr("lidar", 9.0 if state == "fail" else float(number))
        trial.set_user_attr("oracle", 0.9 if state == "fail" else 0.5 + number / 100)
        if state == "complete":
            study.tell(trial, float(number))
        elif state != "running":
            study.tell(trial, state=TrialState[state.upper()])
    return study


def check_optuna(path: Path, tool: str) -> None:
    results = load(path)
    trials = results.trials
    assert trials["status"].tolist() == STATES
    assert trials["trial"].tolist() == [0, 1, 2, 3, 4]
    assert trials["lidar"].tolist() == [0, 1, 2, 9, 4]
    assert trials["oracle"].tolist() == pytest.approx([0.5, 0.51, 0.52, math.nan, 0.54], nan_ok=True)
    assert {"config.lr", "config.opt"} <= set(trials)
    column = "State" if "dashboard" in tool else "state"
    counts = f"{column}: 3 completed, 1 pruned and 1 failed; 1 trial left out, not yet ended"
    assert results.notes[0] == f"{path.name} was read as an export of {tool}: hyperparameters lr, opt; {counts}"


@pytest.mark.parametrize("multi_index", [False, True])
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV", ".csv.gz", ".tsv"])
@pytest.mark.parametrize("index", [False, True])
def test_optunas_table_is_read(tmp_path: Path, multi_index: bool, ending: str, index: bool) -> None:
    table, path = study_of().trials_dataframe(multi_index=multi_index), tmp_path / f"t{ending}"
    if ending == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=index, sep="\t" if ending == ".tsv" else ",")
    check_optuna(path, "Optuna")


def test_the_dashboards_csv_is_read(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    storage = optuna.storages.InMemoryStorage()
    study = study_of(storage)
    page = f"/csv/{study._study_id}"
    environment: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": page, "wsgi.input": io.BytesIO()}
    body = dashboard.wsgi(storage)(environment, lambda *_: None)
    path = tmp_path / "small.csv"
    path.write_bytes(b"".join(body))
    check_optuna(path, "optuna-dashboard")


def test_a_failed_trial_is_never_the_selected_or_the_best(tmp_path: Path) -> None:
    study_of().trials_dataframe().to_csv(tmp_path / "t.csv")
    row = analyze([tmp_path / "t.csv"]).selection.iloc[0]
    assert (row["trial"], row["best_trial"]) == (4, 4)


def test_a_column_asked_for_by_its_own_name_keeps_it(tmp_path: Path) -> None:
    study_of().trials_dataframe().to_csv(tmp_path / "t.csv")
    results = load(tmp_path / "t.csv", oracle="user_attrs_oracle", criteria=["user_attrs_lidar", "-value"])
    assert [one.name for one in results.score_columns(["user_attrs_lidar", "-value"])] == ["user_attrs_lidar", "value"]
    assert results.trials["oracle"].tolist() == pytest.approx([0.5, 0.51, 0.52, math.nan, 0.54], nan_ok=True)


def test_rays_table_is_read() -> None:
    results = load(RAY)
    assert results.trials["config.lr"].tolist() == [0.1, 0.2, 0.3, 0.1, 0.2, 0.3]
    assert results.trials["config.opt.name"].tolist() == ["sgd"] * 3 + ["late"] * 3
    assert results.trials["name"].tolist()[0] == "34fb0_00000"
    said = "hyperparameters lr, opt.name; no states, so all 6 trials count as completed"
    assert results.notes == (f"ray.csv was read as an export of Ray Tune: {said}",)


WANDB = """"Name","Agent","State","Notes","User","Tags","Created","Runtime","Sweep","lr","std","accuracy","lidar"
"fancy-sweep-1","","finished","-","me","","2025-11-13T09:48:11.000Z","9910","1wfhjnkh","0.1","0.01","0.5","1.5"
"wild-sweep-2","","crashed","-","me","","2025-11-13T09:48:12.000Z","991","1wfhjnkh","0.2","0.02","0.9","9"
"calm-sweep-3","","finished","-","me","","2025-11-13T09:48:13.000Z","9910","1wfhjnkh","0.3","0.01","0.7","2.5"
"live-sweep-4","","running","-","me","","2025-11-13T09:48:14.000Z","10","1wfhjnkh","0.4","0.03","","NaN"
"calm-sweep-5","","killed","-","me","","2025-11-13T09:48:15.000Z","10","1wfhjnkh","0.4","0.03","",""
"""


def test_the_csv_of_weights_and_biases_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wandb.csv"
    path.write_text(WANDB)
    results = load(path, oracle="accuracy", hyperparameters=["lr", "std"])
    assert results.trials["status"].tolist() == ["completed", "failed", "completed", "failed"]
    assert results.trials["config.lr"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert results.trials["trial"].tolist() == [0, 1, 2, 4]
    said = "hyperparameters lr, std; State: 2 completed and 2 failed; 1 trial left out, not yet ended"
    assert results.notes == (
        f"wandb.csv was read as an export of Weights & Biases: {said}",
        "wandb: 1 failed trial with an accuracy does not count for τ",
    )
    assert execute(["analyze", str(path), "--oracle", "accuracy", "--hyperparameters", "lr, std"]) == 0
    report = (tmp_path / "wandb-analysis" / "report.md").read_text()
    assert "It selects trial calm-sweep-3: 70.0%" in report
    selection = pd.read_csv(tmp_path / "wandb-analysis" / "selection.csv").iloc[0]
    assert (selection["trial"], selection["trial_name"]) == (2, "calm-sweep-3")
    assert execute(["analyze", str(path), "--oracle", "accuracy", "--hyperparameters", "lrr"]) == 2


def test_the_table_of_the_api_of_weights_and_biases_is_read(tmp_path: Path) -> None:
    rows = [
        {"summary": {"lidar": 1.5, "loss": float("nan"), "_step": 9}, "config": {"lr": 0.1, "o": [1]}, "name": "a"},
        {"summary": {"lidar": 2.5, "oracle": 0.7, "_step": 9}, "config": {"lr": 0.2}, "name": "b"},
    ]
    DataFrame(rows).to_csv(tmp_path / "project.csv")
    trials = load(tmp_path / "project.csv").trials
    assert trials["config.lr"].tolist() == [0.1, 0.2]
    assert trials["lidar"].tolist() == [1.5, 2.5]
    assert trials["name"].tolist() == ["a", "b"]


def test_an_unknown_state_is_named_and_a_column_about_something_else_is_not_a_state(tmp_path: Path) -> None:
    table = DataFrame({"lidar": [1.0, 2.0], "oracle": [0.1, 0.2]})
    table.assign(state=["COMPLETE", "odd"]).to_csv(tmp_path / "a.csv")
    with pytest.raises(ResultsUnreadable, match=r"`state` in .* must be one of .* but got 'odd' in line 3"):
        load(tmp_path / "a.csv")
    table.assign(state=["CA", "NY"]).to_csv(tmp_path / "b.csv")
    assert load(tmp_path / "b.csv").trials["status"].tolist() == ["completed"] * 2
    table.assign(state="RUNNING").to_csv(tmp_path / "c.csv")
    with pytest.raises(ResultsUnreadable, match="must have a trial that has ended"):
        load(tmp_path / "c.csv")


def test_two_columns_for_one_hyperparameter_are_told_apart(tmp_path: Path) -> None:
    names = ["lidar", "oracle", "config/lr", "params_lr"]
    DataFrame([[1.0, 0.1, 1, 3], [2.0, 0.2, 2, 4]], columns=names).to_csv(tmp_path / "t.csv")
    assert load(tmp_path / "t.csv").trials["config.lr"].tolist() in ([1, 2], [3, 4])


# run names and column names

TABLE = DataFrame({"lidar": [51.257, 48.679, 56.404], "oracle": [0.4939, 0.488, 0.4943]})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_index_of_words_names_the_runs(tmp_path: Path, ending: str) -> None:
    table, path = TABLE.set_axis(["run-a", "run-b", "run-c"]), tmp_path / f"t.{ending}"
    table.to_csv(path) if ending == "csv" else table.to_parquet(path)
    assert load(path).trials["name"].tolist() == ["run-a", "run-b", "run-c"]
    report = analyze([path])
    assert report.selection["trial_name"].iloc[0] == "run-c"
    assert "trial run-c" in (report.folder / "report.html").read_text()


def test_trials_that_are_words_are_names_and_reports_find_them(tmp_path: Path) -> None:
    TABLE.assign(trial=["a", "b", "b"]).to_csv(tmp_path / "trials.csv.gz", index=False)
    assert load(tmp_path).trials["name"].tolist() == ["a", "b (1)", "b (2)"]
    TABLE.assign(trial=["a", "b", "c"]).to_csv(tmp_path / "trials.csv.gz", index=False)
    DataFrame({"trial": ["c", "a"], "epoch": 1, "lidar": [1.0, 2.0]}).to_csv(tmp_path / "reports.TSV", sep="\t")
    assert load(tmp_path).reports["trial"].tolist() == [2, 0]


def test_a_named_index_of_a_parquet_is_a_column(tmp_path: Path) -> None:
    TABLE.assign(trial=[7, 8, 9]).set_index("trial").to_parquet(tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").trials["trial"].tolist() == [7, 8, 9]


def test_column_names_that_are_no_text_are_flattened(tmp_path: Path) -> None:
    names = [("lidar", ""), ("lidar", "embedding"), ("config", "lr"), ("oracle", "")]
    table = DataFrame(np.arange(12.0).reshape(3, 4), columns=pd.MultiIndex.from_tuples(names))
    for path in (tmp_path / "t.parquet", tmp_path / "t.csv"):
        table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path)
        assert {"lidar", "lidar.embedding", "config.lr", "oracle"} <= set(load(path).trials)
    TABLE.set_axis([0, 1], axis=1).to_parquet(tmp_path / "n.parquet")
    assert load(tmp_path / "n.parquet", oracle="1", criteria=["0"]).trials["0"].tolist() == TABLE["lidar"].tolist()


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lidar,oracle, lidar \n1,0.1,2\n2,0.2,1\n")
    with pytest.raises(ResultsUnreadable, match="two columns are named 'lidar'"):
        load(tmp_path / "t.csv")


# dialects


@pytest.mark.parametrize(
    "text",
    [
        "lidar;oracle\n51,257;0,4939\n48,679;0,488\n56,404;0,4943\n",
        "lidar\toracle\n51.257\t0.4939\n48.679\t0.488\n56.404\t0.4943\n",
        "lidar\toracle\n51,257\t0,4939\n48,679\t0,488\n56,404\t0,4943\n",
        '"lidar","oracle"\n"51,257","0,4939"\n"48,679","0,488"\n"56,404","0,4943"\n',
        "sep=;\nlidar;oracle\n51,257;0,4939\n48,679;0,488\n56,404;0,4943\n",
        " lidar , oracle\n51.257, 0.4939\n48.679,0.488 \n56.404 ,0.4943\n",
        '"lidar", "oracle"\n51.257, 0.4939\n48.679, 0.488\n56.404, 0.4943\n',
        "lidar|oracle\n51.257|0.4939\n48.679|0.488\n56.404|0.4943\n",
        "lidar,oracle,\r\n51.257,0.4939,\r\n48.679,0.488,\r\n56.404,0.4943,\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_in_every_dialect(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    trials = load(path).trials
    assert trials["lidar"].tolist() == TABLE["lidar"].tolist()
    assert trials["oracle"].tolist() == TABLE["oracle"].tolist()


def test_a_comma_that_may_separate_thousands_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('lidar,oracle\n"1,234",0.1\n"2,345",0.2\n')
    with pytest.raises(ResultsUnreadable, match=r"got '1,234' in line 2 \(is its comma a decimal one\?\)"):
        load(path)
    path.write_text("lidar;oracle\n1.234,5;0,1\n234,5;0,2\n")
    assert load(path).trials["lidar"].tolist() == [1234.5, 234.5]


def test_decimal_commas_between_commas_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("lidar,oracle\n51,257,0,4939\n")
    with pytest.raises(ResultsUnreadable, match=r"line 2 has 4 fields, but the header has 2 \(decimal commas"):
        load(path)


def test_a_long_field_is_read_and_the_limit_of_others_stays(tmp_path: Path) -> None:
    limit, path = csv.field_size_limit(), tmp_path / "t.csv"
    TABLE.assign(note="x" * 200_000).to_csv(path, index=False)
    assert load(path).trials["lidar"].tolist() == TABLE["lidar"].tolist()
    assert csv.field_size_limit() == limit


CUT = gzip.compress(TABLE.to_csv().encode(), mtime=0)[:-20]


@pytest.mark.parametrize("content", [b"not gzip", CUT, b""], ids=["text", "cut", "empty"])
def test_a_damaged_gzip_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ResultsUnreadable, match=r"must be a csv\.gz table, but it cannot be read|is empty"):
        load(path)
