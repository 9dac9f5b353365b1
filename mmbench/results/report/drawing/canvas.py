"""Figures without pyplot: made, laid out once, and written with nothing in the files that changes with time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["Drawing", "legend", "new_figure", "save"]

LETTER, HANDLE = 0.067, 0.62  # inches that a letter and a legend's handle take, generously


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


def save(figure: Figure, folder: Path, name: str) -> Drawing:
    """Write `figures/<name>.png` and `.svg` below `folder`."""
    (folder / "figures").mkdir(exist_ok=True)
    png, svg = f"figures/{name}.png", f"figures/{name}.svg"
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is arranged; arranging it again for each file would double the time
    figure.savefig(folder / png, metadata={"Software": None})
    figure.savefig(folder / svg, metadata={"Date": None, "Creator": None})
    width, height = figure.get_size_inches()
    return Drawing(png, svg, round(width * 96), round(height * 96))
