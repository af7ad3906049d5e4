"""What a table holds is data: no name in it leaves a folder, gives an order to a terminal, or becomes HTML."""

from __future__ import annotations

from pathlib import Path

import pytest
from pandas import DataFrame

from analysis.columns import ResultsUnreadable
from analysis.report import analyze
from analysis.safe import folder_name, folder_names


def write_table(folder: Path, sweeps: list[str]) -> Path:
    """Twelve trials, their sweeps in turn."""
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
