"""Densities against torch.distributions, divergences against its XX."""

import math

import pytest
import torch
from torch import distributions as td

from mmbench.errors import InvalidSetting
from mmbench.models.posteriors import (
    DiagonalPrior,
    Gaussian,
    Laplace,
    Mixture,
    kl_gaussian,
    kl_standard,
    laplace_from_normal,
    mixture,
    product,
    standard_normal,
)
from mmbench.testing.checks import noise, within


def parameters(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    location = torch.randn(4, 3, generator=source, dtype=torch.float64)
    return location, torch.rand(4, 3, generator=source, dtype=torch.float64) + 0.2


@pytest.mark.parametrize(("ours", "theirs"), [(Gaussian, td.Normal), (Laplace, td.Laplace)])
def test_density_mean_and_stddev_agree_with_torch(ours, theirs):
    location, scale = parameters()
    q, reference = ours(location, scale), theirs(location, scale)
    z = q.rsample(5, noise())
    assert torch.allclose(q.log_prob(z), reference.log_prob(z).sum(-1), atol=1e-12)
    assert torch.allclose(q.mean, reference.mean)
    assert torch.allclose(q.stddev, reference.stddev)


@pytest.mark.statistical
@pytest.mark.parametrize("family", [Gaussian, Laplace])
def test_samples_have_the_stated_moments(family):
    location, scale = parameters()
    q = family(location, scale)
    z = q.rsample(40_000, noise())
    assert within(z, q.mean)
    assert within((z - q.mean).square(), q.stddev.square())
    assert not within(z, q.mean + 0.1), "the check must be able to fail"


def test_laplace_noise_is_the_laplace_quantile_of_the_normal_rank():
    eps = torch.linspace(-6, 6, 101, dtype=torch.float64)
    expected = td.Laplace(0.0, 1.0).icdf(torch.special.ndtr(eps))
    assert torch.allclose(laplace_from_normal(eps), expected, rtol=1e-6, atol=1e-9)
    assert laplace_from_normal(torch.tensor([-30.0, 30.0])).isfinite().all()


def test_kl_agrees_with_torch_and_is_zero_on_itself():
    q, p = Gaussian(*parameters(0)), Gaussian(*parameters(1))
    reference = td.kl_divergence(td.Normal(q.location, q.scale), td.Normal(p.location, p.scale)).sum(-1)
    assert torch.allclose(kl_gaussian(q, p), reference, atol=1e-12)
    assert kl_gaussian(q, q).abs().max() < 1e-14
    standard = Gaussian(torch.zeros_like(q.location), torch.ones_like(q.scale))
    assert torch.allclose(kl_standard(q), kl_gaussian(q, standard), atol=1e-12)


def test_mixture_density_is_the_mean_of_its_components_and_one_component_is_itself():
    experts = [Gaussian(*parameters(i)) for i in range(3)]
    z = experts[0].rsample(2, noise())
    mixed = mixture(experts)
    expected = torch.stack([q.log_prob(z) for q in experts]).exp().mean(0).log()
    assert isinstance(mixed, Mixture)
    assert torch.allclose(mixed.log_prob(z), expected, atol=1e-12)
    assert torch.allclose(mixed.log_weights.exp().sum(), torch.ones((), dtype=torch.float64))
    assert mixture(experts[:1]) is experts[0]


@pytest.mark.statistical
def test_mixture_samples_have_the_mixtures_mean():
    experts = [Gaussian(*parameters(i)) for i in range(3)]
    z = mixture(experts).rsample(40_000, noise())
    assert within(z, torch.stack([q.location for q in experts]).mean(0))


def test_product_is_stable_for_very_sharp_and_very_wide_experts_in_float32():
    sharp = Gaussian(torch.full((1, 2), 3.0), torch.full((1, 2), 1e-6))
    wide = Gaussian(torch.full((1, 2), -5.0), torch.full((1, 2), 1e6))
    found = product([sharp, wide], prior_expert=True)
    assert torch.allclose(found.location, sharp.location)
    assert torch.allclose(found.scale, sharp.scale)
    with pytest.raises(InvalidSetting, match="at least one expert"):
        product([], prior_expert=False)


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_priors_sample_and_score_with_any_leading_axes(family):
    prior = DiagonalPrior("p", family, torch.zeros(3).double(), torch.full((3,), 2.0).double())
    z = prior.sample(2, 7, noise())
    assert z.shape == (2, 7, 3)
    assert prior.log_prob(z).shape == (2, 7)
    reference = {"normal": td.Normal, "laplace": td.Laplace}[family](0.0, 2.0)
    assert torch.allclose(prior.log_prob(z), reference.log_prob(z).sum(-1), atol=1e-12)
    assert standard_normal(z, 3).log_prob(torch.zeros(1, 1, 3).double()).item() == pytest.approx(
        -1.5 * math.log(2 * math.pi)
    )
