"""The parts of `carrying`: what carries weight, what is drawn, how it is scored, and whose rows are independent."""

import pytest
import torch
from torch import nn

from mmbench.models.carrying import carrying, chosen_scores, heaviest, rows_are_independent, scored
from mmbench.models.execution import Execution


def test_what_is_left_out_of_a_row_weighs_at_most_the_tolerance_and_no_more_could_be():
    scores = 8 * torch.randn(12, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = scores.softmax(0)
    for tolerance in (0.0, 1e-6, 1e-3, 0.2):
        kept = carrying(scores, tolerance)
        left = weights.masked_fill(kept, 0).sum(0)
        assert (left <= tolerance).all()
        lightest = weights.masked_fill(~kept, 2).min(0).values
        assert (left + lightest > tolerance).all()
        assert kept.any(0).all()


def test_the_heaviest_are_taken_and_the_rest_is_drawn_in_proportion():
    weights = torch.tensor([0.5, 0.05, 0.3, 0.15], dtype=torch.float64)
    uniform = ((torch.arange(20_000) + 0.5) / 20_000).double().unsqueeze(0)
    chosen = heaviest(weights.log().unsqueeze(1).expand(4, 20_000), 2, uniform)
    samples, factors = chosen.samples.view(2, -1), chosen.factors.view(2, -1)
    assert (samples[0] == 0).all()
    assert (factors[0] == 1).all()
    shares = torch.bincount(samples[1], minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0, 0.1, 0.6, 0.3], abs=1e-3)
    assert torch.allclose(factors[1] * weights[samples[1]], torch.full((20_000,), 0.5, dtype=torch.float64))


@pytest.mark.parametrize(("columns", "samples"), [(1, 1), (3, 700), (5, 11), (130, 11)])
def test_scoring_in_parts_gives_every_column_its_own_scores(columns, samples):
    z = torch.randn(samples, columns, 2, dtype=torch.float64)
    offset = torch.arange(columns, dtype=torch.float64)
    assert torch.equal(scored(lambda some, rows: some.sum(-1) + offset[rows], z), z.sum(-1) + offset)


def test_spread_weights_take_the_plain_path_and_sharp_ones_do_not():
    z = torch.randn(10, 64, 3, requires_grad=True)
    for sharpness, plain_path in ((0.01, True), (100.0, False)):
        seen = []

        def score(some, rows, sharpness=sharpness, seen=seen):
            seen.append((tuple(some.shape[:2]), torch.is_grad_enabled()))
            return sharpness * some.sum(-1)

        _, chosen = chosen_scores(score, z, Execution(), independent=True, uniform=lambda: torch.rand(1, 64))
        assert (chosen is None) == plain_path
        assert (((10, 64), True) in seen) == plain_path
        assert sum(size[0] * size[1] for size, graph in seen if not graph) <= 640


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout(0.5), nn.GRU(4, 4, 2, dropout=0.1)])
def test_networks_whose_rows_influence_one_another_are_known(layer):
    network = nn.Sequential(nn.Linear(4, 4), layer)
    assert not rows_are_independent(nn.Linear(4, 4), network.train())
    assert rows_are_independent(network.eval())
    assert rows_are_independent(nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.Dropout(0.0))


def test_a_module_may_say_that_its_rows_influence_one_another():
    layer = nn.Linear(4, 4)
    layer.couples_rows = True
    assert not rows_are_independent(nn.Sequential(layer))


def test_the_bound_is_no_idle_one():
    """So that the test above could fail: what is left out is a fair share of what the bound allows."""
    z = torch.randn(9, 200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    slope = torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    tolerance, columns = 0.05, torch.arange(200)
    execution = Execution(tolerance=tolerance)
    scores, chosen = chosen_scores(
        lambda some, rows: 2 * some @ slope, z, execution, independent=True, uniform=lambda: torch.rand(1, 200)
    )
    assert chosen is not None
    off = torch.zeros(3, dtype=torch.float64)
    allowed = torch.zeros(3, dtype=torch.float64)
    for b in columns.tolist():
        (approximate,) = torch.autograd.grad(scores[:, b].logsumexp(0), slope, retain_graph=True)
        weights = (2 * z[:, b] @ slope.detach()).softmax(0)
        exact, bound = (weights @ (2 * z[:, b])), tolerance * (2 * z[:, b]).abs().max(0).values
        assert ((approximate - exact).abs() <= bound).all()
        off += (approximate - exact).abs()
        allowed += bound
    assert (off > allowed / 20).all()
