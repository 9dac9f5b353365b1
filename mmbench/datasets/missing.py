"""Schemes that draw what is missing: `mcar` completely at random, `mnar` by the row's class.

Every incomplete row draws which modalities are missing, each modality independently, given that something is missing
and something is left. The draw is exact, not by rejection: the 2^M - 2 proper non-empty subsets of M modalities are
listed with their conditional probabilities, and one is drawn by inversion. The terms are those of R. J. A. Little and
D. B. Rubin, Statistical Analysis with Missing Data: missing completely at random, and missing not at random. The class
is never shown to a model, so that what is missing by class is missing by something unobserved.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from mmbench.datasets.schemes import SCHEMES, RowClasses, Rows, Scheme
from mmbench.errors import CannotBear

__all__ = ["Mcar", "Mnar", "pattern_probabilities", "proper_subsets"]

EVEN = 0.5  # mcar: every modality is missing with this probability
LEAST, SPREAD = 0.1, 0.8  # mnar: missing with probability LEAST + SPREAD * distance, so within [0.1, 0.9]


@SCHEMES.register("mcar")
class Mcar(Scheme):
    """Missing completely at random: each modality is missing with probability 1/2, given that not all are and not none.

    So each of the 2^M - 2 proper non-empty subsets is what is left with the same probability.
    """

    template = "mcar"
    description = "a fraction f stays complete, the rest keeps a proper subset of the modalities, each equally likely"

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return proper_subsets(names)

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        patterns = self.patterns(names)
        probabilities = pattern_probabilities(np.full(len(names), EVEN), patterns, names)
        return _grouped(rest, patterns, _drawn(probabilities, rng.random(len(rest))))


@SCHEMES.register("mnar")
class Mnar(Scheme):
    """Missing by class: modality m of M is missing in a row of class c of C with probability

        0.1 + 0.8 |c / (C - 1) - m / (M - 1)|,    c = 0..C-1, m = 0..M-1 in the dataset's order,

    independently, given that not all are missing and not none: rows of the first class mostly keep the first modality,
    rows of the last class the last one.
    """

    template = "mnar"
    description = "as mcar, but modality m of M is missing by class c of C, with 0.1 + 0.8 |c/(C-1) - m/(M-1)|"
    needs_classes = True

    def patterns(self, names: Sequence[str]) -> Sequence[tuple[str, ...]]:
        return proper_subsets(names)

    def divide(
        self, rest: np.ndarray, names: Sequence[str], classes: RowClasses | None, rng: np.random.Generator
    ) -> Sequence[Rows]:
        if classes is None:
            raise CannotBear(f"{self.cannot_bear(None)}.")
        patterns, uniform = self.patterns(names), rng.random(len(rest))
        chosen = np.empty(len(rest), np.int64)
        labels = classes.of_row[rest]
        for c in np.unique(labels):
            missing = missing_by_class(int(c), classes.count, len(names))
            of_class = labels == c
            chosen[of_class] = _drawn(pattern_probabilities(missing, patterns, names), uniform[of_class])
        return _grouped(rest, patterns, chosen)


def proper_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The 2^M - 2 non-empty subsets of the modalities that leave one out, smallest first, each in order.

    Raises:
        CannotBear: there is one modality alone, which cannot be left out.
    """
    if len(names) < 2:
        raise CannotBear("with one modality alone nothing can be missing and something left; use scheme 'complete'.")
    return [subset for size in range(1, len(names)) for subset in combinations(names, size)]


def missing_by_class(c: int, classes: int, modalities: int) -> np.ndarray:
    """Probability that each modality of a row of class `c` is missing `[M]`; needs two classes and two modalities."""
    positions = np.arange(modalities) / (modalities - 1)
    return np.asarray(LEAST + SPREAD * np.abs(c / (classes - 1) - positions))


def pattern_probabilities(missing: np.ndarray, patterns: Iterable[tuple[str, ...]], names: Sequence[str]) -> np.ndarray:
    """Probability of each pattern of observed modalities `[P]`, given that one of these patterns is drawn.

    Args:
        missing: probability that each modality is missing `[M]`, independently of the others.
    """
    held = np.array([[name in observed for name in names] for observed in patterns])
    weights = np.where(held, 1 - missing, missing).prod(axis=1)
    return np.asarray(weights / weights.sum())


def _drawn(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """For each uniform number the index of a pattern `[n]`, by inversion."""
    index = np.searchsorted(np.cumsum(probabilities), uniform, side="right")
    return np.minimum(index, len(probabilities) - 1)


def _grouped(rest: np.ndarray, patterns: Sequence[tuple[str, ...]], chosen: np.ndarray) -> list[Rows]:
    return [(patterns[p], rest[chosen == p]) for p in np.unique(chosen).tolist()]
