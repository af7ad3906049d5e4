"""Cost at scale: `python benchmarks/scale.py [trials] [epochs] [rows]`; without arguments 1000 10 10000.

Prints the CPU milliseconds of one draw and of one report (a line of reports.jsonl, and the study on SQLite) as the
study grows, then CPU seconds and peak memory of `list`, `show`, `best` and `analyze` on that sweep, and of `analyze` on
a CSV of so many trials with ten criteria. The sweep is simulated: written by the store, and nothing is trained.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from optuna.trial import create_trial
from pandas import DataFrame

from sweeper.config.model import SweepConfig
from sweeper.config.read import load_config
from sweeper.search.configurations import configuration
from sweeper.search.storage import open_study
from sweeper.search.study import Study
from sweeper.store.layout import SweepFolder
from sweeper.store.manifest import create_folder
from sweeper.store.outcomes import Outcome, write_outcome
from sweeper.store.reports import ReportLog, report_row
from sweeper.store.tables import write_tables
from trainers.records import COMPLETED, EpochReport, OracleScore, TrialResult, criterion_columns

FILE = Path(__file__).parent.parent / "search_spaces" / "simclr.yaml"
NAME = "simulated"
POINTS = 4
"""Lines of the curve of costs over the number of trials."""
MEASURED = 3
"""Trials before each point that are drawn and reported one by one."""
CRITERIA = 10
"""Criteria of the table."""


def make_report(config: SweepConfig, trial: int, epoch: int, generator: np.random.Generator) -> EpochReport:
    """A report with random criteria."""
    columns = [column for name in config.criteria for column in criterion_columns(name)]
    return EpochReport(
        trial=trial,
        epoch=epoch,
        step=16 * epoch,
        loss=float(generator.uniform()),
        criteria={column: float(generator.uniform()) for column in columns},
        spread=0.05,
        seconds={"train": 1.0, "criteria": 0.2},
        images_per_second=4000.0,
    )


def fill(config: SweepConfig, folder: SweepFolder, study: Study) -> None:
    """Fill the sweep, and print what draws and reports cost on the way.

    The last trials before each point of the curve are reported one by one, as in a sweep; the others are added whole.
    """
    generator, log = np.random.default_rng(0), ReportLog(folder)
    each = -(-config.trials // POINTS)
    print(f"{'trials':>8}{'draw, ms':>10}{'report, ms':>12}")
    for number in range(config.trials):
        if number % each == 0:
            drawing = reporting = 0.0
        reports = [make_report(config, number, epoch, generator) for epoch in range(1, config.epochs + 1)]
        value = reports[-1].criteria[config.objective]
        if number % each < each - MEASURED:
            add_whole(config, folder, study, number, reports)
        else:
            began = time.process_time()
            study.start()
            drawing += time.process_time() - began
            began = time.process_time()
            for report in reports:
                log.append(report, {})
                study.report(number, report.epoch, report.criteria[config.objective])
            reporting += time.process_time() - began
            study.finish(number, COMPLETED, value=value)
        oracles = {config.oracle[0]: OracleScore(float(generator.uniform()), 1000, 2.5)}
        folder.trial(number).mkdir(parents=True)
        result = TrialResult(number, COMPLETED, epochs=config.epochs, oracles=oracles)
        write_outcome(folder.trial(number), Outcome(result))
        if number % each == each - 1:
            costs = (1000 * drawing / MEASURED, 1000 * reporting / MEASURED / config.epochs)
            print(f"{number + 1:>8}{costs[0]:>10.1f}{costs[1]:>12.2f}", flush=True)
    log.close()


def add_whole(
    config: SweepConfig, folder: SweepFolder, study: Study, number: int, reports: Sequence[EpochReport]
) -> None:
    """Add a finished trial with a random configuration, and its lines of the log."""
    at_random = replace(config, search=replace(config.search, sampler="random"))
    values = {report.epoch: report.criteria[config.objective] for report in reports}
    study.study.add_trial(
        create_trial(
            params=configuration(at_random, number),
            distributions=dict(config.space),
            value=values[config.epochs],
            intermediate_values=values,
            user_attrs={"configuration": number, "seed": number},
        )
    )
    now = datetime.now(UTC).isoformat()
    with folder.reports_log.open("a") as log:
        for report in reports:
            row = report_row(report) | {"sequence": number * config.epochs + report.epoch, "reported_at": now}
            log.write(json.dumps(row) + "\n")


def make_sweep(results: Path, trials: int, epochs: int) -> None:
    """The folder of a finished sweep with TPE."""
    config = load_config(FILE, ("search.sampler=tpe", f"trials={trials}", f"epochs={epochs}", "criteria_every=1"))
    folder = create_folder(results / NAME, config, study=NAME)
    study = open_study(config, url=folder.storage_url, name=NAME, create=True)
    fill(config, folder, study)
    write_tables(folder, config, study.records())
    study.close()


def make_table(file: Path, rows: int) -> None:
    """A CSV with ten criteria that follow the oracle more or less, and two hyperparameters."""
    generator = np.random.default_rng(0)
    oracle = generator.uniform(size=rows)
    follows = np.linspace(0.0, 1.0, CRITERIA)
    criteria = {f"criterion{at}": share * oracle + generator.uniform(size=rows) for at, share in enumerate(follows)}
    config = {f"config.{name}": generator.uniform(size=rows) for name in ("lr", "weight_decay")}
    DataFrame({"trial": range(rows), "oracle": oracle, **criteria, **config}).to_csv(file, index=False)


def measure(*arguments: str) -> None:
    """Run one command, and print its CPU seconds and its peak memory."""
    with open(os.devnull, "w") as nothing:
        command = subprocess.Popen([sys.executable, "-m", "sweeper", *arguments], stdout=nothing)
        _, status, usage = os.wait4(command.pid, 0)
    cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6
    print(f"{arguments[0]:>10}{cpu:>10.1f} CPU s{peak:>8.2f} GB{'' if status == 0 else '  failed'}", flush=True)


def main() -> None:
    """Measure each command once."""
    trials, epochs, rows = [int(argument) for argument in sys.argv[1:]] or (1000, 10, 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch)
        # Another process, because the peak memory of a command is at least that of its parent when it starts.
        maker = multiprocessing.get_context("spawn").Process(target=make_sweep, args=(results, trials, epochs))
        maker.start()
        maker.join()
        sweep = str(results / NAME)
        print(f"{trials} trials of {epochs} epochs")
        measure("list", "--results", scratch)
        measure("show", sweep)
        measure("best", sweep)
        measure("analyze", sweep)
        table = results / "table.csv"
        make_table(table, rows)
        print(f"a table of {rows} trials")
        names = ",".join(f"+criterion{at}" for at in range(CRITERIA))
        measure("analyze", str(table), "--criteria", names)


if __name__ == "__main__":
    main()
