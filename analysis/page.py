"""Sections of text, tables and figures become one HTML file that loads nothing, and one Markdown file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.style import page_colours, to_svg
from analysis.stylesheet import STYLESHEET
from analysis.tables import Printed, to_html, to_latex, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shown:
    """A figure as inline SVG, its caption, and the name of its files below figures/."""

    name: str
    svg: str
    caption: str = ""

    @staticmethod
    def from_figure(name: str, figure: Figure, caption: str = "") -> Shown:
        """Inline SVG with ids of its own."""
        return Shown(name, to_svg(figure, "".join(letter if letter.isalnum() else "-" for letter in name)), caption)


@dataclass(frozen=True)
class Section:
    """One part of a report."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Printed, ...] = ()
    figures: tuple[Shown, ...] = ()


def make_page(title: str, sections: Sequence[Section]) -> str:
    """The whole page: style, figures and tables inside, nothing loaded from anywhere."""
    colours = (
        f":root{{{page_colours(dark=False)}}}@media (prefers-color-scheme:dark){{:root{{{page_colours(dark=True)}}}}}"
    )
    colours += f"@media print{{:root{{{page_colours(dark=False)}}}}}"
    body = "".join(section_html(section) for section in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><style>{colours}{STYLESHEET}</style></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>\n"
    )


def section_html(section: Section) -> str:
    """One part as HTML."""
    text = "".join(f"<p>{html.escape(line)}</p>" for line in section.text)
    tables = "".join(table_html(printed) for printed in section.tables)
    figures = "".join(
        f"<figure>{shown.svg}"
        + (f"<figcaption>{html.escape(shown.caption)}</figcaption>" if shown.caption else "")
        + "</figure>"
        for shown in section.figures
    )
    grid = f'<div class="figures">{figures}</div>' if figures else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{text}{tables}{grid}</section>"


def table_html(printed: Printed) -> str:
    """A table, and the same as LaTeX and Markdown to copy."""
    copies = "".join(
        f"<details><summary>{kind}</summary><pre>{html.escape(text)}</pre></details>"
        for kind, text in (("LaTeX", to_latex(printed)), ("Markdown", to_markdown(printed)))
    )
    note = f'<p class="note">{html.escape(printed.note)}</p>' if printed.note else ""
    return (
        f'<div class="table"><div class="scroll">{to_html(printed)}</div>{note}<div class="copies">{copies}</div></div>'
    )


def to_page_markdown(title: str, sections: Sequence[Section]) -> str:
    """The same for a repository's page; figures are the PNG files below figures/."""
    lines = [f"# {title}"]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        lines += [line + "\n" for line in section.text]
        for printed in section.tables:
            lines += [to_markdown(printed), *([printed.note, ""] if printed.note else [])]
        lines += [f"![{shown.caption or shown.name}](figures/{shown.name}.png)\n" for shown in section.figures]
    return "\n".join(lines) + "\n"
