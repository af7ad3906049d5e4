"""How a command line is run: mistakes in one line with an exit code, options that commands share, what is printed."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.exceptions import NoArgsIsHelpError

from sweeper.errors import did_you_mean

if TYPE_CHECKING:
    from rich.console import RenderableType

Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED: Final = 130
"""Exit code of what Ctrl-C ended, as shells have it."""
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
PIPE_WIDTH: Final = 160
"""Columns of a table on a pipe, which has no terminal to fit into."""


class Sweeper(click.Group):
    """The group of commands: a misspelt one is answered with the nearest."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and not ctx.resilient_parsing:
            names = self.list_commands(ctx)
            hint = did_you_mean(cmd_name, names) or f"; the commands are {', '.join(names)}"
            raise click.UsageError(f"there is no command {cmd_name!r}{hint}", ctx)
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are used."""
        return list(self.commands)


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
            self.fail(f"must be a time such as 90s, 30m or 2h, but got {value!r}", param, ctx)
        return float(found[1]) * SECONDS[found[2]]


def results_option(command: Command) -> Command:
    """--results of every command that looks for a sweep."""
    return click.option(
        "--results",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("results"),
        show_default=True,
        help="The folder that holds the sweeps.",
    )(command)


def json_option(command: Command) -> Command:
    """--json of every command that prints a table."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of tables.")(command)


def machine_options(command: Command) -> Command:
    """Where the trials run, and what is shown of them."""
    options = [
        click.option("--local", is_flag=True, help="Run in this process, one trial at a time, without Ray."),
        click.option("--address", metavar="HOST:PORT", help="A running Ray cluster, instead of one started here."),
        click.option("--jobs", type=click.IntRange(min=1), help="Trials at once; by default as many as fit."),
        click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
        click.option("--timeout", type=Duration(), help="Stop after this time (90s, 30m, 2h), as Ctrl-C does."),
        click.option("--quiet", is_flag=True, help="Show nothing but errors."),
        json_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def print_parts(*parts: RenderableType, soft_wrap: bool = False) -> None:
    """On a pipe a table has no terminal to fit into, so it is given room."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(width=wide, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=soft_wrap)


def print_json(data: Any) -> None:
    click.echo(json.dumps(_finite(data), indent=2, default=str, allow_nan=False))


def _finite(data: Any) -> Any:
    """JSON has no NaN: null stands for a number that is not finite."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def execute(group: click.Group, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; what a user can put right is one line on stderr."""
    debug = "--debug" in arguments or os.environ.get("SWEEPER_DEBUG", "0") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        with _logs_on_stderr():
            return group.main(list(arguments), prog_name="sweeper", standalone_mode=False) or 0
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("sweeper: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        message, code = _explain(error)
        click.echo(f"sweeper: {' '.join(message.split())}", err=True)
        return code


def _explain(error: Exception) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "sweeper"
        message = error.format_message().rstrip(".")
        if isinstance(error, click.NoSuchOption) and command == "sweeper run" and not error.possibilities:
            message += f"; a key of the file is overridden without dashes: {error.option_name.lstrip('-')}=…"
        end = "" if message.endswith("?") else ";"
        return f"{message[:1].lower()}{message[1:]}{end} see `{command} --help`", 2
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if hasattr(error, "exit_code"):  # the errors of the conductor and of the judge own theirs
        return str(error), int(error.exit_code)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 1
    return f"unexpected {type(error).__name__}: {error}; SWEEPER_DEBUG=1 shows where", 1


@contextmanager
def _logs_on_stderr() -> Iterator[None]:
    """What the conductor notes while a command runs is one line each on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("sweeper: %(message)s"))
    logger = logging.getLogger("sweeper")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
