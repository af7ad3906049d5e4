"""The nearest right name of a misspelt one. Standard library only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` was most likely meant to be, or None if none is near.

    >>> nearest("Barlow Twins", ["simclr", "barlow_twins"])
    'barlow_twins'
    >>> nearest("resnet", ["simclr", "barlow_twins"]) is None
    True
    """
    plain = {_plain(candidate): candidate for candidate in candidates}
    # 0.6 is difflib's own cutoff: it accepts a swapped or a missing letter, and no unrelated word.
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
