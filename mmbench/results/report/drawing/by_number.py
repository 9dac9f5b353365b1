"""A share against the number of modalities that were given, as papers on more than two modalities draw it.

One panel a setting, one line a model: what a model gains from every further modality it sees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mmbench.results.report.drawing.against_f import ACROSS, Line, Reference, draw_line, draw_reference
from mmbench.results.report.drawing.canvas import legend, new_figure, titled
from mmbench.results.report.drawing.style import marker, plain
from mmbench.results.report.groups import Variant

__all__ = ["NumberPanel", "against_number"]

WIDTH = 4.4  # inches of a panel


@dataclass(frozen=True)
class NumberPanel:
    """One setting: lines whose points are `(number given, mean, sd)`."""

    title: str
    lines: tuple[Line, ...]
    references: tuple[Reference, ...] = ()


def against_number(panels: Sequence[NumberPanel], names: Mapping[Variant, str], *, ylabel: str) -> Figure:
    """Panels on one scale, `ACROSS` in a row."""
    across, down = min(len(panels), ACROSS), -(-len(panels) // ACROSS)
    figure = new_figure(WIDTH * across + 0.2, 3.2 * down + 0.8)
    axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for ax, panel in zip(axes.ravel(), panels, strict=False):
        handles |= _panel(ax, panel, names)
    for ax in axes.ravel()[len(panels) :]:
        ax.set_visible(False)
    for row in axes:
        row[0].set_ylabel(ylabel)
    legend(figure, handles)
    return figure


def _panel(ax: Axes, panel: NumberPanel, names: Mapping[Variant, str]) -> dict[str, Any]:
    order = list(names)
    handles = {
        plain(names[line.variant]): draw_line(ax, line, "-", marker(order.index(line.variant))) for line in panel.lines
    }
    for reference in panel.references:
        draw_reference(ax, reference, below=reference.value > 0.5)
    numbers = sorted({x for line in panel.lines for x, _, _ in line.points})
    ax.xaxis.set_major_locator(FixedLocator(numbers))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(numbers[0] - 0.25, numbers[-1] + 0.25)
    ax.set_ylim(0, 1)
    ax.set_xlabel("modalities given")
    ax.tick_params(labelbottom=True)
    titled(ax, panel.title, WIDTH)
    return handles
