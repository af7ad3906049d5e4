"""The command line: `sweeper` calls `main`."""

from sweeper.cli.commands import main as main
