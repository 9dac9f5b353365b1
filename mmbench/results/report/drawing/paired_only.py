"""What the unpaired rows are worth: the paper's Figure 22.

One panel a direction, one row of panels a scheme. Solid: trained on all rows. Dashed: the same model trained on the
complete rows alone, which are a fraction `f` of them. At `f = 1` both are one run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.against_f import Line, draw_line, fraction_axis
from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import marker, plain

__all__ = ["DASHED", "Contrast", "all_against_paired"]

DASHED = (0, (4, 2))


@dataclass(frozen=True)
class Contrast:
    """One model under one scheme in one direction: its line on all rows, and that on the complete rows alone."""

    name: str
    scheme: str
    direction: str
    whole: Line
    paired: Line


def all_against_paired(contrasts: Sequence[Contrast], *, ylabel: str) -> Figure:
    """Panels of directions (across) and schemes (down), a solid and a dashed line a model."""
    directions = sorted({c.direction for c in contrasts})
    schemes = sorted({c.scheme for c in contrasts})
    names = sorted({c.name for c in contrasts})
    figure = new_figure(4.4 * len(directions) + 0.2, 2.9 * len(schemes) + 0.9)
    axes = figure.subplots(len(schemes), len(directions), squeeze=False, sharey=True, sharex=True)
    handles: dict[str, Any] = {}
    for row, scheme in zip(axes, schemes, strict=True):
        for ax, direction in zip(row, directions, strict=True):
            members = [c for c in contrasts if (c.scheme, c.direction) == (scheme, direction)]
            handles |= _panel(ax, members, names)
            ax.set_title(plain(f"{direction}, {scheme}"))
            ax.label_outer()
        row[0].set_ylabel(ylabel)
    legend(figure, handles)
    return figure


def _panel(ax: Axes, contrasts: Sequence[Contrast], names: Sequence[str]) -> Mapping[str, Any]:
    handles = {}
    for contrast in contrasts:
        mark = marker(names.index(contrast.name))
        handles[plain(f"{contrast.name}, all rows")] = draw_line(ax, contrast.whole, "-", mark)
        handles[plain(f"{contrast.name}, complete rows alone")] = draw_line(ax, contrast.paired, DASHED, mark)
    fraction_axis(ax, {f for c in contrasts for line in (c.whole, c.paired) for f, _, _ in line.points})
    return handles
