"""Which models meet in a test, and who may stand in bold.

A contest is one headline quantity (metric, direction, estimator, protocol) under one condition (preset, scheme, `f`):
its models are compared pair by pair over common seeds, and the pairs of a contest are one family for Holm's correction.
Models of different presets never meet. Each model takes part with one variant, the one with the most runs: studies of a
setting would otherwise add rivals to every family, and the choice looks at no score.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmbench.config import canonical_json
from mmbench.results.comparison import Comparison, Leaders, compare, leaders
from mmbench.results.report.groups import Condition, Group
from mmbench.results.report.headlines import HEADLINES, headline_rows
from mmbench.results.report.summaries import Row

__all__ = ["BOLD", "Contest", "RowKey", "contests_of", "row_key", "winners"]

BOLD = (
    "Bold: the best mean over the seeds that all models share, and every model that a paired t-test over these seeds "
    "does not find worse (Holm's correction over all pairs, 5 %); only where some model is found worse."
)

Seeds = tuple[tuple[str, tuple[tuple[int, float], ...]], ...]  # model -> seed -> score
RowKey = tuple[Condition, str, str, str, str, str]


@dataclass(frozen=True)
class Contest:
    """Models on one quantity under one condition.

    Attributes:
        rows: model -> its row, sorted by model.
        pairs: every pair of models, compared over the seeds that both have.
        leaders: the best, and who is not found worse.
    """

    metric: str
    given: str
    target: str
    estimator: str
    preset: str
    scheme: str
    f: float
    rows: Mapping[str, Row]
    pairs: tuple[Comparison, ...]
    leaders: Leaders


def contests_of(group: Group, rows: Iterable[Row]) -> tuple[Contest, ...]:
    """The contests among `rows`, in their order; none where a model is alone."""
    met: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in headline_rows(rows):
        variant = row.condition.variant
        if row.n and variant in group.main:
            quantity = (row.metric, row.version, row.given, row.target, row.estimator, canonical_json(row.protocol))
            where = (variant.preset, variant.paired_only, row.condition.scheme, row.condition.f)
            met.setdefault((*quantity, *where), {})[variant.model] = row
    return tuple(_contest(dict(sorted(members.items()))) for members in met.values() if len(members) > 1)


def winners(contests: Sequence[Contest]) -> frozenset[RowKey]:
    """The rows that may stand in bold."""
    return frozenset(
        row_key(contest.rows[model])
        for contest in contests
        if contest.leaders.separates
        for model in contest.leaders.names
    )


def row_key(row: Row) -> RowKey:
    """What makes a row the same row."""
    return row.condition, row.metric, row.given, row.target, row.estimator, canonical_json(row.protocol)


def _contest(rows: dict[str, Row]) -> Contest:
    row = next(iter(rows.values()))
    scores = tuple((model, member.by_seed) for model, member in rows.items())
    pairs, lead = _tested(scores, HEADLINES[row.metric].higher)
    return Contest(
        metric=row.metric,
        given=row.given,
        target=row.target,
        estimator=row.estimator,
        preset=row.condition.variant.preset,
        scheme=row.condition.scheme,
        f=row.condition.f,
        rows=rows,
        pairs=pairs,
        leaders=lead,
    )


@lru_cache(maxsize=4096)
def _tested(scores: Seeds, higher: bool) -> tuple[tuple[Comparison, ...], Leaders]:
    """Kept, because a section and the tables of a page ask for the same contest."""
    by_seed = {model: dict(values) for model, values in scores}
    return compare(by_seed), leaders(by_seed, higher_is_better=higher)
