"""Sections of a Markdown file, by heading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

FENCE: Final = re.compile(r"^\s*(```|~~~)")
HEADING: Final = re.compile(r"^(#+) (.+?)\s*$")


def section(text: str, heading: str | None) -> str:
    """What is below a heading, up to the next one of its level or above; the whole text without a heading.

    Raises:
        KeyError: no heading has this name.

    >>> section("# A\\none\\n## B\\ntwo\\n### C\\nthree\\n## D\\nfour", "B")
    'two\\n### C\\nthree'
    """
    if heading is None:
        return text
    level = 0
    kept: list[str] = []
    for line, code in lines_of(text):
        found = None if code else HEADING.match(line)
        if found and level and len(found[1]) <= level:
            break
        if level:
            kept.append(line)
        elif found and found[2] == heading:
            level = len(found[1])
    if not level:
        raise KeyError(f"no heading {heading!r}")
    return "\n".join(kept).strip("\n")


def lines_of(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is code between fences or a fence itself.

    >>> list(lines_of("a\\n```\\n# b\\n```"))
    [('a', False), ('```', True), ('# b', True), ('```', True)]
    """
    code = False
    for line in text.split("\n"):
        fence = bool(FENCE.match(line))
        yield line, code or fence
        code = code != fence
