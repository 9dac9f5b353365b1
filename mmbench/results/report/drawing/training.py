"""Training curves: one figure a variant, one panel a logged term; test terms are dashed.

One line is drawn a run, or, where that would be more than `SINGLE` lines a panel, the mean over the seeds of each
condition with a band of one standard deviation.

The first steps are left out of the axis (not of the line): they fall from where the networks happened to begin and
would flatten everything after them. A cross ends the line of a run that did not end well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbench.results.records import Curve, RunRecord
from mmbench.results.report.drawing.averaging import finite, mean_curve
from mmbench.results.report.drawing.canvas import legend, new_figure
from mmbench.results.report.drawing.style import label, plain

__all__ = ["PANELS", "SHADES", "SINGLE", "Track", "averaged", "terms_of", "tracks", "training_curves"]

PANELS = 9
SINGLE = 6  # runs up to which each has a line of its own
BEGINNING = 0.1  # share of the steps that does not set the axis
SHADES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933")
KINDS = ("train/", "test/")

Curves = Mapping[str, Sequence[Curve]]


@dataclass(frozen=True)
class Track:
    """One line of a panel, of the run `run` or, where `run` is empty, the mean over `seeds` runs of its condition.

    Attributes:
        condition: scheme and `f`.
        kind: `train` or `test`.
        sds: standard deviations `[n]` over the seeds, NaN where one is left; empty for a single run.
        ended: whether the run ended well; a mean has no end of its own.
    """

    term: str
    kind: str
    condition: tuple[str, float]
    run: str
    steps: np.ndarray
    values: np.ndarray
    sds: np.ndarray
    seeds: int = 1
    ended: bool = True


def averaged(runs: Sequence[RunRecord]) -> bool:
    """Whether means over seeds stand for single runs."""
    return len(runs) > SINGLE


def terms_of(curves: Curves) -> list[str]:
    """The terms of training and test curves, the loss first; curves of another kind are none."""
    found = {_term(curve) for held in curves.values() for curve in held if len(curve.values) and _is_term(curve)}
    return sorted(found, key=lambda name: (name != "loss", name))


def tracks(runs: Sequence[RunRecord], curves: Curves) -> list[Track]:
    """What is drawn of the runs of one variant: the first `PANELS` terms, single runs or means over their seeds."""
    found = []
    conditions = sorted({_condition(run) for run in runs})
    for term in terms_of(curves)[:PANELS]:
        for kind in KINDS:
            pairs = [(run, curve) for run in runs for curve in curves[run.id] if curve.name == kind + term]
            if averaged(runs):
                found += [_mean(term, kind, c, [p for p in pairs if _condition(p[0]) == c]) for c in conditions]
            else:
                found += [_single(term, kind, run, curve) for run, curve in pairs]
    return [track for track in found if len(track.steps)]


def training_curves(drawn: Sequence[Track], name: str) -> Figure:
    """The `tracks` of the variant called `name`, a panel a term."""
    terms = list(dict.fromkeys(track.term for track in drawn))
    columns = min(3, len(terms))
    lines = -(-len(terms) // columns)
    figure = new_figure(3.1 * columns + 0.3, 2.2 * lines + 0.7)
    axes = list(figure.subplots(lines, columns, squeeze=False).ravel())
    conditions = sorted({track.condition for track in drawn})
    handles: dict[str, Artist] = {}
    for ax, term in zip(axes, terms, strict=False):
        members = [track for track in drawn if track.term == term]
        for track in members:
            line = _draw(ax, track, SHADES[conditions.index(track.condition) % len(SHADES)])
            handles.setdefault(f"{label(name, track.condition[0])}, f = {-track.condition[1]:g}", line)
        _axis(ax, term, members)
    for ax in axes[len(terms) :]:
        ax.set_visible(False)
    legend(figure, handles)
    return figure


def _is_term(curve: Curve) -> bool:
    return curve.name.startswith(KINDS)


def _term(curve: Curve) -> str:
    return curve.name.partition("/")[2]


def _condition(run: RunRecord) -> tuple[str, float]:
    return run.spec["scheme"], -float(run.spec["f"])


def _single(term: str, kind: str, run: RunRecord, curve: Curve) -> Track:
    steps, values = finite(curve)
    ended = run.status == "done"
    return Track(term, kind.rstrip("/"), _condition(run), run.id, steps, values, np.zeros(0), ended=ended)


def _mean(
    term: str, kind: str, condition: tuple[str, float], pairs: Sequence[tuple[RunRecord, Curve]]
) -> Track:  # fmt: skip
    mean = mean_curve([curve for _, curve in pairs], [run.status == "done" for run, _ in pairs])
    return Track(term, kind.rstrip("/"), condition, "", mean.steps, mean.means, mean.sds, mean.seeds)


def _draw(ax: Axes, track: Track, shade: str) -> Artist:
    style = (0, (3, 1.5)) if track.kind == "test" else "-"
    line = ax.plot(track.steps, track.values, color=shade, linewidth=1.1, alpha=0.85, linestyle=style)[0]
    if len(track.sds):
        low, high = track.values - track.sds, track.values + track.sds
        ax.fill_between(track.steps, low, high, color=shade, alpha=0.12, linewidth=0)
    if not track.ended:
        ax.plot(track.steps[-1:], track.values[-1:], color=shade, marker="x", markersize=7, linestyle="none")
    return line


def _axis(ax: Axes, term: str, members: Sequence[Track]) -> None:
    ax.set_title(plain(term))
    ax.set_xlabel("step")
    last = max((float(track.steps[-1]) for track in members), default=0.0)
    settled = np.concatenate([t.values[t.steps >= BEGINNING * last] for t in members] or [np.zeros(0)])
    if len(settled) and settled.max() > settled.min():
        margin = 0.06 * (settled.max() - settled.min())
        ax.set_ylim(settled.min() - margin, settled.max() + margin)
