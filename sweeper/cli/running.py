"""The commands that run trials: run, resume, probe and retrain; what is heavy is imported inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sweeper.cli.entry import INTERRUPTED
from sweeper.cli.naming import check_free, check_name, check_same, default_name
from sweeper.cli.options import Duration, json_option, results_option, run_options, sweep_argument
from sweeper.cli.output import print_json, print_parts
from sweeper.errors import ConfigError
from sweeper.run.options import RunOptions

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig
    from sweeper.run.observers.base import Observer
    from sweeper.run.sweep import Summary

SHOWN_CONFIGURATIONS: Final = 12


@click.command(short_help="Run the sweep that a file describes.")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--name", help="Name of the sweep and of its folder.  [default: method, data set, time]")
@results_option
@click.option(
    "--resume", "resuming", is_flag=True, help="Continue the sweep with that --name if it exists; else start it."
)
@click.option(
    "--dry-run", is_flag=True, help="Show the complete config, the first trials and the estimated time; run nothing."
)
@run_options
def run(
    file: Path,
    overrides: tuple[str, ...],
    name: str | None,
    results: Path,
    resuming: bool,
    dry_run: bool,
    options: RunOptions,
) -> int:
    """Run the sweep that FILE describes; a name such as dino is an example that comes with sweeper.

    KEY=VALUE after FILE overrides a key of the file. Values are read as YAML. null removes a hyperparameter from the
    space:

    \b
      sweeper run search_spaces/dino.yaml trials=40 space.lr.high=0.3 space.mask_ratio=null
      sweeper run search_spaces/simclr.yaml dataset='{name: folder, root: ~/photos}' oracle=none
      sweeper run search_spaces/dino.yaml pruner.name=median --name pruned
      sweeper run search_spaces/dino.yaml --dry-run

    Ctrl-C interrupts the sweep; `sweeper resume` continues it.
    """
    if resuming and name is None:
        raise ConfigError("`--resume` must be given with the --name to continue; `sweeper list` shows the names")
    with observed(options, f"reading {file}", shown=not dry_run) as observers:
        from sweeper.config.examples import find_file
        from sweeper.config.read import load_config
        from sweeper.run.observers import observer_options

        config = load_config(find_file(file), overrides, cluster=options.on_cluster, observers=observer_options())
        folder = results / (check_name(name) if name is not None else default_name(config))
        again = resuming and folder.exists() and not dry_run
        if again:
            check_same(config, folder, cluster=options.on_cluster)
        elif not dry_run:
            check_free(folder)
        from sweeper.run.sweep import resume_sweep, run_sweep
    if dry_run:
        return _dry_run(config, options)
    if again:
        return _finish(resume_sweep(folder, options, observers, trials=config.trials), options)
    return _finish(run_sweep(config, folder, options, observers), options)


@click.command(short_help="Continue a sweep.")
@sweep_argument
@results_option
@click.option("--trials", type=click.IntRange(1, 1_000_000), help="The new total number of configurations.")
@run_options
def resume(sweep: str, results: Path, trials: int | None, options: RunOptions) -> int:
    """Continue SWEEP, a name or a folder, where it stopped.

    Trials that were running continue from their last checkpoint; finished ones are not run again.

    \b
      sweeper resume results/dino-photos-20260101-120000
      sweeper resume results/dino-photos-20260101-120000 --trials 40
    """
    with observed(options, f"reading {sweep}") as observers:
        from sweeper.run.sweep import resume_sweep
        from sweeper.store.find import find_sweep

        folder = find_sweep(sweep, results)
    return _finish(resume_sweep(folder, options, observers, trials=trials), options)


@click.command(short_help="Measure trials that lack an oracle.")
@sweep_argument
@click.option(
    "--oracle",
    "oracles",
    multiple=True,
    help="A probe protocol, or PROTOCOL@DATASET; may be given more than once.  [default: the sweep's]",
)
@results_option
@run_options
def probe(sweep: str, oracles: tuple[str, ...], results: Path, options: RunOptions) -> int:
    """Measure the trials of SWEEP that lack an oracle, from their checkpoints."""
    with observed(options, f"reading {sweep}") as observers:
        from sweeper.run.sweep import probe_sweep
        from sweeper.store.find import find_sweep

        folder = find_sweep(sweep, results)
    return _finish(probe_sweep(folder, options, observers, oracles=oracles), options)


@click.command(short_help="Make the checkpoint of a trial again.")
@sweep_argument
@click.option("--trial", type=click.IntRange(0, 1_000_000_000), help="The trial.  [default: the one that is selected]")
@click.option("--criterion", help="The criterion that selects.  [default: the sweep's objective]")
@results_option
@click.option("--device", default="auto", show_default=True, help="auto (as in the sweep), cpu or cuda.")
@click.option("--timeout", type=Duration(), help="Interrupt the training after this time (90s, 30m, 2h).")
@click.option("--quiet", is_flag=True, help="Show nothing but errors.")
@json_option
def retrain(
    sweep: str,
    trial: int | None,
    criterion: str | None,
    results: Path,
    device: str,
    timeout: float | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train one trial of SWEEP again, alone, and keep its checkpoint in the trial's folder.

    The configuration and the seed are those that the sweep recorded; its reports and tables stay as they are. The new
    reports are compared with the recorded ones: equal to the bit, or the largest difference of each column. A trial
    that was pruned is trained to the epoch at which it was pruned. Ctrl-C interrupts; the same command continues.

    \b
      sweeper retrain latest --trial 3
      sweeper retrain latest --criterion rankme && sweeper export latest --criterion rankme --out encoder
    """
    from sweeper.cli.recorded import row_of
    from sweeper.cli.retrain import retrain as train_again
    from sweeper.cli.retrain import retrain_data
    from sweeper.cli.screens.retrain import retrain_parts
    from sweeper.store.listing import open_listing

    options = RunOptions(local=True, device=device, timeout=timeout, quiet=quiet, as_json=as_json)
    listing = open_listing(sweep, results)
    row = row_of(listing, trial=trial, criterion=criterion)
    done = train_again(listing, row, options, lambda line: None if quiet or as_json else click.echo(line))
    if as_json:
        print_json(retrain_data(listing, row, done))
    elif not quiet:
        print_parts(*retrain_parts(listing, row, done))
    return INTERRUPTED if done.interrupted else 0


@contextmanager
def observed(options: RunOptions, what: str, *, shown: bool = True) -> Iterator[list[Observer]]:
    """The observers of a command, which show from its first second what it does; an error closes them."""
    from sweeper.run.observers import make_observers
    from sweeper.run.observers.base import Observers, Phase

    observers = make_observers(options) if shown else []
    told = Observers(observers)
    told.on_phase(Phase(what))
    try:
        yield observers
    except BaseException:
        told.close()
        raise
    told.on_phase_end(what)


def _dry_run(config: SweepConfig, options: RunOptions) -> int:
    """What would run, and how long it would take."""
    from sweeper.cli.plan import estimate_seconds, first_configurations
    from sweeper.cli.screens.plan import plan_parts
    from sweeper.config.model import to_mapping
    from sweeper.config.storage import whole_url
    from sweeper.run.devices import check_device
    from sweeper.search.samplers import check_trials

    check_device(options)
    check_trials(config)
    if config.storage is not None:
        whole_url(config.storage, options.storage)
    runs = config.trials * config.seeds
    first = first_configurations(config, SHOWN_CONFIGURATIONS)
    mapping, estimate = to_mapping(config), estimate_seconds(config, options)
    if options.as_json:
        trials = [{"trial": one.trial, "seed": one.seed, "hyperparameters": dict(one.hyperparameters)} for one in first]
        print_json({"config": mapping, "runs": runs, "first_trials": trials, "estimate": estimate.__dict__})
    else:
        print_parts(*plan_parts(mapping, first, runs, estimate))
    return 0


def _finish(summary: Summary, options: RunOptions) -> int:
    """Say how the sweep ended and what to do next."""
    from sweeper.cli.screens.ending import next_steps

    if options.as_json:
        content = {**summary.__dict__, "folder": str(summary.folder), "counts": dict(summary.counts)}
        click.echo(json.dumps({"event": "end", **content}))
    elif not options.quiet:
        click.echo(next_steps(summary))
    return INTERRUPTED if summary.interrupted else 0
