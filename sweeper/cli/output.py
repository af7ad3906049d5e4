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


def print_parts(*parts: RenderableType, soft_wrap: bool = False) -> None:
    """Print to the terminal's width; a pipe has none, so a wide one is used."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    console = Console(width=wide, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=soft_wrap)


def print_json(data: Any) -> None:
    """Print data with null for what JSON has no number for."""
    from sweeper.run.observers.json_lines import finite

    click.echo(json.dumps(finite(data), indent=2, default=str, allow_nan=False))
