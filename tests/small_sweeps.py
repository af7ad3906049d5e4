"""A very small real sweep: 96 gray images of two kinds on disk, and a network with a few hundred parameters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sweeper.config.model import SweepConfig
from sweeper.config.read import parse_config

ROOT = Path(__file__).parent.parent
MEASURED = [
    *("train_seconds", "criteria_seconds", "lidar_seconds", "rankme_seconds", "images_per_second"),
    *("sequence", "reported_at", "sweep"),
]
"""The columns that differ between two runs of the same sweep."""


def make_images(root: Path, count: int = 96, size: int = 12) -> Path:
    """Noise with bright rows in one folder and bright columns in another."""
    random = np.random.default_rng(0)
    for index in range(count):
        pixels = random.integers(0, 120, (size, size))
        bright = random.integers(0, size - 3)
        pixels[(slice(bright, bright + 3),) if index % 2 else (slice(None), slice(bright, bright + 3))] += 120
        folder = root / ("rows" if index % 2 else "columns")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:03d}.png")
    return root


def mapping(images: Path, **changes: Any) -> dict[str, Any]:
    """A search-space file for those images."""
    return {
        "method": "simclr",
        "dataset": {"name": "folder", "root": str(images), "size": 12, "channels": 1, "test_share": 0.25},
        "encoder": {"name": "resnet", "width": 8, "blocks": 1, "stages": 1},
        "epochs": 3,
        "batch_size": 24,
        "trials": 4,
        "criteria": ["lidar", "rankme"],
        "criteria_sample": {"images": 40, "views": 3},
        "space": {
            "lr": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True},
            "temperature": {"type": "float", "low": 0.1, "high": 1.0},
        },
        "fixed": {"projector_hidden_dim": 16, "projection_dim": 8, "optimizer": "sgd"},
        **changes,
    }


def small_config(images: Path, **changes: Any) -> SweepConfig:
    """The sweep of that file."""
    return parse_config(mapping(images, **changes), source="test")


def reports(folder: Path) -> pd.DataFrame:
    """reports.parquet without times, sorted by trial and epoch."""
    table = pd.read_parquet(folder / "reports.parquet").drop(columns=MEASURED)
    return table.sort_values(["trial", "epoch"], ignore_index=True)


def same_reports(one: Path, other: Path) -> None:
    """Assert that two sweeps reported the same numbers, to the last bit."""
    pd.testing.assert_frame_equal(reports(one), reports(other), check_exact=True)


def oracles(folder: Path) -> Mapping[int, float]:
    """Trial -> oracle accuracy."""
    table = pd.read_parquet(folder / "trials.parquet")
    return dict(zip(table["trial"], table["oracle"], strict=True))


DRIVER = """
import sys
from pathlib import Path
from sweeper.config.read import load_config
from sweeper.errors import SweeperError
from sweeper.run.observers.plain import PlainLines
from sweeper.run.sweep import RunOptions, resume_sweep, run_sweep
what, folder, where, *overrides = sys.argv[1:]
options, observers = RunOptions(local=where == "local"), [PlainLines()]
try:
    if what == "resume":
        print(resume_sweep(Path(folder), options, observers))
    else:
        print(run_sweep(load_config(Path(what), overrides), Path(folder), options, observers))
except SweeperError as error:
    sys.exit(f"error: {error}")
"""


def start_driver(
    what: Path | str, folder: Path, *, where: str = "ray", overrides: tuple[str, ...] = (), before: str = ""
) -> Any:
    """A new process that runs the sweep of a file, or resumes the one in `folder`."""
    command = [sys.executable, "-c", before + DRIVER, str(what), str(folder), where, *overrides]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def wait_until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("what the test waits for has not happened")
        time.sleep(0.02)


EMBED = """
import os, signal, sys
import trainers.reader, sweeper.run.embed as run
from sweeper.cli.commands import execute
encoder, images, out, kill_at = sys.argv[1:]
trainers.reader.BATCH_BYTES = 4 * 12 * 12 * 4
write, written = run.write_bytes, []

def write_and_die(path, content):
    write(path, content)
    written.append(path)
    if len(written) == int(kill_at):
        os.kill(os.getpid(), signal.SIGKILL)

run.write_bytes = write_and_die
code = execute(["embed", encoder, images, "--out", out])
print(len(written))
sys.exit(code)
"""


def start_embed(encoder: Path, images: Path, out: Path, *, kill_at: int | None = None) -> int:
    """Run `sweeper embed` with parts of 4 images, or until it kills itself after some; the number that it wrote."""
    command = [sys.executable, "-c", EMBED, str(encoder), str(images), str(out), str(kill_at or -1)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (-9 if kill_at else 0), done.stderr
    return kill_at or int(done.stdout.split()[-1])
