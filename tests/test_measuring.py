"""When criteria are measured, and what they are on shuffled views: in one trial, in the rules, and in the judge."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
from pandas import DataFrame
from test_loop import config
from test_stopping import history

from analysis import replay
from analysis.data.columns import could_be_criteria, find_criteria
from analysis.data.measured import mark_measured
from analysis.stats.epochs import by_epoch
from analysis.text.cautions import about_noise
from sweeper.config.model import CollapseRule
from sweeper.errors import ResultsError
from sweeper.search.stopping import collapse_reason
from sweeper.store.reports import report_row, row_report
from trainers.criteria import CRITERIA
from trainers.criteria.base import Features
from trainers.criteria.lidar import lda_information, lidar
from trainers.datasets.base import Images
from trainers.loop import Trainer, train
from trainers.measure import null_values, passes_of, shuffle, untrained
from trainers.records import CHECKPOINT, EMBEDDING, REPRESENTATION, EpochReport, null_columns

VIEWS = torch.arange(20).repeat_interleave(6).reshape(20, 6, 1) * 100.0 + torch.arange(6.0)[:, None]
"""(n, q, 1) of which view j of image i is 100·i + j."""


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(
        train=rng.integers(0, 256, (64, 12, 12, 3), dtype=np.uint8),
        test=rng.integers(0, 256, (32, 12, 12, 3), dtype=np.uint8),
    )


@pytest.fixture(scope="module")
def reports(images: Images) -> dict[int, list[EpochReport]]:
    """`criteria_every` -> the reports of the same trial of five epochs."""
    return {every: list(train(config(epochs=5, criteria_every=every), images=images)) for every in (1, 2)}


def test_criteria_are_measured_every_second_epoch_and_at_the_last(reports: dict[int, list[EpochReport]]) -> None:
    assert [report.measured for report in reports[1]] == [True] * 5
    assert [report.measured for report in reports[2]] == [False, True, False, True, True]
    for full, sparse in zip(reports[1], reports[2], strict=True):
        assert sparse.loss == full.loss
        assert sparse.criteria == (full.criteria if sparse.measured else {})
        assert (sparse.spread, sparse.embedding_rank) == (full.spread, full.embedding_rank)
        assert full.embedding_rank == full.criteria["rankme.embedding"]
        assert set(sparse.seconds) == {"train", "criteria"} | ({"lidar", "rankme"} if sparse.measured else set())


@pytest.mark.slow
def test_without_rankme_no_rank_is_computed(images: Images) -> None:
    trial = config(epochs=2, criteria=("lidar",), criteria_every=2)
    assert all(math.isnan(report.embedding_rank) for report in train(trial, images=images))


def test_nulls_come_with_the_last_epoch_and_for_criteria_of_views(reports: dict[int, list[EpochReport]]) -> None:
    for one in reports.values():
        assert [bool(report.nulls) for report in one] == [False] * 4 + [True]
        assert set(one[-1].nulls) == {*null_columns("lidar")}
    assert reports[1][-1].nulls == reports[2][-1].nulls


def test_the_untrained_network_has_nulls(images: Images) -> None:
    found = untrained(config(), images=images)
    assert set(found.nulls) == {*null_columns("lidar")}
    assert all(math.isfinite(value) for value in found.nulls.values())


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_views_keep_their_index_and_come_from_different_images(seed: int) -> None:
    shuffled = shuffle(VIEWS, seed)[..., 0].long()
    assert shuffled.shape == (20, 6)
    assert (shuffled % 100 == torch.arange(6)).all()
    sources = shuffled // 100
    assert all(len(row.unique()) == 6 for row in sources)
    assert all(sorted(column.tolist()) == list(range(20)) for column in sources.T)
    assert torch.equal(shuffle(VIEWS, seed), shuffle(VIEWS, seed))
    assert not torch.equal(shuffle(VIEWS, seed), shuffle(VIEWS, seed + 1))


def test_more_views_than_images_are_shuffled_too() -> None:
    sources = shuffle(VIEWS[:4], 0)[..., 0].long() // 100
    assert all(sorted(column.tolist()) == list(range(4)) for column in sources.T)


def test_a_null_is_the_criterion_of_shuffled_views() -> None:
    """Separated images have much information, and none once their views are shuffled."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(200, 8, generator=generator)
    views = clean[:, None] + 0.3 * torch.randn(200, 10, 8, generator=generator)
    features = {EMBEDDING: Features(views, clean), REPRESENTATION: Features(2 * views, clean)}
    names = ("lidar", "lda_information", "rankme", "instance_knn")
    found = null_values(features, names, "simclr", 3)
    assert set(found) == {column for name in names for column in CRITERIA[name].null_columns}
    assert found["lidar_null.embedding"] == lidar(shuffle(views, 3))
    assert found["lidar_null"] == found["lidar_null.embedding"]  # SimCLR's layer
    assert found["lda_information_null"] == found["lda_information_null.representation"]
    assert found["lda_information_null.embedding"] < 0.05 * lda_information(views)


def test_a_sample_passes_in_parts() -> None:
    images, kept = torch.randn(10, 1, 4, 4), torch.arange(10)[:, None]
    parts = list(passes_of(images, kept, count=3))
    assert [len(part) for part, _ in parts] == [3, 3, 3, 1]
    assert torch.equal(torch.cat([part for part, _ in parts]), images)
    assert torch.equal(torch.cat([part for _, part in parts if part is not None]), kept)
    assert [len(part) for part, _ in passes_of(images, count=100)] == [10]


@pytest.mark.slow
def test_small_passes_give_the_same_criteria(
    images: Images, reports: dict[int, list[EpochReport]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.passes.PASS_BYTES", 5 * 4 * 3 * 12 * 12)
    (first, *_) = train(config(epochs=5), images=images)
    expected = reports[1][0].criteria
    assert {name: pytest.approx(value, rel=1e-4) for name, value in expected.items()} == dict(first.criteria)


@pytest.mark.slow
def test_a_checkpoint_of_an_earlier_version_continues(images: Images, tmp_path: Path) -> None:
    trial = config(epochs=2)
    next(iter(train(trial, images=images, folder=tmp_path)))
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del state["config"]["criteria_every"]
    for report in state["reports"]:
        del report["embedding_rank"], report["nulls"]
    torch.save(state, tmp_path / CHECKPOINT)
    assert [report.epoch for report in train(trial, images=images, folder=tmp_path)] == [1, 2]
    with pytest.raises(ValueError, match="another configuration"):
        Trainer(replace(trial, criteria_every=2), images).restore(state, tmp_path / CHECKPOINT)


def test_a_report_comes_back_from_its_row(reports: dict[int, list[EpochReport]]) -> None:
    for report in reports[2]:
        row = report_row(report)
        back = row_report(row, ("lidar", "rankme"), measured=report.measured)
        beside = {name for name in report.criteria if name.endswith("_noise")}
        known = {name: value for name, value in report.criteria.items() if name not in beside}
        assert repr(asdict(back)) == repr(asdict(replace(report, criteria=known)))  # NaN equals itself
    with pytest.raises(ResultsError, match="`lidar` must be a number"):
        row_report(report_row(reports[2][0]), ("lidar", "rankme"))


def between(*epochs: dict[str, float]) -> list[EpochReport]:
    """A healthy trial whose criteria are measured at even epochs."""
    made = []
    for report, said in zip(history(*epochs), epochs, strict=True):
        rank = said.get("rankme.embedding", 9.0)
        made.append(replace(report, embedding_rank=rank, criteria=report.criteria if report.epoch % 2 == 0 else {}))
    return made


def judged(*epochs: dict[str, float], rule: CollapseRule | None = None) -> str:
    return collapse_reason(between(*epochs), rule or CollapseRule(), objective="lidar", epochs=10)


@pytest.mark.parametrize(("name", "low"), [("rankme.embedding", 1.4), ("spread", 1e-4)])
def test_the_collapse_rule_looks_at_epochs_without_criteria(name: str, low: float) -> None:
    assert "at epochs 3 and 4" in judged({}, {}, {name: low}, {name: low})
    assert "at epochs 4 and 5" in judged({}, {}, {}, {name: low}, {name: low})
    assert judged({}, {}, {}, {name: low}, {}, {name: low}) == ""


def test_an_objective_counts_where_it_is_measured() -> None:
    assert judged({}, {"lidar": math.nan}) == "lidar is nan at epoch 2"
    assert judged({}, {}, {"lidar": math.nan}) == ""
    rule = CollapseRule(peak_share=0.5)
    fallen = [{}, {}, {}, {"lidar": 5.0}, {}, {"lidar": 5.0}]
    assert judged(*fallen, rule=rule) == "lidar under 0.5 of its peak 20: 5 at epochs 4 and 6"
    assert judged(*fallen[:5], rule=rule) == ""


def sparse_reports() -> DataFrame:
    """Four trials of five epochs, of which the third has a criterion that could not be computed at epoch 4."""
    rows = [
        {"trial": trial, "epoch": epoch, "loss": 9.0 - trial, "lidar": math.nan if epoch in (1, 3) else 5.0 + trial}
        for trial in range(4)
        for epoch in range(1, 6)
    ]
    table = DataFrame(rows)
    table.loc[(table["trial"] == 2) & (table["epoch"] == 4), "lidar"] = math.nan
    return mark_measured(table, {"criteria_every": 2, "epochs": 5})


def test_tables_by_epoch_have_measured_epochs() -> None:
    trials = DataFrame(
        {"trial": range(4), "status": "completed", "oracle": [0.1, 0.2, 0.3, 0.4], "loss": 1.0, "lidar": 1.0}
    )
    table = by_epoch(trials, sparse_reports())
    assert table[table["criterion"] == "lidar"]["epoch"].tolist() == [2, 4, 5]
    assert table[table["criterion"] == "loss"]["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert table[table["criterion"] == "lidar"]["n"].tolist() == [4, 3, 4]


def test_a_replay_tells_pruners_of_measured_epochs_only() -> None:
    """Not measured is no collapse, not computable is one, and the epochs that a trial trained count in full."""
    played = replay(sparse_reports(), optuna.pruners.ThresholdPruner(lower=5.5), epochs=5)
    assert played["status"].tolist() == ["pruned", "completed", "collapsed", "completed"]
    assert played["epochs"].tolist() == [2, 5, 4, 5]
    trials = DataFrame({"trial": [1], "status": ["collapsed"]})
    ended = sparse_reports().query("trial == 1 and epoch <= 3")
    played = replay(ended, optuna.pruners.NopPruner(), trials=trials, epochs=5)
    assert played[["status", "epochs"]].values.tolist() == [["collapsed", 3]]


def test_nulls_are_no_criteria_of_their_own() -> None:
    names = ["lidar", "lidar.embedding", *null_columns("lidar"), "mine", "mine.embedding", *null_columns("mine")]
    assert find_criteria(names) == ["lidar", "mine", "lidar.embedding", "mine.embedding"]
    assert not {*null_columns("mine"), *null_columns("lidar")} & {*could_be_criteria(names)}


@pytest.mark.parametrize(("share", "said"), [(0.4, 0), (0.5, 0), (0.7, 1)])
def test_a_share_of_noise_above_a_half_is_a_caution(share: float, said: int) -> None:
    trials = DataFrame({"trial": range(3), "status": "completed", "lidar_noise": [share, share, math.nan]})
    found = about_noise(trials)
    assert len(found) == said
    for _, text in found:
        assert "70%" in text
        assert "criteria_sample.views" in text
        assert "`lda_information`" in text
    assert about_noise(trials.drop(columns="lidar_noise")) == []
