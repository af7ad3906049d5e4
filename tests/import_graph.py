"""What our files import, read from their source; and the circles in it."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


def imports(path: Path, *, types: bool = True) -> set[str]:
    """Every module that a file imports, at its top or inside a function; with or without those for types alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not types:
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def import_graph(files: list[Path], root: Path) -> dict[str, set[str]]:
    """Each module of ours -> the modules of ours that it imports, for types alone or inside a function too."""
    paths = {module_of(path, root): path for path in files}
    found = {module: imports(path) & set(paths) for module, path in paths.items()}
    # `from a.b import c` names a.b and a.b.c; where a.b.c is a module, that one is meant.
    packages = {module for module, path in paths.items() if path.name == "__init__.py"}
    for module, others in found.items():
        meant = {other for other in others if other not in packages or not any(is_in(one, other) for one in others)}
        found[module] = meant - {module}
    return found


def is_in(module: str, package: str) -> bool:
    return module.startswith(f"{package}.")


def folder_graph(graph: dict[str, set[str]], parent: str) -> dict[str, set[str]]:
    """Each folder directly in `parent` -> the folders beside it that its files import."""
    depth = parent.count(".") + 1
    folders = {".".join(module.split(".")[: depth + 1]) for module in graph if module.count(".") > depth}

    def folder(module: str) -> str:
        head = ".".join(module.split(".")[: depth + 1])
        return head if is_in(module, parent) and head in folders else ""

    found: dict[str, set[str]] = {}
    for module, others in graph.items():
        if folder(module):
            found.setdefault(folder(module), set()).update({folder(other) for other in others} - {folder(module), ""})
    return found


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one cycle, the first again at the end; nothing if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
