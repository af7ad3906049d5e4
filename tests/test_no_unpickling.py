"""A results folder from somebody else cannot run code: no data of a stored study is unpickled."""

from __future__ import annotations

import functools
import math
import pickle
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from cmaes import CMA
from small_sweeps import make_images, mapping

from sweeper.config.model import SweepConfig
from sweeper.config.read import parse_config
from sweeper.search.cmaes import GENERATION
from sweeper.search.seeds import seed_of
from sweeper.search.storage import in_memory, open_study
from sweeper.search.study import Study

pytestmark = pytest.mark.slow

NUMERIC = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "projection_dim": {"type": "int", "low": 4, "high": 64},
    "temperature": {"type": "float", "low": 0.1, "high": 0.9},
}
SPACE = {**NUMERIC, "optimizer": {"type": "categorical", "choices": ["sgd", "adamw"]}}
PRUNERS: list[dict[str, Any]] = [
    {"name": "none"},
    {"name": "median", "n_startup_trials": 1},
    {"name": "percentile", "percentile": 25.0, "n_startup_trials": 1},
    {"name": "successive_halving"},
    {"name": "hyperband"},
    {"name": "patient", "patience": 1, "wrapped_pruner": {"name": "median"}},
    {"name": "threshold", "lower": -100.0},
]


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"), count=60)


@pytest.fixture
def no_unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)


def sweep(images: Path, sampler: str, **changes: Any) -> SweepConfig:
    search = {"sampler": sampler, "seed": 3}
    settings = {"space": SPACE, "fixed": {}, "trials": 60, "search": search, "epochs": 9} | changes
    return parse_config(mapping(images, **settings), source="test")


def hill(params: Mapping[str, Any]) -> float:
    """Highest at a learning rate of 0.01 and a temperature of 0.3."""
    return -((math.log10(params["lr"]) + 2) ** 2) - 4 * (params["temperature"] - 0.3) ** 2


def run(study: Study, until: int) -> None:
    while study.started() < until:
        number = study.start()
        assert number is not None
        study.finish(number, "completed", value=hill(study.record(number).hyperparameters))


def plant(study: Study, mark: Path) -> None:
    """Write pickles into every trial, in every form that Optuna's own sampler would read as its optimizer."""
    assert study.storage is not None
    hexadecimal = pickle.dumps(Planted(mark)).hex()
    for trial in study.study.get_trials(deepcopy=False):
        for kind in ("cma", "sepcma", "cmawm"):
            study.storage.set_trial_system_attr(trial._trial_id, f"{kind}:optimizer:0", hexadecimal)


def test_an_optimizer_planted_in_a_study_is_never_executed(images: Path, tmp_path: Path) -> None:
    config, mark = sweep(images, "cmaes"), tmp_path / "executed"
    where = {"url": f"sqlite:///{tmp_path}/study.db", "name": "s"}
    with closing(open_study(config, **where, create=True)) as study:
        running = study.start()
        assert running is not None
        plant(study, mark)  # a running trial takes no attributes once it has ended
        study.finish(running, "completed", value=1.0)
        run(study, 12)
    clean = Study(config, in_memory(config))
    assert clean.start() == 0
    clean.finish(0, "completed", value=1.0)
    run(clean, 14)
    with closing(open_study(config, **where, create=False)) as study:
        run(study, 14)
        assert any("cma:optimizer:0" in trial.system_attrs for trial in study.study.trials)
        assert not mark.exists()
        drawn = [record.hyperparameters for record in study.records()]
    assert drawn == [record.hyperparameters for record in clean.records()]


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes", "qmc"])
def test_no_sampler_unpickles(images: Path, tmp_path: Path, no_unpickling: None, sampler: str) -> None:
    config = sweep(images, sampler)
    where = {"url": f"sqlite:///{tmp_path}/study.db", "name": "s"}
    with closing(open_study(config, **where, create=True)) as study:
        run(study, 16)
    with closing(open_study(config, **where, create=False)) as study:
        run(study, 18)
        assert not any("optimizer" in key for trial in study.study.trials for key in trial.system_attrs)


@pytest.mark.parametrize("pruner", PRUNERS, ids=lambda pruner: pruner["name"])
def test_no_pruner_unpickles(images: Path, tmp_path: Path, no_unpickling: None, pruner: dict[str, Any]) -> None:
    config = sweep(images, "random", pruner=pruner)
    where = {"url": f"sqlite:///{tmp_path}/study.db", "name": "s"}
    for until in (3, 5):
        with closing(open_study(config, **where, create=until == 3)) as study:
            while study.started() < until:
                number = study.start()
                assert number is not None
                for epoch in range(1, config.epochs + 1):
                    study.report(number, epoch, float(number))
                    assert study.should_prune(number) in (True, False)
                study.finish(number, "completed", value=float(number))


def test_cmaes_learns_also_where_it_is_resumed_after_every_trial(images: Path, tmp_path: Path) -> None:
    config = sweep(images, "cmaes")
    where = {"url": f"sqlite:///{tmp_path}/study.db", "name": "s"}
    for until in (1, 8, 9, 30, 31, 59, 60):
        with closing(open_study(config, **where, create=until == 1)) as study:
            run(study, until)
            values = [hill(record.hyperparameters) for record in study.records()]
            last = study.study.trials[-1].system_attrs
    assert np.median(values[-20:]) > np.median(values[:15]) / 3  # the top of the hill is at 0
    assert last == {GENERATION: 58 // CMA(mean=np.zeros(3), sigma=1.0).population_size}


def test_cmaes_draws_what_optunas_own_draws_of_the_same_state(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare each trial with Optuna's sampler, which keeps its optimizer, with equal random numbers."""
    config = sweep(images, "cmaes", space=NUMERIC, fixed={"optimizer": "sgd"})
    ours = Study(config, in_memory(config))
    theirs = optuna.create_study(direction="maximize")
    for number in range(40):
        run(ours, number + 1)
        seed = seed_of(config.search.seed, "sampler", number)
        theirs.sampler = optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        with monkeypatch.context() as patched:
            patched.setattr(CMA, "ask", functools.partialmethod(_ask_with, CMA.ask, seed))
            trial = theirs.ask(dict(config.space))
        theirs.tell(trial, hill(trial.params))
        assert trial.params == pytest.approx(dict(ours.record(number).hyperparameters), rel=1e-9)


def _ask_with(optimizer: CMA, ask: Any, seed: int) -> Any:
    optimizer._rng.seed(seed)
    return ask(optimizer)


def test_a_trial_that_completes_late_changes_nothing_that_was_told(images: Path) -> None:
    """The optimizer gets the first trials of a generation that complete, whatever their numbers."""
    config = sweep(images, "cmaes", space=NUMERIC, fixed={"optimizer": "sgd"})
    study = Study(config, in_memory(config))
    run(study, 1)
    numbers = [study.start() for _ in range(8)]
    late = numbers.pop(2)
    assert late is not None
    for number in numbers:
        assert number is not None
        study.finish(number, "completed", value=hill(study.record(number).hyperparameters))
    before = study._draw(9)
    study.finish(late, "completed", value=1000.0)
    assert study._draw(9) == before
    assert before[1] == {GENERATION: 1}


def test_generations_that_are_no_numbers_are_passed_over(images: Path) -> None:
    config = sweep(images, "cmaes", space=NUMERIC, fixed={"optimizer": "sgd"})
    study = Study(config, in_memory(config))
    for number in range(3):
        study.start()
        storage = study.study._storage
        storage.set_trial_system_attr(study.study.trials[number]._trial_id, GENERATION, ["0", {"a": 1}, None][number])
        study.finish(number, "completed", value=1.0)
    params, system = study._draw(3)
    assert set(params) == set(NUMERIC)
    assert system == {GENERATION: 0}
