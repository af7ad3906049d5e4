"""The options that several commands share."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from sweeper.run.options import RunOptions
from trainers.fields import shortened

Command = TypeVar("Command", bound=Callable[..., Any])

RESULTS: Final = Path("results")
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""Unit -> seconds."""
LONGEST: Final = 3650 * 86400
"""Seconds; a timer takes no number whatsoever."""


class Duration(click.ParamType[float]):
    """A time as 90, 90s, 30m, 2h or 1d -> seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds.

        >>> Duration().convert("30m", None, None)
        1800.0
        """
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value))
        if not found or float(found[1]) == 0:
            self.fail(f"must be a time such as 90s, 30m or 2h, but got {shortened(str(value))!r}", param, ctx)
        seconds = float(found[1]) * SECONDS[found[2]]
        if seconds > LONGEST:
            self.fail(f"must be at most {LONGEST // 86400}d, but got {shortened(str(value))!r}", param, ctx)
        return seconds


def complete_sweep(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The names of sweeps that begin with what has been typed, and `latest`, for the completion of a shell."""
    from sweeper.store.layout import sweep_names

    results = Path(context.params.get("results") or RESULTS)
    return [name for name in (*sweep_names(results), "latest") if name.startswith(incomplete)]


def sweep_argument(command: Command) -> Command:
    """SWEEP of every command that takes one."""
    return click.argument("sweep", shell_complete=complete_sweep)(command)


def results_option(command: Command) -> Command:
    """--results of every command that looks for a sweep."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=False),
        default=RESULTS,
        show_default=True,
        help="The folder that holds the sweeps.",
    )(command)


def json_option(command: Command) -> Command:
    """--json of every command that prints a table."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of tables.")(command)


cache_option: Final = click.option(
    "--cache",
    metavar="DIR",
    help="The folder of packed images.  [default: SWEEPER_CACHE, or sweeper in the user's cache folder]",
)


def use_cache(folder: str | None) -> None:
    """Let this process and its workers find packs in another folder."""
    if folder is not None:
        os.environ["SWEEPER_CACHE"] = str(Path(folder).expanduser().absolute())


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Where the trials run and what is shown of them, as one argument `options` of the command."""

    @functools.wraps(command)
    def with_options(**arguments: Any) -> int:
        names = ("local", "address", "jobs", "device", "timeout", "storage", "quiet", "as_json", "observers")
        use_cache(arguments.pop("cache"))
        return command(options=RunOptions(**{name: arguments.pop(name) for name in names}), **arguments)

    decorators = [
        click.option("--local", is_flag=True, help="Run in this process, one trial at a time, without Ray."),
        click.option("--address", metavar="HOST:PORT", help="Join this Ray cluster instead of starting Ray here."),
        click.option(
            "--jobs",
            type=click.IntRange(1, 10_000),
            help="Trials that run at the same time.  [default: as many as fit]",
        ),
        click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
        click.option("--timeout", type=Duration(), help="Interrupt the sweep after this time (90s, 30m, 2h)."),
        click.option(
            "--storage", metavar="URL", help="URL of Optuna's storage with the password, which is never stored."
        ),
        click.option(
            "--observer",
            "observers",
            multiple=True,
            metavar="NAME",
            help="Add an observer: tensorboard, wandb, mlflow, json_lines, plain, live or a plug-in, or "
            "'{name: NAME, OPTION: VALUE}'.",
        ),
        cache_option,
        click.option("--quiet", is_flag=True, help="Show nothing but errors."),
        json_option,
    ]
    for decorator in reversed(decorators):
        with_options = decorator(with_options)
    return with_options
