"""MVAE on the linear-Gaussian oracle: with raw likelihood experts every subset's ELBO is its evidence, exactly."""

import pytest
import torch

from mmbench.models.mvae import MVAE
from mmbench.models.posteriors import Gaussian, kl_gaussian, product
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})


@pytest.mark.parametrize("oracle", [LinearGaussian(), THREE], ids=["two", "three"])
def test_posterior_of_every_subset_is_exact_with_likelihood_experts(oracle, make):
    model, values = make("mvae", oracle, encoder="expert"), oracle.sample(5)
    for subset in [oracle.names[:1], oracle.names[1:], oracle.names]:
        some = {name: values[name] for name in subset}
        exact, found = oracle.posterior(some), model.posterior(some)
        assert torch.allclose(found.mean, exact.mean, atol=1e-12)
        assert torch.allclose(found.stddev, exact.stddev, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [LinearGaussian(), THREE], ids=["two", "three"])
def test_loss_is_the_sum_of_evidences_of_all_observed_and_of_each_alone(oracle, make):
    """Each ELBO with the exact posterior and the analytic KL: E_q[log p(x|z)] - KL = log p(x_S)."""
    model, values = make("mvae", oracle, encoder="expert", subsets=0), repeated(oracle.sample(1), 20_000)
    exact = oracle.log_marginal(values)[0] + sum(oracle.log_marginal({n: x})[0] for n, x in values.items())
    losses = torch.stack([model.objective(values, noise=noise(k)).loss.detach() for k in range(20)])
    assert within(-losses, exact)
    assert not within(-losses, exact + 0.1), "the check must be able to fail"


@pytest.mark.statistical
def test_any_encoders_lose_the_kl_to_the_exact_posterior(oracle, make):
    """Master identity: ELBO(q; S) = log p(x_S) - KL(q || p(z|x_S)), for the product with the prior expert."""
    model, values = make("mvae", oracle, encoder="rough"), repeated(oracle.sample(1), 20_000)
    exact = torch.zeros((), dtype=torch.float64)
    for subset in (("s", "t"), ("s",), ("t",)):
        some = {name: values[name][:1] for name in subset}
        q, p = model.posterior(some), oracle.posterior(some)
        exact = exact + (oracle.log_marginal(some) - kl_gaussian(q, p))[0].detach()
    losses = torch.stack([model.objective(values, noise=noise(k)).loss.detach() for k in range(20)])
    assert within(-losses, exact)


def test_a_single_observed_modality_counts_once(oracle, make):
    model, values = make("mvae", oracle, encoder="expert"), {"s": oracle.sample(6)["s"]}
    q = model.posterior(values)
    z = q.rsample(1, noise().child("s"))
    elbo = model.log_likelihood("s", values["s"], z)[0] - kl_gaussian(q, oracle.standard(6))
    assert torch.allclose(model.objective(values, noise=noise()).loss, -elbo.mean(), atol=1e-12)


def test_a_modality_is_reconstructed_only_by_the_subsets_that_hold_it(oracle, make):
    """The decoder of t gets no gradient from ELBO({s}); with s alone observed it gets none at all."""
    model, values = make("mvae", oracle, encoder="rough"), oracle.sample(6)
    model.objective({"s": values["s"]}, noise=noise()).loss.backward()
    assert gradients(model)["decoders.t.weight"].abs().max() == 0
    assert gradients(model)["encoders.t.weight"].abs().max() == 0


def test_random_subsets_add_elbos_of_pairs(make):
    values = THREE.sample(6)
    plain = make("mvae", THREE, encoder="expert", subsets=0).objective(values, noise=noise())
    added = make("mvae", THREE, encoder="expert", subsets=2).objective(values, noise=noise())
    extra = added.terms["elbo/random 0"] + added.terms["elbo/random 1"]
    assert torch.allclose(added.loss, plain.loss - extra, atol=1e-10)


@pytest.mark.statistical
def test_random_subsets_are_pairs_drawn_uniformly_for_every_row(make):
    """With exact experts the mean of a random ELBO is the mean evidence over the three pairs."""
    values = repeated(THREE.sample(1), 5000)
    pairs = [("s", "t"), ("s", "u"), ("t", "u")]
    exact = torch.stack([THREE.log_marginal({n: values[n] for n in pair})[0] for pair in pairs]).mean()
    model = make("mvae", THREE, encoder="expert")
    drawn = torch.stack([model.objective(values, noise=noise(k)).terms["elbo/random 0"] for k in range(30)])
    assert within(drawn, exact)
    assert not within(drawn, exact + 0.5), "the check must be able to fail"


def test_order_of_modalities_does_not_matter(make):
    values = THREE.sample(6)
    model = make("mvae", THREE, encoder="rough")
    other = MVAE(THREE.modalities[::-1], model.settings, THREE.arch, THREE.coders(encoder="rough")).double()
    assert torch.allclose(
        model.posterior(values).mean, other.posterior(dict(reversed(values.items()))).mean, atol=1e-12
    )


def test_annealing_and_beta_scale_the_kl_alone(oracle, make):
    values = oracle.sample(6)
    full = make("mvae", oracle, encoder="rough").objective(values, noise=noise())
    kl = sum(value for name, value in full.terms.items() if name.startswith("kl/"))
    for settings, progress, weight in [
        ({"beta": 3.0}, 1.0, 3.0),
        ({"anneal": 0.5}, 0.25, 0.5),
        ({"anneal": 0.5}, 0.75, 1.0),
        ({"anneal": 4.0}, 1.0, 0.25),
        ({"beta": 0.0}, 1.0, 0.0),
    ]:
        model = make("mvae", oracle, encoder="rough", **settings)
        found = model.objective(values, noise=noise(), progress=progress)
        assert torch.allclose(found.loss - full.loss, (weight - 1) * kl, atol=1e-10)


def test_a_product_adds_precisions_is_associative_and_ignores_an_expert_of_infinite_variance():
    experts = [Gaussian(torch.randn(4, 3).double(), torch.rand(4, 3).double() + 0.5) for _ in range(3)]
    whole = product(experts, prior_expert=True)
    precision = 1 + sum(q.scale**-2 for q in experts)
    mean = sum(q.location * q.scale**-2 for q in experts) / precision
    assert torch.allclose(whole.scale**-2, precision, atol=1e-10)
    assert torch.allclose(whole.location, mean, atol=1e-10)
    nested = product([product(experts[:2], prior_expert=False), experts[2]], prior_expert=True)
    assert torch.allclose(nested.location, whole.location, atol=1e-10)
    wide = Gaussian(torch.full((4, 3), 7.0).double(), torch.full((4, 3), 1e12).double())
    assert torch.allclose(product([*experts, wide], prior_expert=True).location, whole.location, atol=1e-9)
    alone = product(experts[:1], prior_expert=False)
    assert torch.allclose(alone.location, experts[0].location)
    assert torch.allclose(alone.scale, experts[0].scale)
    assert (whole.scale <= 1).all()
