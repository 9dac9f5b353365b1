"""How related the encodings of two modalities are: the paper's Figures 8 and 9, model beside model.

Figure 8: histograms of the 2-Wasserstein distance between encodings of the same concept (orange) and of different ones
(blue). Figure 9: mean distance between classes, on one colour scale for all models, above the dendrogram of each.
Latent spaces differ from seed to seed, so one seed is drawn and named; the numbers over all seeds stand in a table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import legend, new_figure, titled
from mmbench.results.report.drawing.style import DIFFERENT, SAME, plain

__all__ = ["Histogram", "Matrix", "distance_matrices", "histograms"]

ACROSS = 4  # models in a line
WIDTH = 3.0  # inches of a panel


@dataclass(frozen=True)
class Histogram:
    """Counts `[2, bins]` (same, different concept) between `edges` `[bins + 1]`, of one model."""

    title: str
    counts: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class Matrix:
    """Class distances `[C, C]`, rows the classes of `given`, and scipy's linkage `[C - 1, 4]`, of one model."""

    title: str
    values: np.ndarray
    linkage: np.ndarray | None


def histograms(rows: Mapping[str, Sequence[Histogram]], *, distance: str = "W2") -> Figure:
    """Panels of each pair of modalities, one a model, `ACROSS` in a line; each panel has its own axis of distances."""
    lines = [(pair, members[i : i + ACROSS]) for pair, members in rows.items() for i in range(0, len(members), ACROSS)]
    columns = max(len(members) for _, members in lines)
    figure = new_figure(WIDTH * columns + 0.3, 2.5 * len(lines) + 0.5)
    axes = figure.subplots(len(lines), columns, squeeze=False)
    for line, (pair, members) in zip(axes, lines, strict=True):
        for ax in line[len(members) :]:
            ax.set_visible(False)
        for ax, member in zip(line, members, strict=False):
            _histogram(ax, member)
            ax.set_xlabel(f"{distance}, {plain(pair)}")
        line[0].set_ylabel("density")
    handles, texts = axes[0][0].get_legend_handles_labels()
    legend(figure, dict(zip(texts, handles, strict=True)))
    return figure


def distance_matrices(matrices: Sequence[Matrix], *, given: str, target: str, distance: str = "W2") -> Figure:
    """Matrices on one colour scale above dendrograms on one height scale, `ACROSS` in a line."""
    lines = [matrices[i : i + ACROSS] for i in range(0, len(matrices), ACROSS)]
    across = len(lines[0])
    figure = new_figure(WIDTH * across + 0.9, 5.0 * len(lines))
    axes = figure.subplots(2 * len(lines), across, squeeze=False, height_ratios=[1.5, 1.0] * len(lines))
    scale = min(float(np.nanmin(m.values)) for m in matrices), max(float(np.nanmax(m.values)) for m in matrices)
    heights = [float(m.linkage[:, 2].max()) for m in matrices if m.linkage is not None]
    for number, line in enumerate(lines):
        upper, lower = axes[2 * number], axes[2 * number + 1]
        for ax in (*upper[len(line) :], *lower[len(line) :]):
            ax.set_visible(False)
        for above, below, matrix in zip(upper, lower, line, strict=False):
            image = _matrix(above, matrix, scale)
            above.set_xlabel(f"{plain(target)} class")
            _dendrogram(below, matrix, max(heights, default=1.0))
            if matrix is not line[0]:  # the same numbers as at the first; every label costs time and place
                above.tick_params(labelleft=False)
                below.tick_params(labelleft=False)
        upper[0].set_ylabel(f"{plain(given)} class")
        lower[0].set_ylabel(f"{distance} at the merger")
        figure.colorbar(image, ax=list(upper), label=f"mean {distance}", shrink=0.9, pad=0.02)
    return figure


def _histogram(ax: Axes, member: Histogram) -> None:
    widths = np.diff(member.edges)
    for counts, paint, text in zip(
        member.counts, (SAME, DIFFERENT), ("same concept", "different concepts"), strict=True
    ):
        total = float(np.sum(counts))
        density = counts / (total * widths) if total > 0 else np.zeros_like(widths)
        ax.stairs(density, member.edges, fill=True, color=paint, alpha=0.5, label=text)
        ax.stairs(density, member.edges, color=paint, linewidth=1.2)
    titled(ax, member.title, WIDTH)
    ax.set_ylim(bottom=0)
    ax.set_yticks([])


def _matrix(ax: Axes, matrix: Matrix, scale: tuple[float, float]) -> Any:
    image = ax.imshow(matrix.values, cmap="viridis", vmin=scale[0], vmax=scale[1])
    rows, columns = matrix.values.shape
    ax.set_xticks(range(columns), [str(i) for i in range(columns)], fontsize=7)
    ax.set_yticks(range(rows), [str(i) for i in range(rows)], fontsize=7)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    titled(ax, matrix.title, WIDTH)
    return image


def _dendrogram(ax: Axes, matrix: Matrix, top: float) -> None:
    if matrix.linkage is None:
        ax.set_axis_off()
        return
    from scipy.cluster.hierarchy import dendrogram  # a fifth of a second, for which tables need not wait

    tree = dendrogram(matrix.linkage, no_plot=True)
    for xs, ys in zip(tree["icoord"], tree["dcoord"], strict=True):
        ax.plot(xs, ys, color="#3c4148", linewidth=1.2)
    leaves = tree["ivl"]
    ax.set_xticks([5 + 10 * i for i in range(len(leaves))], leaves, fontsize=7)
    ax.set_xlim(0, 10 * len(leaves))
    ax.set_ylim(0, 1.05 * top or 1.0)
    ax.grid(visible=False, axis="x")
    ax.tick_params(axis="x", length=0)
