"""The commands: run · resume · analyze · best · probe · list · show · doctor; what is heavy is imported inside."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sweeper import __version__
from sweeper.cli import entry
from sweeper.cli.entry import INTERRUPTED
from sweeper.cli.naming import check_free, check_name, check_same, default_name
from sweeper.cli.options import json_option, results_option, run_options
from sweeper.cli.output import guard_stdout, print_json, print_parts
from sweeper.errors import ConfigError
from sweeper.run.options import RunOptions

if TYPE_CHECKING:
    from sweeper.config.model import SweepConfig
    from sweeper.run.sweep import Summary

SHOWN_CONFIGURATIONS: Final = 12

HELP: Final = """Sweep the hyperparameters of self-supervised pretraining, steered by label-free criteria.

    A sweep is one YAML file (search_spaces/README.md describes it). Its trials report LiDAR and RankMe after every
    epoch. With labels, a linear probe measures every finished trial, and `analyze` compares the criteria with it. The
    search never sees the probe.

    \b
      sweeper doctor                               is this machine ready?
      sweeper run search_spaces/dino.yaml          about five minutes on two cores
      sweeper analyze results/                     how well did each criterion rank the trials?
      sweeper best NAME                            the trial that the criterion selects

    Every command says more with --help.
    """


@click.group(
    cls=entry.Sweeper, help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="sweeper", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (or SWEEPER_DEBUG=1).")
def cli() -> None:
    pass


@cli.command(short_help="Run the sweep that a file describes.")
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
    """Run the sweep that FILE describes.

    KEY=VALUE after FILE overrides a key of the file. Values are read as YAML. null removes a hyperparameter from the
    space:

    \b
      sweeper run search_spaces/dino.yaml trials=40 space.lr.high=0.3 space.mask_ratio=null
      sweeper run search_spaces/simclr.yaml dataset='{name: folder, root: ~/photos}' oracle=none
      sweeper run search_spaces/dino.yaml pruner.name=median --name pruned
      sweeper run search_spaces/dino.yaml --dry-run

    Ctrl-C interrupts the sweep; `sweeper resume` continues it.
    """
    from sweeper.config.read import load_config

    if resuming and name is None:
        raise ConfigError("`--resume` must be given with the --name to continue; `sweeper list` shows the names")
    config = load_config(file, overrides, cluster=options.on_cluster)
    name = check_name(name) if name is not None else default_name(config)
    folder = results / name
    if dry_run:
        return _dry_run(config, options)
    if folder.exists() and resuming:
        check_same(config, folder, cluster=options.on_cluster)
        return _resume(folder, options, trials=config.trials)
    check_free(folder)
    from sweeper.run.observers import make_observers
    from sweeper.run.sweep import run_sweep

    return _finish(run_sweep(config, folder, options, make_observers(options)), options)


@cli.command(short_help="Continue a sweep.")
@click.argument("sweep")
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
    from sweeper.store.layout import find_sweep

    return _resume(find_sweep(sweep, results), options, trials=trials)


@cli.command(short_help="Judge how well each criterion ranked the trials.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--oracle", help="The column to judge against.  [default: oracle]")
@click.option(
    "--criteria",
    help="The columns to judge, separated by commas. Write -NAME if less is better, +NAME if more is.  "
    "[default: the known criteria]",
)
@click.option(
    "--hyperparameters",
    help="The columns that are hyperparameters, separated by commas.  [default: config.*, and those that an export "
    "of another tool marks]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where the report goes.  [default: analysis/ in a sweep, NAME-analysis/ beside a table]",
)
@json_option
def analyze(
    paths: tuple[Path, ...],
    oracle: str | None,
    criteria: str | None,
    hyperparameters: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure how well each criterion ranked the trials, and the accuracy of the trial that it selects.

    PATH is a sweep, a folder of sweeps, or a CSV or parquet with one row per trial: your own, or an export of Optuna,
    optuna-dashboard, Ray Tune or Weights & Biases. Writes report.md, report.html, figures and CSV tables.

    \b
      sweeper analyze results/
      sweeper analyze results/dino-photos-20260101-120000
      sweeper analyze my.csv --oracle accuracy --criteria lidar,rankme,-uniformity --out report
      sweeper analyze wandb.csv --oracle accuracy --hyperparameters lr,std
    """
    from analysis.report.write import analyze as judge
    from analysis.text.safe import for_terminal

    names = [name.strip() for name in criteria.split(",")] if criteria else None
    given = [name.strip() for name in (hyperparameters or "").split(",") if name.strip()]
    report = judge(list(paths), out=out, oracle=oracle, criteria=names, hyperparameters=given)
    for line in report.left_out:
        click.echo(f"sweeper: {entry.one_line(line)}", err=True)
    if as_json:
        tables = {"ranking": report.ranking, "selection": report.selection}
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        print_json({"folder": str(report.folder), **rows})
        return
    print_parts(report.terminal)
    click.echo(f"\nreport: {for_terminal(str(report.folder / 'report.html'))}")


@cli.command(short_help="Show the trial that a criterion selects.")
@click.argument("sweep")
@click.option("--criterion", help="The criterion that selects.  [default: the sweep's objective]")
@results_option
@json_option
def best(sweep: str, criterion: str | None, results: Path, as_json: bool) -> None:
    """Show the trial of SWEEP that a criterion selects, among those that completed.

    Prints its checkpoint, the accuracy that the choice costs if an oracle ran, and a search-space file that trains
    the trial again.

    \b
      sweeper best results/dino-photos-20260101-120000 --criterion rankme
      sweeper best results/dino-photos-20260101-120000 > best.yaml && sweeper run best.yaml epochs=50
    """
    from sweeper.cli.choice import choose
    from sweeper.cli.screens import choice_text
    from sweeper.store.listing import open_listing

    choice = choose(open_listing(sweep, results), criterion)
    if as_json:
        print_json(choice.__dict__)
    else:
        click.echo(choice_text(choice), nl=False)


@cli.command(short_help="Measure trials that lack an oracle.")
@click.argument("sweep")
@click.option(
    "--oracle", "oracles", multiple=True, help="A probe protocol; may be given more than once.  [default: the sweep's]"
)
@results_option
@run_options
def probe(sweep: str, oracles: tuple[str, ...], results: Path, options: RunOptions) -> int:
    """Measure the trials of SWEEP that lack an oracle, from their checkpoints."""
    from sweeper.run.observers import make_observers
    from sweeper.run.sweep import probe_sweep
    from sweeper.store.layout import find_sweep

    folder = find_sweep(sweep, results)
    return _finish(probe_sweep(folder, options, make_observers(options), oracles=oracles), options)


@cli.command("list", short_help="List the sweeps.")
@results_option
@json_option
def list_sweeps(results: Path, as_json: bool) -> None:
    """List the sweeps: their trials by status, the best by the objective, their date."""
    from sweeper.cli.screens import list_data, list_table
    from sweeper.store.listing import find_listings

    rows = list_data(find_listings(results))
    if as_json:
        print_json(rows)
    else:
        print_parts(list_table(rows))


@cli.command(short_help="Show one sweep, or one trial.")
@click.argument("sweep")
@click.option(
    "--trial", type=click.IntRange(0, 1_000_000_000), help="One trial: its hyperparameters, and its criteria by epoch."
)
@results_option
@json_option
def show(sweep: str, trial: int | None, results: Path, as_json: bool) -> None:
    """Show SWEEP: its config, its trials, and with --trial one of them epoch by epoch."""
    from sweeper.cli.screens import sweep_parts, trial_data, trial_parts
    from sweeper.store.listing import open_listing

    listing = open_listing(sweep, results)
    if trial is not None:
        data = trial_data(listing, trial)
        parts = trial_parts(data)
    else:
        data = {"name": listing.name, "state": listing.state, "config": listing.settings, "trials": listing.trials}
        parts = sweep_parts(listing)
    if as_json:
        print_json(data)
    else:
        print_parts(*parts)


@cli.command(short_help="Check this machine.")
@results_option
@json_option
def doctor(results: Path, as_json: bool) -> int:
    """Check this machine: versions, devices, Ray, data sets, disk, and the time of one training step."""
    from sweeper.cli.doctor import check_machine, worst

    checks = []
    for check in check_machine(results):
        checks.append(check)
        if not as_json:
            print_parts(check.line())
    if as_json:
        print_json([check.__dict__ for check in checks])
    return 1 if worst(checks) == "fail" else 0


def _resume(folder: Path, options: RunOptions, *, trials: int | None) -> int:
    from sweeper.run.observers import make_observers
    from sweeper.run.sweep import resume_sweep

    return _finish(resume_sweep(folder, options, make_observers(options), trials=trials), options)


def _dry_run(config: SweepConfig, options: RunOptions) -> int:
    """What would run, and how long it would take."""
    from sweeper.cli.plan import estimate_seconds, first_configurations
    from sweeper.cli.screens import plan_parts
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
    from sweeper.cli.screens import next_steps

    if options.as_json:
        content = {**summary.__dict__, "folder": str(summary.folder), "counts": dict(summary.counts)}
        click.echo(json.dumps({"event": "end", **content}))
    elif not options.quiet:
        click.echo(next_steps(summary))
    return INTERRUPTED if summary.interrupted else 0


def execute(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    >>> execute(["--version"])  # doctest: +ELLIPSIS
    sweeper ...
    0
    """
    return entry.execute(cli, arguments)


def main() -> None:
    """The `sweeper` script."""
    guard_stdout()
    sys.exit(execute(sys.argv[1:]))
