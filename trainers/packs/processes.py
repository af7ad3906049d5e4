"""The worker processes that pack."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from trainers.packs.encode import Job, write_shard
from trainers.packs.sources import PackError

PACKAGES: Final = Path(__file__).parents[2]
"""Where the packages lie, which a worker imports from the same place."""


class Worker:
    """One process; it ends when its input is closed."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainers.packs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def do(self, job: Job) -> dict[int, str]:
        """The files of a shard that cannot be read, by their positions; the shard is written.

        Raises:
            OSError: the shard cannot be written.
            PackError: the process has died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(asdict(job)), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PackError(
                f"a process that packs has died (exit status {self.process.wait()}); the next run continues"
            )
        answer = json.loads(line)
        if "error" in answer:
            raise OSError(answer["errno"] or errno.EIO, answer["error"])
        return {int(position): why for position, why in answer["failures"].items()}

    def close(self) -> None:
        """End the process at once: a shard that it has not finished is written anew by the next run."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, dict[int, str]]]:
    """Each job as it is done, with the files that cannot be read; for one worker, it is done in this process.

    Raises:
        OSError: a shard cannot be written.
        PackError: a process has died.
    """
    if workers == 1:
        for job in jobs:
            yield job, write_shard(job)
        return
    idle: SimpleQueue[Worker] = SimpleQueue()
    started = [Worker() for _ in range(min(workers, len(jobs)))]
    for worker in started:
        idle.put(worker)

    def do(job: Job) -> dict[int, str]:
        worker = idle.get()
        try:
            return worker.do(job)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(max(1, len(started))) as pool:
        try:
            of_future = {pool.submit(do, job): job for job in jobs}
            for future in as_completed(of_future):
                yield of_future[future], future.result()
        finally:
            for worker in started:
                worker.close()
            pool.shutdown(cancel_futures=True)
