"""Signal-to-noise ratio of gradients along training: the paper's Figure 10.

One panel for encoders, one for decoders; one colour an estimator of the gradient, one line style a modality. As in the
paper, blue is the estimator that stops the gradient through the weight and orange the full one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from mmbench.results.report.drawing.averaging import Mean
from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import DIFFERENT, SAME, plain

__all__ = ["SnrLine", "signal_to_noise_curves"]

PAINTS = {"stop-gradient": DIFFERENT, "full": SAME, "own": "#009E73"}
OTHERS = ("#CC79A7", "#56B4E9", "#332288", "#882255")
STYLES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
DECADE = 10.0


@dataclass(frozen=True)
class SnrLine:
    """One network's ratio under one estimator: `network` is `encoder` or `decoder`, the curve a mean over seeds."""

    estimator: str
    network: str
    modality: str
    curve: Mean


def signal_to_noise_curves(lines: Sequence[SnrLine], *, floor: float | None = None) -> Figure:
    """Encoders left, decoders right; `floor`, what noise alone would give, dotted."""
    networks = sorted({line.network for line in lines}, key=lambda name: (name != "encoder", name))
    modalities = sorted({line.modality for line in lines})
    estimators = sorted({line.estimator for line in lines})
    figure = new_figure(4.4 * len(networks) + 0.2, 3.6)
    axes = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
    handles: dict[str, Any] = {}
    for ax, network in zip(axes, networks, strict=True):
        for line in lines:
            if line.network == network:
                handles[plain(f"{line.modality}, {line.estimator}")] = _draw(ax, line, modalities, estimators)
        if floor is not None:
            ax.axhline(floor, color="#6b7078", linewidth=1.0, linestyle=(0, (1, 2)), zorder=1.5)
        ax.set_title(f"{network}s")
        ax.set_xlabel("step")
    _scale(axes[0], [*(value for line in lines for value in line.curve.means), *([floor] if floor else [])])
    axes[0].set_ylabel("signal-to-noise ratio of the gradient")
    legend(figure, handles)
    return figure


def _draw(ax: Axes, line: SnrLine, modalities: Sequence[str], estimators: Sequence[str]) -> Any:
    others = [name for name in estimators if name not in PAINTS]
    paint = PAINTS.get(line.estimator) or OTHERS[others.index(line.estimator) % len(OTHERS)]
    curve = line.curve
    if curve.seeds > 1:
        low, high = curve.means - curve.sds, curve.means + curve.sds
        ax.fill_between(curve.steps, low, high, color=paint, alpha=0.15, linewidth=0)
    style = STYLES[modalities.index(line.modality) % len(STYLES)]
    return ax.plot(curve.steps, curve.means, color=paint, linestyle=style, marker="o", markersize=3.0)[0]


def _plain_number(value: float, _: int | None) -> str:
    return f"{value:g}"


def _scale(ax: Axes, values: Sequence[float]) -> None:
    """Logarithmic where the ratios differ by a factor of ten or more."""
    found = np.asarray([value for value in values if value > 0])
    if len(found) and found.max() / found.min() >= DECADE:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(_plain_number))
        ax.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
        ax.yaxis.set_minor_formatter(FuncFormatter(_plain_number))
    else:
        ax.set_ylim(bottom=0)
