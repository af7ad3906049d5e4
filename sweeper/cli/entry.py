"""How a command line is run: an error is one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click
from click.exceptions import NoArgsIsHelpError

from sweeper.errors import ConfigError
from trainers.fields import shortened
from trainers.formats import one_line
from trainers.names import did_you_mean

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as in shells."""


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


def execute(group: click.Group, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; each mistake that a user can correct is one line on stderr."""
    debug = "--debug" in arguments or os.environ.get("SWEEPER_DEBUG", "0") not in ("", "0")
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if any("\0" in argument for argument in arguments):
            raise ConfigError("an argument must not hold a null character")
        with _logs_on_stderr(), _warnings_on_stderr(debug):
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
        with contextlib.suppress(OSError):  # stderr's disk may be full too
            for line in getattr(error, "lines", [message]):  # one line per mistake in a search-space file
                click.echo(f"sweeper: {message_line(line)}", err=True)
        return code


def message_line(text: str) -> str:
    r"""A message as one line that no terminal obeys, with single blanks.

    >>> message_line("a  b\n"), message_line("a\x1b[31m")
    ('a b', 'a�[31m')
    """
    return one_line(" ".join(text.split()))


class OnStderr(logging.Handler):
    """Prints on stderr as it is now: where a table is shown, above it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record."""
        click.echo(self.format(record), err=True)


class OneLine(logging.Formatter):
    """A warning as one line that no terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return message_line(super().format(record))


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
    if isinstance(error, OSError):
        place = f"{shortened(str(error.filename), 300)}: " if error.filename is not None else ""
        return f"{place}{error.strerror or error}", 2
    if isinstance(error, MemoryError):
        return "this machine has not enough memory; take smaller sizes, or fewer jobs", 2
    return f"unexpected {type(error).__name__}: {error}; SWEEPER_DEBUG=1 shows where", 1


@contextmanager
def _logs_on_stderr() -> Iterator[None]:
    """Print each warning of ours as one line on stderr."""
    handler = OnStderr()
    handler.setFormatter(OneLine("sweeper: %(message)s"))
    logger = logging.getLogger("sweeper")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _warnings_on_stderr(debug: bool) -> Iterator[None]:
    """Print each warning of another package as one line on stderr, without the place in that package's code."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        click.echo(f"sweeper: {message_line(f'{category.__name__}: {message}')}", err=True)

    with warnings.catch_warnings():
        if not debug:
            warnings.showwarning = show
        yield
