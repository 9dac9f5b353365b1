"""mmJSD on the linear-Gaussian oracle: its value in closed form, the divergences' identities, and what is decoded."""

import math

import pytest
import torch
from torch import Tensor

from mmbench.errors import InvalidSetting
from mmbench.models.mmjsd import MMJSD, arithmetic_divergence, geometric_divergence
from mmbench.models.posteriors import Diagonal, Gaussian, geometric_mean, kl_gaussian
from mmbench.testing.checks import ZeroNoise, gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
SMALL = LinearGaussian(dim=1, noise=0.3)


def some_components(count: int, *, rows: int = 4, dim: int = 3, seed: int = 0) -> list[Gaussian]:
    """Arbitrary Gaussians with gradients."""
    source = torch.Generator().manual_seed(seed)
    return [
        Gaussian(
            torch.randn(rows, dim, generator=source, dtype=torch.float64).requires_grad_(),
            (torch.rand(rows, dim, generator=source, dtype=torch.float64) + 0.3).requires_grad_(),
        )
        for _ in range(count)
    ]


def by_pairs(components, weights) -> Tensor:
    """sum_{nu,mu} pi_nu pi_mu KL(q_nu || q_mu) + log Z, `[B]`.

    KL(q_nu || f) = E[log q_nu - sum_mu pi_mu log q_mu] + log Z = sum_mu pi_mu KL(q_nu || q_mu) + log Z, and completing
    the square gives Z = int prod_nu q_nu^pi_nu dz: with T = sum pi tau and n = sum pi tau mu,
    log Z = 1/2 sum_d [ sum pi log tau - log T - sum pi tau mu^2 + n^2 / T ] for weights that sum to one.
    """
    pairs = sum(
        a * b * kl_gaussian(q, p)
        for a, q in zip(weights, components, strict=True)
        for b, p in zip(weights, components, strict=True)
    )
    tau = [q.scale**-2 for q in components]
    total = sum(w * t for w, t in zip(weights, tau, strict=True))
    shift = sum(w * t * q.location for w, t, q in zip(weights, tau, components, strict=True))
    logs = sum(w * t.log() for w, t in zip(weights, tau, strict=True))
    squares = sum(w * t * q.location**2 for w, t, q in zip(weights, tau, components, strict=True))
    log_z = 0.5 * (logs - total.log() - squares + shift**2 / total).sum(-1)
    assert (log_z <= 1e-12).all(), "a geometric mean has at most the mass 1"
    return pairs + log_z


def by_quadrature(components, weights) -> Tensor:
    """sum_nu pi_nu int q_nu (log q_nu - log sum_mu pi_mu q_mu) dz of one-dimensional components, `[B]`."""
    z = torch.linspace(-12, 12, 6001, dtype=torch.float64)[:, None, None]
    logs = torch.stack([q.log_prob(z.expand(-1, len(q.location), -1)) for q in components])
    pi = torch.tensor(weights, dtype=torch.float64)[:, None, None]
    log_f = (logs + pi.log()).logsumexp(0)
    return (pi * logs.exp() * (logs - log_f)).sum((0, 1)) * (24 / 6000)


def uniform(count: int) -> list[float]:
    return [1 / count] * count


def samples_of(components: list[Diagonal], k: int, key: int = 0) -> Tensor:
    return torch.stack([q.rsample(k, noise(key).child(str(i))) for i, q in enumerate(components)])


def with_prior(model, values):
    """The experts and the prior, and their weights."""
    experts = [model.encode(name, x) for name, x in values.items()]
    w = model.settings.prior_weight
    total = len(experts) + w
    prior = Gaussian(torch.zeros_like(experts[0].location), torch.ones_like(experts[0].scale))
    return [*experts, prior], [1 / total] * len(experts) + [w / total]


def expected_reconstruction(oracle, values, components) -> Tensor:
    """Mean over the components of sum_n E_q[log p_n], row 0."""
    each = [sum(oracle.expected_log_likelihood(n, x, q)[0] for n, x in values.items()) for q in components]
    return torch.stack(each).mean()


def exact_value(oracle, model, values) -> Tensor:
    """sum_m pi~_m sum_n Elik_n(q_m) - beta JS_geo of row 0, all in closed form; the prior decodes nothing."""
    components, weights = with_prior(model, values)
    divergence = by_pairs(components, weights)[0]
    return (expected_reconstruction(oracle, values, components[:-1]) - model.settings.beta * divergence).detach()


def drawn_values(model, values, n: int) -> Tensor:
    return torch.stack([-model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


# The divergences ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weights", [uniform(3), [0.2, 0.3, 0.5]])
def test_geometric_divergence_is_the_mean_of_all_pairs_plus_the_log_mass(weights):
    components = some_components(3)
    found = geometric_divergence(components, weights)
    assert torch.allclose(found, by_pairs(components, weights), atol=1e-12)
    f = geometric_mean(components, weights)
    swapped = sum(w * kl_gaussian(f, q) for q, w in zip(components, weights, strict=True))
    assert not torch.allclose(found, swapped, atol=1e-2), "the direction of the KL"


def test_geometric_mean_is_the_normalised_product_of_powers():
    components, weights = some_components(3), [0.2, 0.3, 0.5]
    f = geometric_mean(components, weights)
    z = torch.randn(50, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    powers = sum(w * q.log_prob(z) for q, w in zip(components, weights, strict=True))
    difference = f.log_prob(z) - powers
    assert torch.allclose(difference, difference[:1].expand_as(difference), atol=1e-10), "a constant in z, -log Z"
    alone = geometric_mean(components[:1], [1.0])
    assert torch.allclose(alone.location, components[0].location, atol=1e-12)
    assert torch.allclose(alone.scale, components[0].scale, atol=1e-12)


def test_divergences_of_equal_components_are_zero():
    """The arithmetic one for every sample."""
    components = some_components(1) * 3
    for weights in (uniform(3), [0.2, 0.3, 0.5]):
        assert geometric_divergence(components, weights).abs().max() < 1e-12
        assert arithmetic_divergence(components, weights, samples_of(components, 2)).abs().max() < 1e-12


@pytest.mark.statistical
def test_arithmetic_divergence_and_its_gradient_have_the_mean_of_the_integral():
    components, weights = some_components(3, rows=2, dim=1), [0.2, 0.3, 0.5]
    parameters = [p for q in components for p in (q.location, q.scale)]
    exact = by_quadrature(components, weights)
    wanted = torch.cat([exact, *(g.flatten() for g in torch.autograd.grad(exact.sum(), parameters))]).detach()
    found = []
    for key in range(60):
        value = arithmetic_divergence(components, weights, samples_of(components, 300, key))
        found.append(torch.cat([value, *(g.flatten() for g in torch.autograd.grad(value.sum(), parameters))]).detach())
    assert within(torch.stack(found), wanted)
    assert not within(torch.stack(found), wanted + 0.05), "the check must be able to fail"


@pytest.mark.statistical
@pytest.mark.parametrize("seed", range(3))
def test_divergences_come_in_their_order(seed):
    """0 <= JS_arithmetic <= JS_geometric, and JS_arithmetic <= log E; that for every sample."""
    components, weights = some_components(4, seed=seed), uniform(4)
    found = torch.stack([arithmetic_divergence(components, weights, samples_of(components, 1, k)) for k in range(300)])
    assert (found <= math.log(4) + 1e-12).all()
    slack = 5 * found.std(0) / 300**0.5
    assert (found.mean(0) > slack).all()
    assert (found.mean(0) + slack < geometric_divergence(components, weights)).all()
    far = [Gaussian(q.location + 100 * i, q.scale) for i, q in enumerate(components)]
    assert torch.allclose(
        arithmetic_divergence(far, weights, samples_of(far, 1)), torch.tensor(4.0).double().log(), atol=1e-12
    )


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("settings", [{}, {"beta": 2.5, "prior_weight": 0.4}])
@pytest.mark.parametrize("oracle", [ONE, TWO, THREE], ids=["one", "two", "three"])
def test_value_is_the_mean_reconstruction_of_the_experts_less_the_divergence(oracle, settings, make):
    model = make("mmjsd", oracle, encoder="rough", sampling="enumerate", **settings)
    values = repeated(oracle.sample(1), 10_000)
    found = drawn_values(model, values, 20)
    assert within(found, exact_value(oracle, model, values))
    assert not within(found, exact_value(oracle, model, values) + 0.15), "the check must be able to fail"


@pytest.mark.statistical
@pytest.mark.parametrize("sampling", ["row", "enumerate"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_prior_samples_are_not_asked_to_reconstruct(oracle, sampling, make):
    """With the prior among the decoded components the value would be (sum_m Elik(q_m) + Elik(p)) / (M + 1) - JS."""
    model, values = make("mmjsd", oracle, encoder="rough", sampling=sampling), repeated(oracle.sample(1), 3000)
    found = drawn_values(model, values, 20)
    components, weights = with_prior(model, values)
    slip = expected_reconstruction(oracle, values, components) - by_pairs(components, weights)[0]
    assert within(found, exact_value(oracle, model, values))
    assert not within(found, slip.detach())


@pytest.mark.statistical
@pytest.mark.parametrize("observed", [("s",), ("u",), ("s", "u"), ("t", "u")])
def test_rows_with_missing_modalities_drop_their_experts_and_renormalise_the_weights(observed, make):
    model = make("mmjsd", THREE, encoder="rough", sampling="enumerate", prior_weight=0.4)
    values = repeated({n: x for n, x in THREE.sample(1).items() if n in observed}, 3000)
    assert within(drawn_values(model, values, 20), exact_value(THREE, model, values))


@pytest.mark.parametrize("settings", [{}, {"prior_weight": 0.4, "sampling": "enumerate"}, {"prior": "arithmetic"}])
def test_loss_on_some_modalities_is_that_of_a_model_of_those_alone(settings, make):
    whole, values = make("mmjsd", THREE, encoder="rough", **settings), THREE.sample(6)
    for observed in (("s",), ("s", "u")):
        specs = [spec for spec in THREE.modalities if spec.name in observed]
        coders = {name: THREE.coder(name, encoder="rough") for name in observed}
        part = MMJSD(specs, whole.settings, THREE.arch, coders).double()
        some = {name: values[name] for name in observed}
        losses = [model.objective(some, noise=noise()).loss for model in (whole, part)]
        assert torch.allclose(losses[0], losses[1], atol=1e-12)
    whole.objective({"s": values["s"]}, noise=noise()).loss.backward()
    assert all(g.abs().max() == 0 for name, g in gradients(whole).items() if ".s." not in name)


@pytest.mark.statistical
@pytest.mark.parametrize("k", [1, 4])
def test_with_the_arithmetic_prior_the_value_has_the_integral(k, make):
    model = make("mmjsd", SMALL, encoder="rough", prior="arithmetic", sampling="enumerate", prior_weight=0.4, k=k)
    values = repeated(SMALL.sample(1), 3000)
    components, weights = with_prior(model, {name: x[:1] for name, x in values.items()})
    reconstruction = expected_reconstruction(SMALL, values, [model.encode(n, x) for n, x in values.items()])
    exact = (reconstruction - by_quadrature(components, weights)[0]).detach()
    found = drawn_values(model, values, 20)
    assert within(found, exact)
    other = exact_value(SMALL, make("mmjsd", SMALL, encoder="rough", prior_weight=0.4), values)
    assert not within(found, other), "the geometric one is another number"


def test_the_divergence_is_zero_where_every_expert_is_the_prior(make):
    for prior in ("geometric", "arithmetic"):
        model, values = make("mmjsd", THREE, prior=prior), THREE.sample(5)
        with torch.no_grad():
            for encoder in model.encoders.values():
                for parameter in encoder.parameters():
                    parameter.zero_()
        assert model.objective(values, noise=noise()).terms["divergence"].abs() < 1e-12


def test_beta_and_the_modalities_weights_scale_their_terms(make):
    values = TWO.sample(6)
    plain = make("mmjsd", TWO, encoder="rough").objective(values, noise=noise())
    model = make("mmjsd", TWO, encoder="rough", beta=2.5)
    model.weights["t"] = 3.0
    expected = plain.loss + 1.5 * plain.terms["divergence"] - 2 * plain.terms["log_likelihood/t"]
    assert torch.allclose(model.objective(values, noise=noise()).loss, expected, atol=1e-12)


# Drawing an expert ----------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_drawing_an_expert_for_each_row_has_the_mean_of_the_enumeration(oracle, make):
    """Values and gradients."""
    values, found = repeated(oracle.sample(1), 1000), {}
    for sampling in ("row", "enumerate"):
        model, collected = make("mmjsd", oracle, encoder="rough", sampling=sampling), []
        for key in range(40):
            model.zero_grad()
            loss = model.objective(values, noise=noise(key + (1000 if sampling == "row" else 0))).loss
            loss.backward()
            collected.append(torch.cat([loss.detach()[None], *(g.flatten() for g in gradients(model).values())]))
        found[sampling] = torch.stack(collected)
    error = (sum(f.var(0) for f in found.values()) / 40).sqrt()
    difference = (found["row"].mean(0) - found["enumerate"].mean(0)).abs()
    assert (difference <= 5 * error + 1e-12).all()
    assert found["row"].var(0)[0] > found["enumerate"].var(0)[0]


@pytest.mark.statistical
def test_a_batch_of_one_has_the_mixtures_value_and_not_the_last_experts(make):
    """Contiguous parts of a batch of one row would leave it to the last expert, another number."""
    model, values = make("mmjsd", TWO, encoder="rough"), TWO.sample(1)
    with torch.no_grad():
        model.encoders["t"].bias += 1
    found = drawn_values(model, values, 500)
    assert within(found, exact_value(TWO, model, values))
    components, weights = with_prior(model, values)
    last = expected_reconstruction(TWO, values, components[1:2]) - by_pairs(components, weights)[0]
    assert not within(found, last.detach())


def test_order_of_modalities_does_not_matter(make):
    values = THREE.sample(6)
    for settings in ({}, {"sampling": "enumerate"}, {"prior": "arithmetic", "k": 2}):
        model = make("mmjsd", THREE, encoder="rough", **settings)
        other = MMJSD(THREE.modalities[::-1], model.settings, THREE.arch, THREE.coders(encoder="rough")).double()
        turned = dict(reversed(values.items()))
        losses = model.objective(values, noise=noise()).loss, other.objective(turned, noise=noise()).loss
        assert torch.allclose(*losses, atol=1e-12)


def test_with_one_modality_the_divergence_is_half_of_two_kls_to_the_mean(make):
    """Weights 1/2: f has the precision (tau + 1) / 2, and JS = (KL(q || f) + KL(p || f)) / 2."""
    model, values = make("mmjsd", ONE, encoder="rough"), ONE.sample(7)
    q = model.encode("s", values["s"])
    precision = (q.scale**-2 + 1) / 2
    f = Gaussian(q.location * q.scale**-2 / 2 / precision, precision**-0.5)
    expected = (kl_gaussian(q, f) + kl_gaussian(ONE.standard(7), f)) / 2
    assert torch.allclose(
        model.objective(values, noise=noise()).terms["divergence"], expected.mean().detach(), atol=1e-12
    )


# Its posterior --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("observed", [("t",), ("s", "u"), ("s", "t", "u")])
def test_posterior_is_the_mixture_of_the_experts_or_the_geometric_mean_with_the_prior(observed, make):
    values = {name: x for name, x in THREE.sample(5).items() if name in observed}
    model = make("mmjsd", THREE, encoder="rough", prior_weight=0.4)
    experts = [model.encode(name, x) for name, x in values.items()]
    mixture = model.posterior(values)
    z = experts[0].rsample(3, noise())
    assert torch.allclose(
        mixture.log_prob(z).exp(), torch.stack([q.log_prob(z) for q in experts]).exp().mean(0), atol=1e-12
    )
    dynamic = make("mmjsd", THREE, encoder="rough", prior_weight=0.4, inference="dynamic").posterior(values)
    total = len(experts) + 0.4
    precision = (sum(q.scale**-2 for q in experts) + 0.4) / total
    mean = sum(q.location * q.scale**-2 for q in experts) / total / precision
    assert torch.allclose(dynamic.mean, mean, atol=1e-12)
    assert torch.allclose(dynamic.stddev, precision**-0.5, atol=1e-12)
    assert torch.allclose(dynamic.rsample(1, ZeroNoise())[0], mean, atol=1e-12)


def test_dynamic_inference_needs_the_geometric_prior(make):
    with pytest.raises(InvalidSetting, match=r"model\.prior=geometric"):
        make("mmjsd", TWO, prior="arithmetic", inference="dynamic")
