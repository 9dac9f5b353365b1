"""Verdicts on printed numbers: where the mean of our seeds lies against the paper's interval, or why nobody can say.

The paper's interval is its mean plus and minus its standard deviation over seeds, ends included, as printed. Ours is a
mean over seeds. `inside` thus says that our mean is a value that a seed of the paper's might well have had; of the
paper's own seeds about two in three lie inside, so that one number outside is no failed reproduction. `above` and
`below` are no praise or blame: of mutual information, less is better.

A run that differs from what the paper states is `not comparable`, whatever its number, and so is a number of which the
paper prints no standard deviation. All reasons are given, not the first.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmbench.config import canonical_json
from mmbench.results.comparability import differences
from mmbench.results.published import PublishedScore
from mmbench.results.published.counterparts import Counterpart, counterparts, without_samples
from mmbench.results.records import RunRecord, Score

__all__ = ["Summary", "Verdict", "Word", "place", "verdict"]

Word = Literal["inside", "above", "below", "not comparable", "not measured"]

NO_SPREAD = "the paper prints no standard deviation"
ONE_SEED = "one seed: how far another would lie from it is unknown"
ROUNDING = 1e-9  # .625 + .007 is not .632 in binary


@dataclass(frozen=True)
class Summary:
    """A mean over seeds.

    Attributes:
        mean: NaN where there is none.
        sd: sample standard deviation (n - 1 in its denominator), or as printed; None where there is none.
        n: seeds; None where the paper does not say.
    """

    mean: float
    sd: float | None
    n: int | None


@dataclass(frozen=True)
class Verdict:
    """A printed number, ours, and what they say of one another.

    Attributes:
        row: the printed cell, with its source and note.
        counterpart: the score of ours that stands beside it; None where mmbench has no such metric.
        reasons: why it is `not comparable` or `not measured`; empty otherwise.
        notes: what to bear in mind whatever the verdict: a single seed, a slip of the paper.
    """

    row: PublishedScore
    counterpart: Counterpart | None
    published: Summary
    ours: Summary
    verdict: Word
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def verdict(row: PublishedScore, runs: Sequence[RunRecord], counterpart: Counterpart | None = None) -> Verdict:
    """What `runs`, which differ in their seeds alone, say to a printed number.

    Args:
        row: of `published_rows`.
        runs: the runs of one condition, in any order; those that did not end as `done`, or lack the score, are passed
            over and `n` counts the others.
        counterpart: which score of theirs; by default the likeliest of `counterparts(row)`.
    """
    counterpart = counterpart or next(iter(counterparts(row)), None)
    measured = [(run, score) for run in runs if (score := _score(run, counterpart)) is not None]
    ours = summary([score.value for _, score in measured if score.value is not None])
    printed = Summary(row.mean, None if math.isnan(row.sd) else row.sd, None)
    notes = tuple(note for note in (ONE_SEED if ours.n == 1 else "", row.note) if note)
    if not measured:
        return Verdict(row, counterpart, printed, ours, "not measured", (_absent(row, counterpart),), notes)
    reasons = _all_differences(row, measured)
    if printed.sd is None:
        return Verdict(row, counterpart, printed, ours, "not comparable", (*reasons, NO_SPREAD), notes)
    word = "not comparable" if reasons else place(ours.mean, printed.mean, printed.sd)
    return Verdict(row, counterpart, printed, ours, word, reasons, notes)


def place(value: float, mean: float, sd: float) -> Literal["inside", "above", "below"]:
    """Where `value` lies against [mean - sd, mean + sd].

    >>> place(0.632, 0.625, 0.007), place(0.633, 0.625, 0.007)
    ('inside', 'above')
    """
    if abs(value - mean) <= sd + ROUNDING:
        return "inside"
    return "above" if value > mean else "below"


def summary(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation; NaN and None where there are too few values."""
    n = len(values)
    mean = math.fsum(values) / n if n else math.nan
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return Summary(mean, sd, n)


def _score(run: RunRecord, counterpart: Counterpart | None) -> Score | None:
    """The run's score of that name: the newest version, judged by the standard classifier where several judged."""
    if counterpart is None or run.status != "done":
        return None
    return max((s for s in run.scores if _is(s, counterpart)), key=_preference, default=None)


def _is(score: Score, wanted: Counterpart) -> bool:
    name = (score.metric, score.given, score.target, without_samples(score.estimator))
    return score.value is not None and name == (wanted.metric, wanted.given, wanted.target, wanted.estimator)


def _preference(score: Score) -> tuple[int, bool, str]:
    standard = score.params.get("classifier", "standard") == "standard"
    return score.version, standard, canonical_json([score.estimator, score.params])


def _all_differences(row: PublishedScore, measured: Iterable[tuple[RunRecord, Score]]) -> tuple[str, ...]:
    """The differences of every run, each once, in their order."""
    found = (
        differences(
            row,
            spec=run.spec,
            provenance=run.provenance,
            timings=run.timings,
            estimator=score.estimator,
            params=score.params,
        )
        for run, score in measured
    )
    return tuple(dict.fromkeys(reason for reasons in found for reason in reasons))


def _absent(row: PublishedScore, counterpart: Counterpart | None) -> str:
    if counterpart is None:
        return f"mmbench has no metric for {row.metric}"
    return f"no run has {counterpart.metric} by the estimator {counterpart.estimator}"
