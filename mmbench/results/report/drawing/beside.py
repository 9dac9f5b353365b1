"""Two stores against each other: ours up, theirs along, and the diagonal on which both say the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import colour, plain

__all__ = ["Point", "beside_each_other"]

COLUMNS = 3


@dataclass(frozen=True)
class Point:
    """One score in both stores, with standard deviations over seeds where there are two or more; `model` has the
    colour, and is called `name`.
    """

    model: str
    name: str
    ours: float
    theirs: float
    our_sd: float | None
    their_sd: float | None


def beside_each_other(panels: Mapping[str, Sequence[Point]]) -> Figure:
    """One panel a dataset and score, one colour a model."""
    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    figure = new_figure(3.3 * columns + 0.2, 3.2 * lines + 0.5)
    axes = list(figure.subplots(lines, columns, squeeze=False).ravel())
    handles: dict[str, Any] = {}
    for ax, (title, points) in zip(axes, panels.items(), strict=False):
        for model in sorted({point.model for point in points}):
            own = [point for point in points if point.model == model]
            handles[plain(own[0].name)] = _points(ax, own)
        _axis(ax, title)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    legend(figure, dict(sorted(handles.items())))
    return figure


def _points(ax: Axes, points: Sequence[Point]) -> Any:
    paint = colour(points[0].model)
    ours, theirs = [p.ours for p in points], [p.theirs for p in points]
    ax.errorbar(
        theirs, ours, xerr=[p.their_sd or 0.0 for p in points], yerr=[p.our_sd or 0.0 for p in points], color=paint,
        linestyle="none", linewidth=0.9, alpha=0.6,
    )  # fmt: skip
    return ax.plot(theirs, ours, color=paint, marker="o", linestyle="none", markeredgecolor="white", alpha=0.9)[0]


def _axis(ax: Axes, title: str) -> None:
    """The same span on both axes, so that the diagonal is one."""
    low, high = min(ax.get_xlim()[0], ax.get_ylim()[0]), max(ax.get_xlim()[1], ax.get_ylim()[1])
    ax.axline((low, low), (high, high), color="#6b7078", linewidth=1.0, linestyle=(0, (4, 2)), zorder=1.5)
    ax.set_xlim(low, high)
    ax.set_ylim(low, high)
    ax.set_aspect("equal")
    ax.set_title(plain(title))
    ax.set_xlabel("theirs")
    ax.set_ylabel("ours")
