"""The published runs of other people: the numbers of their README, against SciPy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from analysis.data.load import load
from analysis.stats.across import sound_trials
from analysis.stats.ranking import kendall

FOLDER = Path(__file__).parents[1] / "results/reference/published"
TABLE = FOLDER / "tiny-imagenet-resnet18.csv"


@pytest.mark.parametrize(("method", "n", "tau"), [("vicreg", 31, 0.84), ("simclr", 25, -0.19)])
def test_rankme_ranks_the_runs_of_one_method_and_not_those_of_the_other(method: str, n: int, tau: float) -> None:
    ranking = kendall(load(TABLE, oracle="acc_cifar100").trials, ["rankme"]).set_index("method")
    part = pd.read_csv(TABLE).query("method == @method")
    row = ranking.loc[method]
    assert row["n"] == len(part) == n
    assert row["tau"] == pytest.approx(stats.kendalltau(part["rankme"], part["acc_cifar100"]).statistic, abs=1e-12)
    assert row["tau"] == pytest.approx(tau, abs=0.005)


def test_rankme_also_ranks_the_runs_that_did_not_collapse() -> None:
    ranking = kendall(sound_trials(load(TABLE, oracle="acc_cifar100").trials), ["rankme"]).set_index("method")
    assert ranking.loc["vicreg", "n"] == 23
    assert ranking.loc["vicreg", "tau"] == pytest.approx(0.76, abs=0.005)


def test_a_run_is_called_collapsed_where_its_accuracy_is_that_of_chance() -> None:
    table = pd.read_csv(TABLE)
    assert ((table["status"] == "collapsed") == (table["acc_cifar100"] == 0.01)).all()
    assert ((table["status"] == "collapsed") == (table["rankme"] < 1.1)).all()


def test_the_report_is_that_of_the_table() -> None:
    written = pd.read_csv(FOLDER / "analysis/ranking.csv").set_index(["method", "criterion"])["tau"]
    found = kendall(load(TABLE, oracle="acc_cifar100").trials, ["rankme", "loss"])
    known = found.set_index(["method", "criterion"])["tau"]
    pd.testing.assert_series_equal(written, known, check_exact=False, rtol=1e-12)
