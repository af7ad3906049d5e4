"""The result of one check of the doctor: a verdict, what was found, and advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from rich.text import Text

from trainers.formats import one_line

Verdict = Literal["ok", "optional", "warn", "fail"]
"""From the best to the worst; `optional` = it is missing, and only some sweeps or commands need it."""
STYLES: Final = {"ok": "green", "optional": "dim", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""

    def line(self) -> Text:
        """The check on one line."""
        text = Text(f"{self.verdict:<9}", style=STYLES[self.verdict]) + Text(one_line(f"{self.name:<13} {self.found}"))
        return text + Text(one_line(f"; {self.advice}") if self.advice else "")


def worst(checks: Iterable[Check]) -> Verdict:
    """The worst of the verdicts.

    >>> worst([Check("a", "ok", ""), Check("b", "warn", ""), Check("c", "optional", "")])
    'warn'
    """
    return max((check.verdict for check in checks), key=get_args(Verdict).index, default="ok")


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """Run a check of which any exception is a failure, because it runs much code of other packages."""
    try:
        return check()
    except Exception as error:
        found = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        advice = (
            "run with --local, which does not use Ray" if name == "ray" else "SWEEPER_DEBUG=1 sweeper run … --local"
        )
        return Check(name, "fail", found, advice)
