"""Two quantities of every condition against each other: coherence against likelihood, quality against cost.

Colour is the model and the marker the variant, as everywhere; how the marker is filled tells the scheme, its size the
fraction `f`. A thin line joins the points of one variant and scheme in the order of `f`. Where a front is asked for,
points that no other point beats in both quantities are ringed and joined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import colour, marker, plain
from mmbench.results.report.groups import Condition, Variant

__all__ = ["Point", "Spread", "TradePanel", "front", "trade_off"]

ACROSS = 2
FILLS = ("none", "left", "right", "bottom", "top")
FRONT = "#3c4148"
DECADE = 10.0


@dataclass(frozen=True)
class Spread:
    """A quantity over seeds: mean, sample standard deviation (None below two seeds), and their number."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Point:
    """One condition."""

    condition: Condition
    x: Spread
    y: Spread


@dataclass(frozen=True)
class TradePanel:
    """Points of one panel; `front` where larger is better in both quantities and the front is to be drawn."""

    title: str
    xlabel: str
    points: tuple[Point, ...]
    front: bool = False
    log: bool = False


def front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: none is at least as large in both means and larger in one; x rises."""
    kept = [p for p in points if not any(_beats(q, p) for q in points)]
    return sorted(kept, key=lambda p: (p.x.mean, p.y.mean))


def _beats(a: Point, b: Point) -> bool:
    no_less = a.x.mean >= b.x.mean and a.y.mean >= b.y.mean
    return no_less and (a.x.mean > b.x.mean or a.y.mean > b.y.mean)


def trade_off(panels: Sequence[TradePanel], names: Mapping[Variant, str], *, ylabel: str) -> Figure:
    """Panels two across on one scale of `ylabel`."""
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure((4.4 if across > 1 else 6.4) * across + 0.2, (3.6 if down > 1 else 4.2) * down + 0.5)
    axes = figure.subplots(down, across, squeeze=False, sharey=True)
    conditions = sorted({point.condition for panel in panels for point in panel.points})
    schemes = sorted({c.scheme for c in conditions} - {"complete"}, key=lambda name: (name != "split", name))
    fractions = sorted({c.f for c in conditions})
    for ax, panel in zip(axes.ravel(), panels, strict=False):
        _panel(ax, panel, list(names), schemes, fractions)
    for ax in axes.ravel()[len(panels) :]:
        ax.set_visible(False)
    for line in axes:
        line[0].set_ylabel(ylabel)
    drawn = [variant for variant in names if any(c.variant == variant for c in conditions)]
    legend(figure, _handles(drawn, names, schemes, fractions, fronted=any(panel.front for panel in panels)))
    return figure


def _panel(
    ax: Axes, panel: TradePanel, order: Sequence[Variant], schemes: Sequence[str], fractions: Sequence[float]
) -> None:
    if panel.log and _decades([p.x.mean for p in panel.points]):
        ax.set_xscale("log")
    for path in _paths(panel.points):
        paint = colour(path[0].condition.variant.model)
        ax.plot([p.x.mean for p in path], [p.y.mean for p in path], color=paint, linewidth=0.8, alpha=0.35, zorder=1.6)
    for point in panel.points:
        _point(ax, point, marker(order.index(point.condition.variant)), schemes, fractions)
    if panel.front:
        best = front(panel.points)
        xs, ys = [p.x.mean for p in best], [p.y.mean for p in best]
        ax.plot(xs, ys, color=FRONT, linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=1.7)
        ax.plot(
            xs,
            ys,
            color=FRONT,
            linestyle="none",
            marker="o",
            markersize=11,
            markeredgewidth=0.8,
            fillstyle="none",
            zorder=1.8,
        )
    ax.set_title(plain(panel.title))
    ax.set_xlabel(plain(panel.xlabel))


def _paths(points: Sequence[Point]) -> list[list[Point]]:
    """Points of one variant and scheme with falling `f`, each path beginning at the complete run where there is one."""
    found: list[list[Point]] = []
    for variant in sorted({p.condition.variant for p in points}):
        own = sorted((p for p in points if p.condition.variant == variant), key=lambda p: -p.condition.f)
        schemes = sorted({p.condition.scheme for p in own} - {"complete"})
        found += [[p for p in own if p.condition.scheme in (scheme, "complete")] for scheme in schemes]
    return found


def _point(ax: Axes, point: Point, mark: str, schemes: Sequence[str], fractions: Sequence[float]) -> None:
    paint = colour(point.condition.variant.model)
    ax.errorbar(
        point.x.mean, point.y.mean, xerr=point.x.sd, yerr=point.y.sd, color=paint, ecolor=to_rgba(paint, 0.45),
        elinewidth=0.9, capsize=0, marker=mark, markersize=_size(point.condition.f, fractions), zorder=2.0,
        fillstyle=_fill(point.condition.scheme, schemes), markerfacecoloralt="white", markeredgewidth=0.9,
    )  # fmt: skip


def _size(f: float, fractions: Sequence[float]) -> float:
    return 4.5 + 4.0 * (fractions.index(f) + 1) / len(fractions)


def _fill(scheme: str, schemes: Sequence[str]) -> Any:
    return "full" if scheme == "complete" else FILLS[list(schemes).index(scheme) % len(FILLS)]


def _decades(values: Sequence[float]) -> bool:
    found = np.asarray(values)
    return bool(len(found) and found.min() > 0 and found.max() / found.min() >= DECADE)


def _handles(
    variants: Sequence[Variant],
    names: Mapping[Variant, str],
    schemes: Sequence[str],
    fractions: Sequence[float],
    *,
    fronted: bool,
) -> dict[str, Any]:
    """Variants in their colours, then schemes and the fractions in grey, then the front."""
    grey: dict[str, Any] = {"color": "#6b7078", "linestyle": "none", "marker": "o", "markerfacecoloralt": "white"}
    order = list(names)
    found: dict[str, Any] = {
        plain(names[v]): Line2D([], [], color=colour(v.model), linestyle="none", marker=marker(order.index(v)))
        for v in variants
    }
    found |= {plain(scheme): Line2D([], [], fillstyle=_fill(scheme, schemes), **grey) for scheme in schemes}
    if len(fractions) > 1:
        for f in fractions:
            found[f"f = {f:g}"] = Line2D([], [], markersize=_size(f, fractions), **grey)
    if fronted:
        ring: dict[str, Any] = {
            "marker": "o",
            "markersize": 11,
            "fillstyle": "none",
            "linestyle": (0, (1, 1.5)),
            "linewidth": 1.0,
        }
        found["beaten by none in both"] = Line2D([], [], color=FRONT, **ring)
    return found
