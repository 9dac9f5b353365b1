"""Encodings in the plane: the paper's Figures 19 and 20, model beside model.

Colour is the class, the marker the modality: where both modalities of a class lie together, the encodings share the
concept. Points are drawn as pixels in the SVG too, which would else grow by the number of points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmbench.results.report.drawing.canvas import legend, new_figure, titled
from mmbench.results.report.drawing.style import DIFFERENT, SAME, plain

__all__ = ["CLASS_COLOURS", "Cloud", "clouds"]

ACROSS = 3
SIDE = 3.1  # inches of a panel
CLASS_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#444444",
)  # Paul Tol's muted scheme for colour-blind readers, and a dark grey  # fmt: skip
BY_MODALITY = (DIFFERENT, SAME, "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKS = "ox^sv*"


@dataclass(frozen=True)
class Cloud:
    """One model: modality -> points `[n, 2]`, and the class of each row `[n]`, empty where it has none."""

    title: str
    points: Mapping[str, np.ndarray]
    classes: np.ndarray


def clouds(members: Sequence[Cloud]) -> Figure:
    """A panel a model; classes are told apart by colour where there are at most ten, otherwise the modalities are."""
    across = min(ACROSS, len(members))
    down = -(-len(members) // across)
    figure = new_figure(SIDE * across + 0.2, (SIDE + 0.2) * down + 0.5)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    modalities = sorted({name for member in members for name in member.points})
    classes = _classes(members)
    for ax, member in zip(axes, members, strict=False):
        _panel(ax, member, modalities, classes)
    for ax in axes[len(members) :]:
        ax.set_visible(False)
    legend(figure, _handles(modalities, classes))
    return figure


def _classes(members: Sequence[Cloud]) -> list[Any]:
    """The classes of all models; none where there are more than colours, or a model has no classes."""
    if any(not len(member.classes) for member in members):
        return []
    found = sorted({c for member in members for c in np.unique(member.classes).tolist()})
    return found if len(found) <= len(CLASS_COLOURS) else []


def _panel(ax: Axes, member: Cloud, modalities: Sequence[str], classes: Sequence[Any]) -> None:
    for index, name in enumerate(modalities):
        if name not in member.points:
            continue
        points = member.points[name]
        paint: Any = BY_MODALITY[index % len(BY_MODALITY)]
        if classes:
            paint = [CLASS_COLOURS[classes.index(c)] for c in member.classes.tolist()]
        mark = MARKS[index % len(MARKS)]
        edges = None if mark == "x" else "none"
        ax.scatter(points[:, 0], points[:, 1], c=paint, marker=mark, s=_area(len(points)), linewidths=0.6, alpha=0.75,
                   edgecolors=edges, rasterized=True)  # fmt: skip
    titled(ax, member.title, SIDE)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)


def _area(count: int) -> float:
    """Square points of a marker: smaller where there are many."""
    return float(np.clip(6000.0 / max(count, 1), 4.0, 16.0))


def _handles(modalities: Sequence[str], classes: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, name in enumerate(modalities):
        paint = "#3c4148" if classes else BY_MODALITY[index % len(BY_MODALITY)]
        found[plain(name)] = Line2D([], [], color=paint, marker=MARKS[index % len(MARKS)], linestyle="none")
    for index, c in enumerate(classes):
        found[plain(f"class {c}")] = Line2D([], [], color=CLASS_COLOURS[index], marker="s", linestyle="none")
    return found
