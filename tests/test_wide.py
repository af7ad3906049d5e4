"""A table that is broken into several, as wide as the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from sweeper.cli.screens.wide import WideTable

TABLE = WideTable(
    ("id", "a", "long heading", "b", "größe"),
    [(["1", "x", "2.5", Text("大きさ"), "–"], None), (["22*", "y", "3", "[red]", "7"], "dim")],
)


def printed(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(TABLE)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [16, 20, 25, 30, 80])
def test_no_line_is_wider_and_each_cell_is_there_once(width: int) -> None:
    lines = printed(width)
    assert all(Text(line).cell_len <= width for line in lines)
    groups = TABLE.groups(width)
    assert [column for group in groups for column in group[1:]] == [1, 2, 3, 4]
    assert all(group[0] == 0 for group in groups)
    words = " ".join(lines).split()
    for cell in ("a", "heading", "b", "größe", "x", "y", "2.5", "大きさ", "[red]", "7"):
        assert words.count(cell) == 1, cell
    assert words.count("22*") == words.count("id") == len(groups)


def test_a_table_with_enough_room_is_one() -> None:
    assert TABLE.groups(80) == [[0, 1, 2, 3, 4]]
    assert TABLE.groups(3 + 2 + 1 + 2 + 12 + 2 + 6 + 2 + 5) == [[0, 1, 2, 3, 4]]
    assert TABLE.groups(3 + 2 + 1 + 2 + 12 + 2 + 6 + 2 + 4) == [[0, 1, 2, 3], [0, 4]]


def test_a_column_that_is_wider_than_the_terminal_is_folded() -> None:
    assert TABLE.groups(8) == [[0, 1], [0, 2], [0, 3], [0, 4]]
