"""MMVAE on the linear-Gaussian oracle: limits and order of its bounds, closed forms, and what DReG is not."""

import itertools

import pytest
import torch
from torch import Tensor

from mmbench.models.bounds import log_mean_exp, looser, tight
from mmbench.models.mmvae import MMVAE
from mmbench.models.posteriors import kl_gaussian
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})


def losses(model: MMVAE, values: dict[str, Tensor], n: int) -> Tensor:
    """Objective values over n independent draws."""
    return torch.stack([-model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


def mean_gradients(model: MMVAE, values: dict[str, Tensor], n: int, first: int = 0) -> Tensor:
    found = []
    for key in range(first, first + n):
        model.zero_grad()
        model.objective(values, noise=noise(key)).loss.backward()
        found.append(torch.cat([g.flatten() for name, g in gradients(model).items() if name.startswith("encoders")]))
    return torch.stack(found)


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [LinearGaussian(), THREE], ids=["two", "three"])
def test_tight_bound_reaches_the_evidence_with_many_samples(oracle, make):
    """The mixture of rough experts covers the posterior: E[LME over (r, k)] -> log p(X)."""
    model, values = make("mmvae", oracle, encoder="rough", looser=False, k=2000), repeated(oracle.sample(1), 50)
    exact = oracle.log_marginal(values)[0]
    found = losses(model, values, 10)
    assert (found.mean() - exact).abs() < 0.02
    assert losses(make("mmvae", oracle, encoder="rough", looser=False, k=2), values, 10).mean() < exact - 0.02


@pytest.mark.statistical
def test_naive_bound_is_the_evidence_less_the_mean_kl_to_the_posterior(oracle, make):
    """(1/M) sum_r [E_{q_r} sum_m log p_m - KL(q_r||p)] = log p(X) - (1/M) sum_r KL(q_r || p(z|X))."""
    model, values = make("mmvae", oracle, encoder="rough", objective="naive", k=10), repeated(oracle.sample(1), 5000)
    p = oracle.posterior(values)
    kl = torch.stack([kl_gaussian(model.encode(n, x), p)[0].detach() for n, x in values.items()]).mean()
    exact = oracle.log_marginal(values)[0] - kl
    assert within(losses(model, values, 20), exact)
    assert not within(losses(model, values, 20), exact + 0.2), "the check must be able to fail"


@pytest.mark.statistical
def test_bounds_come_in_their_order_and_below_the_evidence(oracle, make):
    """naive <= elbo <= looser_K <= tight_K <= log p(X), in expectation."""
    values = repeated(oracle.sample(1, seed=2), 4000)
    settings = {
        "naive": {"objective": "naive"},
        "elbo": {"objective": "elbo"},
        "looser": {"looser": True},
        "tight": {"looser": False},
    }
    means = [losses(make("mmvae", oracle, encoder="rough", k=4, **s), values, 5).mean() for s in settings.values()]
    assert means == sorted(means)
    assert means[-1] < oracle.log_marginal(values)[0]
    gaps = [b - a for a, b in itertools.pairwise(means)]
    assert min(gaps) > 0.005, "the four bounds must be told apart"


def test_looser_is_below_tight_for_every_row():
    log_weights = 3 * torch.randn(3, 5, 1000, dtype=torch.float64)
    assert (looser(log_weights) <= tight(log_weights) + 1e-12).all()
    assert torch.allclose(looser(log_weights[:1]), tight(log_weights[:1]))


@pytest.mark.statistical
def test_looser_bound_tends_to_the_mean_over_experts_of_their_own_evidences(oracle, make):
    """(1/M) sum_r log p_r with p_r = int q_r p(X, z) / q dz; their mean is p(X), so the limit is below log p(X).

    The integrals are estimated by ordinary importance sampling with half a million samples of each expert.
    """
    model, values = make("mmvae", oracle, encoder="rough", k=2000), repeated(oracle.sample(1, seed=2), 1)
    experts = {n: model.encode(n, x) for n, x in values.items()}
    z = torch.stack([q.rsample(500_000, noise(9).child(n)) for n, q in experts.items()])
    with torch.no_grad():
        own = log_mean_exp(model._scores(values, experts, z.flatten(0, 1)).view(z.shape[:3]), 1)[:, 0]  # log p_r, [E]
    assert (log_mean_exp(own) - oracle.log_marginal(values)[0]).abs() < 0.01
    assert own.mean() < oracle.log_marginal(values)[0] - 0.015
    assert (losses(model, values, 400).mean() - own.mean()).abs() < 0.006


def test_with_one_modality_and_the_exact_posterior_every_bound_is_the_evidence_without_variance(make):
    values = ONE.sample(7)
    for settings in (
        {"objective": "elbo"},
        {"k": 1},
        {"k": 9},
        {"k": 9, "looser": False},
        {"objective": "dreg", "k": 4},
    ):
        found = -make("mmvae", ONE, **settings).objective(values, noise=noise()).loss
        assert torch.allclose(found, ONE.log_marginal(values).mean(), atol=1e-10)


def test_dreg_at_the_exact_posterior_gives_the_encoder_a_zero_gradient_sample_by_sample(make):
    values = ONE.sample(7)
    model = make("mmvae", ONE, objective="dreg", k=5)
    model.objective(values, noise=noise()).loss.backward()
    assert max(g.abs().max() for n, g in gradients(model).items() if n.startswith("encoders")) < 1e-12
    model = make("mmvae", ONE, objective="iwae", k=5)
    model.objective(values, noise=noise()).loss.backward()
    assert max(g.abs().max() for n, g in gradients(model).items() if n.startswith("encoders")) > 1e-3


@pytest.mark.statistical
@pytest.mark.parametrize("k", [1, 3])
def test_dreg_is_unbiased_with_one_modality_and_has_less_variance_than_autodiff(make, k):
    values = repeated(ONE.sample(1), 300)
    dreg = mean_gradients(make("mmvae", ONE, encoder="rough", objective="dreg", k=k), values, 100)
    iwae = mean_gradients(make("mmvae", ONE, encoder="rough", objective="iwae", k=k), values, 100, first=500)
    error = (dreg.var(0) + iwae.var(0)).sqrt() / 10
    assert ((dreg.mean(0) - iwae.mean(0)).abs() <= 5 * error + 1e-12).all()
    if k > 1:
        assert dreg.var(0).sum() < iwae.var(0).sum()
        released = mean_gradients(make("mmvae", ONE, encoder="rough", objective="dreg-released", k=k), values, 100)
        error = (released.var(0) + iwae.var(0)).sqrt() / 10
        assert ((released.mean(0) - iwae.mean(0)).abs() > 5 * error + 1e-12).any(), "one weight is not DReG"


@pytest.mark.statistical
def test_dreg_with_two_experts_is_unbiased_for_one_weight_and_biased_for_more(make):
    """z_r ~ q_r but the weight has the mixture, so that the identity behind DReG fails where weights are normalised
    over several samples: for K > 1, and in the tight form, which normalises over the experts too, for K = 1 as well."""
    oracle = LinearGaussian(dim=1, noise=0.3)
    values = repeated(oracle.sample(1, seed=2), 2000)
    for k, looser_form, unbiased in ((1, True, True), (3, True, False), (1, False, False)):
        settings = {"encoder": "rough", "k": k, "looser": looser_form}
        dreg = mean_gradients(make("mmvae", oracle, objective="dreg", **settings), values, 40)
        iwae = mean_gradients(make("mmvae", oracle, objective="iwae", **settings), values, 40, first=500)
        error = (dreg.var(0) + iwae.var(0)).sqrt() / 40**0.5
        agrees = bool(((dreg.mean(0) - iwae.mean(0)).abs() <= 5 * error + 1e-12).all())
        assert agrees == unbiased


def test_values_of_dreg_and_iwae_are_the_same_and_decoders_get_the_same_gradient(oracle, make):
    values, found = oracle.sample(6), {}
    for objective in ("iwae", "dreg", "dreg-released"):
        model = make("mmvae", oracle, encoder="rough", objective=objective, k=4)
        loss = model.objective(values, noise=noise()).loss
        loss.backward()
        found[objective] = loss.detach(), gradients(model)["decoders.s.weight"]
    for objective in ("dreg", "dreg-released"):
        assert torch.allclose(found[objective][0], found["iwae"][0], atol=1e-12)
        assert torch.allclose(found[objective][1], found["iwae"][1], atol=1e-12)


def test_identical_experts_are_one_expert(oracle, make):
    model, values = make("mmvae", oracle, encoder="rough"), oracle.sample(4)
    model.encoders["t"] = model.encoders["s"]
    both = model.posterior({"s": values["s"], "t": values["s"]})
    alone = model.posterior({"s": values["s"]})
    z = alone.rsample(3, noise())
    assert torch.allclose(both.log_prob(z), alone.log_prob(z), atol=1e-12)


def test_rows_with_one_modality_are_a_vae_on_it(oracle, make):
    """Restriction: the mixture and the likelihoods of the observed modalities alone."""
    values = {"t": oracle.sample(6)["t"]}
    model = make("mmvae", oracle, encoder="rough", objective="elbo")
    q = model.encode("t", values["t"])
    z = q.rsample(1, noise().child("t"))
    elbo = model.log_likelihood("t", values["t"], z) + oracle.standard(6).log_prob(z) - q.log_prob(z)
    loss = model.objective(values, noise=noise()).loss
    assert torch.allclose(loss, -elbo.mean(), atol=1e-12)
    loss.backward()
    assert gradients(model)["decoders.s.weight"].abs().max() == 0


def test_mixture_draws_an_expert_for_every_row(oracle, make):
    model, values = make("mmvae", oracle, encoder="posterior"), oracle.sample(400)
    posterior = model.posterior(values)
    z = posterior.rsample(1, noise())[0]
    near = torch.stack([q.log_prob(z[None])[0] for q in posterior.components]).argmax(0).double()
    assert 0.3 < near.mean() < 0.7


def test_laplace_family_and_learned_prior(oracle, make):
    values = oracle.sample(6)
    model = make("mmvae", oracle, encoder="rough", family="laplace", learn_prior=True)
    prior = model.prior()
    assert prior.name == "learned laplace"
    assert torch.allclose(prior.scale.sum(), torch.tensor(2.0).double())
    model.objective(values, noise=noise()).loss.backward()
    assert model.prior_raw_scale.grad.abs().max() > 1e-6
    fixed = make("mmvae", oracle, encoder="rough", family="laplace")
    fixed.objective(values, noise=noise()).loss.backward()
    assert fixed.prior_raw_scale.grad is None
