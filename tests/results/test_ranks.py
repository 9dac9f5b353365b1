"""Average ranks, Friedman's test and critical differences, against Demsar (2006) and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from mmbench.errors import InvalidSetting
from mmbench.results.ranks import average_ranks, critical_difference, ranking

# The ranks that Demsar (2006, Table 6) prints for the AUC of C4.5 as it is, with tuned m, cf, and both, on 14 datasets.
DEMSAR = (
    (4, 3, 2, 1),
    (1, 2, 3, 4),
    (4, 1, 2, 3),
    (4, 1, 3, 2),
    (4, 2, 3, 1),
    (1, 2.5, 4, 2.5),
    (3, 2, 4, 1),
    (2.5, 2.5, 4, 1),
    (4, 3, 2, 1),
    (2.5, 2.5, 2.5, 2.5),
    (4, 2.5, 1, 2.5),
    (3, 2, 4, 1),
    (4, 1, 2, 3),
    (3, 1, 4, 2),
)
MODELS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
BLOCKS = {f"{b}": dict(zip(MODELS, ranks, strict=True)) for b, ranks in enumerate(DEMSAR)}


def _drawn(models: int, blocks: int, seed: int) -> dict[str, dict[str, float]]:
    values = np.random.default_rng(seed).normal(size=(blocks, models)).round(1)
    return {f"block {b}": {f"m{m}": float(values[b, m]) for m in range(models)} for b in range(blocks)}


@pytest.mark.parametrize(
    ("k", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_q_is_demsars_table_5(k: int, q: float) -> None:
    """With 6 N = k (k + 1) the difference is q itself; his table is rounded, once (k = 3 and 7) to the other side."""
    n = 10**6
    assert critical_difference(k, n) * math.sqrt(6 * n / (k * (k + 1))) == pytest.approx(q, abs=1.5e-3)


@pytest.mark.parametrize("k", [2, 3, 5, 10, 20, 50])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_q_is_scipys_studentized_range(k: int, level: float) -> None:
    q = critical_difference(k, 6, level=level) / math.sqrt(k * (k + 1) / 36) * math.sqrt(2)
    assert q == pytest.approx(float(stats.studentized_range.ppf(level, k, math.inf)), rel=1e-8)


def test_critical_difference_at_another_level() -> None:
    """Demsar's q_0.10 for k = 4 is 2.291, and his CD 1.12 (section 3.2.2)."""
    assert critical_difference(4, 14, level=0.9) == pytest.approx(1.12, abs=5e-3)


class TestDemsarsExample:
    """A rank stands for a score of which less is better."""

    def test_average_ranks(self) -> None:
        expected = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
        found = ranking(BLOCKS, higher_is_better=False).ranks
        assert found == pytest.approx(expected, abs=5e-4)
        assert list(found) == list(expected)

    def test_friedman(self) -> None:
        """He has 9.28 without the correction for ties, which divides by the share of the ranks' variance left."""
        found = ranking(BLOCKS, higher_is_better=False)
        ties = 3 * (2**3 - 2) + (4**3 - 4)  # three pairs of equal ranks and one block of four
        assert found.statistic is not None
        assert found.statistic * (1 - ties / (14 * (4**3 - 4))) == pytest.approx(9.28, abs=1e-2)
        assert found.p == pytest.approx(stats.chi2.sf(found.statistic, 3))

    def test_nobody_is_told_apart(self) -> None:
        """1.964 and 3.143 lie 1.18 apart, less than 1.25: Friedman's test rejects, Nemenyi's finds no pair."""
        found = ranking(BLOCKS, higher_is_better=False)
        assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
        assert found.p is not None
        assert found.p < 0.05
        assert found.together == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)


@pytest.mark.parametrize("seed", range(5))
def test_friedman_is_scipys(seed: int) -> None:
    blocks = _drawn(4, 6, seed)
    found = ranking(blocks)
    columns = [[block[f"m{m}"] for block in blocks.values()] for m in range(4)]
    expected = stats.friedmanchisquare(*columns)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_ranks_sum_to_k_times_the_middle_and_turn_over() -> None:
    blocks = list(_drawn(5, 7, 0).values())
    up, down = average_ranks(blocks), average_ranks(blocks, higher_is_better=False)
    assert sum(up.values()) == pytest.approx(5 * 3)
    assert {model: 6 - rank for model, rank in up.items()} == pytest.approx(down)


def test_ties_share_their_ranks_and_names_break_them() -> None:
    assert average_ranks([{"b": 1.0, "a": 1.0, "c": 0.0}]) == {"a": 1.5, "b": 1.5, "c": 3.0}
    assert list(average_ranks([{"b": 1.0, "a": 1.0}])) == ["a", "b"]


def test_a_model_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidSetting, match="'b' is missing from one"):
        average_ranks([{"a": 1.0, "b": 2.0}, {"a": 1.0}])


def test_blocks_without_every_model_are_left_out_by_name() -> None:
    blocks = {**_drawn(3, 4, 0), "half": {"m0": 1.0, "m1": 2.0}, "lost": {"m0": 1.0, "m1": math.nan, "m2": 0.0}}
    found = ranking(blocks)
    assert found.left_out == ("half", "lost")
    assert found.blocks == tuple(_drawn(3, 4, 0))
    assert found.ranks == ranking(_drawn(3, 4, 0)).ranks


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ({}, "ranks of 0 models, and Friedman's test needs 3"),
        (_drawn(1, 5, 0), "ranks of 1 model, and Friedman's test needs 3"),
        (_drawn(2, 5, 0), "ranks of 2 models, and Friedman's test needs 3"),
        (_drawn(3, 1, 0), "1 block with all models, and a test needs 3"),
        (_drawn(3, 2, 0), "2 blocks with all models, and a test needs 3"),
        ({str(b): {"x": 1.0, "y": 1.0, "z": 1.0} for b in range(4)}, "all models tie in every block"),
    ],
)
def test_not_testable(blocks: dict[str, dict[str, float]], reason: str) -> None:
    found = ranking(blocks)
    assert found.reason == reason
    assert (found.statistic, found.p, found.critical_difference, found.together) == (None, None, None, ())
    assert len(found.ranks) == len({model for block in blocks.values() for model in block})


def test_bars_overlap_and_no_bar_lies_within_another() -> None:
    """Eight models in the same order in every block: ranks 1 to 8, CD below 2 with 40 blocks, so neighbours only."""
    blocks = {str(b): {f"m{m}": -float(m) for m in range(8)} for b in range(40)}
    found = ranking(blocks)
    assert found.critical_difference is not None
    assert 1 < found.critical_difference < 2
    assert found.together == tuple((f"m{m}", f"m{m + 1}") for m in range(7))


def test_all_stay_together_where_friedman_finds_nothing() -> None:
    blocks = {str(b): {f"m{m}": float((m + b) % 4) for m in range(4)} for b in range(4)}
    found = ranking(blocks)
    assert found.p == pytest.approx(1.0)
    assert found.together == (("m0", "m1", "m2", "m3"),)
