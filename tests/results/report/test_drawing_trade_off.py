"""The front of points that none beats, and scatter plots: error bars over seeds, logarithmic axes, markers."""

import matplotlib.colors as colours
import pytest
from matplotlib.container import ErrorbarContainer

from mmbench.results.report.drawing.style import colour
from mmbench.results.report.drawing.trade_off import Point, Spread, TradePanel, front, trade_off
from mmbench.results.report.groups import Condition, Variant

A, B = (Variant(name, "common", False, "{}") for name in ("mvae", "mmvae"))
NAMES = {A: "MVAE", B: "MMVAE"}


def point(x: float, y: float, variant: Variant = A, f: float = 1.0, sd: float | None = None) -> Point:
    scheme = "complete" if f == 1.0 else "split"
    return Point(Condition(variant, scheme, f), Spread(x, sd, 2 if sd else 1), Spread(y, sd, 2 if sd else 1))


def test_the_front_holds_what_none_beats_in_both() -> None:
    best = [point(1, 9), point(5, 5), point(9, 1)]
    beaten = [point(4, 5), point(5, 4), point(0, 0), point(8.9, 1)]
    assert front([*beaten, *reversed(best)]) == best


def test_equal_points_do_not_beat_one_another() -> None:
    twins = [point(1, 1), point(1, 1, B)]
    assert len(front(twins)) == 2
    assert front([point(1, 1), point(1, 2)]) == [point(1, 2)]


def test_error_bars_are_drawn_where_there_are_two_seeds_or_more() -> None:
    panel = TradePanel("", "log p", (point(-5.0, 0.5, sd=0.1), point(-7.0, 0.25, B)), front=True)
    (ax,) = trade_off([panel], NAMES, ylabel="coherence").axes
    bars = [c for c in ax.containers if isinstance(c, ErrorbarContainer)]
    assert [(c.has_xerr, c.has_yerr) for c in bars] == [(True, True), (False, False)]
    segments = [lines.get_segments()[0] for lines in bars[0].lines[2]]
    assert sorted(segment[:, 0].tolist() for segment in segments) == [[-5.1, -4.9], [-5.0, -5.0]]
    assert [colours.to_hex(c.lines[0].get_color()).upper() for c in bars] == [colour("mvae"), colour("mmvae")]
    ringed = [line for line in ax.lines if line.get_markersize() == 11]
    assert [list(line.get_xdata()) for line in ringed] == [[-5.0]]


@pytest.mark.parametrize(("speeds", "scale"), [((10.0, 200.0), "log"), ((10.0, 90.0), "linear")])
def test_an_axis_over_a_factor_of_ten_is_logarithmic(speeds: tuple[float, float], scale: str) -> None:
    panel = TradePanel("cpu", "pairs/s", tuple(point(x, 0.5) for x in speeds), log=True)
    (ax,) = trade_off([panel], NAMES, ylabel="coherence").axes
    assert ax.get_xscale() == scale


def test_schemes_and_fractions_are_told_by_the_markers_and_named() -> None:
    panel = TradePanel("", "x", (point(1, 1), point(2, 0.5, f=0.5), point(3, 0.2, f=0.25)))
    figure = trade_off([panel], NAMES, ylabel="coherence")
    marks = [c.lines[0] for c in figure.axes[0].containers]
    assert [mark.get_fillstyle() for mark in marks] == ["full", "none", "none"]
    assert marks[0].get_markersize() > marks[1].get_markersize() > marks[2].get_markersize()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["MVAE", "split", "f = 0.25", "f = 0.5", "f = 1"]
