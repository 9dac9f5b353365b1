"""Mean cosines: by brute force over all pairs, by hand, and errors that know of rows that belong together."""

import numpy as np
import pytest

from mmbench.metrics.pair_cosines import clustered_mean, mismatched_mean, unit


def rows(count, k=3, seed=0):
    random = np.random.default_rng(seed)
    return unit(random.normal(size=(count, k))), unit(random.normal(size=(count, k)) + 0.5)


def test_rows_have_length_one_and_zeros_stay():
    found = unit(np.array([[3.0, 4.0], [0.0, 0.0], [-2.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [-1, 0]])
    assert np.isnan(unit(np.array([[np.nan, 1.0]]))).any()  # what is no number stays none


def test_rows_on_their_own_have_the_usual_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    mean, stderr = clustered_mean(values, np.arange(50) * 7)
    assert mean == pytest.approx(values.mean())
    assert stderr == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_copies_of_rows_do_not_make_the_error_smaller():
    values = np.random.default_rng(0).normal(size=50)
    once = clustered_mean(values, np.arange(50))
    tenfold = clustered_mean(np.repeat(values, 10), np.repeat(np.arange(50), 10))
    assert tenfold == pytest.approx(once)
    assert clustered_mean(np.repeat(values, 10), np.arange(500))[1] < 0.4 * once[1]
    assert clustered_mean(values, np.zeros(50)) == (pytest.approx(values.mean()), None)


def test_mismatched_pairs_are_all_pairs_of_different_groups():
    u, v = rows(30)
    groups = np.random.default_rng(1).integers(0, 8, 30)
    apart = groups[:, None] != groups[None, :]
    value, stderr = mismatched_mean(u, v, groups)
    assert value == pytest.approx((u @ v.T)[apart].mean())
    without = []
    for left in np.unique(groups):
        kept = groups != left
        without.append((u[kept] @ v[kept].T)[apart[kept][:, kept]].mean())
    assert stderr == pytest.approx(np.sqrt(7 * np.var(without)))


def test_shuffles_come_to_it_on_average():
    u, v = rows(40)
    random = np.random.default_rng(0)
    shuffled = []
    while len(shuffled) < 2000:
        order = random.permutation(40)
        if (order != np.arange(40)).all():
            shuffled.append((u * v[order]).sum(1).mean())
    error = np.std(shuffled) / np.sqrt(2000)
    value, stderr = mismatched_mean(u, v, np.arange(40))
    assert abs(np.mean(shuffled) - value) < 4 * error
    assert stderr > 0


def test_one_group_has_no_mismatched_pair_and_two_have_no_error():
    u, v = rows(4)
    assert mismatched_mean(u, v, np.zeros(4)) is None
    value, stderr = mismatched_mean(u[:2], v[:2], np.arange(2))
    assert value == pytest.approx((u[0] @ v[1] + u[1] @ v[0]) / 2)
    assert stderr is None
