"""The `sweeper` command: its help, and its commands in the order of the help."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from sweeper import __version__
from sweeper.cli import encoders, entry, packing, reading, running, starting
from sweeper.cli.output import guard_stdout

HELP: Final = """Sweep the hyperparameters of self-supervised pretraining, steered by label-free criteria.

    A sweep is one YAML file (search_spaces/README.md describes it). Its trials report LiDAR and RankMe after every
    epoch. With labels, a linear probe measures every finished trial, and `analyze` compares the criteria with it. The
    search never sees the probe.

    \b
      sweeper doctor                               is this machine ready?
      sweeper init                                 write the examples to search_spaces/
      sweeper run search_spaces/dino.yaml          some minutes on two cores
      sweeper analyze results/                     how well did each criterion rank the trials?
      sweeper best NAME                            the trial that the criterion selects

    NAME is a sweep's folder, its name in results/, the beginning of that name if no other has it, or `latest`.
    Every command says more with --help.
    """

COMPLETION: Final = "_SWEEPER_COMPLETE"
"""The environment variable by which a shell asks click for completions."""

COMMANDS: Final = (
    starting.init,
    packing.pack,
    running.run,
    running.resume,
    reading.analyze,
    reading.best,
    reading.export,
    encoders.embed,
    encoders.score,
    running.retrain,
    running.probe,
    reading.list_sweeps,
    reading.show,
    reading.dashboard,
    reading.doctor,
)


@click.group(
    cls=entry.Sweeper,
    commands=COMMANDS,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="sweeper", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (or SWEEPER_DEBUG=1).")
def cli() -> None:
    pass


def execute(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code.

    >>> execute(["--version"])  # doctest: +ELLIPSIS
    sweeper ...
    0
    """
    return entry.execute(cli, arguments)


def main() -> None:
    """The `sweeper` script. A shell that asks for completions takes bytes, which the guarded stdout does not."""
    if COMPLETION not in os.environ:
        guard_stdout()
    sys.exit(execute(sys.argv[1:]))
