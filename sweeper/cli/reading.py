"""The commands that read what is there: analyze, best, export, list, show, doctor; heavy imports are inside."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import click

from sweeper.cli.options import json_option, results_option, sweep_argument
from sweeper.cli.output import print_json, print_parts
from sweeper.errors import ConfigError
from trainers.formats import one_line


@click.command(short_help="Judge how well each criterion ranked the trials.")
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
@click.option("--pdf", is_flag=True, help="Write each figure as PDF too, for a paper.")
@results_option
@json_option
def analyze(
    paths: tuple[Path, ...],
    oracle: str | None,
    criteria: str | None,
    hyperparameters: str | None,
    out: Path | None,
    pdf: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Measure how well each criterion ranked the trials, and the accuracy of the trial that it selects.

    PATH is a sweep (its folder or its name), a folder of sweeps, or a CSV or parquet with one row per trial: your own,
    or an export of Optuna, optuna-dashboard, Ray Tune or Weights & Biases. Writes report.md, report.html, figures and
    CSV tables.

    \b
      sweeper analyze results/
      sweeper analyze latest
      sweeper analyze my.csv --oracle accuracy --criteria lidar,rankme,-uniformity --out report
      sweeper analyze wandb.csv --oracle accuracy --hyperparameters lr,std
    """
    from analysis.report.write import analyze as judge
    from sweeper.store.find import path_or_sweep

    paths = tuple(path_or_sweep(path, results) for path in paths)
    names = [name.strip() for name in criteria.split(",")] if criteria else None
    given = [name.strip() for name in (hyperparameters or "").split(",") if name.strip()]
    report = judge(list(paths), out=out, oracle=oracle, criteria=names, hyperparameters=given, pdf=pdf)
    for line in report.left_out:
        click.echo(f"sweeper: {one_line(line)}", err=True)
    if as_json:
        tables = {"ranking": report.ranking, "selection": report.selection}
        rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
        print_json({"folder": str(report.folder), **rows})
        return
    print_parts(report.terminal)
    click.echo(f"\nreport: {one_line(str(report.folder / 'report.html'))}")


@click.command(short_help="Show the trial that a criterion selects.")
@sweep_argument
@click.option("--criterion", help="The criterion that selects.  [default: the sweep's objective]")
@results_option
@json_option
def best(sweep: str, criterion: str | None, results: Path, as_json: bool) -> None:
    """Show the trial of SWEEP that a criterion selects, among those that completed.

    If an oracle ran, the first lines say whether the trial is better than the untrained encoder, than raw pixels and
    than the average trial, what the choice costs, and which criterion ranked best, here and in the other sweeps of the
    folder. Then come the next commands, and a search-space file that trains the trial again.

    \b
      sweeper best results/dino-photos-20260101-120000 --criterion rankme
      sweeper best results/dino-photos-20260101-120000 > best.yaml && sweeper run best.yaml epochs=50
    """
    from sweeper.cli.choice import choose
    from sweeper.cli.evidence import gather
    from sweeper.cli.screens.choice import choice_text
    from sweeper.store.listing import open_listing

    listing = open_listing(sweep, results)
    choice = choose(listing, criterion)
    evidence = gather(listing, choice)
    if as_json:
        print_json({**choice.__dict__, **asdict(evidence)})
    else:
        click.echo(choice_text(choice, evidence), nl=False)


@click.command(short_help="Open optuna-dashboard on a sweep.")
@sweep_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="The port to listen on.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the copy of the study to this file instead.")
@results_option
def dashboard(sweep: str, host: str, port: int, out: Path | None, results: Path) -> None:
    """Open optuna-dashboard on a copy of SWEEP's study, with the accuracy and the criteria of every finished trial.

    The study itself holds no accuracy, so that the search cannot see it.

    \b
      sweeper dashboard latest
      sweeper dashboard latest --out study.db && optuna-dashboard sqlite:///study.db
    """
    from sweeper.cli.dashboard import copy_study, serve
    from sweeper.store.listing import open_listing

    listing = open_listing(sweep, results)
    if out:
        click.echo(copy_study(listing, out))
    else:
        serve(listing, host=host, port=port)


@click.command(short_help="Write the encoder of a trial for other programs.")
@sweep_argument
@click.option("--trial", type=click.IntRange(0, 1_000_000_000), help="The trial.  [default: the one that is selected]")
@click.option("--criterion", help="The criterion that selects.  [default: the sweep's objective]")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--onnx", is_flag=True, help="Also write model.onnx.")
@click.option("--torchscript", is_flag=True, help="Also write model.torchscript.pt.")
@results_option
def export(
    sweep: str, trial: int | None, criterion: str | None, out: Path, onnx: bool, torchscript: bool, results: Path
) -> None:
    """Write the encoder of one trial of SWEEP: weights, configuration, and a model card.

    It is the encoder that the criteria measured (DINO: the teacher's). It loads without the sweep and its images:

    \b
      from trainers import load_encoder
      features = load_encoder("encoder")(pixels)     # pixels in [0, 1], (b, c, h, w)

    A vision transformer and every timm model load in timm as well:

    \b
      timm.create_model("local-dir:encoder", pretrained=True)

    \b
      sweeper export results/dino-photos-20260101-120000 --out encoder
      sweeper export results/dino-photos-20260101-120000 --criterion rankme --out encoder --onnx
    """
    from sweeper.cli.export import export_trial
    from sweeper.store.listing import open_listing

    kinds = [kind for kind, wanted in (("onnx", onnx), ("torchscript", torchscript)) if wanted]
    files = export_trial(open_listing(sweep, results), out, trial=trial, criterion=criterion, kinds=kinds)
    for file in files:
        click.echo(one_line(str(file)))


@click.command("list", short_help="List the sweeps.")
@results_option
@json_option
def list_sweeps(results: Path, as_json: bool) -> None:
    """List the sweeps: their trials by status, the best by the objective, their date."""
    from sweeper.cli.screens.sweeps import list_data, list_table
    from sweeper.store.listing import find_listings

    rows = list_data(find_listings(results))
    if as_json:
        print_json(rows)
    else:
        print_parts(list_table(rows))


@click.command(short_help="Show one sweep, or one trial.")
@sweep_argument
@click.option(
    "--trial", type=click.IntRange(0, 1_000_000_000), help="One trial: its hyperparameters, and its criteria by epoch."
)
@click.option("--sort", metavar="COLUMN", help="Order the trials: by a criterion or an oracle, the best first.")
@results_option
@json_option
def show(sweep: str, trial: int | None, sort: str | None, results: Path, as_json: bool) -> None:
    """Show SWEEP: its trials and its config; with --trial, one trial epoch by epoch.

    A mark (*) is beside the value of the trial that a criterion selects, and beside the best accuracy. What does not
    fit on the terminal beside the other columns is in a table below.

    
      sweeper show latest --sort lidar
      sweeper show latest --sort lr
    """
    from sweeper.cli.choice import trials_with_checkpoint
    from sweeper.cli.order import chosen_trials, sort_trials
    from sweeper.cli.screens.sweeps import sweep_parts
    from sweeper.cli.screens.trials import trial_data, trial_parts
    from sweeper.store.listing import open_listing

    if trial is not None and sort is not None:
        raise ConfigError("`--sort` must be given without --trial: it orders the trials")
    listing = open_listing(sweep, results)
    if sort is not None:
        listing = replace(listing, trials=sort_trials(listing, sort))
    if trial is not None:
        data = trial_data(listing, trial)
        parts = trial_parts(data)
    else:
        about = {"name": listing.name, "state": listing.state, "config": listing.settings}
        kept = trials_with_checkpoint(listing)
        data = {**about, "trials": listing.trials, "chosen": chosen_trials(listing), "checkpoints": kept}
        parts = sweep_parts(listing)
    if as_json:
        print_json(data)
    else:
        print_parts(*parts)


@click.command(short_help="Check this machine, or what a file needs.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@results_option
@json_option
def doctor(file: Path | None, overrides: tuple[str, ...], results: Path, as_json: bool) -> int:
    """Check this machine: versions, devices, Ray, data sets, disk, and the time of one training step.

    With FILE, a search-space file or the name of an example, check what its sweep needs: the file itself, its images,
    its sampler and storage, and the time of a trial. `optional` is what is missing and only some sweeps need.

    
      sweeper doctor
      sweeper doctor search_spaces/simclr.yaml dataset='{name: folder, root: ~/photos}'
    """
    from sweeper.cli.doctor import check_machine
    from sweeper.cli.verdicts import worst

    checks = []
    for check in check_machine(results, file, overrides):
        checks.append(check)
        if not as_json:
            print_parts(check.line())
    if as_json:
        print_json([check.__dict__ for check in checks])
    return 1 if worst(checks) == "fail" else 0
