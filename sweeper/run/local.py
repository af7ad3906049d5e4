"""Trials in this process, one after the other, without Ray."""

from __future__ import annotations

from functools import partial

from sweeper.run.devices import device_here, same_device
from sweeper.run.dispatcher import Dispatcher
from sweeper.run.images import same_images
from sweeper.run.interrupt import interruptible
from sweeper.run.options import RunOptions
from sweeper.run.packing import reading_images
from sweeper.run.start import same_weights
from sweeper.run.tasks import Message, Task
from sweeper.run.worker import run_task
from sweeper.store.manifest import store_trials
from trainers.datasets.base import Images
from trainers.records import Progress


class StopTask(BaseException):
    """Ends the running task at a point where no file is half-written."""


def run_locally(dispatcher: Dispatcher, options: RunOptions, images: Images | None) -> None:
    """Run the tasks one after the other in this process; a signal ends training at once and leaves whole records."""
    working = False

    def stop(reason: str) -> None:
        dispatcher.stop(reason)
        if working:
            raise StopTask

    def receive(task: Task, message: Message) -> bool:
        nonlocal working
        working = False
        goes_on = dispatcher.received(task, message) and not dispatcher.stopping
        if isinstance(message, Progress) and not goes_on:
            raise StopTask  # between two updates, where nobody asks for the answer
        working = goes_on
        return working

    with interruptible(stop, seconds=options.timeout):
        dispatcher.device = device_here(dispatcher.config, options.device)
        with reading_images(dispatcher.config, dispatcher.observers) as tell:
            images = same_images(dispatcher.config, dispatcher.folder, images, tell)
        same_weights(dispatcher.config, dispatcher.folder)
        same_device(dispatcher.folder, dispatcher.device, probes_only=dispatcher.only_waiting)
        store_trials(dispatcher.folder, dispatcher.config)
        while (task := dispatcher.next()) is not None:
            try:
                working = True
                run_task(task, images, partial(receive, task))
            except StopTask:
                return
            finally:
                working = False
            if dispatcher.stopping:
                return
            dispatcher.ended(task)
