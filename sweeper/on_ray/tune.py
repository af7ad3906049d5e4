"""A sweep on Ray Tune: a Searcher and a TrialScheduler that both call the dispatcher."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeper.errors import SweepError
from sweeper.on_ray.cluster import ray_died
from sweeper.on_ray.driver import Driver, Task
from sweeper.on_ray.progress import progress_file, read_progress, write_progress
from trainers.datasets.base import Images
from trainers.records import Progress

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

Work = Callable[[Any, Images, Callable[[Any], bool]], None]
"""Runs a task on the images of the data set, and sends messages; the answer to each is whether to go on."""
LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at how far the trials are."""


class StudySearcher(Searcher):
    """Gives the dispatcher's tasks to Tune, and tells the dispatcher when they end."""

    def __init__(self, dispatcher: Driver, deaths: dict[str, str]) -> None:
        super().__init__()
        self.dispatcher = dispatcher
        self.deaths = deaths
        self.tasks: dict[str, Task] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | Any | None:
        """The next task as the config of a Tune trial; None if there is none yet but running tasks may create one."""
        with ErrorsToDriver(self.dispatcher):
            task = self.dispatcher.next()
            if task is not None:
                self.tasks[trial_id] = task
                return {"task": task}
        return None if self.dispatcher.live else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Tell the dispatcher that a task has ended: by itself, by a STOP, or because its worker died."""
        with ErrorsToDriver(self.dispatcher):
            task = self.tasks.pop(trial_id)
            self.dispatcher.ended(task, died=self.deaths.pop(trial_id, "its worker died") if error else "")

    def save(self, checkpoint_path: str) -> None:
        """Save nothing, because the study is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudyScheduler(FIFOScheduler):
    """Gives every report to the dispatcher, which records it and decides whether Tune continues the trial."""

    def __init__(self, dispatcher: Driver, deaths: dict[str, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dispatcher = dispatcher
        self.deaths = deaths

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: Mapping[str, Any]) -> str:
        """Pass the report on, and return CONTINUE or STOP."""
        go_on = True
        with ErrorsToDriver(self.dispatcher):
            go_on = self.dispatcher.received(trial.config["task"], result.get("message"))
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Record the death of a worker; Tune itself retries the trial `max_retries` times."""
        fail_with_ray(self.dispatcher)  # first, because then the trial is not the cause
        with ErrorsToDriver(self.dispatcher):
            task: Task = trial.config["task"]
            text = Path(trial.error_file).read_text().strip() if trial.error_file else ""
            lines = [line for line in text.splitlines() if line and not line[0].isspace()]
            self.deaths[trial.trial_id] = f"its worker died: {lines[-1]}" if lines else "its worker died"
            if task.kind != "baselines":
                task.trial_folder.mkdir(parents=True, exist_ok=True)
                with task.log.open("a") as log:
                    log.write(f"the worker died\n{text}\n")

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ErrorsToDriver:
    """Passes an error in a callback to the dispatcher, because Tune would wrap it in an error of its own."""

    def __init__(self, dispatcher: Driver) -> None:
        self.dispatcher = dispatcher

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.dispatcher.fail(error)
        return True


class QuietCallback(TrialProgressCallback):
    """Replaces Tune's own callback, which prints a line for every trial that does not report a number."""

    def __init__(self) -> None:
        pass

    def on_trial_result(self, *args: Any, **kwargs: Any) -> None:
        """Print nothing."""

    def on_trial_error(self, *args: Any, **kwargs: Any) -> None:
        """Print nothing."""

    def on_trial_complete(self, *args: Any, **kwargs: Any) -> None:
        """Print nothing."""


def fail_with_ray(dispatcher: Driver) -> None:
    """End the sweep with an error if Ray itself has died."""
    if ray_died():
        dispatcher.fail(SweepError("Ray has died; `sweeper resume` continues the sweep"))


class StopTune(BaseException):
    """Raised to leave Tune's loop immediately."""


class SweepStopper(tune.Stopper):
    """Called by Tune at every step; it leaves Tune's loop if the sweep must end or Ray has died.

    It also passes on how far the trials are, which their workers write into files below `progress`.
    """

    def __init__(self, dispatcher: Driver, tasks: Mapping[str, Task], progress: Path) -> None:
        self.dispatcher = dispatcher
        self.tasks = tasks
        self.progress = progress
        self.looked = -math.inf
        self.seen: dict[Path, Progress] = {}

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Always false; to end the sweep it raises StopTune, which is faster."""
        fail_with_ray(self.dispatcher)
        self._look()
        if self.dispatcher.stopping:
            raise StopTune
        return False

    def _look(self) -> None:
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        for task in self.tasks.values():
            file = progress_file(self.progress, task)
            found = read_progress(file)
            if found is not None and found != self.seen.get(file):
                self.seen[file] = found
                with ErrorsToDriver(self.dispatcher):
                    self.dispatcher.received(task, found)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def bundle(task: Task, cpus: float, gpus: float) -> dict[str, float]:
    """The resources of a task: its share of a GPU, or whole GPUs after it ran out of memory beside other tasks."""
    share = math.ceil(gpus) if task.alone else gpus
    return {"CPU": cpus, **({"GPU": share} if share else {})}


def run_on_worker(config: Mapping[str, Any], work: Work, images: Images, progress: Path) -> None:
    """The Tune function: run one task and report to the controller, which ends this thread if it decides to stop.

    A report waits for the controller; what is only shown is written into a file below `progress`, and waits for nobody.
    """
    task: Task = config["task"]

    def send(message: object) -> bool:
        if isinstance(message, Progress):
            write_progress(progress_file(progress, task), message)
        else:
            tune.report({"message": message})
        return True

    work(task, images, send)


def tune_sweep(
    dispatcher: Driver,
    work: Work,
    images: Images,
    *,
    jobs: int,
    cpus: float,
    gpus: float,
    retries: int,
    storage: Path,
) -> None:
    """Run the dispatcher's tasks on Ray with the function `work`, until no task is left or the sweep must stop."""
    deaths: dict[str, str] = {}
    searcher = StudySearcher(dispatcher, deaths)
    progress = storage.absolute() / "progress"
    progress.mkdir(parents=True, exist_ok=True)

    def resources(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([bundle(config["task"], cpus, gpus)])

    tuner = tune.Tuner(
        tune.with_resources(
            tune.with_parameters(run_on_worker, work=work, images=images, progress=progress), resources
        ),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=StudyScheduler(dispatcher, deaths),
            num_samples=-1,
            max_concurrent_trials=jobs,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            storage_path=str(storage),
            verbose=0,
            callbacks=[QuietCallback()],
            stop=SweepStopper(dispatcher, searcher.tasks, progress),
            failure_config=tune.FailureConfig(max_failures=retries),
        ),
    )
    try:
        tuner.fit()
    except StopTune:
        return
