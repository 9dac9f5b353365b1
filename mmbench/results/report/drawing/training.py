"""Training curves: one figure a variant, one panel a logged term, one line a run; test terms are dashed.

The first steps are left out of the axis (not of the line): they fall from where the networks happened to begin and
would flatten everything after them. A cross ends the line of a run that did not end well.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.records import Curve, RunRecord
from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import label, plain

__all__ = ["PANELS", "training_curves"]

PANELS = 9
BEGINNING = 0.1  # share of the steps that does not set the axis
SHADES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933")


def training_curves(runs: Sequence[RunRecord], curves: Mapping[str, Sequence[Curve]], name: str) -> Figure:
    """Curves of the runs of one variant called `name`; `curves` maps run ids to what was logged."""
    terms = _terms(curves)
    columns = min(3, len(terms))
    lines = -(-len(terms) // columns)
    figure = new_figure(3.1 * columns + 0.3, 2.2 * lines + 0.7)
    axes = list(figure.subplots(lines, columns, squeeze=False).ravel())
    shades = _shades(runs)
    handles: dict[str, Artist] = {}
    for ax, term in zip(axes, terms, strict=False):
        for run in runs:
            for curve in _of_term(curves[run.id], term):
                line = _line(ax, curve, shades[_condition(run)], ended=run.status == "done")
                handles.setdefault(_text(run, name), line)
        _axis(ax, term, [c for held in curves.values() for c in held if _term(c) == term])
    for ax in axes[len(terms) :]:
        ax.set_visible(False)
    legend(figure, handles)
    return figure


def _condition(run: RunRecord) -> tuple[str, float]:
    return run.spec["scheme"], -float(run.spec["f"])


def _shades(runs: Sequence[RunRecord]) -> dict[tuple[str, float], str]:
    return {c: SHADES[i % len(SHADES)] for i, c in enumerate(sorted({_condition(run) for run in runs}))}


def _text(run: RunRecord, name: str) -> str:
    return f"{label(name, run.spec['scheme'])}, f = {run.spec['f']:g}"


def _term(curve: Curve) -> str:
    return curve.name.removeprefix("train/").removeprefix("test/")


def _of_term(curves: Sequence[Curve], term: str) -> list[Curve]:
    """Training terms before test terms."""
    return sorted((c for c in curves if _term(c) == term), key=lambda c: (not c.name.startswith("train/"), c.name))


def _terms(curves: Mapping[str, Sequence[Curve]]) -> list[str]:
    names = {_term(curve) for held in curves.values() for curve in held if len(curve.values)}
    return sorted(names, key=lambda name: (name != "loss", name))[:PANELS]


def _line(ax: Axes, curve: Curve, shade: str, *, ended: bool) -> Artist:
    steps, values = _finite(curve)
    style = (0, (3, 1.5)) if curve.name.startswith("test/") else "-"
    line = ax.plot(steps, values, color=shade, linewidth=1.1, alpha=0.85, linestyle=style)[0]
    if not ended and len(steps):
        ax.plot(steps[-1:], values[-1:], color=shade, marker="x", markersize=7, linestyle="none")
    return line


def _finite(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    kept = np.isfinite(curve.values)
    return np.asarray(curve.steps, float)[kept], np.asarray(curve.values, float)[kept]


def _axis(ax: Axes, term: str, curves: Sequence[Curve]) -> None:
    ax.set_title(plain(term))
    ax.set_xlabel("step")
    held = [_finite(curve) for curve in curves]
    last = max((steps[-1] for steps, _ in held if len(steps)), default=0.0)
    settled = np.concatenate([values[steps >= BEGINNING * last] for steps, values in held] or [np.zeros(0)])
    if len(settled) and settled.max() > settled.min():
        margin = 0.06 * (settled.max() - settled.min())
        ax.set_ylim(settled.min() - margin, settled.max() + margin)
