"""Shares by attribute as dots: a column an attribute, a panel a direction, one colour and marker a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import legend, new_figure, titled
from mmbench.results.report.drawing.style import colour, marker, plain
from mmbench.results.report.groups import Variant

__all__ = ["AttributePanel", "Dots", "attribute_dots"]

ACROSS = 2  # panels in a row
SPREAD = 0.7  # of a column, over which the models' dots stand side by side


@dataclass(frozen=True)
class Dots:
    """One model: `(column, mean, sd)` of each attribute that it has."""

    variant: Variant
    name: str
    points: tuple[tuple[int, float, float | None], ...]


@dataclass(frozen=True)
class AttributePanel:
    """One direction."""

    title: str
    models: tuple[Dots, ...]


def attribute_dots(panels: Sequence[AttributePanel], columns: Sequence[str], order: Sequence[Variant]) -> Figure:
    """Panels on one scale from 0 to 1, `ACROSS` in a row; a marker is decided by the place in `order`."""
    across, down = min(ACROSS, len(panels)), -(-len(panels) // ACROSS)
    width = max(3.2, 0.9 * len(columns) + 0.6)
    figure = new_figure(width * across + 0.4, 2.9 * down + 0.7)
    axes = figure.subplots(down, across, squeeze=False, sharey=True)
    handles: dict[str, Any] = {}
    for ax, panel in zip(axes.ravel(), panels, strict=False):
        handles |= _panel(ax, panel, columns, order)
        titled(ax, panel.title, width)
    for ax in axes.ravel()[len(panels) :]:
        ax.set_visible(False)
    for row in axes:
        row[0].set_ylabel("share of test rows")
    legend(figure, handles)
    return figure


def _panel(ax: Axes, panel: AttributePanel, columns: Sequence[str], order: Sequence[Variant]) -> dict[str, Any]:
    handles = {}
    count = len(panel.models)
    places = np.linspace(-SPREAD / 2, SPREAD / 2, count) if count > 1 else np.zeros(1)
    for model, place in zip(panel.models, places, strict=True):
        xs, means = [x + place for x, _, _ in model.points], [mean for _, mean, _ in model.points]
        paint = colour(model.variant.model)
        handles[plain(model.name)] = ax.plot(
            xs, means, color=paint, linestyle="none", marker=marker(order.index(model.variant)), markersize=5.5,
            markeredgecolor="white", markeredgewidth=0.5,
        )[0]  # fmt: skip
        bars = [(x + place, mean, sd) for x, mean, sd in model.points if sd is not None]
        if bars:
            ax.errorbar([b[0] for b in bars], [b[1] for b in bars], yerr=[b[2] for b in bars], color=paint,
                        linestyle="none", linewidth=1.1, zorder=1.9)  # fmt: skip
    ax.set_xticks(range(len(columns)), [plain(name) for name in columns])
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(0, 1.02)
    ax.grid(visible=False, axis="x")
    for edge in range(1, len(columns)):
        ax.axvline(edge - 0.5, color="#e6e8eb", linewidth=0.8, zorder=0.5)
    return handles
