"""The hook of mkdocs.yml: fills the directives of the pages, and moves links into the repository to the site.

A directive is a line of its own:

    <!-- include README.md: Use the encoder -->    the section below that heading
    <!-- include results/README.md -->             the whole file
    <!-- generate commands -->                     what a function of GENERATED makes from the code
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from commands import commands
from criteria import criteria
from links import Links
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from notebooks import notebook
from sections import section

GENERATED: Final[dict[str, Callable[[], str]]] = {"commands": commands, "criteria": criteria}
DIRECTIVE: Final = re.compile(r"^<!-- (include|generate|notebook) ([^\s:]+)(?:: (.+))? -->$", re.MULTILINE)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Replace every page by its expanded text, and add the files of the repository that the pages link to."""
    root = Path(config.config_file_path).parent
    pages = {str(Path(config.docs_dir, page.src_uri).relative_to(root)): page for page in files.documentation_pages()}
    links = Links(root, {source: page.src_uri for source, page in pages.items()})
    for source, page in pages.items():
        text = expand(page.content_string, root, source, page.src_uri, links)
        files.remove(page)
        files.append(File.generated(config, page.src_uri, content=text))
    for uri, path in links.assets.items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def expand(text: str, root: Path, source: str, page: str, links: Links) -> str:
    """The text of a page with its directives filled; links are relative to the file that they are written in."""

    def fill(found: re.Match[str]) -> str:
        kind, name, heading = found.groups()
        try:
            if kind == "generate":
                return GENERATED[name]()
            if kind == "notebook":
                return notebook(root / name)
            whole = (root / name).read_text(encoding="utf-8")
            return links.move(section(whole, heading), name, page)
        except (KeyError, OSError) as error:
            raise PluginError(f"{source}: {found[0]}: {error}") from error

    parts: list[Any] = []
    end = 0
    for found in DIRECTIVE.finditer(text):
        parts += [links.move(text[end : found.start()], source, page), fill(found)]
        end = found.end()
    return "".join([*parts, links.move(text[end:], source, page)])
