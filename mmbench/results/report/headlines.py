"""The headline scores: of each metric the one estimator that overviews, comparisons and ranks are made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from mmbench.results.report.summaries import Row

__all__ = ["HEADLINES", "Headline", "headline_rows", "words_of"]


@dataclass(frozen=True)
class Headline:
    """What stands for a metric.

    Attributes:
        words: how it is called in a heading.
        estimator: what the estimator's name contains; empty where all stand.
        digits: that are shown.
        higher: whether more is better.
    """

    words: str
    estimator: str
    digits: int
    higher: bool = True


HEADLINES = {
    "cross_coherence": Headline("coherence", "micro", 3),
    "joint_coherence": Headline("joint coherence", "prior-samples", 3),
    "attribute_coherence": Headline("attribute coherence", "strict", 3),
    "caption_correlation": Headline("caption correlation", "cca", 3),
    "latent_accuracy": Headline("latent accuracy", "linear-sample", 3),
    "log_likelihood": Headline("log p", "", 1),
    "truth_gap": Headline("gap to the truth", "iwae", 2, higher=False),
}
"""Metric -> its headline, in the order of a table's columns."""


def words_of(metric: str, given: str, target: str) -> str:
    """How a headline is called; of samples without any input by a metric that has others too, `joint`.

    >>> words_of("attribute_coherence", "", ""), words_of("joint_coherence", "", "")
    ('joint attribute coherence', 'joint coherence')
    """
    words = HEADLINES[metric].words
    return words if given or target or words.startswith("joint ") else f"joint {words}"


def headline_rows(rows: Iterable[Row]) -> list[Row]:
    """The rows that stand for their metric; those by class do not."""
    return [
        row
        for row in rows
        if row.metric in HEADLINES and HEADLINES[row.metric].estimator in row.estimator and "class" not in row.protocol
    ]
