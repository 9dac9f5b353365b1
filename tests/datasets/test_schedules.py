"""Schedules: every row once an epoch, the released code's numbers of steps, and even interleaving for any fraction."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.datasets.schedules import Plan, alternate, alternate_steps, interleaving, mixed

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=4)


def visited(plan: Plan, pattern: int) -> list[int]:
    return sorted(int(row) for step in plan for p, rows in step if p == pattern for row in rows)


@settings(max_examples=60, deadline=None)
@given(sizes=sizes, batch=st.integers(1, 25), schedule=st.sampled_from(["mixed", "alternate"]))
def test_an_epoch_visits_each_row_once(sizes: list[int], batch: int, schedule: str) -> None:
    rng = np.random.default_rng(0)
    plan = mixed(sizes, batch, rng) if schedule == "mixed" else alternate(sizes, [False] * len(sizes), batch, rng)
    for p, size in enumerate(sizes):
        assert visited(plan, p) == list(range(size))


@settings(max_examples=40, deadline=None)
@given(sizes=sizes, batch=st.integers(1, 25))
def test_mixed_steps_are_full_but_the_last_and_hold_a_pattern_once(sizes: list[int], batch: int) -> None:
    plan = mixed(sizes, batch, np.random.default_rng(0))
    lengths = [sum(len(rows) for _, rows in step) for step in plan]
    assert lengths[:-1] == [batch] * (len(plan) - 1)
    assert lengths[-1] == (sum(sizes) - 1) % batch + 1
    assert all(sorted({p for p, _ in step}) == [p for p, _ in step] for step in plan)


# Fraction, paired and unpaired rows of the released MEME code, and the steps it makes of them at batch 128.
RELEASED = [
    (0.5, 28034, 28034, 220, 220),
    (0.25, 14017, 42051, 110, 329),
    (0.125, 7008, 49060, 55, 384),
    (0.0625, 3504, 52564, 28, 411),
    (0.7, 39247, 16821, 307, 132),
]


@pytest.mark.parametrize("f, paired, unpaired, paired_steps, unpaired_steps", RELEASED)
def test_alternate_makes_the_released_codes_steps_and_spreads_them_evenly(
    f: float, paired: int, unpaired: int, paired_steps: int, unpaired_steps: int
) -> None:
    plan = alternate([paired, unpaired], [False, False], 128, np.random.default_rng(0))
    kinds = np.array([step[0][0] for step in plan])
    assert all(len(step) == 1 for step in plan)
    assert (kinds == 0).sum() == paired_steps
    assert (kinds == 1).sum() == unpaired_steps
    assert alternate_steps([paired, unpaired], [False, False], 128) == paired_steps + unpaired_steps
    share = paired_steps / len(plan)
    expected = share * np.arange(1, len(plan) + 1)
    assert np.abs(np.cumsum(kinds == 0) - expected).max() < 1
    assert kinds[0] == 0


@settings(max_examples=60, deadline=None)
@given(a=st.integers(1, 50), b=st.integers(1, 50))
def test_interleaving_two_lists_is_even_at_every_prefix(a: int, b: int) -> None:
    turns = interleaving([a, b])
    assert [i for which, i in turns if which == 0] == list(range(a))
    assert [i for which, i in turns if which == 1] == list(range(b))
    first = np.cumsum([which == 0 for which, _ in turns])
    assert np.abs(first - a / (a + b) * np.arange(1, a + b + 1)).max() < 1


def test_the_coin_keeps_one_alternative_a_batch_and_each_about_half_of_the_time() -> None:
    kinds = []
    for epoch in range(40):
        plan = alternate([130, 300, 300], [False, True, True], 10, np.random.default_rng(epoch))
        assert len(plan) == 13 + 30 == alternate_steps([130, 300, 300], [False, True, True], 10)
        assert visited(plan, 0) == list(range(130))
        for p in (1, 2):
            rows = visited(plan, p)
            assert len(set(rows)) == len(rows)
        kinds += [step[0][0] for step in plan if step[0][0] > 0]
    heads, tosses = kinds.count(1), len(kinds)
    assert tosses == 40 * 30
    assert abs(heads - tosses / 2) < 4 * np.sqrt(tosses / 4)  # four standard deviations of a fair coin
