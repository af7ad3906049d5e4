"""The trial that a criterion selects: comments, then the search-space file that trains it again."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.cli.choice import Choice
from sweeper.cli.screens.cells import number
from sweeper.cli.screens.search_space import file_text
from trainers.formats import accuracy, one_line


def choice_text(choice: Choice) -> str:
    """The selected trial: its checkpoint, its regret, and the search-space file that trains it again."""
    among = "the only completed trial" if choice.completed == 1 else f"of {choice.completed} completed trials"
    lines = [
        f"# {choice.sweep}: {choice.criterion} selects trial {choice.trial} ({number(choice.value)}), {among}",
        f"# checkpoint: {choice.checkpoint or _without_checkpoint(choice)}",
    ]
    start, sign = choice.untrained_value, 1 if choice.higher_is_better else -1
    if start is not None and sign * start > sign * choice.value:
        high, more = ("high", "more") if choice.higher_is_better else ("low", "less")
        lines.append(
            f"# caution: {_before(choice)} has {number(start)}, {more} than this trial, so here a {high} "
            f"{choice.criterion} does not show that a trial learnt more"
        )
    if choice.best_configuration is not None:
        same = choice.best_configuration == choice.configuration
        lines.append(
            f"# it is one of {choice.seeds} runs of configuration {choice.configuration}, whose mean is "
            f"{number(choice.configuration_mean)}; "
            + (
                "no configuration has a better mean"
                if same
                else f"configuration {choice.best_configuration} has a better mean, {number(choice.best_mean)}"
            )
        )
    if choice.regret is not None:
        lines.append(
            f"# {choice.oracle}: {accuracy(choice.accuracy)}; the best, trial {choice.best_trial}, has "
            f"{accuracy(choice.best_accuracy)}; the regret is {100 * choice.regret:.1f} points"
        )
        if choice.untrained_accuracy is not None:
            lines[-1] += f"; {_before(choice)} has {accuracy(choice.untrained_accuracy)}"
    lines.append(f"# below is a search-space file; to train this trial again: {choice.again}")
    return "\n".join(map(one_line, lines)) + "\n" + file_text(choice.file)


def _before(choice: Choice) -> str:
    """The encoder before any update."""
    encoder = choice.file.get("encoder")
    from_weights = isinstance(encoder, Mapping) and encoder.get("weights")
    return "the encoder before training" if from_weights else "the untrained encoder"


def _without_checkpoint(choice: Choice) -> str:
    """Why there is no checkpoint, and how to get one."""
    if choice.missing:
        why = f"{choice.missing} is missing, although the sweep kept it; copy it back"
    else:
        kept = {
            "best": "keep_checkpoints: best keeps one for the whole sweep",
            "none": "keep_checkpoints: none",
        }.get(choice.keep_checkpoints, "the sweep was cleaned up")
        why = f"none was kept of this trial ({kept}); set keep_checkpoints=last in the next sweep"
    return f"{why}, or train the trial again as below"
