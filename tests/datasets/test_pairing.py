"""Pairing by class: published sizes, the MEME code's choice of originals, and repeats within classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.datasets import Pairing
from mmbench.datasets.pairing import pair_by_class, repeat_within_class
from mmbench.errors import DataError

# MNIST's class counts and what is reported of SVHN's (from memory: inputs here, not assertions).
MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
SVHN_TRAIN = [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
SVHN_TEST = [1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595]


def shuffled_labels(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@pytest.mark.parametrize(
    "mnist, svhn, pairs, repeated", [(MNIST_TRAIN, SVHN_TRAIN, 56068, 1682040), (MNIST_TEST, SVHN_TEST, 10000, 300000)]
)
def test_the_published_class_counts_give_the_published_number_of_pairs(
    mnist: list[int], svhn: list[int], pairs: int, repeated: int
) -> None:
    targets = {"mnist": shuffled_labels(mnist, 0), "svhn": shuffled_labels(svhn, 1)}
    pairing = pair_by_class(targets, names=("mnist", "svhn"), rng=np.random.default_rng(0))
    assert pairing.table.shape == (pairs, 2)
    assert 30 * pairs == repeated


labels = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(np.array)


@settings(max_examples=60, deadline=None)
@given(a=labels, b=labels, seed=st.integers(0, 9))
def test_rows_pair_the_first_originals_of_each_class_once(a: np.ndarray, b: np.ndarray, seed: int) -> None:
    if not set(a) & set(b):
        with pytest.raises(DataError, match="share no class"):
            pair_by_class({"a": a, "b": b}, names=("a", "b"), rng=np.random.default_rng(seed))
        return
    table = pair_by_class({"a": a, "b": b}, names=("a", "b"), rng=np.random.default_rng(seed)).table
    assert (a[table[:, 0]] == b[table[:, 1]]).all()
    for c in range(5):
        n = min((a == c).sum(), (b == c).sum())
        rows = table[a[table[:, 0]] == c]
        # the j-th original of a class in one modality meets the j-th in the other, for the first n of each
        assert sorted(map(tuple, rows.tolist())) == list(
            zip(np.flatnonzero(a == c)[:n].tolist(), np.flatnonzero(b == c)[:n].tolist(), strict=True)
        )


def test_pairing_is_a_pure_function_of_the_generator_and_is_shuffled() -> None:
    targets = {"a": np.arange(60) % 3, "b": np.arange(90) % 3}
    one, same, other = (pair_by_class(targets, names=("a", "b"), rng=np.random.default_rng(s)) for s in (0, 0, 1))
    assert np.array_equal(one.table, same.table)
    assert one.checksum == same.checksum != other.checksum
    assert not np.array_equal(np.sort(one.table[:, 0]), one.table[:, 0])


def test_the_checksum_depends_on_names_and_on_every_entry() -> None:
    table = np.arange(8).reshape(4, 2)
    changed = table.copy()
    changed[3, 1] += 1
    checksums = {Pairing(("a", "b"), t).checksum for t in (table, changed, table[::-1])}
    assert len(checksums | {Pairing(("b", "a"), table).checksum}) == 4
    assert Pairing(("a", "b"), table.astype(np.int32)).checksum == Pairing(("a", "b"), table).checksum


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), times=st.integers(1, 4), seed=st.integers(0, 9))
def test_repeats_use_each_original_equally_often_and_stay_within_the_class(n: int, times: int, seed: int) -> None:
    classes = np.arange(n) % 3
    table = np.stack([np.arange(n), 100 + np.arange(n)], axis=1)
    repeated = repeat_within_class(table, classes, times, np.random.default_rng(seed))
    assert repeated.shape == (times * n, 2)
    assert (repeated[:, 0] % 3 == (repeated[:, 1] - 100) % 3).all()
    for column in range(2):
        values, counts = np.unique(repeated[:, column], return_counts=True)
        assert np.array_equal(values, table[:, column])
        assert (counts == times).all()


def test_one_time_leaves_the_table_and_several_make_new_pairs() -> None:
    classes = np.zeros(50, int)
    table = np.stack([np.arange(50), np.arange(50)], axis=1)
    assert np.array_equal(repeat_within_class(table, classes, 1, np.random.default_rng(0)), table)
    repeated = repeat_within_class(table, classes, 10, np.random.default_rng(0))
    assert len(np.unique(repeated, axis=0)) > 300
