"""Sections of text, tables and figures become one HTML file that loads nothing, and one Markdown file."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.figures.build import Drawn
from analysis.figures.style import page_colours
from analysis.report.stylesheet import COPY_SCRIPT, STYLESHEET
from analysis.report.tables import Printed, to_html, to_latex, to_markdown
from analysis.text.safe import for_address, for_html, for_markdown


@dataclass(frozen=True)
class Section:
    """One part of a report."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Printed, ...] = ()
    figures: tuple[Drawn, ...] = ()
    warnings: tuple[str, ...] = ()


def make_page(title: str, headline: str, sections: Sequence[Section], links: Sequence[tuple[str, str]] = ()) -> str:
    """The whole page: style, figures and tables inside, nothing loaded from anywhere; `links` are text and address."""
    colours = (
        f":root{{{page_colours(dark=False)}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{page_colours(dark=True)}}}}}"
    )
    ways = "".join(f'<a href="{for_address(to)}">{for_html(text)}</a> ' for text, to in links)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{for_html(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{colours}{STYLESHEET}</style></head>'
        f'<body><main><header><h1>{for_html(title)}</h1><p class="headline">{for_html(headline)}</p>'
        + (f'<p class="links">Reports: {ways}</p>' if ways else "")
        + f"</header>{''.join(map(section_html, sections))}</main><script>{COPY_SCRIPT}</script></body></html>\n"
    )


def section_html(section: Section) -> str:
    """One part as HTML."""
    text = "".join(f"<p>{words_html(line)}</p>" for line in section.text)
    points = "".join(f"<li>{words_html(line)}</li>" for line in section.warnings)
    warnings = f"<aside><strong>Before you believe it</strong><ul>{points}</ul></aside>" if points else ""
    figures = "".join(
        f"<figure>{drawn.svg}<figcaption>{for_html(drawn.caption)}</figcaption></figure>" for drawn in section.figures
    )
    grid = f'<div class="figures">{figures}</div>' if figures else ""
    tables = "".join(map(table_html, section.tables))
    return f"<section><h2>{for_html(section.title)}</h2>{text}{warnings}{tables}{grid}</section>"


def words_html(text: str) -> str:
    """A sentence as HTML, with what is between backticks as code.

    >>> words_html("a < b: `sweeper probe`")
    'a &lt; b: <code>sweeper probe</code>'
    """
    return re.sub("`([^`]*)`", r"<code>\1</code>", for_html(text))


def table_html(printed: Printed) -> str:
    """A table, and the same as LaTeX and Markdown to copy."""
    copies = "".join(
        f"<details><summary>{kind}</summary><button>copy</button><pre>{html.escape(text)}</pre></details>"
        for kind, text in (("LaTeX", to_latex(printed)), ("Markdown", to_markdown(printed)))
    )
    note = f'<p class="note">{for_html(printed.note)}</p>' if printed.note else ""
    return (
        f'<div class="table"><h3>{for_html(printed.title)}</h3><div class="scroll">{to_html(printed)}</div>{note}'
        f'<div class="copies">{copies}</div></div>'
    )


def make_markdown(title: str, headline: str, sections: Sequence[Section]) -> str:
    """The same for a repository's page; figures are the PNG files below figures/."""
    parts = [f"# {for_markdown(title)}", for_markdown(headline)]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += map(for_markdown, section.text)
        if section.warnings:
            parts.append("\n".join(f"> - {for_markdown(line)}" for line in section.warnings))
        for printed in section.tables:
            parts += [
                f"**{printed.title}**",
                to_markdown(printed).rstrip("\n"),
                *([for_markdown(printed.note)] if printed.note else []),
            ]
        parts += [
            f"![{for_markdown(in_brackets(drawn.caption))}](figures/{drawn.name}.png)" for drawn in section.figures
        ]
    return "\n\n".join(parts) + "\n"


def in_brackets(text: str) -> str:
    """Text that may stand between square brackets.

    >>> in_brackets("τ = 0.5 [0.2, 0.7]")
    'τ = 0.5 (0.2, 0.7)'
    """
    return text.replace("[", "(").replace("]", ")")
