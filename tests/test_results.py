"""A sweep's folder: atomic writes, a single writer, incomplete lines, and tables with the documented columns."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from small_sweeps import ROOT, make_images, small_config

from sweeper.config.model import SweepConfig
from sweeper.errors import ResultsError
from sweeper.search.study import TrialRecord
from sweeper.store.atomic import disk_full, is_disk_full, write_text
from sweeper.store.find import find_sweep
from sweeper.store.layout import SweepFolder
from sweeper.store.lock import locked
from sweeper.store.manifest import create_folder, read_manifest, write_manifest
from sweeper.store.outcomes import Outcome, read_outcome, write_outcome
from sweeper.store.reports import ReportLog, read_log, row_report
from sweeper.store.tables import write_baselines, write_tables
from trainers.criteria import CRITERIA
from trainers.records import (
    EPOCH_COLUMNS,
    TRIAL_COLUMNS,
    EpochReport,
    OracleScore,
    TrialResult,
    criterion_columns,
    names_of,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    return small_config(make_images(tmp_path_factory.mktemp("images")))


@pytest.fixture
def folder(tmp_path: Path, config: SweepConfig) -> SweepFolder:
    return create_folder(tmp_path / "sweep", config, study="s")


def report(trial: int, epoch: int, **changes: float) -> EpochReport:
    criteria = {column: float(epoch) for name in ("lidar", "rankme") for column in criterion_columns(name)} | changes
    return EpochReport(
        trial,
        epoch,
        10 * epoch,
        0.5,
        criteria,
        0.1,
        {"train": 2.0, "criteria": 0.5, "lidar": 0.4, "rankme": 0.1},
        100.0,
    )


def record(number: int, status: str, **changes: object) -> TrialRecord:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    values = {
        "number": number,
        "configuration": number,
        "seed": 7,
        "hyperparameters": {"lr": 0.1, "temperature": 0.5},
        "status": status,
        "reason": "",
        "audited": False,
        "would_prune_epoch": None,
        "started_at": now,
        "finished_at": now if status else None,
        "value": None,
    } | changes
    return TrialRecord(**values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_sweep_yaml_is_the_configuration_and_where_it_came_from(folder: SweepFolder, config: SweepConfig) -> None:
    again, read, origin = read_manifest(folder.path)
    assert read == config
    assert again == folder
    assert origin["study"] == "s"
    assert origin["packages"]["optuna"][0].isdigit()
    assert origin["machine"]["cores"] == os.cpu_count()
    write_manifest(folder, config, origin)
    assert read_manifest(folder.path)[1:] == (config, origin)


def test_an_existing_sweep_is_refused_with_both_ways_out(folder: SweepFolder, config: SweepConfig) -> None:
    with pytest.raises(ResultsError, match=r"exists; continue it with --resume, or choose another --name"):
        create_folder(folder.path, config, study="s")


@pytest.mark.parametrize("content", ["", "just text", "method: [", "method: simclr"])
def test_a_damaged_sweep_yaml_is_said_to_be_so(folder: SweepFolder, content: str) -> None:
    folder.sweep_file.write_text(content)
    with pytest.raises(ResultsError, match=r"is damaged|is cut short"):
        read_manifest(folder.path)
    with pytest.raises(ResultsError, match=r"holds no sweep\.yaml"):
        read_manifest(folder.path / "trials")


def test_sweeps_are_found_by_path_and_by_name(folder: SweepFolder) -> None:
    results = folder.path.parent
    assert find_sweep(str(folder.path), results) == folder.path
    assert find_sweep("sweep", results) == folder.path
    with pytest.raises(ResultsError, match=r"there is no sweep swep .* is it sweep"):
        find_sweep("swep", results)
    with pytest.raises(ResultsError, match="holds none yet; start one with"):
        find_sweep("x", results / "nowhere")


def test_a_whole_name_comes_before_a_prefix_and_a_sweep_may_be_called_latest(tmp_path: Path) -> None:
    def put(name: str, created: str) -> Path:
        (tmp_path / name).mkdir()
        text = "method: simclr\ndataset: {name: photos}\ntrials: 1\nseeds: 1\nobjective: lidar\n"
        (tmp_path / name / "sweep.yaml").write_text(f"{text}provenance: {{created: '{created}'}}\n")
        return tmp_path / name

    dino, second = put("dino", "2026-01-02"), put("dino-2", "2026-01-01")
    assert find_sweep("dino", tmp_path) == dino
    assert find_sweep("dino-", tmp_path) == second
    put("dino-1", "2025-12-31")
    assert find_sweep("latest", tmp_path) == dino
    with pytest.raises(
        ResultsError, match=r"^din is the beginning of 3 sweeps: dino, dino-1, dino-2; write more of it$"
    ):
        find_sweep("din", tmp_path)
    (tmp_path / "din").mkdir()  # a damaged sweep is not taken for the beginning of another
    with pytest.raises(ResultsError, match=r"din is not a sweep: it has no sweep\.yaml"):
        find_sweep("din", tmp_path)
    latest = put("latest", "2025-01-01")
    assert find_sweep("latest", tmp_path) == latest


def test_a_damaged_sweep_is_never_the_latest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "sweep.yaml").write_text("trials: [")
    with pytest.raises(ResultsError, match="is damaged"):
        find_sweep("latest", tmp_path)
    (tmp_path / "a").mkdir()
    text = "method: simclr\ndataset: {name: photos}\ntrials: 1\nseeds: 1\nobjective: lidar\n"
    (tmp_path / "a" / "sweep.yaml").write_text(text)
    assert find_sweep("latest", tmp_path).name == "a"
    assert "left out" in caplog.text


def test_reports_come_back_as_they_went(folder: SweepFolder) -> None:
    log = ReportLog(folder)
    sent = [report(0, 1), report(1, 1, lidar=math.nan), report(0, 2, lidar=math.inf)]
    for one in sent:
        log.append(one, {})
    log.append(report(1, 2), {"verdict": "pruned", "reason": "why"})
    log.close()
    rows = read_log(folder)
    assert [repr(row_report(row, ("lidar", "rankme"))) for row in rows[:3]] == [repr(one) for one in sent]
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["verdict"] == "pruned"


@pytest.mark.slow
def test_a_torn_last_line_is_cut_and_the_numbering_goes_on(folder: SweepFolder) -> None:
    log = ReportLog(folder)
    log.append(report(0, 1), {})
    log.append(report(0, 2), {})
    log.close()
    whole = folder.reports_log.read_bytes()
    for cut in range(1, len(whole) - whole.index(b"\n") - 1):
        folder.reports_log.write_bytes(whole[:-cut])
        assert [row["epoch"] for row in read_log(folder)] == [1]
        again = ReportLog(folder)
        again.append(report(0, 2), {})
        again.close()
        assert [(row["epoch"], row["sequence"]) for row in read_log(folder)] == [(1, 1), (2, 2)]


def test_a_damaged_line_in_the_middle_is_told(folder: SweepFolder) -> None:
    folder.reports_log.write_text('{"trial": 0, "epoch"\n{"trial": 0, "epoch": 1}\n')
    with pytest.raises(ResultsError, match=r"line 1 of .* is damaged"):
        read_log(folder)


def test_a_report_that_came_twice_counts_once(folder: SweepFolder) -> None:
    log = ReportLog(folder)
    log.append(report(0, 1, lidar=3.0), {})
    log.append(report(0, 1, lidar=4.0), {})
    log.close()
    assert [row["lidar"] for row in read_log(folder)] == [3.0]


def test_a_full_disk_is_told_as_such(folder: SweepFolder) -> None:
    folder.reports_log.symlink_to("/dev/full")
    log = ReportLog(folder)
    with pytest.raises(OSError, match="No space left") as caught:
        log.append(report(0, 1), {})
    log.close()
    assert is_disk_full(caught.value)
    wrapped = ValueError("cannot write")
    wrapped.__cause__ = caught.value
    assert is_disk_full(wrapped)
    assert is_disk_full(RuntimeError("(sqlite3.OperationalError) database or disk is full"))
    assert not is_disk_full(ValueError("no"))
    assert f"then `sweeper resume {folder.path}`" in str(disk_full(folder.path))


class Once(ValueError):
    """An error whose text may be read only once."""

    asked = False

    def __str__(self) -> str:
        assert not self.asked, "the circular chain of errors was followed twice"
        self.asked = True
        return "no"


def test_errors_that_lead_to_each_other_are_no_endless_chain() -> None:
    one, other = Once(), Once()
    one.__cause__, other.__context__ = other, one
    assert not is_disk_full(one)
    first, second = ValueError("first"), OSError(errno.ENOSPC, "No space left on device")
    first.__cause__, second.__context__ = second, first
    assert is_disk_full(first)


def test_only_one_process_holds_a_sweep(folder: SweepFolder) -> None:
    code = (
        "import sys, time; from pathlib import Path; from sweeper.store.layout import SweepFolder\n"
        "from sweeper.store.lock import locked\n"
        "with locked(SweepFolder(Path(sys.argv[1]))): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ResultsError, match=rf"in use by another process \(pid {holder.pid}\)"), locked(folder):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with locked(folder):
        pass


def test_files_are_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_text(path, "before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "after")
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_outcomes_come_back_as_they_went(folder: SweepFolder) -> None:
    path = folder.trial(3)
    assert path.name == "0003"
    path.mkdir()
    assert read_outcome(path) is None
    outcome = Outcome(
        TrialResult(3, "pruned", "why", 4, {"lidar_paper": OracleScore(0.5, 10, 1.0)}), ("lidar_paper",), "e"
    )
    write_outcome(path, outcome)
    assert read_outcome(path) == outcome


def test_the_tables_have_the_columns_of_the_contract(folder: SweepFolder, config: SweepConfig) -> None:
    log = ReportLog(folder)
    for one in (report(0, 1), report(1, 1, lidar=math.nan), report(0, 2)):
        log.append(one, {})
    log.close()
    for number in (0, 1):
        folder.trial(number).mkdir()
    scores = {"lidar_paper": OracleScore(0.75, 24, 2.0)}
    write_outcome(folder.trial(0), Outcome(TrialResult(0, "completed", epochs=2, oracles=scores)))
    folder.checkpoint(0).touch()
    records = [
        record(0, "completed"),
        record(1, "pruned", reason="late"),
        record(2, "failed", reason="E"),
        record(3, ""),
    ]
    write_tables(folder, config, records)

    reports = pd.read_parquet(folder.path / "reports.parquet")
    columns = [*CRITERIA["lidar"].columns, *CRITERIA["rankme"].columns]
    nulls = CRITERIA["lidar"].null_columns
    assert set(reports.columns) == {*names_of(EPOCH_COLUMNS), *columns, *nulls, "lidar_seconds", "rankme_seconds"}
    assert list(reports["sequence"]) == [1, 2, 3]
    assert str(reports["reported_at"].dt.tz) == "UTC"

    trials = pd.read_parquet(folder.path / "trials.parquet")
    assert set(names_of(TRIAL_COLUMNS)) <= set(trials.columns)
    assert {*columns, "oracle.lidar_paper", "config.lr", "config.optimizer"} <= set(trials.columns)
    first, second, third, fourth = (row for _, row in trials.iterrows())
    assert (first["status"], first["epochs"], first["oracle"], first["oracle_n"]) == ("completed", 2, 0.75, 24)
    assert first["lidar"] == 2.0
    assert first["seconds"] == 2 * 2.5 + 2.0
    assert first["checkpoint"] == "trials/0000/checkpoint.pt"
    assert (first["lidar_n"], first["lidar_q"], first["rankme_n"]) == (40, 3, 40)
    assert math.isnan(second["lidar"])
    assert pd.isna(second["checkpoint"])
    assert (third["epochs"], third["reason"]) == (0, "E")
    assert math.isnan(third["loss"])
    assert math.isnan(third["rankme"])
    assert fourth["status"] == "failed"
    assert "interrupted" in fourth["reason"]


@pytest.mark.slow
def test_without_an_oracle_its_columns_are_absent(tmp_path: Path, config: SweepConfig) -> None:
    none = small_config(Path(str(config.dataset["root"])), oracle="none")
    folder = create_folder(tmp_path / "none", none, study="s")
    write_tables(folder, none, [record(0, "completed")])
    assert not [name for name in pd.read_parquet(folder.path / "trials.parquet").columns if name.startswith("oracle")]
    write_baselines(folder, none.criteria, none.oracle, [{"baseline": "untrained", "lidar": 1.0}])
    assert not [name for name in pd.read_parquet(folder.baselines).columns if name.startswith("oracle")]


def test_an_empty_sweep_has_tables_with_the_same_types(folder: SweepFolder, config: SweepConfig) -> None:
    write_tables(folder, config, [])
    empty = {name: pq.read_schema(folder.path / f"{name}.parquet") for name in ("reports", "trials")}
    log = ReportLog(folder)
    log.append(report(0, 1), {})
    log.close()
    write_tables(folder, config, [record(0, "completed")])
    for name, schema in empty.items():
        filled = pq.read_schema(folder.path / f"{name}.parquet")
        fixed = [column for column in schema.names if not column.startswith("config.")]
        assert [schema.field(column).type for column in fixed] == [filled.field(column).type for column in fixed]


def test_json_of_the_log_is_plain(folder: SweepFolder) -> None:
    log = ReportLog(folder)
    log.append(report(0, 1), {})
    log.close()
    row = json.loads(folder.reports_log.read_text())
    assert {type(value) for value in row.values()} <= {int, float, str}
