"""Loading: results folders with all documented columns, minimal hand-made tables, and bad input."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from simulated import World, three_methods, write_sweep

from analysis.data.columns import ResultsUnreadable, ScoreColumn, find_criteria, make_score_column, parse_criteria
from analysis.data.load import load
from analysis.report.write import analyze
from analysis.stats.ranking import kendall
from analysis.text.trial_cautions import about_images, about_weights
from trainers.rebuilding import how_to_rebuild

TINY = DataFrame({"lidar": [3.0, 1.0, 2.0], "accuracy": [0.9, 0.5, 0.7]})


def written(path: Path, table: DataFrame) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def test_a_sweeps_folder_is_read_whole(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=5, epochs=3))
    results = load(folder)
    assert len(results.trials) == 5
    assert len(results.reports) == 15
    assert set(results.baselines["baseline"]) == {"untrained", "raw_pixels"}
    assert results.sweeps["one"]["objective"] == "lidar"
    assert results.home == folder / "analysis"
    assert (results.trials["weight"] == 1).all()


@pytest.mark.slow
def test_a_folder_of_sweeps_is_read_sweep_by_sweep_without_analysis_and_reference(tmp_path: Path) -> None:
    three_methods(tmp_path)
    write_sweep(tmp_path / "reference", World(name="old"))
    (tmp_path / "analysis").mkdir()
    results = load(tmp_path)
    assert list(results.folders) == ["dino", "simclr", "vicreg"]
    assert results.home == tmp_path / "analysis"
    assert results.folders["dino"] == tmp_path / "dino" / "analysis"
    assert list(load(tmp_path / "reference").folders) == ["old"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_table_by_hand_needs_the_oracle_and_a_criterion_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path / f"mine{ending}", TINY)
    results = load(path, oracle="accuracy", criteria=["lidar"])
    assert results.trials["oracle"].tolist() == [0.9, 0.5, 0.7]
    assert results.trials["status"].tolist() == ["completed"] * 3
    assert results.trials["trial"].tolist() == [0, 1, 2]
    assert results.trials["sweep"].tolist() == ["mine"] * 3
    assert results.reports.empty
    assert results.baselines.empty
    assert results.home == tmp_path / "mine-analysis"


def test_reports_and_baselines_beside_a_table_named_trials_are_read_with_it(tmp_path: Path) -> None:
    written(tmp_path / "trials.csv", TINY.rename(columns={"accuracy": "oracle"}).assign(trial=range(3)))
    written(tmp_path / "reports.csv", DataFrame({"trial": [0, 1, 2], "epoch": 1, "lidar": [1.0, 2.0, 3.0]}))
    for path in (tmp_path, tmp_path / "trials.csv"):
        results = load(path)
        assert len(results.reports) == 3
        assert set(results.reports["sweep"]) == set(results.trials["sweep"])


def test_an_oracle_is_found_by_its_short_name(tmp_path: Path) -> None:
    table = TINY.assign(oracle=0.0, **{"oracle.knn": [0.1, 0.2, 0.3]})
    assert load(written(tmp_path / "t.csv", table), oracle="knn").trials["oracle"].tolist() == [0.1, 0.2, 0.3]


def test_baselines_and_test_images_are_those_of_the_chosen_oracle(tmp_path: Path) -> None:
    about = {"oracle": 0.5, "oracle_n": 24, "oracle.knn": 0.25, "oracle.knn_n": 30, "oracle.knn.top5": 0.75}
    table = TINY.assign(trial=range(3), **about, **{"oracle.late": 0.125})
    written(tmp_path / "trials.csv", table)
    written(tmp_path / "baselines.csv", DataFrame([{"baseline": "untrained", **about}]))
    for oracle, value, count in (("knn", 0.25, 30), ("knn.top5", 0.75, 30), (None, 0.5, 24)):
        results = load(tmp_path, oracle=oracle)
        assert results.trials[["oracle", "oracle_n"]].iloc[0].tolist() == [value, count]
        assert results.baselines["oracle"].tolist() == [value]
    assert load(tmp_path, oracle="late").baselines["oracle"].isna().all()


def test_without_an_oracle_the_column_is_empty(tmp_path: Path) -> None:
    assert load(written(tmp_path / "t.csv", TINY)).trials["oracle"].isna().all()


def test_an_audited_trial_stands_for_the_ones_that_were_pruned(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="s", trials=4), pruner={"name": "median", "audit": 0.25})
    trials = pd.read_parquet(folder / "trials.parquet").assign(audited=[True, False, False, None])
    trials.to_parquet(folder / "trials.parquet")
    assert load(folder).trials["weight"].tolist() == [4.0, 1.0, 1.0, 1.0]


def test_several_methods_in_one_table_are_told_apart(tmp_path: Path) -> None:
    table = DataFrame({"lidar": [1.0, 2.0, 3.0, 4.0], "oracle": [0.1, 0.2, 0.3, 0.4], "method": ["dino", "byol"] * 2})
    results = load(written(tmp_path / "both.csv", table))
    assert sorted(results.folders) == ["both.byol", "both.dino"]
    assert any("split" in note for note in results.notes)


@pytest.mark.slow
def test_a_copy_without_its_settings_is_another_sweep(tmp_path: Path) -> None:
    """Its tables still name the sweep that it was copied from."""
    folder = write_sweep(tmp_path, World(name="a", trials=3, epochs=2))
    copy = tmp_path / "a-backup"
    shutil.copytree(folder, copy)
    (copy / "sweep.yaml").unlink()
    found = load(tmp_path)
    assert len(set(found.folders)) == 2
    assert not found.reports.duplicated(["sweep", "trial", "epoch"]).any()
    assert analyze([tmp_path]).folder.is_dir()


def test_a_criterion_of_unknown_direction_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    DataFrame({"train_loss": [1.0, 2.0, 3.0], "oracle": [0.3, 0.2, 0.1]}).to_csv(path, index=False)
    assert any(
        "train_loss: more of it is taken as better" in note for note in load(path, criteria=["train_loss"]).notes
    )
    assert not any("taken as better" in note for note in load(path, criteria=["-train_loss"]).notes)


@pytest.mark.slow
def test_two_sweeps_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write_sweep(tmp_path / place, World(name="same", trials=3)) for place in ("a", "b")]
    results = load(folders)
    assert len(set(results.trials["sweep"])) == 2
    assert set(results.reports["sweep"]) == set(results.trials["sweep"]) == set(results.folders) == set(results.sweeps)
    assert results.home is None
    with pytest.raises(ResultsUnreadable, match="`--out` must name a folder"):
        analyze(folders)


def test_a_sweep_that_still_runs_is_left_out_with_a_note(tmp_path: Path) -> None:
    write_sweep(tmp_path, World(name="done", trials=3))
    (tmp_path / "running").mkdir()
    (tmp_path / "running" / "sweep.yaml").write_text("method: dino\n")
    results = load(tmp_path)
    assert list(results.folders) == ["done"]
    assert "sweeper resume" in results.notes[0]


def test_directions_come_from_the_records_and_a_sign_says_which() -> None:
    assert make_score_column("lidar").higher_is_better
    assert not make_score_column("loss").higher_is_better
    assert not make_score_column("-loss").higher_is_better
    assert make_score_column("+loss").higher_is_better
    assert not make_score_column("loss.embedding").higher_is_better
    assert make_score_column("+loss.embedding") == ScoreColumn("loss.embedding", higher_is_better=True)
    assert not make_score_column("-lidar.embedding").higher_is_better
    assert make_score_column("mine").higher_is_better
    assert not make_score_column("-mine").higher_is_better


def test_criteria_are_found_among_the_columns_of_the_contract(tmp_path: Path) -> None:
    trials = load(write_sweep(tmp_path, World(trials=3))).trials
    layers = [f"{name}.{layer}" for name in ("lidar", "rankme") for layer in ("representation", "embedding")]
    assert find_criteria(trials.columns) == ["lidar", "rankme", "loss", *layers]
    assert find_criteria(["new", "new.embedding", "new.representation", "new_n"])[0] == "new"


def test_scores_are_signed_and_never_infinite() -> None:
    scores = make_score_column("loss").scores(DataFrame({"loss": [1.0, np.inf, np.nan]}))
    assert scores.iloc[0] == -1
    assert scores.iloc[1:].isna().all()


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (TINY, {"oracle": "acc"}, "must have the oracle column acc, but it has lidar, accuracy"),
        (TINY, {"criteria": ["rankme", "lidar"]}, "must have the column rankme, but it has lidar, accuracy"),
        (TINY, {"criteria": ["lidr"]}, "must have the column lidr, .*; did you mean `lidar`\\?"),
        (TINY, {"oracle": "acuracy"}, "must have the oracle column acuracy, .*; did you mean `accuracy`\\?"),
        (TINY, {"hyperparameters": ["acuracy"]}, "must have the hyperparameters acuracy, .* did you mean `accuracy`"),
        (TINY[["accuracy"]], {"oracle": "accuracy"}, "must have a criterion column"),
        (TINY.assign(lidar="high"), {}, "`lidar` in .* must be numbers, but got 'high' in line 2"),
        (
            TINY.assign(status="done"),
            {},
            "`status` in .* must be one of completed, pruned, collapsed, diverged, failed, but got 'done' in line 2",
        ),
        (TINY.assign(trial=7), {}, "must name each trial once, but got 7 twice, the second time in line 3"),
        (TINY.head(0), {}, "must hold at least one trial"),
        (TINY, {"criteria": ["lidar", "-lidar"]}, "must name each column once"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_line(
    tmp_path: Path, table: DataFrame, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ResultsUnreadable, match=message) as raised:
        load(written(tmp_path / "t.csv", table), **options)  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.slow
def test_what_is_no_sweep_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "sweep.yaml").write_text("method: dino\n")
    for name, content in {"torn": "a: [\n", "dated": "a: 2026-13-45\n", "deep": "[" * 5000 + "]" * 5000}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "sweep.yaml").write_text(content)
        written(tmp_path / name / "trials.csv", TINY)
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "notes.txt").write_text("hello")
    for name, message in {
        "missing": "does not exist",
        "empty": "it has none",
        "half": "sweeper resume",
        "torn": "must be YAML",
        "dated": "must be YAML, but it does not parse: month must be in 1..12",
        "deep": "must be YAML, but it does not parse: maximum recursion depth exceeded",
        "torn.parquet": "cannot be read",
        "empty.csv": "is empty; it must have the names of the columns and one row per trial$",
        "notes.txt": "must end in .parquet or .csv",
    }.items():
        with pytest.raises(ResultsUnreadable, match=message) as raised:
            load(tmp_path / name)
        assert "\n" not in str(raised.value)
    with pytest.raises(ResultsUnreadable, match="at least one sweep"):
        load([])


def test_every_criterion_asked_for_is_kept_in_order() -> None:
    chosen = parse_criteria(["a", "b", "loss"], ["b", "-a", "b"])
    assert [(one.name, one.higher_is_better) for one in chosen] == [("b", True), ("a", False)]


@pytest.mark.parametrize(("stem", "column"), [("reports", "trial"), ("baselines", "baseline")])
def test_a_table_beside_the_trials_says_what_it_lacks(tmp_path: Path, stem: str, column: str) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=3, epochs=2))
    table = pd.read_parquet(folder / f"{stem}.parquet")
    table.drop(columns=column).to_parquet(folder / f"{stem}.parquet")
    with pytest.raises(ResultsUnreadable, match=f"must have the column {column}, but it has"):
        load(folder)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_an_empty_field_beyond_the_header_shifts_no_column(tmp_path: Path, place: int) -> None:
    lines = ["lidar,oracle,rankme", "51.257,0.4939,2.871", "48.679,0.4880,4.366", "56.404,0.4943,2.335"]
    lines[place] += ","
    path = tmp_path / "trail.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    trials = load(path).trials
    assert trials["lidar"].tolist() == [51.257, 48.679, 56.404]
    assert trials["oracle"].tolist() == [0.4939, 0.4880, 0.4943]
    assert trials["rankme"].tolist() == [2.871, 4.366, 2.335]


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_row_longer_than_the_header_is_refused_with_its_line(tmp_path: Path, place: int) -> None:
    lines = ["lidar,oracle,rankme", "51.257,0.4939,2.871", "48.679,0.4880,4.366", "56.404,0.4943,2.335"]
    lines[place] += ",7"
    path = tmp_path / "trail.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(ResultsUnreadable, match=f"line {place + 1} has 4 fields, but the header has 3"):
        load(path)


def test_a_row_shorter_than_the_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text('lidar,oracle,note\n1,0.5\n\n2,0.6,"a\nb"\n', encoding="utf-8")
    assert load(path).trials["oracle"].tolist() == [0.5, 0.6]


@pytest.mark.parametrize(
    ("stem", "column", "value", "said"),
    [
        ("reports", "epoch", -1, "`epoch` in .* must be whole numbers from 0, but got -1 in row 1"),
        ("reports", "epoch", 1.5, "must be whole numbers from 0, but got 1.5 in row 1"),
        ("reports", "epoch", None, "must be whole numbers from 0, but got nan in row 1"),
        ("reports", "epoch", "x", "`epoch` in .* must be numbers, but got 'x'"),
        ("reports", "train_seconds", math.inf, "`train_seconds` in .* must be seconds from 0 to 1e\\+12"),
        ("reports", "train_seconds", "x", "must be numbers, but got 'x'"),
        ("reports", "lidar", "x", "`lidar` in .* must be numbers, but got 'x'"),
        ("reports", "reported_at", "x", "`reported_at` in .* must be moments, but got 'x' in row 1"),
        ("reports", "reported_at", 1e30, "must be moments"),
        ("trials", "finished_at", "x", "`finished_at` in .* must be moments"),
        ("trials", "oracle_seconds", -1.0, "must be seconds from 0"),
        ("baselines", "oracle", "x", "`oracle` in .* must be numbers, but got 'x'"),
    ],
)
def test_a_cell_of_another_kind_is_refused_in_one_line(
    tmp_path: Path, stem: str, column: str, value: object, said: str
) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=3, epochs=2))
    table = pd.read_parquet(folder / f"{stem}.parquet")
    table[column] = value
    table.to_parquet(folder / f"{stem}.parquet")
    with pytest.raises(ResultsUnreadable, match=said) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_two_reports_of_one_epoch_are_refused(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=3, epochs=2))
    table = pd.read_parquet(folder / "reports.parquet")
    pd.concat([table, table.iloc[:1]]).to_parquet(folder / "reports.parquet")
    with pytest.raises(ResultsUnreadable, match="each epoch of a trial once, but epoch 1 of trial 0 is there twice"):
        load(folder)


LINES = "number,lidar,oracle\n\n0,1.5,0.5\n1,{},0.6\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (LINES.format("high"), 4),  # an empty line counts
        ("sep=,\n" + LINES.format("high"), 5),
        (LINES.replace("1.5", '"1.5\n"').format("high"), 5),  # a field over two lines
        (LINES.replace("0,1.5", "0,high").format(2), 3),
        ("trial,lidar,oracle\n0,,0.5\n,,\n1,high,0.6\n", 4),
    ],
)
def test_a_wrong_cell_of_a_csv_is_named_by_its_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ResultsUnreadable, match=rf"`lidar` in .* must be numbers, but got 'high' in line {line}$"):
        load(tmp_path / "t.csv", criteria=["lidar"])


def test_a_state_and_a_trial_are_named_by_their_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("number,state,lidar,oracle\n0,COMPLETE,1,0.5\n1,LOST,2,0.6\n")
    with pytest.raises(ResultsUnreadable, match=r"but got 'LOST' in line 3$"):
        load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("trial,lidar,oracle\n0,1,0.5\n1.5,2,0.6\n")
    with pytest.raises(ResultsUnreadable, match=r"but got 1\.5 in line 3$"):
        load(tmp_path / "t.csv")


def test_the_lines_of_a_csv_leave_no_trace(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", TINY)
    trials = load(path, oracle="accuracy").trials
    assert trials.index.tolist() == list(range(len(TINY)))
    assert "line" not in trials
    assert trials["trial"].tolist() == list(range(len(TINY)))


@pytest.mark.slow
def test_a_damaged_sweep_is_left_out_of_many_and_named(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        write_sweep(tmp_path, World(name=name, trials=4, epochs=2))
    (tmp_path / "two" / "trials.parquet").write_bytes(b"PAR1 and then nothing")
    table = pd.read_parquet(tmp_path / "three" / "reports.parquet")
    table.assign(epoch=-1).to_parquet(tmp_path / "three" / "reports.parquet")
    results = load(tmp_path)
    assert list(results.folders) == ["one"]
    three, two = results.left_out
    assert two.startswith(f"two was left out: `{tmp_path / 'two' / 'trials.parquet'}` must be a parquet table")
    assert three.startswith("three was left out: `epoch` in ")
    for named in (tmp_path / "two", [tmp_path / "one", tmp_path / "two"]):
        with pytest.raises(ResultsUnreadable, match=r"two/trials\.parquet` must be a parquet table"):
            load(named)
    shutil.rmtree(tmp_path / "one")
    with pytest.raises(ResultsUnreadable, match="`epoch` in "):
        load(tmp_path)


def test_a_mistyped_option_leaves_no_sweep_out(tmp_path: Path) -> None:
    write_sweep(tmp_path, World(name="one", trials=4, epochs=2))
    write_sweep(tmp_path, World(name="two", trials=4, epochs=2))
    table = pd.read_parquet(tmp_path / "two" / "trials.parquet")
    table.assign(lidr=1.0).to_parquet(tmp_path / "two" / "trials.parquet")
    with pytest.raises(ResultsUnreadable, match=r"must have the column lidr, .* did you mean `lidar`\?"):
        load(tmp_path, criteria=["lidr"])
    with pytest.raises(ResultsUnreadable, match=r"must have the hyperparameters lrr, but it has .*; did you mean `lr`"):
        load(tmp_path / "one", hyperparameters=["lrr"])


def test_a_failed_trial_with_an_accuracy_does_not_count(tmp_path: Path) -> None:
    """Over the completed trials alone the criterion ranks in reverse: with the failed ones τ would be 0.6."""
    lines = ["number,lidar,oracle,state"]
    lines += [f"{index},{index},{0.1 * index:.1f},FAIL" for index in range(5)]
    lines += ["5,5,0.9,COMPLETE", "6,6,0.8,COMPLETE", "7,7,0.7,COMPLETE"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    results = load(tmp_path / "t.csv")
    (row,) = kendall(results.trials, ["lidar"]).to_dict("records")
    assert (row["n"], row["tau"]) == (3, -1.0)
    assert "t: 5 failed trials with an accuracy do not count for τ" in results.notes


def test_a_damaged_table_says_what_can_rebuild_it(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=3, epochs=2))
    for name in ("trials", "reports", "baselines"):
        (folder / f"{name}.parquet").write_bytes(b"")
    for name in ("study.db", "reports.jsonl"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(
        ResultsUnreadable, match=r"trials.parquet` is empty; .*; study.db and reports.jsonl are missing"
    ):
        load(folder)
    assert how_to_rebuild(folder / "reports.parquet").endswith(
        ", or delete it to read the sweep without the values by epoch"
    )
    for name in ("study.db", "reports.jsonl"):
        (folder / name).write_text("")
    with pytest.raises(
        ResultsUnreadable, match=f"; `sweeper resume {folder}` writes it again from study.db and reports"
    ):
        load(folder)
    assert how_to_rebuild(folder / "baselines.parquet") == f"; `sweeper resume {folder}` measures it again"
    assert how_to_rebuild(tmp_path / "my.parquet") == ""


def test_images_that_could_not_be_read_are_a_caution() -> None:
    assert about_images({}) == about_images({"provenance": {"unreadable": 0}}) == []
    ((kind, text),) = about_images({"provenance": {"unreadable": 3}})
    assert kind == "unreadable files"
    assert text.startswith("3 image files could not be read and were left out: unreadable.txt")


def test_a_start_from_weights_is_said() -> None:
    assert about_weights({}) == about_weights({"encoder": {"name": "resnet"}}) == []
    ((kind, text),) = about_weights({"encoder": {"name": "resnet", "weights": "/start"}})
    assert (kind, "the untrained encoder is the one of that file" in text) == ("start from weights", True)
