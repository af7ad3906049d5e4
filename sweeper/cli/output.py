"""How tables and JSON are printed."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import RenderableType


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
