"""What of a training split is observed: pairing, then the scheme over base rows, then repeats inside each part.

The order matters. The scheme is drawn while each original stands in one row only; repeating afterwards, inside the
complete rows alone, never puts an original into a pair that the scheme left alone. The incomplete rows are repeated as
often, so that `f` stays the fraction of rows. Where rows belong together by sharing an original, the scheme is drawn
over their groups, and `f` is the fraction of groups.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmbench.datasets.base import Dataset, Pairing, Pattern, Split
from mmbench.datasets.pairing import Groups, as_indices, repeat_within_class
from mmbench.datasets.schemes import RowClasses, Rows, Scheme, scheme_of
from mmbench.errors import CannotBear
from mmbench.seeding import generator

__all__ = ["Observation", "observe", "row_classes"]

ROWS_HASHED = 1 << 13  # at once, so that a checksum takes no memory to speak of


@dataclass(frozen=True)
class Observation:
    """The observed rows of a training split.

    Attributes:
        patterns: disjoint rows by observation pattern, the complete rows first.
        pairing_checksum: digest of the base table.
        scheme_checksum: digest of the patterns' names and tables.
        counts: rows of each pattern, by its modalities joined with `+` (alternatives under the coin joined with `|`).
    """

    patterns: tuple[Pattern, ...]
    pairing_checksum: str
    scheme_checksum: str
    counts: Mapping[str, int]


def observe(
    dataset: Dataset, scheme: str | Scheme, f: float, *, seed: int, paired_only: bool = False, coin: bool = False
) -> Observation:
    """Draw what is observed of a dataset's training rows, as a pure function of the seed.

    Args:
        scheme: a scheme or its name.
        f: fraction of rows (of groups, where the pairing has them) that stay complete, in (0, 1].
        paired_only: keep the complete rows alone.
        coin: an incomplete row may be used for any modality that its scheme could keep (loader option `coin`).

    Raises:
        UnknownName: the dataset has no such scheme.
        InvalidSetting: `f` outside its range.
        CannotBear: `coin` under a scheme that leaves no choice, or on a dataset without classes `pairs` or a scheme
            that needs them.
        DataMissing, DataError: the dataset's files.
    """
    names = tuple(spec.name for spec in dataset.modalities)
    scheme = scheme if isinstance(scheme, Scheme) else scheme_of(scheme, names)
    pairing = dataset.pairing("train", seed)
    classes = row_classes(dataset.split("train"), pairing)
    _require_classes(dataset, classes)
    labels = np.zeros(len(pairing.table), np.int64) if classes is None else classes
    groups = Groups.of(pairing)
    known = None if classes is None or dataset.classes is None else RowClasses(classes[groups.leaders], dataset.classes)
    drawn = scheme.assign(len(groups), names, known, f, generator(seed, "scheme"))
    parts = tuple((observed, groups.members(chosen)) for observed, chosen in drawn)
    if paired_only:
        parts = parts[:1]
    patterns = [_pattern(part, pairing, labels, dataset.settings.pairs, seed) for part in parts]
    if coin and len(parts) > 1:
        patterns = [patterns[0], *_alternatives(scheme, parts[1:], pairing, labels, dataset.settings.pairs, seed)]
    return Observation(tuple(patterns), pairing.checksum, _checksum(patterns), _counts(patterns))


def row_classes(split: Split, pairing: Pairing) -> np.ndarray | None:
    """Class of each row `[n]`: that of its original in the first modality; None where the dataset has no classes."""
    first = pairing.names[0]
    return split.targets[first][pairing.table[:, 0]] if split.targets else None


def _require_classes(dataset: Dataset, classes: np.ndarray | None) -> None:
    if classes is None and dataset.settings.pairs > 1:
        raise CannotBear(f"dataset {dataset.name!r} has no classes to pair anew within; use data.pairs=1.")


def _pattern(part: Rows, pairing: Pairing, labels: np.ndarray, pairs: int, seed: int) -> Pattern:
    names, rows = part
    columns = [pairing.names.index(name) for name in names]
    table = as_indices(pairing.table[np.ix_(rows, np.array(columns))])
    rng = generator(seed, "repeats", *names)
    return Pattern(names=names, table=repeat_within_class(table, labels[rows], pairs, rng))


def _alternatives(
    scheme: Scheme, parts: Sequence[Rows], pairing: Pairing, labels: np.ndarray, pairs: int, seed: int
) -> list[Pattern]:
    """All incomplete rows under each of their patterns, of which the loader's coin picks one a batch."""
    if not scheme.by_coin:
        raise CannotBear(f"loader.coin has nothing to choose under scheme {scheme.name!r}; use it with 'split'.")
    rest = np.concatenate([rows for _, rows in parts])
    alternatives = [_pattern((names, rest), pairing, labels, pairs, seed) for names, _ in parts]
    return [replace(pattern, coin=True) for pattern in alternatives]


def _checksum(patterns: Sequence[Pattern]) -> str:
    digest = hashlib.sha256()
    for pattern in patterns:
        digest.update(f"{pattern.names}{pattern.coin}{pattern.table.shape}".encode())
        for first in range(0, len(pattern.table), ROWS_HASHED):  # as 8-byte numbers, whatever they are kept in
            digest.update(np.ascontiguousarray(pattern.table[first : first + ROWS_HASHED], dtype="<i8").data)
    return digest.hexdigest()[:16]


def _counts(patterns: Sequence[Pattern]) -> dict[str, int]:
    counts = {"+".join(p.names): len(p.table) for p in patterns if not p.coin}
    tossed = [p for p in patterns if p.coin]
    if tossed:
        counts["|".join("+".join(p.names) for p in tossed)] = len(tossed[0].table)
    return counts
