"""The errors as one tree; each has the exit code of the command that it ends.

SweeperError                 1
├── ConfigError              2   the search-space file, an override or an option is wrong
├── ResultsError             2   a results folder is missing, empty, half-written or in use
├── OutputError              2   stdout cannot be written; 141 where its reader has gone, as a signal would end it
└── SweepError               1   the sweep could not continue
"""

from __future__ import annotations


class SweeperError(Exception):
    """An error that the user can act on; its message is one line and says what to do next."""

    exit_code = 1


class ConfigError(SweeperError):
    """The search-space file, an override or an option is wrong; one line per mistake."""

    exit_code = 2

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


class ResultsError(SweeperError):
    """A results folder is missing, empty, half-written or in use."""

    exit_code = 2


class OutputError(SweeperError):
    """Stdout cannot be written: its disk is full, or its reader has gone, of which nothing is said."""

    def __init__(self, *lines: str, exit_code: int = 2) -> None:
        super().__init__(*lines)
        self.lines = lines
        self.exit_code = exit_code


class SweepError(SweeperError):
    """The sweep could not continue: every trial fails, the disk is full, Ray does not start."""
