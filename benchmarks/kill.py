"""Kill sweeps repeatedly with SIGKILL, at random and at critical moments, and count the losses.

    python benchmarks/kill.py --sweeps 3 --kills 8

Each sweep of small real trials runs on Ray, in its own process. The kills hit the driver at a random time, the driver
at a chosen moment, a worker, or Ray's raylet. After each kill the sweep is resumed. At the end, its reports are
compared bit for bit with those of an undisturbed sweep.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import yaml  # noqa: E402
from killing import MOMENTS, Ledger, Victim, kill_driver, lines, wait_for  # noqa: E402
from small_sweeps import make_images, mapping, oracles, same_reports, small_config  # noqa: E402

from sweeper.run.options import RunOptions  # noqa: E402
from sweeper.run.sweep import run_sweep  # noqa: E402


@dataclass
class Count:
    """The kills and resumes of all sweeps."""

    kills: dict[str, int] = field(default_factory=dict)
    resumes: list[float] = field(default_factory=list)
    """Seconds from the start of a resume to its first report or its end."""

    def hit(self, what: str) -> None:
        self.kills[what] = self.kills.get(what, 0) + 1


def worker_of(victim: Victim) -> int | None:
    """The process of a worker that runs an unfinished trial."""
    for folder in sorted((victim.folder / "trials").glob("*")):
        if not (folder / "result.json").is_file() and (folder / "log.txt").is_file():
            found = re.findall(r"in process (\d+)", (folder / "log.txt").read_text())
            if found and Path(f"/proc/{found[-1]}").exists():
                return int(found[-1])
    return None


def disturb(victim: Victim, rng: random.Random, count: Count) -> None:
    """Kill once; the driver has died or ended when this returns."""
    kind = rng.choice(["at random", "at random", "at random", *MOMENTS, "worker", "raylet"])
    if kind in MOMENTS:
        if wait_for(victim, MOMENTS[kind]):
            count.hit(f"driver, {kind}")
    elif kind == "at random":
        wait_for(victim, (lambda until: lambda _: time.monotonic() > until)(time.monotonic() + rng.uniform(0, 20)))
        if victim.running:
            count.hit("driver, at random")
    elif wait_for(victim, lambda _: len(lines(victim.folder)) > victim.lines_before):
        pid = worker_of(victim) if kind == "worker" else next(iter(victim.pids("raylet")), None)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            count.hit(f"a {kind}" if kind == "worker" else "the raylet")
            wait_for(victim, (lambda until: lambda _: time.monotonic() > until)(time.monotonic() + 20))
    if victim.running:
        kill_driver(victim)
    victim.wait_gone()


def torture(file: Path, folder: Path, quiet: Path, kills: int, rng: random.Random, count: Count) -> None:
    """Run one sweep with `kills` kills and then to its end; raise if a report is lost, repeated or different."""
    ledger = Ledger()
    for _ in range(kills):
        what = "resume" if (folder / "sweep.yaml").is_file() else file
        disturb(Victim.start(what, folder), rng, count)
        ledger.check(folder)
    began = time.monotonic()
    last = Victim.start("resume", folder)
    before = len(lines(folder))
    wait_for(last, lambda _: len(lines(folder)) > before)
    count.resumes.append(time.monotonic() - began)
    last.wait_gone(600)
    if last.process.returncode != 0:
        raise AssertionError(last.output)
    ledger.check(folder)
    same_reports(quiet, folder)
    assert oracles(quiet) == oracles(folder)


def main() -> None:
    """Run the sweeps and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sweeps", type=int, default=3)
    parser.add_argument("--kills", type=int, default=8, help="per sweep")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, count = random.Random(options.seed), Count()
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        images = make_images(base / "images")
        file = base / "sweep.yaml"
        file.write_text(yaml.safe_dump(mapping(images, trials=options.trials)))
        quiet = base / "quiet"
        run_sweep(small_config(images, trials=options.trials), quiet, RunOptions(local=True))
        for index in range(options.sweeps):
            torture(file, base / f"sweep{index}", quiet, options.kills, rng, count)
            print(
                f"sweep {index + 1} of {options.sweeps}: all reports equal those of the undisturbed sweep", flush=True
            )
    for what, times in sorted(count.kills.items()):
        print(f"{times:4d}  {what}")
    print(f"{sum(count.kills.values()):4d}  kills survived in {options.sweeps} sweeps of {options.trials} trials")
    print("   0  reports lost, repeated or different; 0 finished trials run again; 0 processes or folders left behind")
    print(f"      last resumes: first report after {min(count.resumes):.0f}-{max(count.resumes):.0f} s")


if __name__ == "__main__":
    main()
