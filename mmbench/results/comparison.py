"""Models against one another over common seeds, and what may be printed in bold.

Runs of two models with the same seed share the scheme's draw, the pairing and the order of rows, so that their scores
are paired. For every pair of models: the mean difference over the seeds that both have, its Student's t interval, the
two-sided p of the paired t-test, and p adjusted by Holm (A Simple Sequentially Rejective Multiple Test Procedure, 1979)
over the family of all pairs tested together, so that the chance of any false difference in the family stays below
1 - level. The intervals are of one pair each, not adjusted.

No verdict without a test: below `MIN_SEEDS` common seeds a pair is `not testable` (with two, t has one degree of
freedom, and even p = 0.05 asks for a difference of nine standard deviations), and so is one whose differences do not
vary, because then nothing tells how another seed would do. Such pairs have no p and do not count in the family.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from mmbench.results.statistics import LEVEL, t_interval

__all__ = ["MIN_SEEDS", "Comparison", "Leaders", "Scores", "compare", "compare_families", "holm", "leaders"]

Scores = Mapping[str, Mapping[int, float]]
"""Model -> seed -> score. Values that are not finite are left out, as seeds without a score."""

Finding = Literal["higher", "lower", "no difference found", "not testable"]

MIN_SEEDS = 3
SAME = 1e-12  # differences that vary by less than this share of the scores vary by rounding alone


@dataclass(frozen=True)
class Comparison:
    """Two models over their common seeds.

    Attributes:
        first, second: the models; all numbers are of first minus second.
        n: common seeds.
        mean, sd: of the differences; NaN below one and two seeds.
        low, high: t interval of the mean difference; NaN below two seeds.
        p, adjusted: of the paired t-test, and by Holm; None where there is no test.
        finding: of the first against the second.
        reason: why it is `not testable`; empty otherwise.
    """

    first: str
    second: str
    n: int
    mean: float
    sd: float
    low: float
    high: float
    p: float | None
    adjusted: float | None
    finding: Finding
    reason: str


@dataclass(frozen=True)
class Leaders:
    """Who may be printed in bold.

    Attributes:
        names: the best by mean and all that are not found worse, best first; empty where that cannot be tested.
        n: seeds that all models share, over which the means are taken.
        separates: whether some model is found worse than the best; without, bold face says nothing.
        reason: why `names` is empty; empty otherwise.
    """

    names: tuple[str, ...]
    n: int
    separates: bool
    reason: str


def compare(scores: Scores, *, level: float = LEVEL) -> tuple[Comparison, ...]:
    """All pairs of models, sorted by name, as one family.

    >>> scores = {"a": {0: 0.5, 1: 0.6, 2: 0.7, 3: 0.6}, "b": {0: 0.4, 1: 0.51, 2: 0.6, 3: 0.5}}
    >>> [(c.n, round(c.mean, 4), c.finding) for c in compare(scores)]
    [(4, 0.0975, 'higher')]
    """
    return compare_families({"": scores}, level=level)[""]


def compare_families(blocks: Mapping[str, Scores], *, level: float = LEVEL) -> dict[str, tuple[Comparison, ...]]:
    """All pairs within each block (a column of a table, say), all blocks together as one family."""
    pairs = [
        (block, _paired(first, second, scores, level))
        for block, scores in blocks.items()
        for first, second in combinations(sorted(scores), 2)
    ]
    tested = {place: pair.p for place, (_, pair) in enumerate(pairs) if pair.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    found: dict[str, list[Comparison]] = {block: [] for block in blocks}
    for place, (block, pair) in enumerate(pairs):
        found[block].append(_judged(pair, adjusted[place], level) if place in adjusted else pair)
    return {block: tuple(members) for block, members in found.items()}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each of m hypotheses, in their order: the largest of (m - i) p_(i), i = 0, 1, ..., up to its
    own place among the sorted p, and at most 1.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        adjusted[place] = min(1.0, largest)
    return adjusted


def leaders(scores: Scores, *, higher_is_better: bool = True, level: float = LEVEL) -> Leaders:
    """The best model by its mean over the seeds that all share, with those not found worse than it.

    The best is known only after the fact, so the family is all pairs, not those with the best alone. Where the best
    cannot be tested against every other model, nobody leads.
    """
    shared = sorted(set.intersection(*map(set, map(_finite, scores.values())))) if scores else []
    common = {model: {seed: values[seed] for seed in shared} for model, values in scores.items()}
    if len(common) < 2:
        return Leaders((), len(shared), False, "one model alone has nothing to be compared with")
    if len(shared) < MIN_SEEDS:
        return Leaders((), len(shared), False, _too_few(len(shared)))
    sign = -1 if higher_is_better else 1
    ranked = sorted(common, key=lambda model: (sign * math.fsum(common[model].values()), model))
    best = ranked[0]
    against = {_other(pair, best): pair for pair in compare(common, level=level) if best in (pair.first, pair.second)}
    if untested := next((pair for pair in against.values() if pair.p is None), None):
        return Leaders((), len(shared), False, f"{untested.first} and {untested.second}: {untested.reason}")
    equals = [model for model in ranked[1:] if against[model].finding == "no difference found"]
    return Leaders((best, *equals), len(shared), len(equals) + 1 < len(ranked), "")


def _finite(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _paired(first: str, second: str, scores: Scores, level: float) -> Comparison:
    ours, theirs = _finite(scores[first]), _finite(scores[second])
    seeds = sorted(ours.keys() & theirs.keys())
    gaps, n = [ours[seed] - theirs[seed] for seed in seeds], len(seeds)
    mean = math.fsum(gaps) / n if n else math.nan
    sd = math.sqrt(math.fsum((gap - mean) ** 2 for gap in gaps) / (n - 1)) if n > 1 else math.nan
    low, high = t_interval(gaps, level=level)
    size = max((abs(values[seed]) for values in (ours, theirs) for seed in seeds), default=0.0)
    reason = _untestable(n, sd, size)
    p = None if reason else _p_of(mean, sd, n)
    return Comparison(first, second, n, mean, sd, low, high, p, None, "not testable", reason)


def _untestable(n: int, sd: float, size: float) -> str:
    """Why n differences of this spread, between scores of this size, cannot be tested; empty where they can."""
    if n < MIN_SEEDS:
        return _too_few(n)
    return "the difference is the same for every seed" if sd <= SAME * size else ""


def _p_of(mean: float, sd: float, n: int) -> float:
    """Two-sided p of Student's t-test that the mean of n differences is zero."""
    from scipy import special

    return 2 * float(special.stdtr(n - 1, -abs(mean) / (sd / math.sqrt(n))))


def _judged(pair: Comparison, adjusted: float, level: float) -> Comparison:
    found = adjusted < 1 - level
    finding: Finding = "no difference found" if not found else "higher" if pair.mean > 0 else "lower"
    return replace(pair, adjusted=adjusted, finding=finding)


def _too_few(n: int) -> str:
    return f"{n} common seed{'' if n == 1 else 's'}, and a paired test needs {MIN_SEEDS}"


def _other(pair: Comparison, model: str) -> str:
    return pair.second if pair.first == model else pair.first
