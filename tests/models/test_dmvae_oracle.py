"""DMVAE on the linear-Gaussian oracle with private latents, x_m = U_m z + V_m w_m + b_m + e.

As [U_m V_m] has orthogonal columns, the posterior p(z, w|X) is diagonal: z gathers the experts U_m^T x_m and the prior,
and w_m depends on x_m alone. With independent Gaussians q_s(z) and q_m(w_m) every ELBO loses its KL to it:

    R_s - KL(q_s || p) - sum_m KL(q_m(w_m) || p)
        = log p(X) - KL(q_s || p(z|X)) - sum_m KL(q_m(w_m) || p(w_m|x_m)),
    E[log p_m(x_m|z, w_m)] - KL(q_s || p) - KL(q_m(w_m) || p)
        = log p(x_m) - KL(q_s q_m(w_m) || p(z, w_m|x_m)).

The first is a source's term in the form `multivae`, the second that of a source and a target in the form `paper`.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from mmbench.metrics.likelihood import LogLikelihoods
from mmbench.models.dmvae import DMVAE, PRODUCT
from mmbench.models.posteriors import Gaussian, kl_gaussian
from mmbench.seeding import Noise
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian
from mmbench.testing.private_linear_gaussian import PrivateLinearGaussian

TWO = PrivateLinearGaussian()
THREE = PrivateLinearGaussian(sizes={"s": 4, "t": 4, "u": 5}, private=2)
PLAIN = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
FORMS = ["paper", "multivae"]


class SameNoise(Noise):
    """The same numbers for every role."""

    def normal(self, name: str, shape) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def child(self, name: str) -> Noise:
        return self


class Counter(nn.Module):
    """A network that counts its calls, and the rows they had."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.rows = network, []

    def forward(self, x: Tensor):
        self.rows.append(len(x))
        return self.network(x)


def made(make, oracle, *, encoder="rough", **settings) -> DMVAE:
    """A model on the oracle; `exact` encodes the likelihood alone as expert of z, and p(w_m|x_m)."""
    model = make(
        "dmvae", oracle, encoder="expert" if encoder == "exact" else encoder, private=oracle.private, **settings
    )
    if encoder == "exact":
        with torch.no_grad():
            for name, network in model.encoders.items():
                exact = oracle.each.coder(name).encoder
                for own, other in zip(network.parameters(), exact.parameters(), strict=True):
                    own[oracle.shared :] = other[oracle.shared :]
    return model


def parts(q: Gaussian, border: int) -> tuple[Gaussian, Gaussian]:
    return Gaussian(q.location[:, :border], q.scale[:, :border]), Gaussian(q.location[:, border:], q.scale[:, border:])


def encoded(model, values) -> tuple[dict[str, Gaussian], dict[str, Gaussian]]:
    """Sources of z and private posteriors, by their definition: precisions add up, the prior's to those of P."""
    border = model.layout.shared.stop
    both = {name: parts(model.encode(name, x).detached(), border) for name, x in values.items()}
    experts = {name: pair[0] for name, pair in both.items()}
    precision = 1 + sum(q.scale**-2 for q in experts.values())
    joint = Gaussian(sum(q.location * q.scale**-2 for q in experts.values()) / precision, precision**-0.5)
    return {**experts, PRODUCT: joint}, {name: pair[1] for name, pair in both.items()}


def shared_posterior(oracle, values) -> Gaussian:
    """p(z|x_S): the prior and the likelihoods of every x_m as Gaussians in z."""
    experts = [parts(oracle.each.expert(name, x), oracle.shared)[0] for name, x in values.items()]
    precision = 1 + sum(q.scale**-2 for q in experts)
    return Gaussian(sum(q.location * q.scale**-2 for q in experts) / precision, precision**-0.5)


def exact_value(oracle, model, values, form) -> Tensor:
    """L of row 0 by the identities of the module text."""
    sources, private = encoded(model, values)
    posteriors = {name: parts(oracle.each.posterior({name: x}), oracle.shared) for name, x in values.items()}
    own = {name: kl_gaussian(private[name], posteriors[name][1]) for name in values}
    total = torch.zeros((), dtype=torch.float64)
    for q in sources.values():
        if form == "multivae":
            gap = kl_gaussian(q, shared_posterior(oracle, values)) + sum(own.values())
            total = total + oracle.log_marginal(values) - gap
            continue
        for name, x in values.items():
            total = total + oracle.log_marginal({name: x}) - kl_gaussian(q, posteriors[name][0]) - own[name]
    return total[0].detach()


def drawn_losses(model, values, n: int = 20) -> Tensor:
    with torch.no_grad():
        return torch.stack([model.objective(values, noise=noise(k)).loss for k in range(n)])


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoder", ["posterior", "rough"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_value_is_a_sum_of_likelihoods_less_the_kls_to_exact_posteriors(oracle, encoder, form, make):
    model = made(make, oracle, encoder=encoder, form=form)
    values = repeated(oracle.sample(1), 3000)
    found, exact = -drawn_losses(model, values), exact_value(oracle, model, values, form)
    assert within(found, exact)
    assert not within(found, exact + 1.0), "the check must be able to fail"
    (other,) = set(FORMS) - {form}
    assert not within(found, exact_value(oracle, model, values, other)), "forms must be told apart"


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_exact_experts_give_all_evidences_less_the_kls_of_the_experts(oracle, make):
    """(M+1) log p(X) - sum_m KL(expert_m || p(z|X)) in the form `multivae`: the product's own term is exact."""
    row = oracle.sample(1)
    model = made(make, oracle, encoder="exact", form="multivae")
    experts = [parts(oracle.each.expert(name, x), oracle.shared)[0] for name, x in row.items()]
    gap = sum(kl_gaussian(q, shared_posterior(oracle, row)) for q in experts)
    exact = (len(row) + 1) * oracle.log_marginal(row) - gap
    assert gap > 0.1
    assert within(-drawn_losses(model, repeated(row, 10_000)), exact[0])


@pytest.mark.parametrize("form", ["paper", "multivae", "released"])
def test_every_term_has_its_own_closed_form(form, make):
    """Reconstructions and KLs, one by one; the loss is their weighted sum, a mean over the batch."""
    beta, private_beta = 2.0, 0.3
    model = made(make, THREE, form=form, beta=beta, private_beta=private_beta)
    model.weights["t"] = 3.0
    values = THREE.sample(6)
    sources, private = encoded(model, values)
    found = model.objective(values, noise=SameNoise())
    eps = SameNoise().normal("w", (3 if form == "released" else 4, 6, 2))
    total = 0.0
    for k, (source, q) in enumerate(sources.items()):
        if form == "released" and source == PRODUCT:
            assert not any(name.endswith(PRODUCT) for name in found.terms if name.startswith("log_likelihood/"))
            continue
        z = q.location + q.scale * SameNoise().normal("z", (1, 6, 2))[0]
        for name, x in values.items():
            w = private[name].location + private[name].scale * eps[k]
            mean = torch.cat([z, w], -1) @ THREE.each.weight(name).T + THREE.each.bias(name)
            constant = x.shape[-1] * torch.tensor(2 * torch.pi * THREE.noise**2).double().log()
            expected = -0.5 * ((x - mean).square().sum(-1) / THREE.noise**2 + constant).mean()
            expected = expected * (3.0 if name == "t" else 1.0)
            assert torch.allclose(found.terms[f"log_likelihood/{name}|{source}"], expected, atol=1e-10)
            total = total + expected
    standard = LinearGaussian(dim=2).standard(6)
    for source, q in sources.items():
        kl = kl_gaussian(q, standard).mean()
        assert torch.allclose(found.terms[f"kl/{source}"], kl, atol=1e-10)
        total = total - beta * (1 if form == "multivae" else 3) * kl
    for name, q in private.items():
        kl = kl_gaussian(q, standard).mean()
        assert torch.allclose(found.terms[f"kl/private/{name}"], kl, atol=1e-10)
        total = total - private_beta * 4 * kl
    assert torch.allclose(found.loss, -total, atol=1e-9)


def test_sources_and_targets_draw_independently(make):
    """No two latents share their noise: the rows that decoders read differ wherever their distributions agree."""
    model = made(make, TWO, encoder="rough", form="multivae")
    with torch.no_grad():
        for network in model.encoders.values():
            network.weight.zero_()
            network.bias.zero_()
            network.log_scale.zero_()
    seen = {}
    for name, network in model.decoders.items():
        network.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, args[0]))
    model.objective(TWO.sample(5), noise=noise())
    read = torch.stack([seen["s"].reshape(3, 5, 3), seen["t"].reshape(3, 5, 3)])
    shared, private = read[..., :2], read[..., 2]
    assert torch.equal(shared[0], shared[1]), "all targets of a source have its z"
    assert len(shared[0].flatten(0, 1).unique(dim=0)) == 15
    assert len(private.flatten().unique()) == 30


# Its forms and relatives ----------------------------------------------------------------------------------------------
def test_without_private_parts_it_is_mvaes_joint_term_and_mmvaes_naive_one(make):
    """Form `multivae`: the ELBO of the product with the prior, and M times the mean ELBO of the single experts."""
    values = PLAIN.sample(7)
    model = make("dmvae", PLAIN, encoder="rough", form="multivae", private=0)
    mvae = make("mvae", PLAIN, encoder="rough", subsets=0)
    mmvae = make("mmvae", PLAIN, encoder="rough", objective="naive", k=1)
    found = model.objective(values, noise=SameNoise()).loss
    joint = mvae.objective(values, noise=SameNoise()).terms["elbo/s+t+u"]
    single = mmvae.objective(values, noise=SameNoise()).loss
    assert torch.allclose(found, -joint + 3 * single, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_of_one_modality_without_a_private_part_it_is_a_vae_and_an_mvae(form, make):
    one = LinearGaussian(sizes={"s": 5}, dim=3)
    losses = {
        name: make(name, one, encoder="rough", **settings).objective(one.sample(7), noise=SameNoise()).loss
        for name, settings in (("dmvae", {"form": form, "private": 0}), ("vae", {}), ("mvae", {}))
    }
    assert torch.allclose(losses["dmvae"], losses["vae"] + losses["mvae"], rtol=0, atol=1e-12)


# Some modalities, and its posterior -----------------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["paper", "multivae", "released"])
@pytest.mark.parametrize("observed", [("t",), ("s", "u")])
def test_rows_with_some_modalities_are_rows_of_a_model_that_has_no_others(observed, form, make):
    model, values = made(make, THREE, form=form), THREE.sample(6)
    some = {name: values[name] for name in observed}
    specs = [spec for spec in THREE.modalities if spec.name in observed]
    arch = replace(THREE.arch, latent_dim=THREE.shared + THREE.private * len(observed))
    coders = {name: THREE.each.coder(name, encoder="rough") for name in observed}
    fewer = DMVAE(specs, model.settings, arch, coders).double()
    found, expected = (m.objective(some, noise=noise()).loss for m in (model, fewer))
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    found.backward()
    for name, gradient in gradients(model).items():
        assert (gradient.abs().max() > 0) == (name.split(".")[1] in observed)


@pytest.mark.parametrize("alone", ["expert", "product"])
@pytest.mark.parametrize("subset", [("t",), ("s", "u"), ("s", "t", "u")])
def test_posterior_has_the_experts_of_the_subset_and_the_prior_for_private_parts_of_the_rest(subset, alone, make):
    model, values = made(make, THREE, alone=alone), THREE.sample(5)
    some = {name: values[name] for name in subset}
    sources, private = encoded(model, some)
    q = model.posterior(some)
    shared = sources["t"] if len(subset) == 1 and alone == "expert" else sources[PRODUCT]
    assert torch.allclose(q.mean[:, model.layout.shared], shared.location, atol=1e-12)
    assert torch.allclose(q.stddev[:, model.layout.shared], shared.scale, atol=1e-12)
    for name, part in model.layout.private.items():
        own = private.get(name, LinearGaussian(dim=2).standard(5))
        assert torch.allclose(q.mean[:, part], own.location, atol=1e-12)
        assert torch.allclose(q.stddev[:, part], own.scale, atol=1e-12)


def test_likelihoods_of_every_subset_are_exact_where_the_posterior_is(make):
    """Importance weights have no spread: log p(x_S) by any number of samples, and log p(x_A|x_B) as a difference."""
    model, values = made(make, TWO, encoder="exact", alone="product"), TWO.sample(4)
    answers = LogLikelihoods(model, values, k=2, noise=noise())
    for target in (("s", "t"), ("s",), ("t",)):
        exact = TWO.log_marginal({name: values[name] for name in target})
        assert torch.allclose(answers.of(target, ()).value, exact, atol=1e-9)


@pytest.mark.parametrize(("form", "sources"), [("paper", 3), ("multivae", 3), ("released", 2)])
def test_each_network_is_called_once_for_all_sources_that_are_decoded(form, sources, make):
    model, values = made(make, THREE, form=form), THREE.sample(6)
    for networks in (model.encoders, model.decoders):
        for name in THREE.names:
            networks[name] = Counter(networks[name])
    model.objective({n: values[n] for n in ("s", "u")}, noise=noise())
    assert {name: network.rows for name, network in model.encoders.items()} == {"s": [6], "t": [], "u": [6]}
    assert {name: network.rows for name, network in model.decoders.items()} == {
        "s": [6 * sources],
        "t": [],
        "u": [6 * sources],
    }
