"""CRMVAE on the linear-Gaussian oracle: the likelihoods it stands on, and what its KLs add to them or take away.

With q the product of the experts q_m, every reconstruction is a likelihood by the identity of the ELBO,

    sum_m E_q[log p_m(x_m|z)]  = log p(X)   + KL(q || N(0, I))   - KL(q || p(z|X)),
    E_{q_m}[log p_m(x_m|z)]    = log p(x_m) + KL(q_m || N(0, I)) - KL(q_m || p(z|x_m)),

so that (M+1) L is half the sum of all of these, less beta { KL(q || N(0, I)) + sum_m KL(q || q_m) }.
`LinearGaussian.log_marginal` and `posterior` are these, by another route than the objective's reconstructions.
"""

import pytest
import torch
from torch import Tensor, nn

from mmbench.models.crmvae import CRMVAE
from mmbench.models.posteriors import Gaussian, kl_gaussian
from mmbench.seeding import Noise
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
BETAS = [0.5, 1.0, 2.5]


class SameNoise(Noise):
    """The same numbers for every role: models that name their roles differently draw alike."""

    def normal(self, name: str, shape) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def child(self, name: str) -> Noise:
        return self


class ProductEncoder(nn.Module):
    """The product of single encoders as a joint encoder."""

    def __init__(self, encoders: nn.ModuleDict) -> None:
        super().__init__()
        self.encoders = encoders

    def forward(self, values):
        q = product_of(Gaussian(*self.encoders[name](x)) for name, x in values.items())
        return q.location, q.scale


def product_of(experts) -> Gaussian:
    """Precisions add up, and means weighted by them; no prior."""
    experts = list(experts)
    precision = sum(q.scale**-2 for q in experts)
    return Gaussian(sum(q.location * q.scale**-2 for q in experts) / precision, precision**-0.5)


def experts_of(model, values) -> dict[str, Gaussian]:
    return {name: model.encode(name, x).detached() for name, x in values.items()}


def exact_value(oracle, model, values, beta) -> Tensor:
    """L of row 0 by the identities of the module text."""
    experts = experts_of(model, values)
    q = product_of(experts.values())
    standard = oracle.standard(len(q.location))
    likelihoods = oracle.log_marginal(values) + kl_gaussian(q, standard) - kl_gaussian(q, oracle.posterior(values))
    for name, expert in experts.items():
        one = {name: values[name]}
        likelihoods = likelihoods + oracle.log_marginal(one)
        likelihoods = likelihoods + kl_gaussian(expert, standard) - kl_gaussian(expert, oracle.posterior(one))
    kls = kl_gaussian(q, standard) + sum(kl_gaussian(q, expert) for expert in experts.values())
    return ((0.5 * likelihoods - beta * kls) / (len(experts) + 1))[0].detach()


def drawn_losses(model, values, n: int = 20) -> Tensor:
    with torch.no_grad():
        return torch.stack([model.objective(values, noise=noise(k)).loss for k in range(n)])


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("encoder", ["expert", "posterior", "rough"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_value_is_made_of_likelihoods_and_kls(oracle, encoder, beta, make):
    model = make("crmvae", oracle, encoder=encoder, beta=beta)
    values = repeated(oracle.sample(1), 3000)
    exact = exact_value(oracle, model, values, beta)
    found = -drawn_losses(model, values)
    assert within(found, exact)
    assert not within(found, exact + 0.1), "the check must be able to fail"
    for other in (b for b in BETAS if b != beta):
        assert not within(found, exact_value(oracle, model, values, other)), "betas must be told apart"


def test_every_term_has_its_own_closed_form(make):
    """Reconstructions and KLs, one by one; the loss is their weighted sum, a mean over the batch."""
    model, values = make("crmvae", THREE, encoder="rough", beta=2.5), THREE.sample(6)
    model.weights["t"] = 3.0
    experts, found = experts_of(model, values), model.objective(values, noise=SameNoise())
    q, eps = product_of(experts.values()), SameNoise().normal("z", (1, 6, 2))[0]
    for name, x in values.items():
        for source, label in ((q, ""), (experts[name], f"|{name}")):
            z = source.location + source.scale * eps
            error = (x - z @ THREE.weight(name).T - THREE.bias(name)).square().sum(-1) / THREE.noise**2
            constant = x.shape[-1] * torch.tensor(2 * torch.pi * THREE.noise**2).double().log()
            expected = -0.5 * (error + constant).mean() * (3.0 if name == "t" else 1.0)
            assert torch.allclose(found.terms[f"log_likelihood/{name}{label}"], expected, atol=1e-10)
        assert torch.allclose(found.terms[f"kl/{name}"], kl_gaussian(q, experts[name]).mean(), atol=1e-10)
    assert torch.allclose(found.terms["kl"], kl_gaussian(q, THREE.standard(6)).mean(), atol=1e-10)
    reconstruction = sum(value for name, value in found.terms.items() if name.startswith("log_likelihood/"))
    kls = sum(value for name, value in found.terms.items() if name.startswith("kl"))
    assert torch.allclose(found.loss, -(reconstruction / 2 - 2.5 * kls) / 4, atol=1e-10)


# Its relatives --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("beta", BETAS)
def test_it_is_jmvae_with_the_product_as_joint_encoder_and_reconstructions_from_every_expert(beta, make):
    values = THREE.sample(7)
    model = make("crmvae", THREE, encoder="rough", beta=beta)
    jmvae = make("jmvae", THREE, encoder="rough", alpha=2 * beta, beta=2 * beta)
    jmvae.joint = ProductEncoder(jmvae.encoders)
    found, other = (m.objective(values, noise=SameNoise()) for m in (model, jmvae))
    own = sum(found.terms[f"log_likelihood/{name}|{name}"] for name in values)
    assert torch.allclose(2 * 4 * found.loss, other.loss - own, rtol=0, atol=1e-10)


@pytest.mark.parametrize("beta", BETAS)
def test_its_kls_have_the_weights_of_mvtcaes(beta, make):
    """At alpha = M/(M+1): what is left of the difference are reconstructions, M/(M+1) from q there, halves here."""
    values = THREE.sample(7)
    model = make("crmvae", THREE, encoder="rough", beta=beta)
    mvtcae = make("mvtcae", THREE, encoder="rough", alpha=3 / 4, beta=beta)
    found, other = (m.objective(values, noise=SameNoise()) for m in (model, mvtcae))
    joint = sum(found.terms[f"log_likelihood/{name}"] for name in values)
    own = sum(found.terms[f"log_likelihood/{name}|{name}"] for name in values)
    difference = -(joint + own) / 8 + 3 / 4 * joint
    assert torch.allclose(found.loss - other.loss, difference, rtol=0, atol=1e-10)


@pytest.mark.parametrize("beta", BETAS)
def test_of_one_modality_half_a_vae_is_left(beta, make):
    values = ONE.sample(7)
    model, vae = make("crmvae", ONE, encoder="rough", beta=beta), make("vae", ONE, encoder="rough", beta=beta)
    found = model.objective(values, noise=SameNoise())
    assert torch.allclose(found.loss, vae.objective(values, noise=SameNoise()).loss / 2, rtol=0, atol=1e-12)
    assert found.terms["kl/s"].abs() < 1e-12


# Some modalities ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("observed", [("t",), ("s", "u")])
def test_rows_with_some_modalities_are_rows_of_a_model_that_has_no_others(observed, make):
    model, values = make("crmvae", THREE, encoder="rough"), THREE.sample(6)
    some = {name: values[name] for name in observed}
    specs = [spec for spec in THREE.modalities if spec.name in observed]
    coders = {name: THREE.coder(name, encoder="rough") for name in observed}
    fewer = CRMVAE(specs, model.settings, THREE.arch, coders).double()
    found, expected = (m.objective(some, noise=noise()).loss for m in (model, fewer))
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    found.backward()
    for name, gradient in gradients(model).items():
        assert (gradient.abs().max() > 0) == (name.split(".")[1] in observed)


def test_posterior_of_a_subset_is_its_product_without_the_prior(make):
    model, values = make("crmvae", THREE, encoder="rough"), THREE.sample(5)
    for subset in (("s",), ("t", "u"), ("s", "t", "u")):
        some = {name: values[name] for name in subset}
        expected, found = product_of(experts_of(model, some).values()), model.posterior(some)
        assert torch.allclose(found.mean, expected.location, atol=1e-12)
        assert torch.allclose(found.stddev, expected.scale, atol=1e-12)


def test_the_samples_of_product_and_experts_are_independent(make):
    """With exact posteriors of one modality the two reconstructions have the same mean, but not the same sample."""
    model, values = make("crmvae", ONE), ONE.sample(6)
    terms = model.objective(values, noise=noise()).terms
    assert not torch.allclose(terms["log_likelihood/s"], terms["log_likelihood/s|s"], atol=1e-3)


def test_the_experts_learn_from_what_they_reconstruct_alone(make):
    """Without KLs and with likelihoods that are flat but for t, expert s still follows q, and expert t follows both."""
    model, values = make("crmvae", TWO, encoder="rough", beta=0.0), TWO.sample(6)
    model.weights["s"] = 0.0
    model.objective(values, noise=noise()).loss.backward()
    found = gradients(model)
    assert found["encoders.s.weight"].abs().max() > 0, "through the product"
    assert found["encoders.t.weight"].abs().max() > 0
    assert found["decoders.s.weight"].abs().max() == 0
