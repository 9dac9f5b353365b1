"""Shares by class as a heat map: a line a model, a column a class, a panel a direction, on one colour scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import new_figure
from mmbench.results.report.drawing.style import plain

__all__ = ["Heat", "heat_map"]

WRITTEN = 12  # columns up to which cells are square and have their numbers
NUMBERS = 150  # cells of a panel beyond which they would be a texture
LETTERS = 5  # of a column's name that stand below its cell; longer ones are turned
DARK = 0.55  # cells below it have white numbers


@dataclass(frozen=True)
class Heat:
    """One panel: values `[lines, columns]` in [0, 1], NaN where there is none."""

    title: str
    values: np.ndarray


def heat_map(
    panels: Sequence[Heat], lines: Sequence[str], columns: Sequence[str], *, label: str, xlabel: str
) -> Figure:
    """Panels side by side with the lines' names (ready for matplotlib) at the first."""
    longest = max(len(line.replace(r"_{\mathrm{", "").replace("}}", "").replace("$", "")) for line in lines)
    cell = 0.34 if len(columns) <= WRITTEN else 3.6 / len(columns)
    figure = new_figure(0.075 * longest + len(panels) * (cell * len(columns) + 0.2) + 0.9, 0.24 * len(lines) + 1.2)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, panel in zip(axes, panels, strict=True):
        image = ax.imshow(panel.values, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
        _ticks(ax, lines, columns)
        if len(columns) <= WRITTEN and panel.values.size <= NUMBERS:
            _write(ax, panel.values)
        ax.set_title(plain(panel.title))
        ax.set_xlabel(xlabel)
    figure.colorbar(image, ax=list(axes), label=label, pad=0.02, aspect=max(8.0, 1.2 * len(lines)))
    return figure


def _ticks(ax: Axes, lines: Sequence[str], columns: Sequence[str]) -> None:
    step = -(-len(columns) // 20)
    ax.set_xticks(range(0, len(columns), step), [plain(c) for c in columns[::step]], fontsize=7.5)
    if max(map(len, columns)) > LETTERS:
        ax.tick_params(axis="x", labelrotation=90)
    ax.set_yticks(range(len(lines)), list(lines), fontsize=8)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _write(ax: Axes, values: np.ndarray) -> None:
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"
            ax.text(j, i, text, ha="center", va="center", fontsize=6.5, color="white" if value < DARK else "black")
