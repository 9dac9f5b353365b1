"""Paired comparisons, Holm's correction and leaders, against scipy, hand-worked numbers and their own error rate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmbench.results.comparison import MIN_SEEDS, Comparison, compare, compare_families, holm, leaders

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def _scores(**models: list[float]) -> dict[str, dict[int, float]]:
    return {model: dict(enumerate(values)) for model, values in models.items()}


def _pair(first: list[float], second: list[float]) -> Comparison:
    (found,) = compare(_scores(a=first, b=second))
    return found


class TestHolm:
    def test_by_hand(self) -> None:
        """Sorted .005, .01, .03, .04 times 4, 3, 2, 1 is .02, .03, .06, .04; the last is lifted to .06."""
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_no_hypothesis(self) -> None:
        assert holm([]) == []

    @given(P_VALUES)
    def test_between_p_and_bonferroni(self, p: list[float]) -> None:
        for raw, adjusted in zip(p, holm(p), strict=True):
            assert raw <= adjusted <= min(1.0, len(p) * raw) or adjusted == 1.0

    @given(P_VALUES)
    def test_the_smallest_is_bonferronis_and_the_order_stays(self, p: list[float]) -> None:
        adjusted = holm(p)
        assert min(adjusted) == min(1.0, len(p) * min(p))
        order = np.argsort(p, kind="stable")
        assert np.all(np.diff(np.asarray(adjusted)[order]) >= 0)

    @given(P_VALUES, st.floats(0.001, 0.5))
    def test_rejects_what_the_step_down_procedure_rejects(self, p: list[float], alpha: float) -> None:
        """Holm's own words: go up the sorted p while p_(i) < alpha / (m - i), and stop at the first that is not."""
        rejected = 0
        for rank, value in enumerate(sorted(p)):
            if value * (len(p) - rank) >= alpha:
                break
            rejected += 1
        assert sum(adjusted < alpha for adjusted in holm(p)) == rejected


class TestPairs:
    @pytest.mark.parametrize("n", [3, 5, 20])
    def test_p_and_interval_are_scipys(self, n: int) -> None:
        random = np.random.default_rng(n)
        a, b = random.normal(0.5, 0.1, n), random.normal(0.4, 0.1, n)
        found = _pair(a.tolist(), b.tolist())
        expected = stats.ttest_rel(a, b)
        interval = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
        assert (found.n, found.mean, found.sd) == (n, pytest.approx((a - b).mean()), pytest.approx((a - b).std(ddof=1)))

    def test_three_by_hand(self) -> None:
        """Differences 1, 2, 3: mean 2, sd 1, t = 2 sqrt 3; with two degrees of freedom p = 1 - t / sqrt(2 + t^2)."""
        found = _pair([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
        assert found.p == pytest.approx(1 - 2 * math.sqrt(3) / math.sqrt(14))
        assert found.adjusted == found.p
        assert found.finding == "no difference found"

    def test_only_common_seeds_with_a_value_count(self) -> None:
        scores = {"a": {0: 1.0, 1: 2.0, 2: 3.5, 3: 9.0}, "b": {4: 7.0, 2: 1.0, 1: 1.0, 0: 0.5, 3: math.nan}}
        (found,) = compare(scores)
        assert (found.n, found.mean) == (3, pytest.approx((0.5 + 1.0 + 2.5) / 3))

    @pytest.mark.parametrize(("first", "second", "finding"), [(1.0, 0.0, "higher"), (0.0, 1.0, "lower")])
    def test_finding_is_of_the_first(self, first: float, second: float, finding: str) -> None:
        noise = [0.01, -0.02, 0.0, 0.015]
        assert _pair([first + e for e in noise], [second] * 4).finding == finding

    @pytest.mark.parametrize("n", range(MIN_SEEDS))
    def test_too_few_seeds_are_not_testable_however_far_apart(self, n: int) -> None:
        found = _pair([1000.0 + i for i in range(n)], [0.1 * i for i in range(n)])
        assert (found.finding, found.p, found.adjusted) == ("not testable", None, None)
        assert found.reason == f"{n} common seed{'s' if n != 1 else ''}, and a paired test needs 3"
        assert math.isnan(found.sd) == math.isnan(found.low) == (n < 2)

    @pytest.mark.parametrize("gap", [0.0, 0.1])
    def test_differences_that_do_not_vary_are_not_testable(self, gap: float) -> None:
        """0.3 - 0.2 and 0.5 - 0.4 differ in the last digit: rounding is no spread."""
        found = _pair([0.2 + gap, 0.4 + gap, 0.7 + gap], [0.2, 0.4, 0.7])
        assert (found.finding, found.p) == ("not testable", None)
        assert found.reason == "the difference is the same for every seed"

    def test_little_spread_is_a_spread(self) -> None:
        assert _pair([-40000.0, -40001.0, -40002.00001], [-40010.0, -40011.0, -40012.0]).finding == "higher"

    def test_all_pairs_are_one_family(self) -> None:
        random = np.random.default_rng(0)
        scores = _scores(**{name: random.normal(i * 0.1, 0.1, 6).tolist() for i, name in enumerate("cba")})
        found = compare(scores)
        assert [(c.first, c.second) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
        assert [c.adjusted for c in found] == holm([c.p for c in found if c.p is not None])

    def test_what_is_not_tested_is_not_in_the_family(self) -> None:
        scores = {**_scores(a=[1.0, 2.0, 3.0], b=[0.0, 0.1, 0.0]), "c": {0: 5.0}}
        tested, *others = compare(scores)
        assert tested.adjusted == tested.p
        assert [c.finding for c in others] == ["not testable"] * 2

    def test_blocks_share_one_family(self) -> None:
        one = _scores(a=[1.0, 1.1, 1.3, 1.2], b=[0.9, 0.95, 1.0, 1.0])
        (alone,) = compare(one)
        found = compare_families({"x": one, "y": _scores(a=[1.0, 2.0, 1.5, 1.0], b=[2.0, 1.0, 1.0, 1.7])})
        assert alone.p is not None
        assert found["x"][0].adjusted == pytest.approx(2 * alone.p)
        assert list(found) == ["x", "y"]

    @pytest.mark.statistical
    @pytest.mark.parametrize(("correct", "low", "high"), [(True, 0.0, 0.06), (False, 0.1, 0.3)])
    def test_false_differences_are_rare_in_the_family(self, correct: bool, low: float, high: float) -> None:
        """Four equal models, 400 times: Holm holds 5 % (standard error 0.011), the raw p of six pairs do not."""
        random = np.random.default_rng(1)
        wrong = 0
        for _ in range(400):
            found = compare(_scores(**{name: random.normal(size=6).tolist() for name in "abcd"}))
            p = [c.adjusted if correct else c.p for c in found]
            wrong += any(value is not None and value < 0.05 for value in p)
        assert low <= wrong / 400 < high


class TestLeaders:
    def test_the_best_and_those_not_found_worse(self) -> None:
        noise = np.random.default_rng(2).normal(0, 0.01, (3, 6))
        scores = _scores(a=(0.9 + noise[0]).tolist(), b=(0.9 + noise[1]).tolist(), c=(0.1 + noise[2]).tolist())
        found = leaders(scores)
        assert (set(found.names), found.n, found.separates, found.reason) == ({"a", "b"}, 6, True, "")
        assert leaders(scores, higher_is_better=False).names == ("c",)

    def test_nothing_found_separates_nothing(self) -> None:
        scores = _scores(a=[0.1, 0.5, 0.9], b=[0.2, 0.4, 0.8], c=[0.7, 0.1, 0.3])
        found = leaders(scores)
        assert (set(found.names), found.separates) == ({"a", "b", "c"}, False)

    def test_no_test_no_leader(self) -> None:
        found = leaders(_scores(a=[100.0, 101.0], b=[0.0, 0.3]))
        assert (found.names, found.reason) == ((), "2 common seeds, and a paired test needs 3")

    def test_a_best_that_cannot_be_tested_against_one_does_not_lead(self) -> None:
        found = leaders(_scores(a=[1.0, 1.1, 1.3], b=[0.0, 0.1, 0.3], c=[0.5, 0.2, 0.1]))
        assert (found.names, found.reason) == ((), "a and b: the difference is the same for every seed")

    @pytest.mark.parametrize(
        ("scores", "n", "reason"),
        [
            ({}, 0, "one model alone has nothing to be compared with"),
            ({"a": {0: 1.0, 1: 2.0, 2: 3.0}}, 3, "one model alone has nothing to be compared with"),
            ({"a": {0: 1.0, 1: 2.0}, "b": {2: 1.0}}, 0, "0 common seeds, and a paired test needs 3"),
        ],
    )
    def test_nothing_to_compare(self, scores: dict[str, dict[int, float]], n: int, reason: str) -> None:
        found = leaders(scores)
        assert (found.names, found.n, found.separates, found.reason) == ((), n, False, reason)

    def test_means_are_over_the_seeds_that_all_share(self) -> None:
        """Seed 9, which only `b` has, would lift its mean above that of `a`."""
        scores = _scores(a=[1.0, 1.1, 1.2, 1.05], b=[0.5, 0.55, 0.72, 0.5])
        scores["b"][9] = 100.0
        found = leaders(scores)
        assert (found.names, found.n) == (("a",), 4)
