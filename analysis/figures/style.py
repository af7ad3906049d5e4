"""The style of all figures: a palette for colour-blind readers, light axes, and SVG coloured by the page's CSS."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from analysis.data.criteria import LOSS, shelf
from analysis.text.safe import for_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1c2128"
MUTED: Final = "#66707c"
PAPER: Final = "#fffffe"
RULE: Final = "#d9dee4"
AUTOMATIC_ID: Final = re.compile(r"[\w.]+_\d+")
"""What matplotlib calls an element, such as `line2d_3`."""
GEOMETRY: Final = frozenset({"d", "transform", "x", "y", "width", "height"})
"""The attributes of an SVG element that place and size it."""
GOOD: Final = "#0f7a5a"
"""The best trial."""

CRITERION_COLOURS: Final = ("#0072b2", "#d55e00", "#cc79a7", "#009e73", "#b58900", "#56b4e9", "#6b4c9a")
"""From Okabe & Ito 2008 ("Color Universal Design"); the last is ours."""
LOSS_COLOUR: Final = "#7d8590"
"""The loss is grey, because it is the baseline of the criteria."""

STEPS: Final = ("#c3d4e6", "#a5c2de", "#85aed4", "#6699c9", "#4a84bb", "#336fab", "#1f5a97", "#11467f", "#083264")
"""Oracle from low to high: light to dark on a light page, dark to light on a dark page."""

ON_DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        INK: "#e6e9ee",
        MUTED: "#9aa4b1",
        PAPER: "#14171c",
        RULE: "#343b45",
        GOOD: "#4cc9a0",
        "#0072b2": "#5ab4f0",
        "#d55e00": "#ff9350",
        "#7d8590": "#a3abb5",
        "#cc79a7": "#e6a3c8",
        "#009e73": "#35c99b",
        "#b58900": "#e0b83a",
        "#56b4e9": "#8fd0f7",
        "#6b4c9a": "#b79ae0",
        **dict(
            zip(
                STEPS,
                ("#2f3f52", "#37506b", "#406285", "#4a75a0", "#5a89b9", "#709dcf", "#8cb3e2", "#adcbf2", "#d6e7ff"),
                strict=True,
            )
        ),
    }
)
"""Colour on a light page -> colour on a dark page."""

STYLE: Final = Path(__file__).parent / "sweeper.mplstyle"
"""Fonts, sizes and lines. The colours are in this module, because a page turns them into CSS variables."""

SVG: Final = "http://www.w3.org/2000/svg"
XLINK: Final = "http://www.w3.org/1999/xlink"


def colour_of(criterion: str, all_criteria: list[str]) -> str:
    """One colour per criterion, the same in every figure for criteria of the catalogue; a layer has the same colour."""
    plain = criterion.partition(".")[0]
    if plain == LOSS:
        return LOSS_COLOUR
    names = [name for name in dict.fromkeys([*shelf(), *(c.partition(".")[0] for c in all_criteria)]) if name != LOSS]
    return CRITERION_COLOURS[names.index(plain) % len(CRITERION_COLOURS)] if plain in names else MUTED


@contextmanager
def quiet() -> Iterator[None]:
    """Apply this style to matplotlib within the block."""
    from matplotlib import rc_context

    with rc_context(settings()):
        yield


@cache
def settings() -> dict[Any, Any]:
    """The style as matplotlib's settings; the file is read once."""
    from matplotlib import rc_params_from_file

    return {
        **rc_params_from_file(STYLE, use_default_template=False),
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.titlecolor": INK,
        "grid.color": RULE,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "text.color": INK,
    }


def new_figure(width: float = 4.4, height: float = 3.1) -> tuple[Figure, Axes]:
    """A new figure, sized in inches to be readable on a phone; without pyplot, which would keep a reference to it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def new_grid(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """A new figure with panels that share the x axis of their column and the y axis of their row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.7 + 1.55 * columns, 0.55 + 1.45 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex="col", sharey="row", squeeze=False)
    return figure, [list(row) for row in grid]


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Label the axes; the y label is horizontal and above the axis, which makes it easier to read."""
    axes.set_xlabel(for_figure(x))
    axes.set_title(for_figure(y), loc="left", fontsize=8.5, fontweight="normal", color=MUTED, pad=7)


def settle(figure: Figure) -> None:
    """Compute the layout once, so that saving in several formats does not repeat it."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")


def write_png(figure: Figure, file: Path) -> None:
    """Draw a settled figure as PNG, once; `Figure.savefig` draws it a second time, for its layout."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(rcParams["savefig.dpi"])
    FigureCanvasAgg(figure).print_png(file)  # type: ignore[no-untyped-call]


def to_svg(figure: Figure, name: str) -> str:
    """A figure as inline SVG: colours become CSS variables, URLs become hover titles, and ids get the figure's name."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set(facecolor="none", edgecolor="none")  # the page's colour shows through
    with quiet():
        buffer = io.StringIO()
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for link in list(root.iter(f"{{{SVG}}}a")):
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = link.attrib.pop(f"{{{XLINK}}}href")
        link.tag = f"{{{SVG}}}g"
        link.set("class", "hover")
        link.insert(0, title)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    compact(root)
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    text = re.sub(r"font: [^;\"]*?(\d+(?:\.\d+)?px)[^;\"]*", r"font-size: \1", text)
    for colour in ON_DARK:
        text = text.replace(colour, f"var({variable(colour)})")
    return text


def compact(root: ElementTree.Element) -> None:
    """Leave out what a browser does not draw: unused ids, white space between elements, decimals below a pixel.

    An id that a figure gave stays, since the page's script reads it.

    >>> root = ElementTree.fromstring('<svg><g id="g_1"> <path id="p_2" d="M 1.2345 2" fill="url(#p_2)"/> </g></svg>')
    >>> compact(root)
    >>> ElementTree.tostring(root)
    b'<svg><g><path id="p_2" d="M 1.23 2" fill="url(#p_2)" /></g></svg>'
    """
    elements = list(root.iter())
    values = " ".join(value for element in elements for value in element.attrib.values())
    used = set(re.findall(r"(?:url\(|^|\s)#([^)\s]+)", values))
    for element in elements:
        if AUTOMATIC_ID.fullmatch(element.get("id", "")) and element.get("id") not in used:
            del element.attrib["id"]
        for name in GEOMETRY & element.attrib.keys():
            element.set(name, re.sub(r"(\.\d\d)\d+", r"\1", element.attrib[name]))
        element.text, element.tail = (text if text and text.strip() else None for text in (element.text, element.tail))


def variable(colour: str) -> str:
    """The name of a colour's CSS variable.

    >>> variable("#0072b2")
    '--c-0072b2'
    """
    return f"--c-{colour.removeprefix('#')}"


def page_colours(dark: bool) -> str:
    """The CSS declarations of all colours that figures use."""
    return "".join(f"{variable(light)}:{on_dark if dark else light};" for light, on_dark in ON_DARK.items())
