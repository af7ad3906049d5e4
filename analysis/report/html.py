"""Writes sections as one self-contained HTML page and as one Markdown page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.figures.build import Drawn
from analysis.figures.style import page_colours
from analysis.report.tables import TextTable, to_latex, to_markdown
from analysis.text.safe import for_address, for_markdown
from trainers.formats import one_line

FIRST_WARNINGS: Final = 2
"""The warnings of a section that are not folded away on the page."""


@dataclass(frozen=True)
class Picture:
    """A PNG file that the page contains, and the Markdown leads to."""

    address: str
    """Of the file, from the page."""
    content: str
    """The file in base64."""
    caption: str


@dataclass(frozen=True)
class Section:
    """One part of a report."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[TextTable, ...] = ()
    figures: tuple[Drawn, ...] = ()
    pictures: tuple[Picture, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    """Names and values, such as the hyperparameters of a trial."""
    details: tuple[str, ...] = ()
    """Sentences that are folded away on the page."""
    beside: bool = False
    """Whether the figures stand beside the text, if there is room."""
    wide: bool = False
    """Whether each figure takes the whole width."""

    @property
    def has_content(self) -> bool:
        """Whether there is anything below the title."""
        return any((self.text, self.tables, self.figures, self.pictures, self.warnings, self.facts, self.details))

    @property
    def anchor(self) -> str:
        """The section's address on the page.

        >>> Section("How high can τ get here?").anchor
        'how-high-can-τ-get-here'
        """
        return "-".join(re.findall(r"\w+", self.title.lower()))


def make_page(title: str, headline: str, sections: Sequence[Section], links: Sequence[tuple[str, str]] = ()) -> str:
    """The page as HTML, with style, figures and tables inline and no external resources; `links`: (text, address)."""
    colours = {"light": page_colours(dark=False), "dark": page_colours(dark=True)}
    template = environment().get_template("page.html.jinja")
    return template.render(
        title=title, headline=headline, sections=sections, links=links, colours=colours, first_warnings=FIRST_WARNINGS
    )


@cache
def environment() -> Environment:
    """The Jinja environment: it escapes every expression and makes control characters visible, except in our markup."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "template"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else one_line(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(words=words_html, address=for_address, latex=to_latex, markdown=to_markdown)
    return made


def words_html(text: str) -> Markup:
    """A sentence as HTML, with text between backticks as code.

    >>> str(words_html("a < b: `sweeper probe`"))
    'a &lt; b: <code>sweeper probe</code>'
    """
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(one_line(text)))))


def make_markdown(title: str, headline: str, sections: Sequence[Section]) -> str:
    """The page as Markdown; figures are the PNG files in figures/."""
    parts = [f"# {for_markdown(title)}", for_markdown(headline)]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += map(for_markdown, section.text)
        if section.facts:
            parts.append(" · ".join(f"{for_markdown(name)} **{for_markdown(value)}**" for name, value in section.facts))
        if section.warnings:
            parts.append("\n".join(f"> - {for_markdown(line)}" for line in section.warnings))
        parts += map(for_markdown, section.details)
        for printed in section.tables:
            parts += [
                f"**{printed.title}**",
                to_markdown(printed).rstrip("\n"),
                *([for_markdown(printed.note)] if printed.note else []),
            ]
        parts += [
            f"![{for_markdown(in_brackets(drawn.caption))}](figures/{drawn.name}.png)" for drawn in section.figures
        ]
        parts += [
            f"![{for_markdown(in_brackets(one.caption))}]({for_address(one.address)})" for one in section.pictures
        ]
    return "\n\n".join(parts) + "\n"


def in_brackets(text: str) -> str:
    """Text with round brackets, so that it can be the text of a Markdown link.

    >>> in_brackets("τ = 0.5 [0.2, 0.7]")
    'τ = 0.5 (0.2, 0.7)'
    """
    return text.replace("[", "(").replace("]", ")")
