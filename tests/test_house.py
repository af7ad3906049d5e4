"""The rules of the packages: allowed imports, no side effects at import, and documents that match the code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from import_graph import cycle_in, folder_graph, import_graph, imports

from analysis.stats.judgement import Judgement
from sweeper.cli.commands import cli
from sweeper.config import reference as config_reference
from sweeper.config.read import parse_config
from sweeper.store import reference as store_reference
from trainers.records import EPOCH_COLUMNS, TRIAL_COLUMNS, names_of

ROOT = Path(__file__).parents[1]
ROOMS = ("sweeper", "trainers", "analysis")
SHELVES = ("methods", "criteria", "datasets", "oracles")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def importers(package: str, *, types: bool = True) -> set[str]:
    """The files of ours that import a package or something in it."""
    return {
        str(path.relative_to(ROOT))
        for path in FILES
        if any(module == package or module.startswith(f"{package}.") for module in imports(path, types=types))
    }


def within(files: set[str], *folders: str) -> set[str]:
    return {file for file in files if file.startswith(tuple(f"{folder}/" for folder in folders))}


@pytest.mark.slow
def test_the_reader_of_imports_sees_them(tmp_path: Path) -> None:
    file = tmp_path / "room.py"
    file.write_text("def f():\n    from ray import tune\nimport torch.nn as nn\nif TYPE_CHECKING:\n    import optuna\n")
    assert imports(file) == {"ray", "ray.tune", "torch.nn", "optuna"}
    assert imports(file, types=False) == {"ray", "ray.tune", "torch.nn"}
    assert "sweeper/search/study.py" in importers("optuna")
    assert "trainers/loop.py" in importers("torch")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["ray", "optuna", "sweeper", "analysis"])
def test_the_laboratory_does_not_know_the_conductor_or_the_judge(package: str) -> None:
    assert not within(importers(package), "trainers")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["torch", "ray", "sweeper", "torchvision", "timm"])
def test_the_judge_knows_neither_torch_nor_ray_nor_the_conductor(package: str) -> None:
    assert not within(importers(package), "analysis")


def test_the_judge_reads_the_records_and_little_else_of_the_laboratory() -> None:
    for path in FILES:
        if path.is_relative_to(ROOT / "analysis"):
            of_trainers = {module for module in imports(path) if module.split(".")[0] == "trainers"}
            allowed = ("trainers.records", "trainers.formats", "trainers.names", "trainers.rebuilding")
            assert all(module.startswith(allowed) for module in of_trainers), path


@pytest.mark.parametrize("name", ["records", "formats", "names", "rebuilding", "fields", "options"])
def test_the_records_and_the_validator_need_the_standard_library_alone(name: str) -> None:
    modules = imports(ROOT / "trainers" / f"{name}.py")
    ours = {module for module in modules if module.startswith(("trainers.names", "trainers.fields"))}
    assert {module.split(".")[0] for module in modules - ours} <= set(sys.stdlib_module_names)


@pytest.mark.slow
def test_ray_is_used_in_its_room_alone() -> None:
    assert not {file for file in importers("ray") if not file.startswith("sweeper/on_ray/")} - {"sweeper/cli/doctor.py"}


@pytest.mark.slow
def test_optuna_is_used_by_config_search_the_judge_and_the_dashboard() -> None:
    files = importers("optuna", types=False) - {"sweeper/cli/dashboard.py"}
    assert not files - within(files, "sweeper/config", "sweeper/search", "analysis/stats")


@pytest.mark.slow
def test_parquet_is_written_and_read_in_one_place_each() -> None:
    assert importers("pyarrow") <= {"sweeper/store/tables.py", "trainers/datasets/huggingface.py"}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if "read_parquet(" in text and "pd.read_parquet" in text:
            assert path == ROOT / "analysis" / "data" / "files.py"
        assert "to_parquet" not in text, path


def test_sweep_yaml_is_opened_in_one_place_of_the_conductor() -> None:
    for path in FILES:
        if path.is_relative_to(ROOT / "sweeper") and path != ROOT / "sweeper" / "store" / "manifest.py":
            assert "sweep_file.read" not in path.read_text(encoding="utf-8"), path


MAY_IMPORT = {
    "notebook": {"cli", "run", "on_ray", "search", "store", "config"},
    "cli": {"run", "on_ray", "search", "store", "config"},
    "run": {"on_ray", "search", "store", "config"},
    "on_ray": set(),
    "store": {"search", "config"},
    "search": {"config"},
    "config": set(),
}
"""Subpackage of sweeper -> the other subpackages that it may import."""


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_the_rooms_of_the_conductor_import_downwards(room: str) -> None:
    for path in (ROOT / "sweeper" / room).rglob("*.py"):
        known = {module.split(".")[1] for module in imports(path, types=False) if module.startswith("sweeper.")}
        allowed = MAY_IMPORT[room] | {room, "errors", "__version__"}
        assert known <= allowed, path


ORDER = ("data", "stats", "text", "figures", "report")
"""The subpackages of analysis: each imports those before it."""


@pytest.mark.parametrize("room", ORDER)
def test_the_rooms_of_the_judge_import_downwards(room: str) -> None:
    for path in (ROOT / "analysis" / room).rglob("*.py"):
        known = {module.split(".")[1] for module in imports(path) if module.startswith("analysis.")}
        assert known <= set(ORDER[: ORDER.index(room) + 1]), path


def test_cycles_between_modules_and_folders_are_found(tmp_path: Path) -> None:
    sources = {
        "room/__init__.py": "",
        "room/a/__init__.py": "",
        "room/b/__init__.py": "",
        "room/a/one.py": "from room.b import two",
        "room/a/three.py": "",
        "room/b/two.py": "",
        "room/b/four.py": "def f():\n    from room.a.three import x",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    files = sorted(tmp_path.rglob("*.py"))
    graph = import_graph(files, tmp_path)
    assert graph["room.a.one"] == {"room.b.two"}
    assert cycle_in(graph) == []
    assert set(cycle_in(folder_graph(graph, "room"))) == {"room.a", "room.b"}
    (tmp_path / "room/b/two.py").write_text("if TYPE_CHECKING:\n    import room.a.one")
    assert set(cycle_in(import_graph(files, tmp_path))) == {"room.a.one", "room.b.two"}


GRAPH = import_graph(FILES, ROOT)
PARENTS = sorted({module.rpartition(".")[0] for module in GRAPH if "." in module})


def test_modules_do_not_import_in_a_circle() -> None:
    assert cycle_in(GRAPH) == []


@pytest.mark.parametrize("parent", PARENTS)
def test_folders_do_not_import_in_a_circle(parent: str) -> None:
    assert cycle_in(folder_graph(GRAPH, parent)) == []


@pytest.mark.slow
def test_the_commands_and_the_notebook_alone_know_the_judge() -> None:
    asking = ("sweeper/cli", "sweeper/notebook")
    assert within(importers("analysis"), "sweeper") == within(importers("analysis"), *asking)


@pytest.mark.slow
def test_a_run_does_not_import_pandas() -> None:
    """With --local; `ray.tune` imports pandas itself."""
    code = "import sys, sweeper.run.sweep, sweeper.run.worker, sweeper.run.observers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "optuna" in loaded
    assert not loaded & {"pandas", "matplotlib", "analysis"}


def test_only_the_probe_opens_labels() -> None:
    openers = {path for path in FILES if re.search(r"\.labels\(", path.read_text(encoding="utf-8"))}
    assert openers == {ROOT / "trainers" / "probe.py"}


@pytest.mark.slow
def test_nothing_that_searches_or_measures_a_criterion_knows_the_oracle() -> None:
    allowed = {
        *("sweeper/run/worker.py", "sweeper/run/sweep.py", "sweeper/run/images.py", "sweeper/run/score.py"),
        "sweeper/cli/plan.py",
        *("sweeper/config/oracles.py", "sweeper/config/reference.py", "sweeper/config/docs/schema.py"),
    }
    assert importers("trainers.probe") <= allowed
    shelf = within(importers("trainers.oracles"), "trainers/oracles")
    assert importers("trainers.oracles") <= allowed | shelf | {"trainers/probe.py", "trainers/plugins.py"}


def test_shelves_do_not_import_one_another() -> None:
    for shelf in SHELVES:
        for path in (ROOT / "trainers" / shelf).glob("*.py"):
            others = {f"trainers.{other}" for other in SHELVES if other != shelf}
            assert not {module for module in imports(path) if module.startswith(tuple(others))}, path


@pytest.mark.slow
def test_nobody_imports_the_commands() -> None:
    assert importers("sweeper.cli.commands") <= {"sweeper/__main__.py", "sweeper/cli/__init__.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_named_for_what_it_holds(path: Path) -> None:
    assert path.stem not in ("utils", "util", "common", "helpers", "helper", "misc", "tools")


SHARED = {
    "criteria": {"discriminant", "points"},
    "oracles": {"linear"},
    "datasets": {"fetch", "listed"},
    "observers": {"tracker"},
}
"""Shelf -> its files that hold no thing of the catalogue, but what several of them share."""


@pytest.mark.parametrize("shelf", [*SHELVES, "observers"])
def test_a_catalogue_names_its_files(shelf: str) -> None:
    from sweeper.run.observers import OBSERVERS
    from trainers.criteria import CRITERIA
    from trainers.datasets import DATASETS
    from trainers.methods import METHODS
    from trainers.oracles import ORACLES

    catalogues: dict[str, dict[str, Any]] = {
        "methods": METHODS,
        "criteria": CRITERIA,
        "datasets": DATASETS,
        "oracles": ORACLES,
        "observers": OBSERVERS,
    }
    folder = ROOT / ("sweeper/run" if shelf == "observers" else "trainers") / shelf
    assert set(catalogues[shelf]) == {path.stem for path in folder.glob("*.py")} - {
        "__init__",
        "base",
        *SHARED.get(shelf, ()),
    }
    for name, thing in catalogues[shelf].items():
        assert getattr(thing, "name", name) == name


HEAVY = {"torch", "ray", "optuna", "pandas", "numpy", "scipy", "pyarrow", "matplotlib", "mlxtend", "rich", "yaml"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["analyze", "--help"], ["rum"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from sweeper.cli.commands import execute; execute(sys.argv[1:]); "
        "print(); print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "click" in loaded
    assert not loaded & HEAVY


IMPORT_EVERYTHING = """
import importlib, json, logging, os, random, sys, warnings
import click, matplotlib, mlxtend.data, numpy, optuna, pandas, pyarrow.parquet, rich.live, scipy.stats
import threadpoolctl, yaml
import matplotlib.figure, optuna.samplers, optuna.pruners, PIL.Image, scipy.linalg
import ray.tune, ray.tune.schedulers, ray.tune.search, timm, torch, torchvision

def state():
    return {
        "torch": torch.get_rng_state().sum().item(),
        "torch seed": torch.initial_seed(),
        "numpy": str(numpy.random.get_state()[1][:8]),
        "python": hash(random.getstate()),
        "threads": torch.get_num_threads(),
        "logging": [str(handler) for handler in logging.getLogger().handlers] + [logging.getLogger().level],
        "environment": dict(os.environ),
        "filters": [str(one) for one in warnings.filters],
        "backend": matplotlib.rcParams["figure.dpi"],
        "verbosity": optuna.logging.get_verbosity(),
    }

events = []
WATCHED = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir", "os.fork")

def watch(event, arguments):
    if event in WATCHED or (event == "open" and set(str(arguments[1])) & set("wax+")):
        events.append([event, str(arguments[:2])])

before = state()
sys.addaudithook(watch)
for name in sys.argv[1:]:
    importlib.import_module(name)
events.append(["end", ""])
after = state()
print(json.dumps({"events": events, "changed": [key for key in before if before[key] != after[key]]}))
"""


@pytest.mark.slow
def test_nothing_happens_at_import() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES]
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_EVERYTHING, *modules], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen == {"events": [["end", ""]], "changed": []}


def test_the_search_space_document_is_current() -> None:
    written = (ROOT / "search_spaces" / "README.md").read_text(encoding="utf-8")
    assert written == config_reference.write(), "run: python -m sweeper.config.reference search_spaces"


def test_the_tables_of_the_results_document_are_current() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert store_reference.write() in text, "put what `python -m sweeper.store.reference` prints into results/README.md"


def test_the_results_document_names_every_column_and_table() -> None:
    text = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    assert not {column for column in names_of((*TRIAL_COLUMNS, *EPOCH_COLUMNS)) if f"`{column}`" not in text}
    assert not {field.name for field in fields(Judgement) if f"`{field.name}.csv`" not in text}


DOCUMENTS = [ROOT / "README.md", ROOT / "search_spaces/README.md", ROOT / "results/README.md"]
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if "sweeper " in page.read_text(encoding="utf-8")]


def commands_in(text: str) -> list[str]:
    """The lines of a document's code that begin with `sweeper`, and the commands in its prose."""
    code = "\n".join(re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL))
    lines = re.findall(r"^(?:\$ )?(sweeper .*)$", code, flags=re.MULTILINE)
    return [line.partition("  ")[0].partition(" #")[0] for line in lines] + re.findall(r"`(sweeper [^`]+)`", text)


@pytest.mark.parametrize("document", [*DOCUMENTS, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_the_documents_exist(document: Path) -> None:
    found = commands_in(document.read_text(encoding="utf-8"))
    assert found
    for line in found:
        _, name, *arguments = shlex.split(line)
        if name.startswith("-"):
            continue
        command = cli.commands[name]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
        given = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
        assert given <= known, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.slow
def test_the_search_spaces_of_the_documents_are_valid(document: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in blocks:
        parse_config(yaml.safe_load(block), source=document.name)
    assert blocks or document.parent.name == "results"
