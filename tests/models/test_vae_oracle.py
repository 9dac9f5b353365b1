"""Independent VAEs on the linear-Gaussian oracle: with exact posteriors every bound is log p(x_m), sample by sample."""

import pytest
import torch

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.models.posteriors import kl_gaussian
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})

each_number = pytest.mark.parametrize("oracle", [ONE, TWO, THREE], ids=["one", "two", "three"])


def bounds(model, values, n):
    """Bounds over n independent draws of the noise."""
    return torch.stack([-model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


def evidences(oracle, values):
    """Sum over the given modalities of log p(x_m), `[B]`."""
    return sum(oracle.log_marginal({name: x}) for name, x in values.items())


# The evidence ---------------------------------------------------------------------------------------------------------
@each_number
@pytest.mark.parametrize("k", [1, 2, 9])
def test_importance_weighted_bound_at_the_exact_posterior_is_the_evidence_without_variance(make, oracle, k):
    """log p(x|z) + log p(z) - log p(z|x) = log p(x) for every z."""
    values = oracle.sample(7)
    found = bounds(make("vae", oracle, objective="iwae", k=k), values, 3)
    assert torch.allclose(found, evidences(oracle, values).mean(), atol=1e-10)
    rough = bounds(make("vae", oracle, encoder="rough", objective="iwae", k=k), values, 3)
    assert rough.std() > 1e-3, "the check must be able to fail"


@pytest.mark.statistical
@each_number
def test_elbo_at_the_exact_posterior_is_the_evidence_in_the_mean(make, oracle):
    """The closed-form KL leaves the variance of the reconstruction: E_q[log p(x|z)] - KL = log p(x)."""
    model, values = make("vae", oracle), repeated(oracle.sample(1), 5000)
    found, exact = bounds(model, values, 20), evidences(oracle, oracle.sample(1))[0]
    assert within(found, exact)
    assert not within(found, exact + 0.1), "the check must be able to fail"
    assert bounds(model, oracle.sample(7), 3).std() > 1e-3


@pytest.mark.statistical
@each_number
def test_elbo_of_any_encoder_loses_its_kl_to_the_posterior(make, oracle):
    """Master identity, modality by modality: ELBO(q_m; {m}) = log p(x_m) - KL(q_m || p(z|x_m))."""
    model, row = make("vae", oracle, encoder="rough"), oracle.sample(1)
    gaps = [kl_gaussian(model.posterior({n: x}), oracle.posterior({n: x}))[0].detach() for n, x in row.items()]
    exact = evidences(oracle, row)[0] - sum(gaps)
    assert within(bounds(model, repeated(row, 5000), 20), exact)


@pytest.mark.statistical
def test_importance_weighted_bounds_grow_with_k_from_the_elbo_to_the_evidence(make):
    """ELBO = IWAE_1 <= IWAE_3 <= IWAE_30 <= IWAE_300, close to log p(x) and not above it beyond Monte-Carlo error."""
    row = ONE.sample(1, seed=2)
    exact, values = evidences(ONE, row)[0], repeated(row, 300)
    found = [bounds(make("vae", ONE, encoder="rough", objective="iwae", k=k), values, 10) for k in (1, 3, 30, 300)]
    gap = kl_gaussian(make("vae", ONE, encoder="rough").posterior(row), ONE.posterior(row))[0].detach()
    assert within(found[0], exact - gap), "IWAE_1 is the ELBO with a sampled KL"
    means = [value.mean() for value in found]
    assert means == sorted(means)
    assert means[1] - means[0] > 0.01
    assert (means[-1] - exact).abs() < 0.005
    assert all(mean <= exact + 5 * value.std() / len(value) ** 0.5 for mean, value in zip(means, found, strict=True))


# Identities with one modality -----------------------------------------------------------------------------------------
def test_with_one_modality_other_models_are_the_vae_to_the_bit_of_the_noise(make):
    """MMVAE with K = 1 is the VAE with a sampled KL; MVAE is the VAE whose posterior is expert times prior."""
    values = ONE.sample(7)
    sampled = make("vae", ONE, encoder="rough", objective="iwae", k=1).objective(values, noise=noise()).loss
    mmvae = make("mmvae", ONE, encoder="rough", objective="elbo").objective(values, noise=noise()).loss
    assert torch.allclose(sampled, mmvae, atol=1e-12)
    analytic = make("vae", ONE, encoder="posterior").objective(values, noise=noise()).loss
    product = make("mvae", ONE, encoder="expert").objective(values, noise=noise()).loss
    assert torch.allclose(analytic, product, atol=1e-12)
    assert (analytic - sampled).abs() > 1e-3


# Nothing is shared ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("objective", ["elbo", "iwae"])
def test_loss_and_gradients_of_a_modality_do_not_know_of_the_others(make, objective):
    values, parts = THREE.sample(6), {}
    for observed in (("s", "t", "u"), ("s", "t"), ("s",), ("t",), ("u",)):
        model = make("vae", THREE, encoder="rough", objective=objective)
        loss = model.objective({name: values[name] for name in observed}, noise=noise()).loss
        loss.backward()
        parts[observed] = loss.detach(), gradients(model)
    alone = [parts[(name,)] for name in THREE.names]
    assert torch.allclose(parts[("s", "t", "u")][0], sum(loss for loss, _ in alone), atol=1e-12)
    assert torch.allclose(parts[("s", "t")][0], alone[0][0] + alone[1][0], atol=1e-12)
    for name, gradient in parts[("s", "t", "u")][1].items():
        assert torch.allclose(gradient, sum(found[name] for _, found in alone), atol=1e-12)
    assert all(found.abs().max() == 0 for name, found in alone[0][1].items() if ".s." not in name)


def test_several_modalities_have_no_posterior_and_one_has_its_own(make):
    model, values = make("vae", TWO), TWO.sample(4)
    with pytest.raises(CannotBear, match="no joint posterior given s, t: its modalities are independent"):
        model.posterior(values)
    exact = TWO.posterior({"t": values["t"]})
    assert torch.allclose(model.posterior({"t": values["t"]}).mean, exact.mean, atol=1e-12)
    assert torch.allclose(model.posterior({"t": values["t"]}).stddev, exact.stddev, atol=1e-12)


# Settings -------------------------------------------------------------------------------------------------------------
def test_beta_weighs_the_kl_and_lambda_the_likelihood(make):
    values = TWO.sample(6)
    plain = make("vae", TWO, encoder="rough").objective(values, noise=noise())
    kl = plain.terms["kl/s"] + plain.terms["kl/t"]
    weighed = make("vae", TWO, encoder="rough", beta=2.5).objective(values, noise=noise())
    assert torch.allclose(weighed.loss - plain.loss, 1.5 * kl, atol=1e-10)
    model = make("vae", TWO, encoder="rough")
    model.weights["t"] = 4.0
    rescaled = model.objective(values, noise=noise())
    assert torch.allclose(rescaled.loss - plain.loss, -3 * plain.terms["log_likelihood/t"], atol=1e-10)


def test_the_importance_weighted_bound_has_no_beta(make):
    with pytest.raises(InvalidSetting, match=r"model\.objective=iwae has no KL to weight"):
        make("vae", TWO, objective="iwae", beta=2.0)
