"""Random proper subsets, rows grouped by pattern, and the slices of a latent."""

import pytest
import torch

from mmbench.errors import InvalidSetting
from mmbench.models.patterns import proper_subsets, rows_by_pattern
from mmbench.models.slices import divided


def test_every_proper_subset_is_drawn_equally_often_and_no_other():
    uniform = (torch.arange(6000) + 0.5) / 6000
    held = proper_subsets(3, uniform)
    patterns, counts = held.unique(dim=1, return_counts=True)
    assert patterns.shape == (3, 6)
    assert set(counts.tolist()) == {1000}
    assert not held.all(0).any()
    assert held.any(0).all()


def test_the_ends_of_the_interval_give_proper_subsets():
    held = proper_subsets(2, torch.tensor([0.0, 1.0]))
    assert held.sum(0).tolist() == [1, 1]


def test_every_row_is_in_the_group_of_its_own_pattern():
    held = proper_subsets(3, torch.rand(50, generator=torch.Generator().manual_seed(0)))
    names = ("a", "b", "c")
    groups = list(rows_by_pattern(held, names))
    assert torch.cat([rows for _, rows in groups]).sort().values.tolist() == list(range(50))
    for some, rows in groups:
        for row in rows.tolist():
            assert some == tuple(name for name, flag in zip(names, held[:, row].tolist(), strict=True) if flag)


def test_slices_follow_the_names_cover_everything_and_differ_by_one_at_most():
    parts = divided(["c", "a", "b"], 8, start=2)
    assert parts == {"a": slice(2, 5), "b": slice(5, 8), "c": slice(8, 10)}
    with pytest.raises(InvalidSetting, match=r"leaves 2 dimensions for the slices of 3 modalities; raise it by .* 1"):
        divided(["a", "b", "c"], 2)
