"""Figures without pyplot: made, laid out once, and written with nothing in the files that changes with time."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from mmbench.results.report.drawing.style import plain

__all__ = ["Drawing", "legend", "new_figure", "paths_of", "save", "titled"]

RESOLUTION = 160  # pixels an inch, of images within an SVG too
LETTER, HANDLE = 0.067, 0.62  # inches that a letter and a legend's handle take, generously
TITLE = 0.078  # inches that a letter of a title takes


@dataclass(frozen=True)
class Drawing:
    """The files of a figure, relative to the report's folder, and its size in CSS pixels."""

    png: str
    svg: str
    width: int
    height: int


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches whose parts arrange themselves."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """One legend for all panels, below them, in as many columns as fit; the figure grows by its further lines."""
    if not handles:
        return
    width, height = figure.get_size_inches()
    longest = max(len(text.replace(r"_{\mathrm{", "").replace("}}", "").replace("$", "")) for text in handles)
    columns = max(1, min(len(handles), int(width / (longest * LETTER + HANDLE))))
    lines = -(-len(handles) // columns)
    figure.set_size_inches(width, height + 0.19 * (lines - 1))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns)


def titled(ax: Axes, title: str, width: float) -> None:
    """Set a title (as it stands, no mathematics), broken into lines that fit a panel of `width` inches."""
    lines = [part for line in title.splitlines() for part in textwrap.wrap(line, max(12, int(width / TITLE)))]
    ax.set_title("\n".join(plain(line) for line in lines))


def paths_of(name: str) -> tuple[str, str]:
    """PNG and SVG of a figure, relative to the report's folder."""
    return f"figures/{name}.png", f"figures/{name}.svg"


def save(figure: Figure, folder: Path, name: str) -> Drawing:
    """Write `figures/<name>.png` and `.svg` below `folder`."""
    (folder / "figures").mkdir(exist_ok=True)
    png, svg = paths_of(name)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine("none")  # it is arranged; arranging it again for each file would double the time
    figure.dpi = RESOLUTION
    bitmap: Any = FigureCanvasAgg(figure)  # the canvases write; `savefig` would draw everything twice to write it once
    bitmap.print_png(folder / png, metadata={"Software": None})
    lines: Any = FigureCanvasSVG(figure)
    lines.print_svg(folder / svg, metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches()
    return Drawing(png, svg, round(width * 96), round(height * 96))
