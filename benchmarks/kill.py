"""Kill sweeps with SIGKILL, at random and at critical moments, resume them, and count what was lost.

    python benchmarks/kill.py --local 25 --ray 15

Small real trials, one at a time, with TPE, a median pruner that audits half of what it would stop, and
`keep_checkpoints: best`. A kill hits the driver, its process group, a worker or Ray's raylet; each is followed by a
resume. At the end, the sweep must equal one that was never killed, to the last bit: its reports, the states of its
trials, their oracles, and the checkpoints that were kept.
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
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import pandas as pd  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from killing import MOMENTS, Ledger, Victim, lines, wait_for  # noqa: E402
from small_sweeps import make_images, mapping, same_reports  # noqa: E402

from sweeper.config.read import load_config  # noqa: E402
from sweeper.run.options import RunOptions  # noqa: E402
from sweeper.run.sweep import run_sweep  # noqa: E402

SEARCH: dict[str, Any] = {
    "jobs": 1,
    "search": {"sampler": "tpe"},
    "pruner": {"name": "median", "n_startup_trials": 3, "n_warmup_steps": 1, "audit": 0.5},
    "keep_checkpoints": "best",
}
STATE = ("trial", "status", "reason", "epochs", "seed", "audited", "would_prune_epoch", "checkpoint")
"""Columns of trials.parquet that must equal those of the undisturbed sweep, besides the hyperparameters."""
LAST = "during the final write"
PATIENCE = 600.0
"""Seconds for a moment to come, and for a sweep to end, on a busy machine."""


@dataclass
class Count:
    """The kills and resumes of all sweeps."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(where, what) -> kills."""
    resumes: list[float] = field(default_factory=list)
    """Seconds from the start of a sweep's last resume to its first report or its end."""
    compared: Counter[str] = field(default_factory=Counter)
    """What was compared with the undisturbed sweep -> how much of it."""


def worker_of(victim: Victim) -> int | None:
    """The process of a worker that runs an unfinished trial."""
    for folder in sorted((victim.folder / "trials").glob("*")):
        if not (folder / "result.json").is_file() and (folder / "log.txt").is_file():
            found = re.findall(r"in process (\d+)", (folder / "log.txt").read_text())
            if found and Path(f"/proc/{found[-1]}").exists():
                return int(found[-1])
    return None


def after(reports: int, seconds: float, victim: Victim) -> bool:
    """Wait for so many more reports and then some time; whether the driver is still running."""
    until = len(lines(victim.folder)) + reports
    if not wait_for(victim, lambda _: len(lines(victim.folder)) >= until, PATIENCE):
        return False
    end = time.monotonic() + seconds
    return not wait_for(victim, lambda _: time.monotonic() > end, PATIENCE) or victim.running


def kill(victim: Victim, what: str, rng: random.Random) -> bool:
    """Send one SIGKILL; whether its moment came before the driver had ended."""
    if what in MOMENTS:
        came = wait_for(victim, MOMENTS[what], PATIENCE)
    else:
        came = after(rng.choice((0, 1, 2)), rng.uniform(0, 0.5), victim)
    target = {"a worker": worker_of, "the raylet": lambda one: next(iter(one.pids("raylet")), None)}.get(what)
    if came and target is not None:
        came = after(1, 0, victim)  # the worker has begun
        pid = target(victim)
        if pid is None:
            return False
        os.kill(pid, signal.SIGKILL)
        after(1, 0, victim)  # without its worker the sweep goes on; without the raylet the driver ends with a message
    elif came and what == "the process group":
        os.killpg(victim.process.pid, signal.SIGKILL)
    return came


def disturb(what: str, start: Path | str, folder: Path, where: str, rng: random.Random) -> str:
    """Run or resume a sweep and kill; the kind of the kill, or "" where its moment has not come."""
    victim = Victim.start(start, folder, where=where)
    came = kill(victim, what, rng)
    if victim.running:
        os.kill(victim.process.pid, signal.SIGKILL)
    victim.wait_gone(PATIENCE)
    return what if came else ""


def kinds(where: str, sweeps: int, each: int, rng: random.Random) -> list[list[str]]:
    """What the kills of each sweep hit, in turn: every kind as often as the others, within one.

    The final write comes last, because the sweep has ended then.
    """
    some = ["the driver", "the process group", *(moment for moment in MOMENTS if moment != LAST)]
    some += ["a worker", "the raylet"] if where == "ray" else []
    dealt = [what for _ in range(sweeps * each) for what in rng.sample(some, len(some))]
    return [[*dealt[index * (each - 1) : (index + 1) * (each - 1)], LAST] for index in range(sweeps)]


def torture(
    file: Path, folder: Path, quiet: Path, where: str, kills: list[str], rng: random.Random, count: Count
) -> None:
    """Run one sweep with these kills and then to its end; raise if anything is lost, repeated or different."""
    ledger = Ledger()
    for what in kills:
        came = ""
        while not came:
            came = disturb(what, "resume" if (folder / "sweep.yaml").is_file() else file, folder, where, rng)
            ledger.check(folder)
            what = "the driver" if what != LAST else LAST
            if not came and what == LAST:
                came = disturb_finished(folder, where, rng)
        count.kills[where, came] += 1
        print(f"  {where}: {came}; {len(lines(folder))} reports so far", flush=True)
    began, before = time.monotonic(), len(lines(folder))
    last = Victim.start("resume", folder, where=where)
    wait_for(last, lambda _: len(lines(folder)) > before, PATIENCE)
    count.resumes.append(time.monotonic() - began)
    last.wait_gone(PATIENCE)
    if last.process.returncode != 0:
        raise AssertionError(last.output)
    ledger.check(folder)
    same_sweep(quiet, folder, count)


def disturb_finished(folder: Path, where: str, rng: random.Random) -> str:
    """Kill the driver while it resumes a sweep that has ended."""
    victim = Victim.start("resume", folder, where=where)
    time.sleep(rng.uniform(0.1, 2))
    came = victim.running
    if came:
        os.kill(victim.process.pid, signal.SIGKILL)
    victim.wait_gone(PATIENCE)
    return "the driver, after the end" if came else ""


def same_sweep(quiet: Path, folder: Path, count: Count) -> None:
    """Assert that two sweeps have the same reports, states, oracles and kept checkpoints, to the last bit."""
    same_reports(quiet, folder)
    pd.testing.assert_frame_equal(states(quiet), states(folder), check_exact=True)
    kept = [sorted(path.relative_to(one) for path in one.glob("trials/*/*.pt")) for one in (quiet, folder)]
    assert kept[0] == kept[1], f"checkpoints kept: {kept[1]}, but undisturbed: {kept[0]}"
    assert kept[0], "no checkpoint was kept"
    for name in kept[0]:
        assert same(contents(quiet / name), contents(folder / name)), f"{name} differs"
    assert not list(folder.rglob("*.tmp"))
    count.compared.update(reports=len(lines(folder)), trials=len(states(folder)), checkpoints=len(kept[0]))


def states(folder: Path) -> pd.DataFrame:
    """How each trial ended, its hyperparameters and its oracles."""
    table = pd.read_parquet(folder / "trials.parquet").sort_values("trial", ignore_index=True)
    return table[[*STATE, *(name for name in table if re.match(r"config\.|oracle(_n$|\.|$)", name))]]


def contents(checkpoint: Path) -> dict[str, Any]:
    """What is in a checkpoint, without the times of its reports."""
    state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    timed = ("seconds", "images_per_second")
    rows = [{key: value for key, value in row.items() if key not in timed} for row in state["reports"]]
    return {**state, "reports": rows}


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def main() -> None:
    """Run the sweeps and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--local", type=int, default=25, help="kills of sweeps with --local")
    parser.add_argument("--ray", type=int, default=15, help="kills of sweeps on Ray")
    parser.add_argument("--each", type=int, default=5, help="kills per sweep")
    parser.add_argument("--trials", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the sweeps go; it must be new.  [default: a temporary one]")
    options = parser.parse_args()
    rng, count = random.Random(options.seed), Count()
    with tempfile.TemporaryDirectory() as temporary:
        base = options.folder or Path(temporary)
        base.mkdir(parents=True, exist_ok=True)
        file, quiet = base / "sweep.yaml", base / "quiet"
        file.write_text(yaml.safe_dump(mapping(make_images(base / "images"), trials=options.trials, **SEARCH)))
        run_sweep(load_config(file), quiet, RunOptions(local=True))
        ended = states(quiet)
        audited = int(ended["audited"].fillna(False).astype(bool).sum())
        print(f"undisturbed: {dict(Counter(ended['status']))}, {audited} audited", flush=True)
        plans = [
            (where, kills)
            for where in ("local", "ray")
            for kills in kinds(where, getattr(options, where) // options.each, options.each, rng)
        ]
        for index, (where, kills) in enumerate(plans):
            torture(file, base / f"sweep{index}", quiet, where, kills, rng, count)
            print(f"sweep {index + 1} of {len(plans)} equals the undisturbed one", flush=True)
    for (where, what), times in sorted(count.kills.items()):
        print(f"{times:4d}  {where:6} {what}")
    print(f"{sum(count.kills.values()):4d}  kills survived in {len(plans)} sweeps of {options.trials} trials")
    print(f"      equal to the bit: {', '.join(f'{times} {what}' for what, times in count.compared.items())}")
    print("   0  reports lost, repeated or different; 0 finished trials run again; 0 processes or folders left behind")
    print(f"      last resumes: first report or end after {min(count.resumes):.0f}-{max(count.resumes):.0f} s")


if __name__ == "__main__":
    main()
