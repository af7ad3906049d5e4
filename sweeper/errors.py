"""The errors as one tree; each has the exit code of the command that it ends.

SweeperError                 1
├── ConfigError              2   the search-space file, an override or an option is wrong
├── ResultsError             2   a results folder is missing, empty, half-written or in use
└── SweepError               1   the sweep could not continue
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SweeperError(Exception):
    """An error that the user can act on; its message is one line and says what to do next."""

    exit_code = 1


class ConfigError(SweeperError):
    """The search-space file, an override or an option is wrong."""

    exit_code = 2


class ResultsError(SweeperError):
    """A results folder is missing, empty, half-written or in use."""

    exit_code = 2


class SweepError(SweeperError):
    """The sweep could not continue: every trial fails, the disk is full, Ray does not start."""


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `name`, or None where none is near.

    >>> nearest("Barlow Twins", ["simclr", "barlow_twins"])
    'barlow_twins'
    >>> nearest("resnet", ["simclr", "barlow_twins"]) is None
    True
    """
    plain = {_plain(candidate): candidate for candidate in candidates}
    # 0.6 is difflib's own cutoff: it takes a swapped or a missing letter and leaves unrelated words alone.
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of an error line: the nearest right name, or nothing.

    >>> did_you_mean("simclrr", ["simclr", "dino"])
    '; did you mean `simclr`?'
    """
    found = nearest(name, candidates)
    return f"; did you mean `{found}`?" if found else ""


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum() or letter in "/.")
