"""Which of our scores stands beside a printed one: the same quantity, by the protocol that the paper describes.

Table 3 is one posterior sample a test row and the decoder's mean, averaged over rows (`micro`); Table 4 a linear layer
on posterior samples (`linear-sample`); Table 6 a classifier whose last layer is a sparse variational Gaussian process
(`svgp`); Table 5 is CCA between real and generated pairs (`cca`), and one number of real pairs (`ground-truth`).
Table 2 reads as MEME's conditionals; Table 7 may be either of two.
"""

import re
from dataclasses import dataclass

from mmbench.results.published import GROUND_TRUTH, PublishedScore
from mmbench.results.published.stated import STATED

__all__ = ["Counterpart", "counterparts", "without_samples"]

ESTIMATORS = {
    "cross_coherence": "micro",
    "caption_correlation": "cca",
    "latent_accuracy": "linear-sample",
    "predictive_information": "svgp",
    "log_likelihood": "conditional-iwae",
}


@dataclass(frozen=True)
class Counterpart:
    """A score by name; `estimator` without the number of samples that it may end in."""

    metric: str
    given: str
    target: str
    estimator: str


def counterparts(row: PublishedScore) -> tuple[Counterpart, ...]:
    """The scores that may be what `row` is, the likeliest first; none where mmbench has no such metric."""
    if row.metric == "coherence":
        (other,) = set(STATED[row.dataset].originals["test"]) - {row.target}
        return _named("latent_accuracy", row.target, ""), _named("cross_coherence", other, row.target)
    if row.model == GROUND_TRUTH:
        return (Counterpart(row.metric, row.given, row.target, "ground-truth"),)
    return (_named(row.metric, row.given, row.target),) if row.metric in ESTIMATORS else ()


def without_samples(estimator: str) -> str:
    """An estimator's name without the number of samples.

    >>> without_samples("conditional-iwae-100")
    'conditional-iwae'
    """
    return re.sub(r"-\d+$", "", estimator)


def _named(metric: str, given: str, target: str) -> Counterpart:
    return Counterpart(metric, given, target, ESTIMATORS[metric])
