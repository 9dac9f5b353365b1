"""A quantity against one setting of a model: the paper's Figure 21, and any other study of this kind.

One panel a quantity, one line a scheme and `f`: darker lines have more complete rows. The axis is logarithmic where the
values span a factor of ten.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import line_style, marker, plain, subscript

__all__ = ["StudyLine", "StudyPanel", "against_setting"]

ACROSS = 2
DECADE = 10.0
NEAR = 0.09  # share of the axis that a label takes


@dataclass(frozen=True)
class StudyLine:
    """Points `(value, mean, sd)` with rising values, of one scheme and `f`."""

    scheme: str
    f: float
    points: tuple[tuple[float, float, float | None], ...]


@dataclass(frozen=True)
class StudyPanel:
    """One quantity; `share` says that it lies between 0 and 1."""

    title: str
    lines: tuple[StudyLine, ...]
    share: bool = True


def against_setting(panels: Sequence[StudyPanel], *, setting: str) -> Figure:
    """Panels two across, their lines against the values of `setting`, with bands of one standard deviation."""
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(4.4 * across + 0.2, 2.9 * down + 0.7)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    conditions = sorted({(line.scheme, -line.f) for panel in panels for line in panel.lines})
    values = sorted({point[0] for panel in panels for line in panel.lines for point in line.points})
    handles: dict[str, Any] = {}
    for ax, panel in zip(axes, panels, strict=False):
        for line in panel.lines:
            handles[_text(line)] = _draw(ax, line, conditions)
        _axis(ax, values)
        ax.set_title(plain(panel.title))
        ax.set_xlabel(plain(setting))
        if panel.share:
            ax.set_ylim(0, 1)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    legend(figure, dict(sorted(handles.items())))
    return figure


def _text(line: StudyLine) -> str:
    below = subscript(line.scheme)
    return plain(f"{below}, f = {line.f:g}" if below else f"complete, f = {line.f:g}")


def _draw(ax: Axes, line: StudyLine, conditions: Sequence[tuple[str, float]]) -> Any:
    schemes = sorted({scheme for scheme, _ in conditions})
    fractions = sorted({-f for _, f in conditions})
    place = fractions.index(line.f) / max(len(fractions) - 1, 1)
    paint = mpl.colormaps["viridis_r"](0.15 + 0.8 * place)
    xs, means = [p[0] for p in line.points], [p[1] for p in line.points]
    spread = [p for p in line.points if p[2] is not None]
    if spread:
        low, high = [m - (sd or 0) for _, m, sd in spread], [m + (sd or 0) for _, m, sd in spread]
        ax.fill_between([p[0] for p in spread], low, high, color=paint, alpha=0.15, linewidth=0)
    return ax.plot(
        xs, means, color=paint, linestyle=line_style(line.scheme, schemes), marker=marker(schemes.index(line.scheme)),
        markeredgecolor="white", markeredgewidth=0.7,
    )[0]  # fmt: skip


def _axis(ax: Axes, values: Sequence[float]) -> None:
    if values[0] > 0 and values[-1] / values[0] >= DECADE:
        ax.set_xscale("log")
    ticks = _apart(values, logarithmic=ax.get_xscale() == "log")
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())


def _apart(values: Sequence[float], *, logarithmic: bool) -> list[float]:
    """The values whose labels do not run into one another, the last one among them."""
    places = [math.log(value) if logarithmic else value for value in values]
    least = NEAR * (places[-1] - places[0])
    kept: list[int] = []
    for i in reversed(range(len(values))):
        if not kept or places[kept[-1]] - places[i] >= least:
            kept.append(i)
    return [values[i] for i in reversed(kept)]
