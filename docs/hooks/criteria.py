"""The table of criteria, from the catalogue and from the docstring of each criterion's file."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

from sweeper.config.docs.markdown import quoted_default, table
from sweeper.config.reference import by_method
from trainers.criteria import CRITERIA, DEFAULT_CRITERIA
from trainers.criteria.base import Criterion
from trainers.methods import METHODS


def criteria() -> str:
    """A table of all criteria, then a section on each: what it is, its source, a collapse, its cost."""
    head = ("criterion", "name", "better", "reads", "layer", "default")
    rows = [row(name, criterion) for name, criterion in CRITERIA.items()]
    return "\n\n".join([table(head, rows), *(about(name, criterion) for name, criterion in CRITERIA.items())])


def row(name: str, criterion: Criterion) -> tuple[str, ...]:
    """One row of the table."""
    better = "more" if criterion.higher_is_better else "less"
    reads = "views" if criterion.reads_views else "clean images"
    default = "yes" if name in DEFAULT_CRITERIA else ""
    return f"[`{name}`](#{name})", criterion.label, better, reads, criterion.layer, default


def about(name: str, criterion: Criterion) -> str:
    """The section of one criterion."""
    facts = parts_of(inspect.getdoc(import_module(f"trainers.criteria.{name}")) or "")
    constants = ", ".join(f"`{key}` = {quoted_default(value)}" for key, value in criterion.settings.items())
    layers = by_method({method: str(criterion.description(method)["layer"]) for method in METHODS})
    further = (("Layer", layers), ("Constants", constants))
    lines = [f"- **{title}:** {text}" for title, text in (*facts[1:], *further) if text]
    return f"## {name}\n\n{facts[0][1]}\n\n" + "\n".join(lines)


def parts_of(docstring: str) -> list[tuple[str, str]]:
    """What, source, collapse and cost of a criterion, from the docstring of its file.

    The first sentence says what it is. A paragraph that begins with "Collapse" ends with "Cost: …".

    >>> parts_of("What it is.\\n\\nWho, 2020.\\n\\nCollapse onto a point: 0. Cost: one pass.")
    [('What', 'What it is.'), ('Source', 'Who, 2020.'), ('Collapse', 'Onto a point: 0.'), ('Cost', 'One pass.')]
    """
    what, *paragraphs = (" ".join(one.split()) for one in docstring.split("\n\n"))
    source = " ".join(one for one in paragraphs if not one.startswith("Collapse"))
    found = re.search(r"Collapse (onto .*) Cost: (.*)", " ".join(paragraphs))
    if found is None:
        raise KeyError("a criterion's docstring must have `Collapse onto …` and `Cost: …`")
    facts = [("What", what), ("Source", source), ("Collapse", found[1]), ("Cost", found[2])]
    return [(title, re.sub("Collapse (?=onto)", "", text)[:1].upper() + text[1:]) for title, text in facts]
