"""From scores to rows: mean, standard deviation, intervals and `n of N` over the seeds of one condition.

Scores meet in a row only when metric, version, estimator and protocol agree. The protocol is what a score's `params`
say: the class, the number of steps, the stand-in for a prior. Of each metric the newest version in the group is used.
Two intervals are kept apart: over seeds (another seed, same test set) and over test rows (same weights, another test
set). Seeds are scored on the same rows, so that their errors over rows go together and averaging does not shrink them:
the interval over rows is the mean of the seeds' own, which is never too narrow, as the standard deviation of a mean is
at most the mean of the standard deviations.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.config import canonical_json
from mmbench.results.records import RunRecord, Score
from mmbench.results.report.groups import Condition, of_seeds
from mmbench.results.statistics import rows_interval, t_interval

__all__ = ["Row", "mean_and_sd", "rows_of"]

Interval = tuple[float | None, float | None]

SCORED = "done"
LACKING = "done without it"
OLDER = "done, by an older version of the metric"


@dataclass(frozen=True)
class Row:
    """One quantity of one condition over its seeds.

    Attributes:
        mean: over the `n` seeds that have the score; None where `n` is 0.
        sd: sample standard deviation (divisor `n - 1`); None below two seeds.
        interval: 95 % Student's t interval of the mean over seeds; `(None, None)` below two seeds.
        over_rows: 95 % interval over test rows, the weights given: the mean of the seeds' own; `(None, None)` where the
            scores have no standard error.
        n, of: seeds with the score, of all seeds, however their runs ended.
        others: what became of the `of - n` others, such as `(("diverged", 1),)`.
        by_seed: seed and value of each score.
        stderr: standard error over test rows where there is one seed; None otherwise.
        rows: test rows behind each score, the smallest over seeds.
        ess: effective importance samples behind each score, the smallest over seeds; None where none were measured.
    """

    condition: Condition
    metric: str
    version: int
    given: str
    target: str
    estimator: str
    protocol: Mapping[str, Any]
    mean: float | None
    sd: float | None
    interval: Interval
    n: int
    of: int
    stderr: float | None
    rows: int
    ess: float | None = None
    over_rows: Interval = (None, None)
    others: tuple[tuple[str, int], ...] = ()
    by_seed: tuple[tuple[int, float], ...] = ()


Key = tuple[str, int, str, str, str, str]
Seeded = tuple[int, Score]


def rows_of(
    runs: Sequence[RunRecord], metric: str, seeds: Mapping[Condition, Sequence[RunRecord]] | None = None
) -> list[Row]:
    """Rows of `metric`; a condition without any has rows with `n` = 0 for what others have.

    Args:
        seeds: `of_seeds(runs)`, where the caller has it.
    """
    newest = max((s.version for run in runs for s in _usable(run, metric)), default=0)
    found = []
    seeds = of_seeds(runs) if seeds is None else seeds
    quantities: set[Key] = set()
    held: dict[Condition, dict[Key, list[Seeded]]] = {}
    for condition, members in sorted(seeds.items(), key=lambda item: _order(item[0])):
        held[condition] = _by_key(members, metric, newest)
        quantities |= set(held[condition])
    for condition, by_key in held.items():
        keys = sorted(by_key or _absent(quantities))
        found += [_row(condition, key, by_key.get(key, []), seeds[condition]) for key in keys]
    return found


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (divisor n - 1).

    >>> mean_and_sd([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _order(condition: Condition) -> tuple[Any, ...]:
    return (condition.variant, condition.scheme != "complete", condition.scheme, -condition.f)


def _usable(run: RunRecord, metric: str) -> Iterator[Score]:
    if run.status == SCORED:
        yield from (s for s in run.scores if s.metric == metric and s.status == "ok" and s.value is not None)


def _by_key(members: Iterable[RunRecord], metric: str, version: int) -> dict[Key, list[Seeded]]:
    found: dict[Key, list[Seeded]] = defaultdict(list)
    for run in members:
        for s in _usable(run, metric):
            if s.version == version:
                key = (metric, version, s.given, s.target, s.estimator, canonical_json(s.params))
                found[key].append((run.spec["seed"], s))
    return dict(found)


def _absent(quantities: Iterable[Key]) -> set[Key]:
    """The quantities of other conditions, for one that has none: with an empty protocol, without those by class."""
    return {(*key[:5], "{}") for key in quantities if '"class":' not in key[5]}


def _row(condition: Condition, key: Key, held: Sequence[Seeded], members: Sequence[RunRecord]) -> Row:
    metric, version, given, target, estimator, protocol = key
    by_seed = tuple((seed, s.value) for seed, s in held if s.value is not None)
    values = [value for _, value in by_seed]
    scores = [s for _, s in held]
    mean, sd = mean_and_sd(values)
    return Row(
        condition=condition,
        metric=metric,
        version=version,
        given=given,
        target=target,
        estimator=estimator,
        protocol=json.loads(protocol),
        mean=mean,
        sd=sd,
        interval=t_interval(values) if sd is not None else (None, None),
        n=len(scores),
        of=len(members),
        stderr=scores[0].stderr if len(scores) == 1 else None,
        rows=min((s.n for s in scores), default=0),
        ess=min((float(s.details["ess"]) for s in scores if "ess" in s.details), default=None),
        over_rows=_over_rows(scores),
        others=_others(members, metric, version, {seed for seed, _ in held}),
        by_seed=by_seed,
    )


def _over_rows(scores: Sequence[Score]) -> Interval:
    """The mean of the seeds' own intervals over test rows."""
    own = [rows_interval(s.value, s.stderr, s.n) for s in scores if s.value is not None]
    if not own or any(math.isnan(low) for low, _ in own):
        return None, None
    return math.fsum(low for low, _ in own) / len(own), math.fsum(high for _, high in own) / len(own)


def _others(members: Iterable[RunRecord], metric: str, version: int, scored: set[int]) -> tuple[tuple[str, int], ...]:
    """What became of the runs without the score."""
    return tuple(sorted(Counter(_end(r, metric, version) for r in members if r.spec["seed"] not in scored).items()))


def _end(run: RunRecord, metric: str, version: int) -> str:
    if run.status != SCORED:
        return run.status
    return OLDER if any(s.version < version for s in _usable(run, metric)) else LACKING
