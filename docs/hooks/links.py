"""Links of a text of the repository, made links of the site."""

from __future__ import annotations

import posixpath
import re
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from sections import lines_of

LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
ASSETS: Final = {".csv", ".html", ".ipynb", ".json", ".png"}
"""Files that the site takes over as they are."""
PAGE_OF: Final = {
    "README.md": "docs/index.md",
    "docs": "docs/index.md",
    "CONTRIBUTING.md": "docs/guides/plugins.md",
    "results/reference/published/README.md": "docs/guides/table.md",
    "results/README.md": "docs/reference/results.md",
    "search_spaces": "docs/reference/search_space.md",
    "search_spaces/README.md": "docs/reference/search_space.md",
}
"""File of the repository -> the page that has its text."""


class Links:
    """Where a link leads on the site: to a page, to a file that is taken over, or nowhere."""

    def __init__(self, root: Path, pages: dict[str, str]) -> None:
        """`pages`: file of the repository, such as docs/index.md, -> the page's address below docs/."""
        self.root = root
        self.pages = pages
        self.assets: dict[str, Path] = {}
        """Address on the site -> the file that is taken over."""

    def move(self, text: str, source: str, page: str) -> str:
        """The text of the file `source` for the page `page`; code stays as it is."""
        home = posixpath.dirname(source)

        def moved(found: re.Match[str]) -> str:
            image, label, target = found.groups()
            path, mark, anchor = target.partition("#")
            if not path or "://" in path or path.startswith("mailto:"):
                return found[0]
            uri = self.uri_of(posixpath.normpath(posixpath.join(home, path)))
            if uri is None:
                return label if re.search(r"[`\s]", label) else f"`{label}`"
            relative = posixpath.relpath(uri, posixpath.dirname(page) or ".")
            return f"{image}[{label}]({relative}{mark}{anchor})"

        parts = groupby(lines_of(text), key=itemgetter(1))
        texts = [(code, "\n".join(line for line, _ in lines)) for code, lines in parts]
        return "\n".join(text if code else LINK.sub(moved, text) for code, text in texts)

    def uri_of(self, path: str) -> str | None:
        """The address on the site of a file of the repository; None if the site does not have it."""
        path = PAGE_OF.get(path, path)
        if path in self.pages:
            return self.pages[path]
        if path.endswith(".md") and (self.root / path).with_suffix(".html").is_file():
            path = path.removesuffix(".md") + ".html"
        if path.startswith("docs/") and not (self.root / path).is_file():
            return path.removeprefix("docs/")  # mkdocs itself says that it does not exist
        if Path(path).suffix not in ASSETS or not (self.root / path).is_file():
            return None
        uri = f"files/{path}"
        self.assets[uri] = self.root / path
        return uri
