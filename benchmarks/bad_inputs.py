"""Bad inputs for the commands: files, overrides, results folders, tables and options, drawn from a generator."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from small_sweeps import make_images, mapping

ROOT = Path(__file__).parents[1]
CRUEL: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e-300, 1e300, 1e9, 10**8, 10**15, 2**63, 2**64, 10**39, float("inf")),
    *(float("nan"), "", " ", "x", "1e9", "1e999", "-1", "null", "none", "auto", "~nosuchuser/x", "/", "/dev/null"),
    *("/proc/self/mem", "..", "sqlite://", "sqlite:///:memory:", "a" * 300, "a" * 70_000, "é" * 200, "\u202e", "🎉"),
    *([], [1], [[]], ["lidar", "lidar"], {}, {"name": None}, {"name": "x"}, {"type": "float"}, ["x"] * 400),
    {"type": "float", "low": 1, "high": 10**30},
    {"type": "int", "low": -(10**12), "high": 10**12},
    {"type": "categorical", "choices": [None, True, 1, 1.5, "a", 10**12]},
    {"type": "float", "low": 1, "high": 2, "points": 10**8},
)
WRITTEN = (
    *("1:30", "010", "0x1F", "1_000", "9" * 400, "9" * 5000, "!!int x", "!!python/object:os.system x", "*a", "&a [*a]"),
    *(
        "[" * 800,
        "{a: " * 800,
        '"\\0"',
        '"\\ud800"',
        "2026-13-45",
        "2026-01-01",
        ".nan",
        "<<",
        "? [1]",
        "- 1",
        "%",
        "@",
        "`",
    ),
    *(
        "\x00",
        "\x1b[31m",
        "\t",
        "'",
        '"',
        "|",
        ">",
        "no",
        "on",
        "~",
        "=",
        "{1: 2}",
        "{[1]: 2}",
        "!",
        "!!set {a}",
        "1e-3",
    ),
)


@dataclass(frozen=True)
class Input:
    """One command line, and what is cruel about it."""

    kind: str
    arguments: list[str]
    what: str


def dump(value: Any) -> str:
    """A value on one line, as YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**9).removesuffix("...\n").strip()


def cruel_text(rng: random.Random) -> str:
    return rng.choice(WRITTEN) if rng.random() < 0.4 else dump(rng.choice(CRUEL))


def leaves(value: Any, key: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every key."""
    found = [key] if key else []
    if isinstance(value, dict):
        found += [path for name, below in value.items() for path in leaves(below, (*key, name))]
    return found


class Workplace:
    """A folder with small images, a search-space file and a finished sweep; inputs are made from these."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mapping = mapping(make_images(root / "images"), epochs=2, trials=3)
        self.file = root / "small.yaml"
        self.file.write_text(yaml.safe_dump(self.mapping))
        self.files = [self.file, *sorted((ROOT / "search_spaces").glob("*.yaml"))]
        self.keys = [
            *leaves(self.mapping),
            *[(name,) for name in ("criteria", "objective", "oracle", "oracle_pruned", "seeds", "jobs", "storage")],
            *[(name,) for name in ("keep_checkpoints", "max_retries", "search", "pruner", "resources", "collapse")],
            *[
                ("search", "sampler"),
                ("search", "seed"),
                ("pruner", "name"),
                ("pruner", "audit"),
                ("resources", "cpus"),
            ],
            *[("resources", "gpus"), ("collapse", "warmup"), ("criteria_sample", "split"), ("criteria_sample", "seed")],
            *[("encoder", "stem_stride"), ("encoder", "mask_patch"), ("dataset", "labels"), ("fixed", "local_crops")],
            *[("space", "lr", "points"), ("nonsense",), ("space", "nonsense"), ("space", "lr", "low", "deeper")],
        ]
        self.base = root / "results" / "base"
        self.number = 0

    def results(self) -> list[str]:
        return ["--results", str(self.root / "results")]

    def fresh(self, suffix: str) -> Path:
        """A path that no other input has."""
        self.number += 1
        return self.root / f"input{self.number}{suffix}"

    # search-space files

    def search_space(self, rng: random.Random) -> Input:
        path = self.fresh(".yaml")
        change = rng.choice([self._value, self._value, self._value, self._lines, self._lines, self._bytes, self._place])
        what = change(rng, path)
        # A sweep as large as the shipped ones is not tried out: its name is taken, which is said after all checks.
        end = ["--dry-run"] if change is self._value else ["--name", "base"]
        return Input("file", ["run", str(path), "--local", *end, *self.results()], what)

    def _value(self, rng: random.Random, path: Path) -> str:
        content: Any = json.loads(json.dumps(self.mapping))
        *above, last = rng.choice(self.keys)
        branch = content
        for name in above:
            branch[name] = branch = branch[name] if isinstance(branch.get(name), dict) else {}
        written = cruel_text(rng)
        branch[last] = "HERE"
        path.write_text(yaml.safe_dump(content).replace("HERE", written), encoding="utf-8", errors="surrogatepass")
        return f"{'.'.join(map(str, [*above, last]))}: {written[:60]!r}"

    def _lines(self, rng: random.Random, path: Path) -> str:
        source = rng.choice(self.files)
        lines = source.read_text().splitlines()
        at = rng.randrange(len(lines))
        bombs = [
            bomb("[x, x]", "[{}]"),
            bomb("{k: 1}", "{{<<: [{}]}}"),
            "- " * 800,
            *(f"{rng.choice(['method', 'space', 'x', '<<', 'on', '1'])}: {cruel_text(rng)}" for _ in range(4)),
        ]
        how = rng.choice(["without", "twice", "with", "with", "indented", "swapped"])
        if how == "without":
            del lines[at]
        elif how == "twice":
            lines.insert(at, lines[at])
        elif how == "with":
            lines.insert(at, rng.choice(bombs))
        elif how == "indented":
            lines[at] = rng.choice([" ", "\t", "   "]) + lines[at]
        else:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
        return f"{source.name}, line {at + 1} {how}: {lines[min(at, len(lines) - 1)][:60]!r}"

    def _bytes(self, rng: random.Random, path: Path) -> str:
        content = bytearray(rng.choice(self.files).read_bytes())
        what = damage(rng, content)
        path.write_bytes(content)
        return what

    def _place(self, rng: random.Random, path: Path) -> str:
        def huge(path: Path) -> None:
            path.write_text("a: [" + "1, " * 700_000 + "]")

        makers: dict[str, Callable[[Path], object]] = {
            "a pipe": os.mkfifo,
            "a folder": Path.mkdir,
            "a loop of links": lambda path: path.symlink_to(path),
            "a device": lambda path: path.symlink_to(rng.choice(["/dev/zero", "/dev/null", "/dev/full"])),
            "a file of zeros": lambda path: path.write_bytes(bytes(1000)),
            "a huge list": huge,
            "a sparse terabyte": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
            "nothing": lambda path: None,
        }
        name = rng.choice(list(makers))
        makers[name](path)
        return name

    # overrides

    def override(self, rng: random.Random) -> Input:
        given = []
        for _ in range(rng.choice([1, 1, 2])):
            key = ".".join(map(str, rng.choice(self.keys)))
            if rng.random() < 0.15:
                key = rng.choice(
                    ["", ".", "a..b", f".{key}", key.upper(), "a" * 5000, "é", "space.lr.low.x.y.z", "1", "<<"]
                )
            given.append(f"{key}{rng.choice(['=', '=', '=', '=', ''])}{cruel_text(rng)}".replace("\x00", ""))
        arguments = ["run", str(self.file), *given, "--local", "--dry-run", *self.results()]
        return Input("override", arguments, " ".join(one[:60] for one in given))

    # results folders

    def folder(self, rng: random.Random) -> Input:
        folder = self.fresh("") / "sweep"
        shutil.copytree(self.base, folder)
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".txt")
        file = rng.choice(files)
        how = rng.choice([damage_file, damage_file, damage_content, damage_content, damage_content])
        what = f"{file.relative_to(folder)}: {how(rng, file)}"
        if rng.random() < 0.4:  # else the tables are all that is read
            with contextlib.suppress(OSError):  # it may be a folder by now
                (folder / "trials.parquet").unlink()
        more = ["--local", "--quiet"]
        command = rng.choice(
            [
                ["resume", str(folder), "--trials", "4", *more],
                ["resume", str(folder), *more],
                ["probe", str(folder), *more],
                ["run", str(self.file), "--resume", "--name", "sweep", "--results", str(folder.parent), *more],
                ["show", str(folder)],
                ["show", str(folder), "--trial", "1"],
                ["best", str(folder)],
                ["best", str(folder), "--criterion", "rankme", "--json"],
                ["list", "--results", str(folder.parent)],
                ["analyze", str(folder)],
            ]
        )
        return Input("folder", command, f"{command[0]}: {what}")

    # tables

    def table(self, rng: random.Random) -> Input:
        table = pd.DataFrame(
            {
                "trial": range(12),
                "status": "completed",
                "oracle": [rng.random() for _ in range(12)],
                "lidar": [rng.random() * 9 for _ in range(12)],
                "rankme": [rng.random() * 9 for _ in range(12)],
                "config.lr": [10 ** -rng.random() for _ in range(12)],
            }
        )
        table, what = damage_table(rng, table)
        path = self.fresh(rng.choice([".csv", ".csv", ".parquet"]))
        try:
            table.to_csv(path, index=False) if path.suffix == ".csv" else table.astype(
                dict.fromkeys(table.columns[[column.dtype == object for _, column in table.items()]], str)
            ).to_parquet(path)
        except (ValueError, TypeError, pa.ArrowException):
            path.write_text("")
        if rng.random() < 0.4:
            content = bytearray(path.read_bytes())
            what += ", " + damage(rng, content)
            path.write_bytes(content)
        options = rng.choice(
            [[], [], ["--criteria", rng.choice(["lidar", "", ",", "-lidar,+rankme", "nope", "--", "-"])]]
        )
        options += rng.choice([[], [], ["--oracle", rng.choice(["lidar", "", "nope", "status", "trial"])]])
        arguments = ["analyze", str(path), *options, "--out", str(self.fresh("-report"))]
        return Input("table", arguments, f"{path.suffix} {what} {' '.join(options)}")

    # options

    def option(self, rng: random.Random) -> Input:
        long, value = (
            "a" * rng.choice([300, 5000]),
            str(rng.choice([*CRUEL, "9" * 400, "1e9", "0", "1d", "9" * 30 + "d"])),
        )
        value = rng.choice([value, long, "/".join("a" * 2000), "\udcff", "a\nb", "-", "--"]).replace("\x00", "")
        run = ["run", str(self.file), "--local", "--dry-run"]
        command = rng.choice(
            [
                *([*run, option, value] for option in ("--name", "--results", "--jobs", "--device", "--timeout")),
                *(
                    [*run[:2], "--dry-run", option, value]
                    for option in ("--address", "--jobs", "--storage", "--observer")
                ),
                *(["show", str(self.base), "--trial", value], ["resume", str(self.base), "--trials", value, "--local"]),
                *(
                    ["show", value],
                    ["best", value],
                    ["list", "--results", value],
                    ["resume", value],
                    ["analyze", value],
                ),
                *(
                    ["best", str(self.base), "--criterion", value],
                    ["probe", str(self.base), "--oracle", value, "--local"],
                ),
                *(["analyze", str(self.base), "--oracle", value], ["analyze", str(self.base), "--criteria", value]),
                *([value], ["run", value], ["run"], ["analyze", str(self.base), "--out", str(self.file)]),
                *(
                    ["run", str(self.file), "--name", "x", "--results", place]
                    for place in ("/proc", "/dev/null", "/sys/x")
                ),
            ]
        )
        return Input("option", command, " ".join(str(one)[:50] for one in command))


def bomb(first: str, body: str) -> str:
    """Anchors, each of which holds the one before nine times."""
    pairs = pairwise("abcdefghi")
    return "\n".join(
        [f"a: &a {first}", *(f"{new}: &{new} {body.format(', '.join(['*' + old] * 9))}" for old, new in pairs)]
    )


def damage(rng: random.Random, content: bytearray) -> str:
    """Cut, zero, flip or add bytes."""
    at = rng.randrange(max(1, len(content)))
    how = rng.choice(["cut", "emptied", "zeroed", "flipped", "garbage", "byte order", "line ends"])
    if how == "cut":
        del content[at:]
    elif how == "emptied":
        content.clear()
    elif how == "zeroed":
        content[at : at + 50] = bytes(len(content[at : at + 50]))
    elif how == "flipped":
        for _ in range(5):
            where = rng.randrange(max(1, len(content)))
            content[where : where + 1] = bytes([rng.randrange(256)])
    elif how == "garbage":
        content[at:at] = rng.randbytes(50)
    elif how == "byte order":
        content[:0] = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
    else:
        content[:] = content.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b""]))
    return f"{how} at {at}"


def damage_file(rng: random.Random, file: Path) -> str:
    """Replace a file by something else, or damage its bytes."""
    how = rng.choice(["folder", "pipe", "loop", "missing", "bytes", "bytes", "bytes"])
    content = bytearray(file.read_bytes())
    file.unlink()
    if how == "folder":
        file.mkdir()
    elif how == "pipe":
        os.mkfifo(file)
    elif how == "loop":
        file.symlink_to(file.name)
    elif how == "bytes":
        how = damage(rng, content)
        file.write_bytes(content)
    return how


def damage_content(rng: random.Random, file: Path) -> str:
    """Change values in a file, which stays valid in its own format."""
    if file.suffix == ".parquet":
        table = pd.DataFrame(pq.ParquetFile(file).read().to_pylist())
        table, what = damage_table(rng, table)
        try:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file)
        except (pa.ArrowException, ValueError, TypeError):
            pq.write_table(pa.table({"x": [1]}), file)
            return "another table"
        return what
    if file.suffix in (".json", ".jsonl", ".yaml"):
        lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
        at = rng.randrange(len(lines))
        content = yaml.safe_load(lines[at]) if file.suffix == ".yaml" else json.loads(lines[at])
        what = damage_mapping(rng, content)
        lines[at] = yaml.safe_dump(content) if file.suffix == ".yaml" else json.dumps(content)
        lines[at] = lines[at].replace("HUGE", "9" * rng.choice([400, 5000]))
        file.write_text("\n".join(lines) + "\n")
        return what
    if file.suffix == ".db":
        with sqlite3.connect(file) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type='table'")]
            name = rng.choice(names)
            columns = [column[1] for column in database.execute(f"pragma table_info({name})")]
            change = rng.choice(
                ["drop table {0}", "delete from {0}", "update {0} set {1} = null", "update {0} set {1} = 'x'"]
            )
            change = change.format(name, rng.choice(columns))
            try:
                database.execute(change)
            except sqlite3.Error:
                database.execute(f"delete from {name}")
        database.close()
        return change
    return damage_file(rng, file)


def damage_mapping(rng: random.Random, content: Any) -> str:
    *above, last = rng.choice(leaves(content))
    branch = content
    for name in above:
        branch = branch[name]
    if rng.random() < 0.25:
        del branch[last]
        return f"without {last}"
    branch[last] = rng.choice([*CRUEL, "HUGE"])
    return f"{last}: {str(branch[last])[:40]}"


def damage_table(rng: random.Random, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A table with one thing changed, and what."""
    name = str(rng.choice(list(table.columns)))
    values: tuple[Any, ...] = (
        None,
        "x",
        "",
        -1,
        1e300,
        float("inf"),
        float("nan"),
        True,
        2**62,
        "=1+1",
        "a\nb",
        "<b>",
        "\x1b[1m",
    )
    how = rng.choice(["without", "renamed", "all", "one", "no rows", "doubled", "extra", "one row"])
    value = rng.choice(values)
    if how == "without":
        del table[name]
    elif how == "renamed":
        other = rng.choice(["", " ", "x" * 500, "trial", "..", "$x_", "lidar"])
        table.columns = pd.Index([other if one == name else one for one in table.columns])
    elif how == "all":
        table[name] = value
    elif how == "one":
        table[name] = table[name].astype(object)
        table.loc[rng.randrange(len(table)), name] = value
    elif how in ("no rows", "one row"):
        table = table.iloc[: int(how == "one row")]
    elif how == "doubled":
        table.loc[len(table)] = table.loc[0]
    else:
        table[str(value)] = value
    return table, f"{name} {how} {value!r}"
