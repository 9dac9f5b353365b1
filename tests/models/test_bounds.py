"""Stable log-mean-exp, importance-weighted bounds and the drawing of one sample, against naive formulas."""

import math

import pytest
import torch

from mmbench.models.bounds import draw, effective_sample_size, log_mean_exp, looser, take, tight, weighted


def scores(*shape: int) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_log_mean_exp_is_the_naive_formula_and_survives_extremes():
    a = scores(6, 4)
    assert torch.allclose(log_mean_exp(a), a.exp().mean(0).log(), atol=1e-12)
    assert torch.allclose(log_mean_exp(a.T, 1), log_mean_exp(a))
    assert torch.allclose(log_mean_exp(a - 1e5), log_mean_exp(a) - 1e5)
    one = torch.tensor([[0.0], [-math.inf]])
    assert log_mean_exp(one).item() == pytest.approx(-math.log(2))
    huge = torch.tensor([[-1e4], [1e4]], requires_grad=True)
    log_mean_exp(huge).backward()
    assert torch.equal(huge.grad, torch.tensor([[0.0], [1.0]]))


@pytest.mark.parametrize("over_experts", [True, False])
def test_weighted_surrogate_has_the_gradient_of_its_bound(over_experts):
    a, b = scores(2, 5, 3).requires_grad_(), scores(2, 5, 3).requires_grad_()
    (tight if over_experts else looser)(a).sum().backward()
    surrogate, normalised = weighted(b, over_experts=over_experts)
    surrogate.sum().backward()
    assert torch.allclose(a.grad, b.grad, atol=1e-12)
    total = normalised.sum((0, 1)) if over_experts else normalised.sum(1)
    assert torch.allclose(total, torch.ones_like(total))


def test_draw_follows_the_weights_and_take_picks_them():
    log_weights = torch.tensor([[0.1], [0.6], [0.3]], dtype=torch.float64).log().expand(3, 5)
    uniform = torch.tensor([[0.05, 0.11, 0.69, 0.71, 0.999]], dtype=torch.float64)
    index = draw(log_weights, uniform)
    assert index.tolist() == [0, 1, 1, 2, 2]
    values = torch.arange(15.0).reshape(3, 5)
    assert take(values, index).tolist() == [[0.0, 6.0, 7.0, 13.0, 14.0]]
    extreme = torch.tensor([[0.0], [-1e6]]).expand(2, 3)
    assert draw(extreme, torch.tensor([[1e-7, 0.5, 1.0]])).tolist() == [0, 0, 0]


def test_effective_sample_size_counts_equal_weights_and_one_hot_ones():
    assert torch.allclose(effective_sample_size(torch.zeros(7, 2)), torch.full((2,), 7.0))
    one_hot = torch.tensor([[0.0], [-1e4], [-1e4]])
    assert effective_sample_size(one_hot).item() == pytest.approx(1.0)
