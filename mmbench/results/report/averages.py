"""Means over directions, where there are many: with M modalities there are M (2^(M-1) - 1) of them, 75 for five.

A mean is over all directions of its kind, seed by seed, so that its standard deviation is over seeds; a condition that
lacks a direction has no mean. With two modalities nothing is averaged: rows come back as they are.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mmbench.config import canonical_json
from mmbench.results.report.groups import Condition
from mmbench.results.report.summaries import Row, mean_and_sd
from mmbench.results.statistics import t_interval

__all__ = ["MANY", "by_number", "by_target", "few_quantities", "is_single", "many_modalities", "number_given"]

MANY = (
    "More than two modalities: coherence is the mean over all subsets of so many given modalities and all targets, and "
    "of likelihoods stand that of all modalities and those of one given all others; the tables of the sections have "
    "every direction."
)

SINGLE = "any single other"  # what is given where a mean is over the single modalities
ANY = "any others"  # the same over every subset of the others
AVERAGED = ("cross_coherence", "attribute_coherence")  # shares, which directions share a scale of
DENSITIES = ("log_likelihood", "truth_gap")  # nats of different modalities, which have no mean

Way = tuple[str, str]  # given, target
Kind = tuple[str, int, str, Way]  # metric, version, estimator


def many_modalities(rows: Iterable[Row]) -> bool:
    """Whether the rows tell of more than two modalities."""
    return len({name for row in rows for text in (row.given, row.target) for name in text.split("+") if name}) > 2


def number_given(row: Row) -> int:
    """How many modalities were given."""
    return row.given.count("+") + 1 if row.given else 0


def is_single(row: Row) -> bool:
    """Whether one modality was given and another scored."""
    return number_given(row) == 1 and bool(row.target)


def by_number(rows: Sequence[Row]) -> list[Row]:
    """Means over subsets and targets by the number of given modalities, in whose place `1 given` stands."""
    return _means(rows, lambda row: (f"{number_given(row)} given", ""))


def by_target(rows: Sequence[Row], *, single: bool = True) -> list[Row]:
    """Means over what is given, a target each: over the single modalities, or over every subset of the others."""
    chosen = [row for row in rows if is_single(row)] if single else rows
    return _means(chosen, lambda row: (SINGLE if single else ANY, row.target))


def few_quantities(rows: Sequence[Row]) -> list[Row]:
    """What overviews, comparisons and ranks are made of where there are more than two modalities.

    Shares are averaged by the number of given modalities; of densities stand the joint one and those given all others.
    """
    if not many_modalities(rows):
        return list(rows)
    found: list[Row] = []
    for metric in dict.fromkeys(row.metric for row in rows):
        own = [row for row in rows if row.metric == metric]
        if metric in AVERAGED:
            found += [*by_number([row for row in own if row.given]), *(row for row in own if not row.given)]
        else:
            found += _widest(own) if metric in DENSITIES else own
    return found


def _widest(rows: Sequence[Row]) -> list[Row]:
    """Of all modalities together, and of one given all others."""
    most = max(row.target.count("+") for row in rows)
    widest = max(number_given(row) for row in rows)
    return [row for row in rows if (number_given(row) == widest if row.given else row.target.count("+") == most)]


def _means(rows: Sequence[Row], way_of: Callable[[Row], Way]) -> list[Row]:
    """Rows of the same condition, estimator and protocol in one where `way_of` gives the same given and target."""
    wanted: dict[Kind, set[Way]] = defaultdict(set)
    held: dict[tuple[Condition, str, Kind], list[Row]] = defaultdict(list)
    for row in rows:
        kind = (row.metric, row.version, row.estimator, way_of(row))
        if row.n:
            wanted[kind].add((row.given, row.target))
        held[row.condition, canonical_json(row.protocol), kind].append(row)
    found = [_mean(members, kind[-1], wanted[kind]) for (_, _, kind), members in held.items()]
    places = {condition: place for place, condition in enumerate(dict.fromkeys(row.condition for row in rows))}
    return sorted(found, key=lambda row: (places[row.condition], row.given, row.target))


def _mean(rows: Sequence[Row], way: Way, wanted: set[Way]) -> Row:
    """One row in place of `rows`; without a value where a direction of `wanted` is lacking."""
    complete = {(row.given, row.target) for row in rows if row.n} == wanted
    by_seed = _by_seed(rows) if complete and wanted else ()
    values = [value for _, value in by_seed]
    mean, sd = mean_and_sd(values)
    return replace(
        min(rows, key=lambda row: row.n),
        given=way[0],
        target=way[1],
        mean=mean,
        sd=sd,
        interval=t_interval(values) if sd is not None else (None, None),
        n=len(values),
        stderr=None,
        ess=None,
        over_rows=(None, None),
        by_seed=by_seed,
    )


def _by_seed(rows: Sequence[Row]) -> tuple[tuple[int, float], ...]:
    """Of each seed that every row has, the mean over the rows."""
    held = [dict(row.by_seed) for row in rows]
    seeds = sorted(set.intersection(*(set(values) for values in held)))
    return tuple((seed, math.fsum(values[seed] for values in held) / len(held)) for seed in seeds)
