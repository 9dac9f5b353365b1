"""Observation: no original in two places, f as a fraction of rows under repeats, checksums, and the coin."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbench.datasets import Dataset
from mmbench.datasets.observation import observe
from mmbench.errors import CannotBear, InvalidSetting, UnknownName

Toy = Callable[..., Dataset]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scheme=st.sampled_from(["complete", "m0-only", "m1-only", "split"]),
    f=st.integers(30, 100).map(lambda k: k / 100),
    rows=st.integers(4, 60),
    pairs=st.integers(1, 4),
    modalities=st.integers(2, 3),
)
def test_no_original_is_paired_in_one_row_and_alone_in_another(
    numbers: Toy, scheme: str, f: float, rows: int, pairs: int, modalities: int
) -> None:
    dataset = numbers(rows=rows, pairs=pairs, modalities=modalities)
    patterns = observe(dataset, scheme, f, seed=1).patterns
    for name in (spec.name for spec in dataset.modalities):
        owners = [set(p.table[:, p.names.index(name)].tolist()) for p in patterns if name in p.names]
        assert sum(map(len, owners)) == len(set().union(*owners))
    # the complete rows are floor(f n) of the base rows, and every part is repeated alike
    assert len(patterns[0].table) == pairs * (round(100 * f) * rows // 100)
    assert len(patterns[0].names) == modalities
    if scheme != "complete":
        assert sum(len(p.table) for p in patterns) == pairs * rows


@pytest.mark.parametrize("scheme", ["complete", "m0-only", "split"])
def test_f_one_under_any_scheme_gives_the_same_single_pattern(numbers: Toy, scheme: str) -> None:
    dataset = numbers(rows=30, pairs=3)
    found, complete = observe(dataset, scheme, 1.0, seed=4), observe(dataset, "complete", 1.0, seed=4)
    assert len(found.patterns) == 1
    assert found.scheme_checksum == complete.scheme_checksum
    assert found.counts == {"m0+m1": 90}


def test_repeated_rows_stay_within_their_class(numbers: Toy) -> None:
    complete = observe(numbers(rows=60, pairs=5), "split", 0.5, seed=0).patterns[0].table
    assert (complete[:, 0] % 3 == complete[:, 1] % 3).all()
    assert len(np.unique(complete, axis=0)) > 60


def test_the_same_seed_gives_the_same_observation_and_another_seed_another(numbers: Toy) -> None:
    one, same, other = (observe(numbers(rows=40), "split", 0.5, seed=s) for s in (0, 0, 1))
    assert (one.pairing_checksum, one.scheme_checksum) == (same.pairing_checksum, same.scheme_checksum)
    assert one.pairing_checksum != other.pairing_checksum
    assert one.scheme_checksum != other.scheme_checksum


def test_checksums_tell_schemes_fractions_and_repeats_apart(numbers: Toy) -> None:
    found = [
        observe(numbers(rows=40, pairs=pairs), scheme, f, seed=0)
        for pairs, scheme, f in [(1, "split", 0.5), (1, "m0-only", 0.5), (1, "split", 0.25), (2, "split", 0.5)]
    ]
    assert len({o.scheme_checksum for o in found}) == 4
    assert len({o.pairing_checksum for o in found}) == 1


def test_paired_only_keeps_the_same_complete_rows_alone(numbers: Toy) -> None:
    dataset = numbers(rows=40, pairs=2)
    whole, paired = observe(dataset, "split", 0.5, seed=0), observe(dataset, "split", 0.5, seed=0, paired_only=True)
    assert paired.counts == {"m0+m1": 40}
    assert np.array_equal(paired.patterns[0].table, whole.patterns[0].table)


def test_the_coin_offers_every_incomplete_row_under_each_modality(numbers: Toy) -> None:
    dataset = numbers(rows=40)
    fixed, tossed = observe(dataset, "split", 0.5, seed=0), observe(dataset, "split", 0.5, seed=0, coin=True)
    assert np.array_equal(tossed.patterns[0].table, fixed.patterns[0].table)
    assert [p.coin for p in tossed.patterns] == [False, True, True]
    assert [len(p.table) for p in tossed.patterns] == [20, 20, 20]
    assert tossed.counts == {"m0+m1": 20, "m0|m1": 20}
    for m, pattern in enumerate(tossed.patterns[1:]):
        assert not set(pattern.table[:, 0]) & set(tossed.patterns[0].table[:, m])


def test_the_coin_is_refused_where_it_has_nothing_to_choose(numbers: Toy) -> None:
    with pytest.raises(CannotBear, match="'m0-only'; use it with 'split'"):
        observe(numbers(rows=40), "m0-only", 0.5, seed=0, coin=True)
    assert len(observe(numbers(rows=40), "split", 1.0, seed=0, coin=True).patterns) == 1


def test_bad_schemes_and_fractions_are_refused(numbers: Toy) -> None:
    with pytest.raises(UnknownName, match="did you mean 'm1-only'"):
        observe(numbers(rows=9), "mm1-only", 0.5, seed=0)
    with pytest.raises(InvalidSetting, match=r"use f >= 0\.11"):
        observe(numbers(rows=9), "split", 0.1, seed=0)


def test_a_dataset_without_classes_is_observed_once_but_not_repeated(numbers: Toy) -> None:
    assert observe(numbers(rows=9, with_classes=False), "split", 0.5, seed=0).counts["m0+m1"] == 4
    with pytest.raises(CannotBear, match=r"use data\.pairs=1"):
        observe(numbers(rows=9, with_classes=False, pairs=2), "split", 0.5, seed=0)
