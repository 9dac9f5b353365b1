"""Pairing of originals by class, as pure functions of the targets and a generator.

The MEME code pairs 1-1: of each class it takes the first n_c originals of every modality in dataset order, n_c being
the smallest count, and shuffles the rows once. MMVAE takes the same originals but pairs them `times` over, by
independent permutations within each class; there an original stands in several rows, which is why observation schemes
are drawn over the base table first and rows are repeated afterwards: an original that is paired in one row is never
alone in another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmbench.datasets.base import Pairing
from mmbench.errors import DataError

__all__ = ["Groups", "as_indices", "pair_by_class", "repeat_within_class"]


def as_indices(numbers: np.ndarray) -> np.ndarray:
    """The same whole numbers in int32 where all fit, at half the memory of int64; an int32 array is returned itself."""
    fits = numbers.size == 0 or numbers.max() <= np.iinfo(np.int32).max
    return numbers.astype(np.int32, copy=False) if fits else numbers


def pair_by_class(targets: Mapping[str, np.ndarray], *, names: Sequence[str], rng: np.random.Generator) -> Pairing:
    """Pair originals of the same class 1-1, up to the smallest count of the class.

    Args:
        targets: modality -> class of each original `[N_m]`.
        names: the modalities, in the dataset's order.
        rng: shuffles the rows; nothing else is random.

    Returns:
        A table `[sum_c min_m n_mc, len(names)]` in which each original stands at most once.

    Raises:
        DataError: the modalities share no class.
    """
    shared = sorted(set.intersection(*(set(np.unique(targets[name]).tolist()) for name in names)))
    if not shared:
        raise DataError(f"the modalities {', '.join(names)} share no class, so no row can be paired; check the labels.")
    table = as_indices(np.concatenate([_rows_of_class([targets[name] for name in names], c) for c in shared]))
    return Pairing(names=tuple(names), table=rng.permutation(table, axis=0))


def _rows_of_class(targets: Sequence[np.ndarray], c: int) -> np.ndarray:
    """`[n_c, M]`: the first n_c originals of class `c` of each modality, side by side."""
    columns = [np.flatnonzero(labels == c) for labels in targets]
    shortest = min(len(column) for column in columns)
    return np.stack([column[:shortest] for column in columns], axis=1)


@dataclass(frozen=True)
class Groups:
    """The rows of a base table that are observed together.

    Attributes:
        rows: all rows `[n]`, those of a group side by side and in order, groups in the order of their numbers.
        first: where in `rows` each group begins `[G + 1]`, with the end of the last one.
    """

    rows: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, pairing: Pairing) -> "Groups":
        """The groups of a pairing; every row is its own where it names none."""
        n = len(pairing.table)
        if pairing.groups is None:
            return cls(np.arange(n), np.arange(n + 1))
        counts = np.unique(pairing.groups, return_counts=True)[1]
        return cls(np.argsort(pairing.groups, kind="stable"), np.concatenate([[0], np.cumsum(counts)]))

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def leaders(self) -> np.ndarray:
        """The first row of each group `[G]`."""
        return np.asarray(self.rows[self.first[:-1]])

    def members(self, chosen: np.ndarray) -> np.ndarray:
        """All rows of the chosen groups `[g]`, group after group: `[sum of their sizes]`."""
        sizes = self.first[chosen + 1] - self.first[chosen]
        ends = np.cumsum(sizes)
        return np.asarray(self.rows[np.repeat(self.first[chosen] - (ends - sizes), sizes) + np.arange(sizes.sum())])


def repeat_within_class(table: np.ndarray, classes: np.ndarray, times: int, rng: np.random.Generator) -> np.ndarray:
    """Pair the rows of a table anew, `times` over.

    Args:
        table: indices of originals `[n, M]`.
        classes: class of each row `[n]`.
        times: how often each original shall stand in the result.

    Returns:
        `[times * n, M]`: `times` blocks, in each of which every column is permuted within its classes, independently
        of the other columns; for `times = 1` the table itself.
    """
    if times == 1:
        return table
    rows_of_class = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    repeated = np.empty((times, *table.shape), table.dtype)
    for block in repeated:
        for rows in rows_of_class:
            block[rows] = rng.permuted(table[rows], axis=0)
    return repeated.reshape(-1, *table.shape[1:])
