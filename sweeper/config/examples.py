"""The search-space files that come with sweeper: search_spaces/ of the repository, sweeper/examples of a wheel."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

INSTALLED: Final = Path(__file__).parents[1] / "examples"
SOURCE: Final = Path(__file__).parents[2] / "search_spaces"
USUAL_FOLDER: Final = "search_spaces"
"""Where `sweeper init` writes the examples, and where a file without a folder is looked for."""
BESIDE: Final = ("schema.json", "README.md")
"""What editors and people need beside the examples."""


def examples_folder() -> Path:
    """Where the examples are."""
    return INSTALLED if INSTALLED.is_dir() else SOURCE


def examples() -> dict[str, Path]:
    """Name -> file of each example."""
    return {file.stem: file for file in sorted(examples_folder().glob("*.yaml"))}


def example_files() -> list[Path]:
    """The examples, their JSON schema, and the description of the keys."""
    return [*examples().values(), *(examples_folder() / name for name in BESIDE)]


def find_file(path: Path) -> Path:
    """The search-space file that `path` means; the log says which one, if it is not `path` itself.

    A name without folder and suffix, such as `dino`, means the file of that name; if there is none, dino.yaml here or
    in search_spaces/; if there is none, the example.
    """
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    for near in (Path(f"{path}.yaml"), Path(USUAL_FOLDER, f"{path}.yaml")):
        if near.is_file():
            logger.warning("%s is the file %s", path, near)
            return near
    example = examples().get(path.name)
    if example is None:
        return path
    logger.warning("%s is the example that comes with sweeper: %s", path, example)
    return example
