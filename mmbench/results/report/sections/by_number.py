"""Coherence by the number of given modalities, where there are more than two: what each further one is worth."""

from collections.abc import Sequence
from functools import partial

from mmbench.results.report.averages import by_number, number_given
from mmbench.results.report.captions import figures_text, n_of, seeds_of
from mmbench.results.report.contents import FigureItem
from mmbench.results.report.desk import Desk, Setting
from mmbench.results.report.drawing.against_f import Line, Reference
from mmbench.results.report.drawing.by_number import NumberPanel, against_number
from mmbench.results.report.groups import Variant, condition_of
from mmbench.results.report.sections.limits import few, left_out_text
from mmbench.results.report.summaries import Row
from mmbench.results.report.tables.lines import row_record

__all__ = ["by_number_figure"]

Points = dict[int, Row]  # number of given modalities -> mean


def by_number_figure(
    desk: Desk, rows: Sequence[Row], *, name: str, title: str, what: str, references: tuple[Reference, ...] = ()
) -> list[FigureItem]:
    """A panel for the complete runs and one for the smallest `f` of each scheme; no figure without a mean.

    Args:
        rows: of one estimator, every direction a row.
        what: what is averaged, in words.
    """
    counts = {f"{number_given(row)} given": number_given(row) for row in rows}
    means = [row for row in by_number(rows) if row.n]
    there = [v for v in desk.group.names if any(row.condition.variant == v for row in means)]
    shown = few(desk, there)
    by_setting = {setting: _lines(means, setting, shown, counts) for setting in desk.settings()}
    by_setting = {setting: lines for setting, lines in by_setting.items() if lines}
    if not by_setting:
        return []
    panels = [
        NumberPanel(setting.text, tuple(_line(v, setting, points) for v, points in lines.items()),
                    references)
        for setting, lines in by_setting.items()
    ]  # fmt: skip
    drawn = [row for lines in by_setting.values() for points in lines.values() for row in points.values()]
    directions = {(row.given, row.target) for row in rows if row.n}
    caption = (
        f"{what}, mean over all subsets of so many given modalities and all targets "
        f"({figures_text(len(directions), 'direction')}).",
        seeds_of(drawn, band="bands"),
        n_of(drawn),
        left_out_text(desk, shown, there),
    )
    conditions = {row.condition for row in drawn}
    return desk.figure(
        partial(against_number, panels, desk.group.names, ylabel=title.lower()), name,
        title=f"{title} by number of given modalities", caption=caption,
        alt=f"{title} against the number of given modalities. {_finding(desk, by_setting)}",
        runs=[run for run in desk.done() if condition_of(run) in conditions],
        data=[row_record(desk.group, row, None) for row in means],
    )  # fmt: skip


def _lines(
    means: Sequence[Row], setting: Setting, shown: Sequence[Variant], counts: dict[str, int]
) -> dict[Variant, Points]:
    """The points of each variant; where it was judged by several protocols, those of the first."""
    found: dict[Variant, Points] = {}
    for variant in shown:
        for row in means:
            c = row.condition
            if (c.variant, c.scheme, c.f) == (variant, setting.scheme, setting.f):
                found.setdefault(variant, {}).setdefault(counts[row.given], row)
    return {variant: dict(sorted(points.items())) for variant, points in found.items()}


def _line(variant: Variant, setting: Setting, points: Points) -> Line:
    return Line(variant, setting.scheme, "", tuple((float(x), row.mean or 0.0, row.sd) for x, row in points.items()))


def _finding(desk: Desk, by_setting: dict[Setting, dict[Variant, Points]]) -> str:
    """From the fewest to the most given, model by model."""
    told = []
    for setting, lines in by_setting.items():
        for variant, points in lines.items():
            few_, many = min(points), max(points)
            told.append(
                f"{desk.group.names[variant]}, {setting.text}: {points[few_].mean:.2f} with {few_} given, "
                f"{points[many].mean:.2f} with {many}"
            )
    return "; ".join(told[:16]) + ("; more in the CSV." if len(told) > 16 else ".")
