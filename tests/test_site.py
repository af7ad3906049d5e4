"""The documentation site: its directives, its examples and its notebook, and the whole of it as `mkdocs` builds it."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from small_sweeps import ROOT

from sweeper.cli.commands import cli
from trainers.criteria import CRITERIA

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
EXAMPLES = [page for page in PAGES if ">>> " in page.read_text(encoding="utf-8")]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""What a browser fetches with a page: tag -> attribute."""

EXECUTE = """
import sys
from pathlib import Path
import nbformat
from nbclient import NotebookClient
source, written = map(Path, sys.argv[1:])
book = nbformat.read(source, as_version=4)
NotebookClient(book, timeout=300, resources={"metadata": {"path": str(source.parent)}}).execute()
nbformat.write(book, written)
"""
"""Runs a notebook in its own folder and writes it with its outputs to another file."""


def name_of(file: Path) -> str:
    return file.relative_to(DOCS).as_posix()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A function that imports a file of docs/hooks, which are not a package."""
    monkeypatch.syspath_prepend(DOCS / "hooks")
    return importlib  # type: ignore[return-value]


@pytest.mark.parametrize("page", EXAMPLES, ids=name_of)
def test_the_examples_of_a_page_print_what_it_says(page: Path) -> None:
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("name", ["commands", "criteria", "links", "notebooks", "sections"])
def test_the_examples_of_the_hooks(hook: ModuleType, name: str) -> None:
    assert doctest.testmod(hook.import_module(name)).failed == 0


def test_a_section_ends_at_the_next_heading_of_its_level_and_not_at_a_comment_in_code(hook: ModuleType) -> None:
    section = hook.import_module("sections").section
    text = "# A\n## B\nb\n```sh\n# no heading\n```\n### C\nc\n## D\nd\n"
    assert section(text, "B") == "b\n```sh\n# no heading\n```\n### C\nc"
    assert section(text, None) == text
    with pytest.raises(KeyError, match="E"):
        section(text, "E")


def test_a_link_leads_to_the_page_that_has_the_file(hook: ModuleType) -> None:
    pages = {"docs/index.md": "index.md", "docs/reference/search_space.md": "reference/search_space.md"}
    links = hook.import_module("links").Links(ROOT, pages)

    def moved(text: str, source: str = "README.md", page: str = "guides/x.md") -> str:
        found: str = links.move(text, source, page)
        return found

    assert moved("[a\nb](search_spaces/README.md#pruner)") == "[a\nb](../reference/search_space.md#pruner)"
    assert moved("[a](../search_spaces/)", "results/README.md", "index.md") == "[a](reference/search_space.md)"
    assert moved("[a](https://example.org/x.md) [b](#c)") == "[a](https://example.org/x.md) [b](#c)"
    assert moved("[`tests/`](tests/) [tests](tests/) [the tests](tests/)") == "`tests/` `tests` the tests"
    assert moved("```\n[a](tests/)\n```") == "```\n[a](tests/)\n```"
    report = "results/reference/dino/analysis/report"
    assert moved(f"[a]({report}.md)") == f"[a](../files/{report}.html)"
    assert links.assets == {f"files/{report}.html": ROOT / f"{report}.html"}


def test_the_reference_has_every_option_and_every_criterion(hook: ModuleType) -> None:
    text = hook.import_module("commands").commands()
    sections = dict(zip(re.findall(r"^## (.+)$", text, re.M), re.split(r"^## .+$", text, flags=re.M)[1:], strict=True))
    assert set(sections) == set(cli.commands)
    for name, command in cli.commands.items():
        options = {option for one in command.params for option in one.opts if option.startswith("--")}
        assert not {option for option in options if f"| `{option}" not in sections[name]}
    written = hook.import_module("criteria").criteria()
    facts = r"## {}\n\n.+\n\n- \*\*Source:\*\* .+\n- \*\*Collapse:\*\* Onto a point.+\n- \*\*Cost:\*\* .+"
    assert not {name for name in CRITERIA if not re.search(facts.format(name), written)}


def test_the_directives_of_the_pages_name_what_exists(hook: ModuleType) -> None:
    section = hook.import_module("sections").section
    written = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    found = re.findall(r"^<!-- include ([^\s:]+)(?:: (.+))? -->$", written, re.M)
    assert found
    for file, heading in found:
        assert section((ROOT / file).read_text(encoding="utf-8"), heading or None)


def run_in_repository(arguments: list[str]) -> str:
    """Run Python with our packages, and return what it prints on stderr."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-B", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


class Loaded(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADING and given.get("rel") not in ("next", "prev", "canonical"):
            self.addresses.append(given.get(LOADING[tag]) or "")


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    for needed in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(needed)
    said = run_in_repository(["-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")])
    assert "WARNING" not in said
    for page in PAGES:
        file = (tmp_path / "site" / name_of(page)).with_suffix(".html")
        text = file.read_text(encoding="utf-8")
        loaded = Loaded()
        loaded.feed(text)
        assert loaded.addresses
        assert not [address for address in loaded.addresses if re.match(r"(https?:)?//", address)], file
        assert not re.search(r"<!-- (include|generate|notebook) ", text), file
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def texts_of(cells: list[dict[str, object]]) -> list[list[str]]:
    """The text outputs of each code cell; of a picture, only that there is one."""
    outputs: list[list[str]] = []
    for cell in cells:
        own = []
        for output in cell.get("outputs", []):  # type: ignore[attr-defined]
            data = output.get("data", {})
            picture = "image/png" in data
            own.append("picture" if picture else "".join(output.get("text") or data.get("text/plain", "")))
        outputs.append(own)
    return outputs


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=name_of)
def test_a_notebook_prints_what_it_shows(file: Path, tmp_path: Path) -> None:
    for needed in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(needed)
    written = tmp_path / "run.ipynb"
    run_in_repository(["-c", EXECUTE, str(file), str(written)])
    shown, found = (texts_of(json.loads(one.read_text(encoding="utf-8"))["cells"]) for one in (file, written))
    assert found == shown
    assert any(shown)
