"""Models over several blocks (datasets by schemes by metrics): average ranks, Friedman's test, critical differences.

After Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006 (section 3.2). In every
block the models are ranked, 1 for the best, ties sharing the mean of their ranks. Friedman's test asks whether all
models have the same average rank; only where it says no may two of them be called different, when their average ranks
differ by Nemenyi's critical difference or more,

    CD = q sqrt(k (k + 1) / (6 N)),

for k models in N blocks, with q the quantile of the Studentised range of k values and infinitely many degrees of
freedom, divided by sqrt 2. Both treat blocks as independent. Blocks that share a dataset are not, so that p is then too
small, and the ranks are a summary rather than evidence.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmbench.errors import InvalidSetting
from mmbench.results.statistics import LEVEL

__all__ = ["MIN_BLOCKS", "MIN_MODELS", "Ranking", "average_ranks", "critical_difference", "ranking"]

Block = Mapping[str, float]
"""Model -> score, already a mean over seeds."""

MIN_MODELS = 3
MIN_BLOCKS = 3  # with 3 models in 2 blocks even the same order in both has p = 0.14


@dataclass(frozen=True)
class Ranking:
    """Models by their average rank over the blocks in which all have a score.

    Attributes:
        ranks: model -> average rank, best first, ties by name.
        blocks, left_out: names of the blocks that count, and of those in which a model has no finite score.
        statistic, p: Friedman's chi-square, corrected for ties, and its p; None where it is not testable.
        critical_difference: Nemenyi's; None where it is not testable.
        together: the models that stay together, as sets of neighbours in `ranks` that are as large as can be: the bars
            of a diagram. All models where Friedman's test finds nothing; none where it is not testable.
        reason: why it is not testable; empty otherwise.
    """

    ranks: Mapping[str, float]
    blocks: tuple[str, ...]
    left_out: tuple[str, ...]
    statistic: float | None
    p: float | None
    critical_difference: float | None
    together: tuple[tuple[str, ...], ...]
    reason: str


def average_ranks(blocks: Sequence[Block], *, higher_is_better: bool = True) -> dict[str, float]:
    """Model -> mean of its ranks, best first.

    >>> average_ranks([{"a": 0.9, "b": 0.5, "c": 0.5}, {"a": 0.2, "b": 0.3, "c": 0.1}])
    {'a': 1.5, 'b': 1.75, 'c': 2.75}

    Raises:
        InvalidSetting: blocks of different models.
    """
    models = _models(blocks)
    sign = -1 if higher_is_better else 1
    rows = [_ranked([sign * block[model] for model in models]) for block in blocks]
    means = {model: math.fsum(ranks) / len(rows) for model, ranks in zip(models, zip(*rows, strict=True), strict=True)}
    return dict(sorted(means.items(), key=lambda item: (item[1], item[0])))


def critical_difference(models: int, blocks: int, *, level: float = LEVEL) -> float:
    """Nemenyi's critical difference of average ranks.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = _range_quantile(level, models) / math.sqrt(2)
    return q * math.sqrt(models * (models + 1) / (6 * blocks))


def ranking(blocks: Mapping[str, Block], *, higher_is_better: bool = True, level: float = LEVEL) -> Ranking:
    """Rank all models that occur in `blocks` over those blocks in which every one of them has a finite score."""
    models = sorted({model for block in blocks.values() for model in block})
    whole = {name: block for name, block in blocks.items() if all(_is_there(block, model) for model in models)}
    left_out = tuple(name for name in blocks if name not in whole)
    used = [{model: block[model] for model in models} for block in whole.values()]
    ranks = average_ranks(used, higher_is_better=higher_is_better) if used else {}
    if reason := _untestable(used, models):
        return Ranking(ranks, tuple(whole), left_out, None, None, None, (), reason)
    statistic, p = _friedman(used, models)
    width = critical_difference(len(models), len(used), level=level)
    together = _together(ranks, width) if p < 1 - level else (tuple(ranks),)
    return Ranking(ranks, tuple(whole), left_out, statistic, p, width, together, "")


def _models(blocks: Sequence[Block]) -> list[str]:
    names = sorted({model for block in blocks for model in block})
    for block in blocks:
        if absent := [model for model in names if model not in block]:
            raise InvalidSetting(f"ranks need every model in every block, but {absent[0]!r} is missing from one.")
    return names


def _is_there(block: Block, model: str) -> bool:
    return math.isfinite(block.get(model, math.nan))


def _untestable(used: Sequence[Block], models: Sequence[str]) -> str:
    if len(models) < MIN_MODELS:
        return f"ranks of {len(models)} model{'' if len(models) == 1 else 's'}, and Friedman's test needs {MIN_MODELS}"
    if len(used) < MIN_BLOCKS:
        return f"{len(used)} block{'' if len(used) == 1 else 's'} with all models, and a test needs {MIN_BLOCKS}"
    if all(len(set(block.values())) == 1 for block in used):
        return "all models tie in every block"
    return ""


def _friedman(used: Sequence[Block], models: Sequence[str]) -> tuple[float, float]:
    """Friedman's chi-square, corrected for ties, and its p."""
    from scipy import special

    k, n = len(models), len(used)
    values = [[block[model] for model in models] for block in used]
    sums = [math.fsum(ranks) for ranks in zip(*map(_ranked, values), strict=True)]
    ties = sum(count**3 - count for row in values for count in Counter(row).values())
    raw = 12 / (n * k * (k + 1)) * math.fsum(total * total for total in sums) - 3 * n * (k + 1)
    statistic = raw / (1 - ties / (n * k * (k * k - 1)))
    return statistic, float(special.chdtrc(k - 1, statistic))


def _ranked(values: Sequence[float]) -> list[float]:
    """The rank of each value, 1 for the smallest; ties share the mean of their ranks."""
    return [1 + sum(v < value for v in values) + (values.count(value) - 1) / 2 for value in values]


@lru_cache
def _range_quantile(level: float, count: int) -> float:
    """The quantile of the range R of `count` independent standard normal values, by bisection of

        P(R < q) = count int phi(z) (Phi(z + q) - Phi(z))^(count - 1) dz.

    It is scipy.stats.studentized_range with infinitely many degrees of freedom (a test holds it to that), without the
    half second that scipy.stats takes to import and that every report would wait for.
    """
    import numpy as np
    from scipy import special

    z, step = np.linspace(-9, 9, 1801, retstep=True)
    weights = count * step * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        chance = float(weights @ (special.ndtr(z + middle) - special.ndtr(z)) ** (count - 1))
        low, high = (middle, high) if chance < level else (low, middle)
    return low


def _together(ranks: Mapping[str, float], width: float) -> tuple[tuple[str, ...], ...]:
    """The longest stretches of neighbours, of two models or more, whose ranks lie less than `width` apart."""
    names, found = list(ranks), list[tuple[str, ...]]()
    reach = 0
    for start, first in enumerate(names):
        end = max(place for place, name in enumerate(names) if ranks[name] - ranks[first] < width) + 1
        if end > reach and end - start > 1:
            found.append(tuple(names[start:end]))
        reach = max(reach, end)
    return tuple(found)
