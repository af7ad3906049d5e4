"""Configurations as functions of seed and number, and the study as the state of a sweep."""

from __future__ import annotations

import copy
import itertools
import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats
from small_sweeps import mapping

from sweeper.config.model import SweepConfig
from sweeper.config.read import parse_config
from sweeper.errors import ConfigError, ResultsError
from sweeper.search.configurations import configuration, points_of
from sweeper.search.samplers import check_trials, make_sampler
from sweeper.search.seeds import trial_seed
from sweeper.search.storage import in_memory, open_study
from sweeper.search.study import Study

SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "points": 3},
    "temperature": {"type": "float", "low": 0.1, "high": 0.9, "points": 2},
    "projection_dim": {"type": "int", "low": 4, "high": 8, "points": 5},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adamw"]},
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_sweeps import make_images

    return make_images(tmp_path_factory.mktemp("images"), count=60)


CENTRE = {"lr": 0.01, "projection_dim": 6, "optimizer": "sgd"}


def sweep(images: Path, sampler: str, **changes: object) -> SweepConfig:
    changes = {"space": SPACE, "fixed": {}, "trials": 8, "search": {"sampler": sampler, "seed": 3}} | changes
    return parse_config(mapping(images, **changes), source="test")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "qmc", "grid", "axes"])
def test_configuration_k_is_a_function_of_seed_and_k(images: Path, sampler: str) -> None:
    fixed = CENTRE if sampler == "axes" else {}
    few, many = (sweep(images, sampler, trials=trials, fixed=fixed) for trials in (2, 8))
    backwards = [configuration(many, number) for number in reversed(range(8))][::-1]
    assert backwards == [configuration(few, number) for number in range(8)]
    for values in backwards:
        assert list(values) == list(few.space)
        assert all(few.space[name]._contains(few.space[name].to_internal_repr(values[name])) for name in values)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "qmc", "grid"])
def test_another_seed_draws_others(images: Path, sampler: str) -> None:
    one, other = (sweep(images, sampler, search={"sampler": sampler, "seed": seed}) for seed in (0, 1))
    assert [configuration(one, k) for k in range(8)] != [configuration(other, k) for k in range(8)]


@pytest.mark.slow
def test_random_draws_are_uniform_and_independent(images: Path) -> None:
    config = sweep(images, "random")
    drawn = [configuration(config, number) for number in range(800)]
    lr = [math.log10(values["lr"]) / 4 + 1 for values in drawn]
    temperature = [(values["temperature"] - 0.1) / 0.8 for values in drawn]
    assert stats.kstest(lr, "uniform").pvalue > 0.01
    assert stats.kstest(temperature, "uniform").pvalue > 0.01
    assert abs(stats.spearmanr(lr, temperature).statistic) < 0.1
    counts = np.bincount([values["projection_dim"] for values in drawn])[4:]
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.slow
def test_a_new_hyperparameter_leaves_the_random_draws_of_the_others(images: Path) -> None:
    without = {name: axis for name, axis in SPACE.items() if name != "lr"}
    wide, narrow = configuration(sweep(images, "random"), 5), configuration(sweep(images, "random", space=without), 5)
    assert narrow == {name: value for name, value in wide.items() if name != "lr"}


@pytest.mark.slow
def test_qmc_puts_one_point_in_every_eighth(images: Path) -> None:
    """The first 2^m points of a scrambled Sobol' sequence meet every dyadic interval of length 2^-m once."""
    drawn = [configuration(sweep(images, "qmc"), number) for number in range(8)]
    eighths = sorted(int((math.log10(values["lr"]) / 4 + 1) * 8) for values in drawn)
    assert eighths == list(range(8))


@pytest.mark.slow
def test_a_grid_is_every_combination_once_in_an_order_that_spans_it(images: Path) -> None:
    config = sweep(images, "grid", trials=60)
    drawn = [tuple(configuration(config, number).values()) for number in range(60)]
    expected = itertools.product([1e-4, 1e-2, 1.0], [0.1, 0.9], [4, 5, 6, 7, 8], ["sgd", "adamw"])
    assert sorted(drawn) == sorted(expected)
    assert len({values[0] for values in drawn[:12]}) == 3


def test_axes_move_one_hyperparameter_at_a_time(images: Path) -> None:
    config = sweep(images, "axes", trials=9, fixed=CENTRE)
    centre, *moved = [configuration(config, number) for number in range(9)]
    assert centre == CENTRE | {"temperature": 0.1}  # the method's own default
    for values in moved:
        assert sum(values[name] != centre[name] for name in centre) == 1
    assert {values["lr"] for values in moved} == {1e-4, 1e-2, 1.0}


def test_axes_want_a_centre_inside(images: Path) -> None:
    with pytest.raises(ConfigError, match=r"default lr of 4\.8 is outside `space\.lr`.*`fixed\.lr`"):
        configuration(sweep(images, "axes"), 0)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "there"), [("grid", 60), ("axes", 9)])
def test_more_trials_than_configurations_are_refused(images: Path, sampler: str, there: int) -> None:
    fixed = CENTRE if sampler == "axes" else {}
    check_trials(sweep(images, sampler, trials=there, fixed=fixed))
    with pytest.raises(ConfigError, match=rf"`trials` must be at most the {there} configurations .* but got 61"):
        check_trials(sweep(images, sampler, trials=61, fixed=fixed))


def test_points_keep_the_ends_and_are_readable() -> None:
    assert points_of(FloatDistribution(1e-4, 1e-1, log=True), 4) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert points_of(FloatDistribution(0.1, 0.7), 3) == [0.1, 0.4, 0.7]
    assert points_of(IntDistribution(1, 1000, log=True), 4) == [1, 10, 100, 1000]
    assert points_of(FloatDistribution(0.3, 0.9), 1) == [0.3]


def objective(params: dict[str, float]) -> float:
    """A hill over the learning rate and the temperature."""
    return -((math.log10(params["lr"]) + 2) ** 2) - (params["temperature"] - 0.5) ** 2


def run(study: Study, until: int) -> None:
    """Trials with three epochs each; every fourth is pruned after its first."""
    while study.started() < until:
        number = study.start()
        assert number is not None
        value = objective(study.record(number).hyperparameters)
        for epoch in (1, 2, 3):
            study.report(number, epoch, value * epoch / 3)
            if number % 4 == 3:
                study.finish(number, "pruned", "for the test")
                break
        else:
            study.finish(number, "completed", value=value)


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes", "qmc"])
@pytest.mark.slow
def test_a_study_that_is_opened_again_and_again_draws_what_one_sitting_draws(
    images: Path, tmp_path: Path, sampler: str
) -> None:
    space = {name: SPACE[name] for name in ("lr", "temperature")}
    config = sweep(images, sampler, trials=14, space=space)
    once = Study(config, in_memory(config))
    run(once, 14)
    url = f"sqlite:///{tmp_path}/study.db"
    run(open_study(config, url=url, name="s", create=True), 3)
    for until in (4, 5, 9, 12, 13, 14):
        run(open_study(config, url=url, name="s", create=False), until)
    resumed = open_study(config, url=url, name="s", create=False)
    assert [record.hyperparameters for record in resumed.records()] == [
        record.hyperparameters for record in once.records()
    ]
    assert resumed.start() is None


@pytest.mark.slow
def test_samplers_that_learn_do_learn(images: Path) -> None:
    config = sweep(images, "tpe", trials=40, space={name: SPACE[name] for name in ("lr", "temperature")})
    study = Study(config, in_memory(config))
    run(study, 40)
    values = [objective(record.hyperparameters) for record in study.records()]
    assert np.median(values[25:]) > np.median(values[:10]) + 0.5


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_draw_is_that_of_copied_trials_and_leaves_the_study_as_it_is(images: Path, sampler: str) -> None:
    config = sweep(images, sampler, trials=30)
    study = Study(config, in_memory(config))
    run(study, 20)
    before = copy.deepcopy(study.study.get_trials())
    assert study.start() == 20
    after = study.study.get_trials()
    reference = optuna.create_study(
        study_name=study.study.study_name, direction="maximize", sampler=make_sampler(config, 20)
    )
    reference.add_trials(before)
    asked = reference.ask(dict(config.space))
    assert after[20].params == asked.params
    assert after[20].system_attrs == reference.get_trials()[20].system_attrs
    assert [trial.__dict__ for trial in after[:20]] == [trial.__dict__ for trial in before]


def test_seeds_repeat_a_configuration_with_other_seeds(images: Path) -> None:
    for sampler in ("random", "tpe"):
        config = sweep(images, sampler, trials=3, seeds=2)
        study = Study(config, in_memory(config))
        assert study.runs == 6
        run(study, 6)
        records = study.records()
        assert [record.configuration for record in records] == [0, 0, 1, 1, 2, 2]
        assert len({record.seed for record in records}) == 6
        for even, odd in zip(records[::2], records[1::2], strict=True):
            assert even.hyperparameters == odd.hyperparameters
        assert records[0].hyperparameters != records[2].hyperparameters


def test_a_trial_enters_the_storage_whole(images: Path) -> None:
    config = sweep(images, "tpe")
    study = Study(config, in_memory(config))
    number = study.start()
    trial = study.study.trials[0]
    assert number == 0
    assert trial.state == TrialState.RUNNING
    assert set(trial.params) == set(SPACE)
    assert trial.user_attrs == {"configuration": 0, "seed": trial_seed(3, 0)}
    told = study.trial_config(0)
    assert told.hyperparameters == trial.params
    assert told.swept == tuple(SPACE)


def test_how_trials_end_in_the_study(images: Path) -> None:
    config = sweep(images, "random")
    study = Study(config, in_memory(config))
    for number, status in enumerate(["completed", "pruned", "collapsed", "diverged", "failed"]):
        study.start()
        study.report(number, 1, 2.0)
        study.report(number, 2, math.nan if status in ("collapsed", "diverged") else 7.0)
        study.finish(number, status, f"because {status}", value=7.0)
        study.finish(number, "failed", "said again")
    states = [trial.state for trial in study.study.trials]
    pruned = [TrialState.PRUNED] * 3
    assert states == [TrialState.COMPLETE, *pruned, TrialState.FAIL]
    assert [trial.value for trial in study.study.trials] == [7.0, 7.0, None, None, None]
    assert [record.status for record in study.records()] == ["completed", "pruned", "collapsed", "diverged", "failed"]
    assert [record.reason for record in study.records()] == [f"because {record.status}" for record in study.records()]


@pytest.mark.slow
def test_a_report_that_is_there_stays(images: Path) -> None:
    config = sweep(images, "random")
    study = Study(config, in_memory(config))
    study.start()
    study.report(0, 1, 5.0)
    study.report(0, 1, 9.0)
    assert study.record(0).reported == {1: 5.0}


def test_the_median_prunes_who_lags(images: Path) -> None:
    config = sweep(images, "random", pruner={"name": "median", "n_startup_trials": 2})
    study = Study(config, in_memory(config))
    for number, value in enumerate([10.0, 12.0, 5.0, 20.0]):
        study.start()
        study.report(number, 1, value)
        assert study.should_prune(number) is (number == 2)
        study.finish(number, "completed", value=value)


def test_tpe_sees_pruned_trials_as_pruned(images: Path) -> None:
    """TPE uses the state of a trial: with COMPLETE instead of PRUNED, the same values lead to other draws."""
    space = {name: SPACE[name] for name in ("lr", "temperature")}
    config = sweep(images, "tpe", trials=30, space=space)
    drawn = []
    for status in ("pruned", "completed"):
        study = Study(config, in_memory(config))
        for number in range(16):
            study.start()
            study.report(number, 1, float(number))
            study.finish(number, status if number % 2 else "completed", value=float(number))
        study.start()
        drawn.append(study.record(16).hyperparameters)
    assert drawn[0] != drawn[1]


@pytest.mark.slow
def test_a_storage_that_cannot_serve_says_so_without_the_password(images: Path, tmp_path: Path) -> None:
    config = sweep(images, "random")
    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(ResultsError, match=r"study\.db is missing, so the sweep cannot continue"):
        open_study(config, url=url, name="absent", create=False)
    assert not (tmp_path / "study.db").exists()
    open_study(config, url=url, name="s", create=True)
    with pytest.raises(ResultsError, match="holds no study named absent"):
        open_study(config, url=url, name="absent", create=False)
    with pytest.raises(ResultsError, match="already holds a study named s"):
        open_study(config, url=url, name="s", create=True)
    with pytest.raises(
        ResultsError, match=r"postgresql\+psycopg://me:\*\*\*@localhost:1/none cannot be opened"
    ) as caught:
        open_study(config, url="postgresql+psycopg://me:secret@localhost:1/none", name="s", create=True)
    assert "secret" not in str(caught.value)


def test_first_configurations_are_what_runs(images: Path) -> None:
    from sweeper.cli.plan import first_configurations

    config = sweep(images, "random", trials=5)
    shown = first_configurations(config, 3)
    assert [dict(trial.hyperparameters) for trial in shown] == [configuration(config, number) for number in range(3)]
    assert len(first_configurations(config, 99)) == 5


def test_the_objective_sets_the_direction(images: Path) -> None:
    config = sweep(images, "random")
    assert in_memory(config).direction == optuna.study.StudyDirection.MAXIMIZE
