"""Coherence against likelihood: which models give up neither for the other."""

from collections import defaultdict
from functools import partial

from mmbench.results.report.captions import unreliable
from mmbench.results.report.commands import evaluation, why_skipped
from mmbench.results.report.contents import FigureItem, Section
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.style import subscript
from mmbench.results.report.drawing.trade_off import Point, Spread, TradePanel, front, trade_off
from mmbench.results.report.files import safe
from mmbench.results.report.groups import Condition, condition_of
from mmbench.results.report.sections.common import section_of
from mmbench.results.report.sections.limits import few_places, places_text
from mmbench.results.report.sections.values import mean_coherence
from mmbench.results.report.summaries import Row

__all__ = ["coherence_against_likelihood", "name_of", "spread_text"]


def coherence_against_likelihood(desk: Desk) -> Section | None:
    """A figure for each estimator of the joint log likelihood, of the conditions that have both quantities."""
    coherence = mean_coherence(desk)
    items: list[FigureItem] = []
    by_estimator = _joint(desk)
    for estimator, rows in sorted(by_estimator.items()):
        points = [
            Point(condition, Spread(row.mean or 0.0, row.sd, row.n), coherence[condition])
            for condition, row in rows.items()
            if condition in coherence
        ]
        if points:
            items += _figure(desk, estimator, points, rows)
    having = {point for rows in by_estimator.values() for point in rows}
    lacking = sorted({desk.group.names[c.variant] for c in coherence if c not in having})
    if lacking and items:
        why = "it has no joint log likelihood (a model without a joint prior has none), or no run scored it"
        asked = {row.condition for row in desk.rows("log_likelihood")}
        unasked = any(c not in asked for c in coherence if c not in having)
        command = evaluation(desk, "log_likelihood") if unasked else ""
        desk.lacks(f"coherence against likelihood of {', '.join(lacking)}", why, command)
    elif not items:
        if reason := why_skipped(desk, "cross_coherence"):
            desk.lacks("coherence against likelihood", f"cross_coherence was skipped: {reason}")
        else:
            why = "no condition has both cross coherence and a joint log likelihood"
            desk.lacks("coherence against likelihood", why, evaluation(desk, "log_likelihood"))
    return section_of(desk, "trade-off", "Coherence against likelihood", items)


def _joint(desk: Desk) -> dict[str, dict[Condition, Row]]:
    """Estimator -> the rows of the joint log likelihood."""
    found: dict[str, dict[Condition, Row]] = defaultdict(dict)
    rows = [row for row in desk.rows("log_likelihood") if row.n and not row.given and "+" in row.target]
    widest = max((row.target.count("+") for row in rows), default=0)
    for row in rows:
        if row.target.count("+") == widest:
            found[row.estimator].setdefault(row.condition, row)
    return found


def _figure(
    desk: Desk, estimator: str, points: list[Point], rows: dict[Condition, Row]
) -> list[FigureItem]:  # fmt: skip
    everyone = points
    places = few_places(desk, [p.condition for p in everyone])
    points = [p for p in everyone if (p.condition.scheme, p.condition.f) in places]
    best = front(points)
    target = next(iter(rows.values())).target
    text = _spread_of(points)
    caption = (
        f"Cross coherence (estimator micro, mean over the directions) against the joint log likelihood log p({target}) "
        f"of test rows (estimator {estimator}, nats, never rescaled); up and right is better. {text}",
        "Colour: model; fill: scheme; size: f; a thin line joins the points of one scheme.",
        "Ringed: conditions whose means no other beats in both. Differences within the spread are no finding, and a "
        "lower bound with few samples is lower for some models than for others.",
        places_text(places, [p.condition for p in everyone]),
        _doubt([rows[point.condition] for point in points]),
    )
    panel = TradePanel("", f"log p({target}), {estimator}", tuple(points), front=True)
    data = [_record(desk, p, p in best if p in points else None) for p in everyone]
    return desk.figure(
        partial(trade_off, [panel], desk.group.names, ylabel="cross coherence"), f"trade-off-{safe(estimator)}",
        title="Coherence against likelihood", caption=caption, data=data,
        alt="Scatter plot of coherence against joint log likelihood. Beaten by none in both: "
        + "; ".join(f"{name_of(desk, p.condition)}: {p.y.mean:.2f} at {p.x.mean:.1f} nats" for p in best) + ".",
        runs=[run for run in desk.done() if condition_of(run) in {p.condition for p in points}],
    )  # fmt: skip


def _doubt(rows: list[Row]) -> str:
    """That some estimates are unreliable, with the sign that marks them in the table; empty where none is."""
    text = unreliable(rows)
    return f"Some estimates here are marked in the table of likelihoods. {text}" if text else ""


def _spread_of(points: list[Point]) -> str:
    counts = sorted({n for p in points for n in (p.x.n, p.y.n)})
    if counts == [1]:
        return "One seed a point, so no error bars are drawn."
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    gap = " (points with one seed have none)" if counts[0] == 1 else ""
    return f"Means over {span} seeds; error bars: one standard deviation over seeds{gap}."


def name_of(desk: Desk, condition: Condition) -> str:
    """A condition in words."""
    below = subscript(condition.scheme)
    return desk.group.names[condition.variant] + (f" {below}, f = {condition.f:g}" if below else "")


def spread_text(spread: Spread, digits: int) -> str:
    """Mean, with its standard deviation where there is one."""
    text = f"{spread.mean:,.{digits}f}"
    return text if spread.sd is None else f"{text} ± {spread.sd:,.{digits}f}"


def _record(desk: Desk, point: Point, unbeaten: bool | None) -> dict[str, object]:
    c = point.condition
    return {
        "model": desk.group.names[c.variant],
        "scheme": c.scheme,
        "f": c.f,
        "log_likelihood": point.x.mean,
        "log_likelihood_sd": point.x.sd,
        "log_likelihood_n": point.x.n,
        "coherence": point.y.mean,
        "coherence_sd": point.y.sd,
        "coherence_n": point.y.n,
        "unbeaten": unbeaten,
    }
