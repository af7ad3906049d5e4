"""What a command says when its sweep has ended: the outcome, and the next commands."""

from __future__ import annotations

import shlex

from sweeper.cli.screens.sweeps import count_words
from sweeper.run.sweep import Summary
from sweeper.store.listing import FINISHED, INTERRUPTED
from trainers.formats import one_line, seconds


def next_steps(summary: Summary) -> str:
    """The outcome of a sweep, and the next commands."""
    state = INTERRUPTED if summary.interrupted else FINISHED
    counts = count_words(summary.counts, summary.runs, state).plain or "no trial ended"
    ended = f"\n{one_line(str(summary.folder))}: {counts}, in {seconds(summary.seconds)}"
    if summary.interrupted:  # the message at the interruption says how to continue
        return ended
    folder = one_line(shlex.quote(str(summary.folder)))
    best = f"sweeper best {folder}"
    if summary.measured:
        steps = {
            f"sweeper analyze {folder}": "how each criterion ranked the trials",
            best: "the trial that the criterion selects",
        }
    else:  # without accuracies there is nothing that `analyze` could compare the criteria with
        first, *others = summary.criteria
        steps = {best: f"the trial that {first} selects"}
        steps |= {f"{best} --criterion {name}": f"the trial that {name} selects" for name in others[:1]}
    width = max(map(len, steps))
    return "\n".join([ended, *(f"  {command:<{width}}   {meaning}" for command, meaning in steps.items())])
