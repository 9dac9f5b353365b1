"""Curves averaged over seeds: the moments by hand, other grids, runs that ended early."""

import numpy as np

from mmbench.results.records import Curve
from mmbench.results.report.drawing.averaging import mean_curve


def curve(steps: list[int], values: list[float]) -> Curve:
    return Curve("train/loss", np.array(steps), np.array(values))


def test_mean_and_standard_deviation_step_by_step() -> None:
    found = mean_curve([curve([10, 20], [1.0, 5.0]), curve([10, 20], [4.0, 5.0])], [True, True])
    np.testing.assert_allclose(found.means, [2.5, 5.0])
    np.testing.assert_allclose(found.sds, [3 / np.sqrt(2), 0.0])  # divisor n - 1
    assert (found.counts.tolist(), found.seeds) == ([2, 2], 2)


def test_other_steps_are_interpolated_on_the_coarsest_grid() -> None:
    fine = curve([10, 20, 30, 40], [1.0, 2.0, 3.0, 8.0])
    coarse = curve([20, 35], [4.0, 6.5])
    found = mean_curve([fine, coarse], [True, True])
    assert found.steps.tolist() == [20, 35]
    np.testing.assert_allclose(found.means, [(2.0 + 4.0) / 2, (5.5 + 6.5) / 2])


def test_a_run_that_ended_early_counts_up_to_its_end_and_gives_no_grid() -> None:
    early = curve([10, 20], [3.0, 3.0])
    found = mean_curve([early, curve([10, 20, 30], [1.0, 1.0, 1.0])], [False, True])
    assert found.steps.tolist() == [10, 20, 30]
    np.testing.assert_allclose(found.means, [2.0, 2.0, 1.0])
    assert found.counts.tolist() == [2, 2, 1]
    assert np.isnan(found.sds[2])


def test_values_that_are_not_finite_are_left_out() -> None:
    broken = curve([10, 20, 30], [1.0, np.nan, np.inf])
    found = mean_curve([broken], [False])
    assert (found.steps.tolist(), found.means.tolist()) == ([10], [1.0])
    assert mean_curve([curve([10], [np.nan])], [True]).seeds == 0
