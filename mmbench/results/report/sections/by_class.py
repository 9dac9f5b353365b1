"""Cross coherence by the class of the input as a heat map: which classes a model confuses, and whether all do."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from mmbench.results.report.captions import n_of
from mmbench.results.report.contents import FigureItem
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.heat_map import Heat, heat_map
from mmbench.results.report.drawing.style import label
from mmbench.results.report.groups import Condition, condition_of
from mmbench.results.report.sections.limits import few, left_out_text
from mmbench.results.report.sections.trade_off import name_of
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import row_record

__all__ = ["by_class_figure"]

LINES = 36  # of the heat map


def by_class_figure(desk: Desk, rows: Sequence[Row]) -> list[FigureItem]:
    """A line a model at the complete runs and at the smallest `f` of each scheme, as far as there is room for them.

    Each direction has a panel.

    Args:
        rows: those of cross coherence whose protocol names a class.
    """
    scored = [row for row in rows if row.n]
    there = [v for v in desk.group.names if any(row.condition.variant == v for row in scored)]
    shown = few(desk, there)
    places = [(setting.scheme, setting.f) for setting in desk.settings()][: max(1, LINES // max(len(shown), 1))]
    conditions = [c for c in _ordered(scored, there) if (c.scheme, c.f) in places and c.variant in shown]
    if not conditions:
        return []
    classes = sorted({row.protocol["class"] for row in scored}, key=lambda c: (str(type(c)), c))
    drawn = [row for row in scored if row.condition in conditions]
    panels = [
        Heat(f"{given} → {target}", _values([r for r in drawn if (r.given, r.target) == (given, target)],
                                           conditions, classes))
        for given, target in sorted({(row.given, row.target) for row in drawn})
    ]  # fmt: skip
    lines = [
        label(desk.group.names[c.variant], c.scheme) + ("" if c.scheme == "complete" else f", f = {c.f:g}")
        for c in conditions
    ]
    caption = (
        "Share of test rows of each class whose generation has their class: a dark column is a "
        "class that is hard for every model. Other schemes and f are in the table.",
        _seeds(drawn),
        n_of(drawn),
        left_out_text(desk, shown, there),
    )
    columns = [str(c) for c in classes]
    return desk.figure(
        partial(heat_map, panels, lines, columns, label="cross coherence", xlabel="class of the input"),
        "coherence-by-class", title="Cross coherence by class", caption=caption, alt=_finding(desk, drawn, conditions),
        runs=[run for run in desk.done() if condition_of(run) in conditions],
        data=[row_record(desk.group, row, None) for row in drawn],
    )  # fmt: skip


def _seeds(rows: Sequence[Row]) -> str:
    counts = sorted({row.n for row in rows})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return "One seed a value." if counts == [1] else f"Means over {span} seeds; their spread is in the table's CSV."


def _ordered(rows: Sequence[Row], variants: Sequence[object]) -> list[Condition]:
    """Scheme by scheme, the complete runs first, in each the variants in their order."""
    found = {row.condition for row in rows}
    return sorted(found, key=lambda c: (c.scheme != "complete", c.scheme, -c.f, variants.index(c.variant)))


def _values(rows: Sequence[Row], conditions: Sequence[Condition], classes: Sequence[object]) -> np.ndarray:
    values = np.full((len(conditions), len(classes)), np.nan)
    for row in rows:
        values[conditions.index(row.condition), classes.index(row.protocol["class"])] = row.mean
    return values


def _finding(desk: Desk, rows: Sequence[Row], conditions: Sequence[Condition]) -> str:
    """The hardest and the easiest class of each line."""
    told = []
    for condition in conditions:
        for given, target in sorted({(row.given, row.target) for row in rows}):
            own = {
                row.protocol["class"]: row.mean
                for row in rows
                if (row.condition, row.given, row.target) == (condition, given, target) and row.mean is not None
            }
            if own:
                low, high = min(own, key=lambda c: own[c]), max(own, key=lambda c: own[c])
                told.append(
                    f"{name_of(desk, condition)}, {given} → {target}: lowest {low} ({own[low]:.2f}), highest {high} "
                    f"({own[high]:.2f})"
                )
    return f"Heat map of coherence by class. {'; '.join(told[:12])}{'; more in the table.' if len(told) > 12 else '.'}"
