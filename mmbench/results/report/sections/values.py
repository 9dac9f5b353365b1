"""Quantities of a condition that are made of several scores: coherence over all directions, headline scores."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mmbench.results.report.averages import few_quantities, many_modalities
from mmbench.results.report.desk import Desk
from mmbench.results.report.drawing.trade_off import Spread
from mmbench.results.report.groups import Condition
from mmbench.results.report.headlines import HEADLINES, headline_rows
from mmbench.results.report.summaries import Row, mean_and_sd

__all__ = ["coherence_rows", "headlines_of", "is_averaged", "mean_coherence", "spread_of"]

Direction = tuple[str, str]


def headlines_of(desk: Desk, metric: str) -> list[Row]:
    """The rows that stand for a metric, few also where there are more than two modalities."""
    return few_quantities(headline_rows(desk.rows(metric)))


def is_averaged(desk: Desk) -> bool:
    """Whether `headlines_of` leaves anything out, or averages it."""
    return any(many_modalities(headline_rows(desk.rows(metric))) for metric in HEADLINES)


def coherence_rows(desk: Desk) -> list[Row]:
    """Cross coherence averaged over test rows (`micro`), where there is any."""
    return [row for row in desk.rows("cross_coherence") if row.estimator == "micro" and row.n]


def mean_coherence(desk: Desk) -> dict[Condition, Spread]:
    """Cross coherence, mean over the directions, over the seeds that have every direction of the group.

    Where a condition was judged by several protocols, the first of each direction is taken.
    """
    rows = coherence_rows(desk)
    directions = {(row.given, row.target) for row in rows}
    held: dict[Condition, dict[Direction, Row]] = defaultdict(dict)
    for row in rows:
        held[row.condition].setdefault((row.given, row.target), row)
    found = {condition: _over_directions(own.values()) for condition, own in held.items() if set(own) == directions}
    return {condition: spread for condition, values in found.items() if (spread := spread_of(values))}


def spread_of(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation; None where there is no value."""
    mean, sd = mean_and_sd(values)
    return None if mean is None else Spread(mean, sd, len(values))


def _over_directions(rows: Iterable[Row]) -> list[float]:
    """Of each seed that every row has, the mean over the rows."""
    by_seed: list[Mapping[int, float]] = [dict(row.by_seed) for row in rows]
    seeds = sorted(set.intersection(*(set(values) for values in by_seed)))
    return [math.fsum(values[seed] for values in by_seed) / len(by_seed) for seed in seeds]
