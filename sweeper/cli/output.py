"""How tables and JSON are printed, and what happens where stdout takes no more."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar, cast

import click

from sweeper.errors import OutputError

if TYPE_CHECKING:
    from rich.console import RenderableType


Answer = TypeVar("Answer")

READER_GONE: Final = 141
"""Exit code of a command whose reader has gone, as shells give it: 128 + SIGPIPE."""
PIPE_WIDTH: Final = 160
"""Columns on a pipe."""


def print_parts(*parts: RenderableType) -> None:
    """Print tables to the terminal's width, or to a wide one on a pipe; the lines of a text are never broken."""
    from rich.console import Console
    from rich.text import Text

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(width=wide, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))


def print_json(data: Any) -> None:
    """Print data with null for what JSON has no number for."""
    from sweeper.run.observers.json_lines import finite

    click.echo(json.dumps(finite(data), indent=2, default=str, allow_nan=False))


class Output:
    """Stdout, whose failures are errors of ours: is_disk_full and rich would take them for something else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text.

        Raises:
            OutputError: stdout takes no more.
        """
        if text == "":  # click tries what a stream takes, and swallows any error
            return 0
        return self._guarded(lambda: self.stream.write(text))

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            OutputError: stdout takes no more.
        """
        self._guarded(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write to it, past this class, on a terminal that knows ASCII alone
            raise AttributeError(name)
        return getattr(self.stream, name)

    def _guarded(self, function: Callable[[], Answer]) -> Answer:
        try:
            return function()
        except OSError as error:
            number, reason = error.errno, error.strerror
        _discard(self.stream)
        if number == errno.EPIPE:
            raise OutputError(exit_code=READER_GONE)
        advice = "its disk is full; free some space or write to another" if number == errno.ENOSPC else reason
        raise OutputError(f"stdout cannot be written: {advice}")


def guard_stdout() -> None:
    """Make stdout take any text, also on a terminal that knows ASCII alone, and fail with our errors."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # stderr does so by itself
    sys.stdout = cast(TextIO, Output(sys.stdout or open(os.devnull, "w")))  # noqa: SIM115 - until the process ends


def _discard(stream: TextIO) -> None:
    """Send what is still written to nowhere, so that Python's own flush at the end does not fail once more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
