"""The command line as Markdown, from click's own description of it."""

from __future__ import annotations

import html
import re
import textwrap
from typing import Final

import click

from sweeper.cli.commands import cli

VERBATIM: Final = "\b"
"""What click reads as: keep the lines of this paragraph."""


def commands() -> str:
    """Every command: its usage, its help and its options."""
    context = click.Context(cli, info_name="sweeper")
    parts = [help_text(cli), options(cli, context)]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts.append(one(command, click.Context(command, info_name=name, parent=context)))
    return "\n\n".join(parts)


def one(command: click.Command, context: click.Context) -> str:
    """One command with a heading."""
    usage = " ".join(["sweeper", str(context.info_name), *command.collect_usage_pieces(context)])
    return f"## {context.info_name}\n\n```text\n{usage}\n```\n\n{help_text(command)}\n\n{options(command, context)}"


def help_text(command: click.Command) -> str:
    """The help, with the paragraphs that click keeps as they are in code blocks."""
    parts = []
    for paragraph in textwrap.dedent("    " + (command.help or "").lstrip()).strip().split("\n\n"):
        lines = textwrap.dedent(paragraph.strip("\n").removeprefix(VERBATIM).strip("\n"))
        kept = VERBATIM in paragraph or all(line.startswith("  ") for line in paragraph.splitlines() if line.strip())
        parts.append(f"```text\n{lines.strip(VERBATIM)}\n```" if kept else " ".join(lines.split()))
    return "\n\n".join(parts)


def options(command: click.Command, context: click.Context) -> str:
    """A table of the options."""
    records = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [f"| `{name}` | {cell(text)} |" for name, text in filter(None, records) if text]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows])


def cell(text: str) -> str:
    """A help text inside a table: brackets and pipes of click's hints are plain text.

    >>> cell("At once. [1<=x<=9]")
    'At once. \\\\[1&lt;=x&lt;=9\\\\]'
    """
    return re.sub(r"([|\[\]*])", r"\\\1", html.escape(" ".join(text.split()), quote=False))
