"""Text in a table is only data: it cannot leave a folder, control a terminal, or become HTML."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from pandas import DataFrame
from rich.console import Console

from analysis.data.columns import ResultsUnreadable
from analysis.data.folders import folder_name, folder_names
from analysis.report.tables import TextTable, to_latex, to_markdown
from analysis.report.write import analyze
from analysis.text.safe import for_csv


def write_table(folder: Path, sweeps: list[str]) -> Path:
    """Twelve trials, assigned to the sweeps in turn."""
    table = DataFrame({"sweep": [sweeps[place % len(sweeps)] for place in range(12)], "trial": range(12)})
    path = folder / "table.csv"
    table.assign(lidar=range(12), oracle=[place / 20 for place in range(12)]).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("out", [True, False])
@pytest.mark.parametrize("name", ["..", ".", " ", "x" * 256, "figures", "ranking.csv", "A"])
def test_a_sweep_that_is_no_folder_is_refused_in_one_line(tmp_path: Path, name: str, out: bool) -> None:
    path = write_table(tmp_path, ["a", name])
    with pytest.raises(ResultsUnreadable, match="`sweep` must") as error:
        analyze([path], out=tmp_path / "deep" / "out" if out else None)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("name", ["/etc/x", "a/../../b", "..\\..\\b", "a\x00b", "a\nb", "../x", "C:\\x"])
def test_a_name_stays_below_its_folder(name: str) -> None:
    made = folder_name(name)
    assert not set(made) & set("/\\\x00\n")
    assert made not in ("", ".", "..")


def test_two_sweeps_never_share_a_folder() -> None:
    assert folder_names(["a/b", "c"]) == {"a/b": "a-b", "c": "c"}
    with pytest.raises(ValueError, match="'a/b' and 'a-b' share 'a-b'"):
        folder_names(["a/b", "a-b"])


HOSTILE = "[/bold] $x \\ <img src=x> [x](javascript:1)\n\x1b[31m"


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.slow
def test_a_hostile_table_is_reported_as_data(tmp_path: Path, labels: bool) -> None:
    sweeps = ["=cmd()", f"{HOSTILE}a"]
    table = DataFrame({"sweep": [sweeps[place % 2] for place in range(12)], "trial": range(12), HOSTILE: range(12)})
    table = table.assign(**({"oracle": [0.0, *(1 / place for place in range(1, 12))]} if labels else {}))
    table["config." + HOSTILE] = [place % 3 for place in range(12)]
    table.to_csv(tmp_path / "table.csv", index=False)
    report = analyze([tmp_path / "table.csv"], criteria=[HOSTILE])
    console = Console(width=200, file=io.StringIO())
    with console.capture() as capture:
        console.print(report.terminal)
    assert "[/bold] $x" in capture.get()
    assert "\x1b" not in capture.get()
    for folder in report.folders:
        page, text = ((folder / f"report.{end}").read_text(encoding="utf-8") for end in ("html", "md"))
        for written in (page, text):
            assert "\x1b" not in written
        assert "<img" not in page
        assert not re.search(r"(?<!\\)<img", text)
        assert "](javascript" not in text
    assert "'=cmd()" in (report.folder / "ranking.csv").read_text(encoding="utf-8")


def test_a_row_stays_one_row() -> None:
    table = TextTable("", ("a\nb", "n"), (("[x\n|", "−0.5"),), (True, False))
    assert to_markdown(table).splitlines()[2:] == ["| [x \\| | −0.5 |"]
    assert to_latex(table).splitlines()[2:5] == [r"a b & n \\", r"\midrule", r"{}[x | & $-$0.5 \\"]


def test_only_text_is_quoted_in_a_csv() -> None:
    table = for_csv(DataFrame({"t": ["=1", "+1", "-1", "@a", "a"], "n": [-1.0, 2, 3, 4, 5]}))
    assert table["t"].tolist() == ["'=1", "'+1", "'-1", "'@a", "a"]
    assert table["n"].tolist() == [-1.0, 2, 3, 4, 5]


def test_an_error_gives_a_terminal_no_order(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("lidar,oracle\n\x1b[31m,1\n", encoding="utf-8")
    with pytest.raises(ResultsUnreadable) as error:
        analyze([tmp_path / "table.csv"], criteria=["\x1b[31m"])
    assert "\x1b" not in str(error.value)
