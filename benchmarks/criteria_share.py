"""Seconds of the criteria beside those of training: `python benchmarks/criteria_share.py [FILE] [key=value ...]`.

It trains three epochs of the first trial of a search-space file: one whose criteria are not measured, one whose are,
and a last one, which has the criteria on shuffled views too. A whole trial is computed from these. The goals are at
most 25% of a measured epoch's training, and at most 10% over a trial.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from sweeper.cli.plan import first_configurations
from sweeper.config.read import load_config
from trainers.loop import train
from trainers.records import EpochReport, is_measured


def share_of_trial(reports: list[EpochReport], every: int, epochs: int) -> float:
    """Criteria seconds over training seconds of a trial, from reports of a bare, a measured and a last epoch."""
    bare, measured, last = (report.seconds["criteria"] for report in reports)
    count = sum(is_measured(epoch, every, epochs) for epoch in range(1, epochs + 1))
    train_seconds = min(report.seconds["train"] for report in reports)
    return ((epochs - count) * bare + (count - 1) * measured + last) / (epochs * train_seconds)


def main() -> None:
    """Print the seconds of each epoch and the two shares."""
    file, *overrides = sys.argv[1:] or ["search_spaces/simclr.yaml"]
    config = load_config(Path(file), overrides)
    trial = replace(first_configurations(config, 1)[0], epochs=3, criteria_every=2)
    sample = config.criteria_sample
    reports = list(train(trial))
    print(f"{file}: n {sample.images}, q {sample.views}, {len(config.criteria)} criteria, {trial.threads} threads")
    for name, report in zip(("not measured", "measured", "last, with nulls"), reports, strict=True):
        print(f"{name:<18} training {report.seconds['train']:8.2f} s   criteria {report.seconds['criteria']:8.2f} s")
    train_seconds = min(report.seconds["train"] for report in reports)
    print(f"measured epoch: {reports[1].seconds['criteria'] / train_seconds:.1%} of its training (goal: 25%)")
    for every in sorted({1, 2, config.criteria_every}):
        share = share_of_trial(reports, every, config.epochs)
        print(f"trial of {config.epochs} epochs, criteria_every {every}: {share:.1%} (goal: 10%)")


if __name__ == "__main__":
    main()
