"""A table of one line per row that fits a width: its least important columns are left out, and its lines are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from trainers.formats import one_line

GAP: Final = "  "
TITLE: Final = 12
"""Characters of a heading, at most."""


@dataclass(frozen=True)
class Column:
    """One column: a heading, and a cell for each row."""

    title: str
    cells: Sequence[str | Text]
    rank: int
    """The columns with the lowest ranks are kept."""
    to_left: bool = False
    least: int = 0
    """Characters that it has in any case, so that it does not push others out when a longer cell comes."""
    always: bool = False
    """Whether a row with a remark has it too."""

    @property
    def width(self) -> int:
        """The widest cell or the heading."""
        return max(self.least, *(len_of(cell) for cell in (heading(self.title), *self.cells)))

    def cell(self, content: str | Text) -> Text:
        """A cell with blanks to the column's width."""
        text = content.copy() if isinstance(content, Text) else Text(one_line(content))
        blanks = self.width - text.cell_len
        if self.to_left:
            text.pad_right(blanks)
        else:
            text.pad_left(blanks)
        return text


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit the width, the important ones first, in their order."""
    kept: set[int] = set()
    used = -len(GAP)
    for index in sorted(range(len(columns)), key=lambda index: columns[index].rank):
        needed = columns[index].width + len(GAP)
        if used + needed <= width:
            used += needed
            kept.add(index)
    return [column for index, column in enumerate(columns) if index in kept]


def lines_of(columns: Sequence[Column], remarks: Sequence[Text | None], width: int) -> list[Text]:
    """The heading and a line for each row, none wider than the width.

    Args:
        columns: the columns.
        remarks: one for each row; a row that has one shows it after the columns that it has in any case.
        width: characters of a line.
    """
    kept = fitting(columns, width)
    heads = [column.cell(Text(heading(column.title), style="bold")) for column in kept]
    lines = [Text(GAP).join(heads)]
    for index, remark in enumerate(remarks):
        cells = [column.cell(column.cells[index]) for column in kept if remark is None or column.always]
        lines.append(Text(GAP).join([*cells, *([] if remark is None else [remark])]))
    return [cut(line, width) for line in lines]


def cut(line: Text, width: int) -> Text:
    """The line, with an ellipsis where it is too long."""
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line


def in_lines(parts: Sequence[str], width: int) -> list[str]:
    """The parts in as few lines as they need, broken only between parts.

    >>> in_lines(["1 of 2 trials ended", "1 running", "3 s left"], 33)
    ['1 of 2 trials ended · 1 running', '3 s left']
    """
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and Text(longer).cell_len <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def heading(title: str) -> str:
    """The title, cut to the length of a heading."""
    text = one_line(title)
    return text if len(text) <= TITLE else f"{text[: TITLE - 1]}…"


def len_of(content: str | Text) -> int:
    """Columns of a terminal."""
    return content.cell_len if isinstance(content, Text) else Text(one_line(content)).cell_len
