"""The critical-difference diagram (Demsar, 2006, Figure 1): models on a line of average ranks, bars over those that
stay together.
"""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.report.drawing.canvas import new_figure
from mmbench.results.report.drawing.style import colour, plain

__all__ = ["rank_lines"]

STEP, BAR = 0.24, 0.13  # inches between names, and between bars


def rank_lines(
    ranks: Mapping[str, float], names: Mapping[str, str], together: Sequence[Sequence[str]], width: float
) -> Figure:
    """A diagram of average ranks.

    Args:
        ranks: model -> average rank, best first.
        names: model -> what it is called.
        together: models that the test does not tell apart, as stretches of neighbours.
        width: the critical difference.
    """
    half = -(-len(ranks) // 2)
    above, below = 0.75, 0.25 + BAR * len(together) + STEP * half
    figure = new_figure(6.4, above + below)
    ax = figure.subplots()
    ax.set_xlim(0.4, len(ranks) + 0.6)
    ax.set_ylim(-below, above)  # data units of the vertical axis are inches, nearly
    ax.axis("off")
    _scale(ax, len(ranks), width)
    for line, members in enumerate(together):
        low, high = ranks[members[0]] - 0.04, ranks[members[-1]] + 0.04
        height = -0.12 - BAR * line
        ax.plot([low, high], [height, height], color="#3c4148", linewidth=3.2, solid_capstyle="butt")
    first = -0.2 - BAR * len(together)
    for place, model in enumerate(ranks):
        left = place < half
        line = place if left else len(ranks) - 1 - place
        _name(ax, model, ranks[model], names[model], first - STEP * line, len(ranks), left=left)
    return figure


def _scale(ax: Axes, models: int, width: float) -> None:
    """The line of ranks, and above it how long the critical difference is."""
    ax.plot([1, models], [0, 0], color="#3c4148", linewidth=1.0)
    for rank in range(1, models + 1):
        ax.plot([rank, rank], [0, 0.07], color="#3c4148", linewidth=1.0)
        ax.text(rank, 0.11, str(rank), ha="center", va="bottom", fontsize=8.5, color="#3c4148")
    end = min(1 + width, models + 0.5)
    ax.plot([1, end], [0.45, 0.45], color="#6b7078", linewidth=1.4, marker="|", markersize=7)
    ax.text(1, 0.52, f"critical difference {width:.2f}", va="bottom", fontsize=8.5, color="#6b7078")


def _name(ax: Axes, model: str, rank: float, name: str, height: float, models: int, *, left: bool) -> None:
    edge = 0.95 if left else models + 0.05
    ax.plot([rank, rank, edge], [0, height, height], color=colour(model), linewidth=1.2)
    text = f"{plain(name)}  {rank:.2f} " if left else f" {rank:.2f}  {plain(name)}"
    ax.text(edge, height, text, ha="right" if left else "left", va="center", clip_on=False)
