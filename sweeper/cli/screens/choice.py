"""The trial that a criterion selects: the answer and its evidence as comments, then the file that trains it again."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from sweeper.cli.again import LONGER
from sweeper.cli.choice import Choice
from sweeper.cli.evidence import Evidence
from sweeper.cli.screens.cells import number
from sweeper.cli.screens.evidence import answer, details
from sweeper.cli.screens.search_space import NARROW, file_text
from trainers.formats import one_line

COMMANDS: Final[Mapping[str, str]] = {
    "retrain": "make its checkpoint again",
    "export": "export its encoder",
    "longer": f"train it {LONGER} times as long; change epochs as you like",
    "again": "train it again as below",
}
"""What each command does."""


def choice_text(choice: Choice, evidence: Evidence) -> str:
    """The answer, its evidence, the next commands, and the search-space file that trains the trial again.

    Sentences are broken at 80 columns; a command or a path stays on one line, so that it can be copied.
    """
    among = "the only completed trial" if choice.completed == 1 else f"of {choice.completed} completed trials"
    head = f"{choice.sweep}: {choice.criterion} selects trial {choice.trial} ({number(choice.value)}), {among}"
    said = [head, answer(choice, evidence), *cautions(choice), "", *details(choice, evidence), ""]
    lines = [line for text in said for line in broken(one_line(text))] + _checkpoint(choice)
    for what, command in choice.commands.items():
        lines += [f"{COMMANDS[what]}:", f"  {one_line(command)}"]
    lines.append("below is the search-space file of this trial")
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + file_text(choice.file)


def broken(text: str) -> list[str]:
    """A sentence in lines that fit beside the comment's mark; an indented one stays indented.

    >>> [len(line) <= 78 for line in broken("word " * 40)], broken("")
    ([True, True, True], [''])
    """
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(
        text, NARROW - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def cautions(choice: Choice) -> Iterator[str]:
    """What to know of the criterion's value: that of the untrained encoder, and the mean over seeds."""
    start, sign = choice.untrained_value, 1 if choice.higher_is_better else -1
    if start is not None and sign * start > sign * choice.value:
        high, more = ("high", "more") if choice.higher_is_better else ("low", "less")
        yield (
            f"caution: {_before(choice)} has {number(start)}, {more} than this trial, so here a {high} "
            f"{choice.criterion} does not show that a trial learnt more"
        )
    if choice.best_configuration is not None:
        same = choice.best_configuration == choice.configuration
        yield (
            f"it is one of {choice.seeds} runs of configuration {choice.configuration}, whose mean is "
            f"{number(choice.configuration_mean)}; "
            + (
                "no configuration has a better mean"
                if same
                else f"configuration {choice.best_configuration} has a better mean, {number(choice.best_mean)}"
            )
        )


def _checkpoint(choice: Choice) -> list[str]:
    """The checkpoint, or why there is none."""
    if choice.checkpoint or choice.missing:
        missing = (
            [] if choice.checkpoint else ["it is missing, although the sweep kept it; copy it back, or make it again"]
        )
        return [one_line(f"checkpoint: {choice.checkpoint or choice.missing}"), *missing]
    kept = {
        "best": "keep_checkpoints: best keeps those of the best by each criterion and the loss",
        "none": "keep_checkpoints: none",
    }.get(choice.keep_checkpoints, "the sweep was cleaned up")
    return broken(f"checkpoint: none was kept of this trial ({kept})")


def _before(choice: Choice) -> str:
    """The encoder before any update."""
    encoder = choice.file.get("encoder")
    from_weights = isinstance(encoder, Mapping) and encoder.get("weights")
    return "the encoder before training" if from_weights else "the untrained encoder"
