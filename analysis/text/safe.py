"""Names and words out of a table are data: one function for each place that they are written to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from pandas import DataFrame

from trainers.formats import one_line

LONGEST_LABEL: Final = 60
"""Letters of a name in a figure; a longer one would leave no room for the axes."""

TEX: Final = {
    **{letter: rf"\{letter}" for letter in "%&#_{}$"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "×": r"$\times$",
    "·": r"$\cdot$",
}

MARKDOWN: Final = re.compile(
    r"[\\*$~|]|@(?=[A-Za-z])"  # `hit@1` names nobody
    r"|<(?=[A-Za-z/!?])"  # a tag or an address begins; `<0.001` stays as it is
    r"|&(?=#?\w+;)"
    r"|(?<=\])[(\[:]"  # what makes a link of text in brackets
    r"|(?<=:)/(?=/)|(?<=www)\."  # what makes a link of a bare address
)
LINE_START: Final = re.compile(r"^(#|>|[-+](?=\s|$)|[-=]+$|```|\d+(?=[.)](?:\s|$)))")
"""What makes a heading, a quotation, a list or code of a line; `0.003` is a number, `1. x` a list."""


def for_terminal(text: str) -> str:
    """For `rich.text.Text`, which reads no markup, unlike a cell or a heading given as text."""
    return one_line(text)


def for_markdown(text: str) -> str:
    r"""For a sentence or a cell in Markdown: nothing becomes HTML, a link, a formula or a new cell; code stays code.

    >>> print(for_markdown("<b> [x](y) a|b"), for_markdown("p <0.001, [0.2, 0.7]"))
    \<b> [x]\(y) a\|b p <0.001, [0.2, 0.7]
    >>> print(for_markdown("0.003"), for_markdown("hit@1"), for_markdown("1. x"), for_markdown("@me"))
    0.003 hit@1 1\. x \@me
    """
    escaped = MARKDOWN.sub(r"\\\g<0>", one_line(text).strip())
    return LINE_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", escaped)


def for_latex(text: str) -> str:
    r"""For a cell in LaTeX; a bracket or a star at the start of a row would be read as an option of the row before.

    >>> print(for_latex("50%"), for_latex("[x"))
    50\% {}[x
    """
    escaped = "".join(TEX.get(letter, letter) for letter in one_line(text))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def for_address(path: str) -> str:
    """For the address of a file, relative to a page: a name with a colon is no scheme, one with a # no fragment.

    >>> for_address("javascript:x/report.html")
    'javascript%3Ax/report.html'
    """
    return quote(path, errors="replace")


def for_hover(text: str) -> str:
    """For the hover title of a dot or a line, which is XML: matplotlib escapes it, but lets control characters pass."""
    return one_line(text)


def for_figure(text: str, longest: int = LONGEST_LABEL) -> str:
    r"""For text in a figure: a dollar begins no formula, and a name takes no more room than there is.

    >>> print(for_figure("a $x$"))
    a \$x\$
    """
    line = one_line(text)
    short = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return short.replace("$", r"\$")


def for_csv(table: DataFrame) -> DataFrame:
    """For a CSV that is opened as a spreadsheet: text that would be a formula begins with '; numbers stay as they are.

    >>> for_csv(DataFrame({"a": ["=1+1", "b"], "n": [-1.0, 2.0]})).values.tolist()
    [["'=1+1", -1.0], ['b', 2.0]]
    """
    words = [name for name in table.columns if table[name].dtype.kind not in "biufcmM"]
    return table.assign(**{str(name): table[name].map(cell_for_csv) for name in words})


def cell_for_csv(value: object) -> object:
    """One cell; only text is changed."""
    return f"'{value}" if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")) else value
