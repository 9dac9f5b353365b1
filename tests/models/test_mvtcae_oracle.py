"""MVTCAE on the linear-Gaussian oracle: a weighted mean of one joint and M conditional ELBOs of the product.

All is Gaussian, and with q the product of the experts q_m each ELBO loses its KL to the posterior under its own prior:

    ELBO(q; [M])                            = log p(X) - KL(q || p(z|X)),
    E_q[sum_{n != m} log p_n] - KL(q||q_m)  = log e_m(x_{-m}) - KL(q || e_m(z|x_{-m})),

where e_m is the model with q_m(z|x_m) as its prior. `LinearGaussian.evidence` and `update` are these, by another route
than the objective's sum of reconstructions and KLs.
"""

import pytest
import torch
from torch import Tensor, nn

from mmbench.models.mvtcae import MVTCAE
from mmbench.models.posteriors import Gaussian, kl_gaussian
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
ALPHAS = [0.0, 0.3, 5 / 6, 1.0]


class Counter(nn.Module):
    """A network that counts its calls."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, x: Tensor):
        self.calls += 1
        return self.network(x)


def experts_of(model, values) -> dict[str, Gaussian]:
    return {name: model.encode(name, x).detached() for name, x in values.items()}


def product_of(experts) -> Gaussian:
    """Precisions add up, and means weighted by them; no prior."""
    experts = list(experts)
    precision = sum(q.scale**-2 for q in experts)
    return Gaussian(sum(q.location * q.scale**-2 for q in experts) / precision, precision**-0.5)


def exact_value(oracle, model, values, alpha) -> Tensor:
    """The weighted mean of the two identities of the module text, for row 0."""
    experts = experts_of(model, values)
    q = product_of(experts.values())
    joint = oracle.log_marginal(values) - kl_gaussian(q, oracle.posterior(values))
    conditional = []
    for m, expert in experts.items():
        others = {name: x for name, x in values.items() if name != m}
        evidence = oracle.evidence(expert, others) if others else 0.0  # of nothing: log 1
        conditional.append(evidence - kl_gaussian(q, oracle.update(expert, others)))
    return ((1 - alpha) * joint + alpha * torch.stack(conditional).mean(0))[0].detach()


def drawn_losses(model, values, n: int = 20) -> Tensor:
    return torch.stack([model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("encoder", ["expert", "posterior", "rough"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_value_is_the_weighted_mean_of_a_joint_and_conditional_elbos(oracle, encoder, alpha, make):
    model = make("mvtcae", oracle, encoder=encoder, alpha=alpha)
    values = repeated(oracle.sample(1), 3000)
    exact = exact_value(oracle, model, values, alpha)
    found = -drawn_losses(model, values)
    assert within(found, exact)
    assert not within(found, exact + 0.2), "the check must be able to fail"
    for other in (a for a in ALPHAS if abs(a - alpha) > 0.2):
        assert not within(found, exact_value(oracle, model, values, other)), "alphas must be told apart"


@pytest.mark.statistical
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_exact_encoders_give_the_likelihoods_less_the_kl_of_their_product(oracle, alpha, make):
    """(1 - alpha) log p(X) + (alpha/M) sum_m log p(x_{-m}|x_m) - KL(q || p(z|X)).

    Under each exact q_m as the prior the posterior given the others is p(z|X). The product of exact posteriors counts
    the prior M times, so that its KL is not 0.
    """
    row = oracle.sample(1)
    model, q = make("mvtcae", oracle, alpha=alpha), product_of(oracle.posterior({n: x}) for n, x in row.items())
    joint = oracle.log_marginal(row)
    single = torch.stack([oracle.log_marginal({n: x}) for n, x in row.items()])
    gap = kl_gaussian(q, oracle.posterior(row))
    exact = ((1 - alpha) * joint + alpha * (joint - single).mean(0) - gap)[0]
    assert gap[0] > 0.02
    assert within(-drawn_losses(model, repeated(row, 10_000)), exact)


def test_every_term_has_its_own_closed_form(make):
    """Reconstructions and KLs, one by one; the loss is their weighted sum."""
    alpha, beta = 0.3, 2.5
    model, values = make("mvtcae", THREE, encoder="rough", alpha=alpha, beta=beta), THREE.sample(6)
    model.weights["t"] = 3.0
    experts, found = experts_of(model, values), model.objective(values, noise=noise())
    q = product_of(experts.values())
    z = q.location + q.scale * noise().normal("z", (1, 6, 2))
    for name, x in values.items():
        error = (x - z[0] @ THREE.weight(name).T - THREE.bias(name)).square().sum(-1) / THREE.noise**2
        constant = x.shape[-1] * torch.tensor(2 * torch.pi * THREE.noise**2).double().log()
        expected = -0.5 * (error + constant).mean() * (3.0 if name == "t" else 1.0)
        assert torch.allclose(found.terms[f"log_likelihood/{name}"], expected, atol=1e-12)
        gap = torch.distributions.kl_divergence(
            torch.distributions.Normal(q.location, q.scale),
            torch.distributions.Normal(experts[name].location, experts[name].scale),
        )
        assert torch.allclose(found.terms[f"kl/{name}"], gap.sum(-1).mean(), atol=1e-12)
    assert torch.allclose(found.terms["kl"], kl_gaussian(q, THREE.standard(6)).mean(), atol=1e-12)
    reconstruction = sum(found.terms[f"log_likelihood/{n}"] for n in THREE.names)
    apart = sum(found.terms[f"kl/{n}"] for n in THREE.names)
    bound = (3 - alpha) / 3 * reconstruction - beta * (alpha / 3 * apart + (1 - alpha) * found.terms["kl"])
    assert torch.allclose(-found.loss, bound, atol=1e-12)


def test_it_is_the_line_in_alpha_between_the_elbo_and_the_conditional_elbos(make):
    """At alpha = 1 neither the prior nor a modality's reconstruction under its own conditional has any weight."""
    values, losses = THREE.sample(6), {}
    for alpha in ALPHAS:
        found = make("mvtcae", THREE, encoder="rough", alpha=alpha).objective(values, noise=noise())
        losses[alpha] = found.loss
    scores = {n: found.terms[f"log_likelihood/{n}"] for n in THREE.names}
    apart = {n: found.terms[f"kl/{n}"] for n in THREE.names}
    conditional = [sum(scores[n] for n in THREE.names if n != m) - apart[m] for m in THREE.names]
    assert torch.allclose(-losses[0.0], sum(scores.values()) - found.terms["kl"], atol=1e-12)
    assert torch.allclose(-losses[1.0], torch.stack(conditional).mean(), atol=1e-12)
    for alpha, loss in losses.items():
        assert torch.allclose(loss, (1 - alpha) * losses[0.0] + alpha * losses[1.0], atol=1e-12)


# Of what it is a bound ------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("encoder", ["expert", "posterior", "rough"])
def test_it_stays_below_the_mean_of_the_likelihoods_with_the_encoders_as_priors(encoder, alpha, make):
    """(1 - alpha) log p(X) + (alpha/M) sum_m log e_m(x_{-m}), for any encoders.

    With the likelihoods as experts the product is the posterior under each e_m: at alpha = 1 there is no gap.
    """
    row = THREE.sample(1, seed=2)
    model = make("mvtcae", THREE, encoder=encoder, alpha=alpha)
    apart = [
        THREE.evidence(q, {n: x for n, x in row.items() if n != m}).detach() for m, q in experts_of(model, row).items()
    ]
    truth = ((1 - alpha) * THREE.log_marginal(row) + alpha * torch.stack(apart).mean(0))[0]
    found = -drawn_losses(model, repeated(row, 3000))
    assert found.mean() - truth < 4 * found.std() / len(found) ** 0.5
    if encoder == "expert" and alpha == 1:
        assert within(found, truth)
    elif encoder != "expert" or alpha == 0:
        assert found.mean() - truth < -1e-3


@pytest.mark.statistical
def test_it_is_no_bound_on_the_joint_likelihood_unless_alpha_is_zero(make):
    """log p(x_{-m}|x_m) lacks log p(x_m), which is far below zero here."""
    row = THREE.sample(1, seed=2)
    truth = THREE.log_marginal(row)[0]
    values = repeated(row, 1500)
    for alpha in (5 / 6, 1.0):
        found = -drawn_losses(make("mvtcae", THREE, alpha=alpha), values)
        assert (found.mean() - truth) / (found.std() / 20**0.5) > 4
    assert -drawn_losses(make("mvtcae", THREE, alpha=0.0), values).mean() < truth


# What it learns from --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("settings", [{}, {"alpha": 0.1, "beta": 2.5}, {"alpha": 1.0}])
def test_loss_on_some_modalities_is_that_of_a_model_of_those_alone(settings, make):
    """Values and gradients; what belongs to other modalities gets none."""
    values = THREE.sample(6)
    for observed in (("s",), ("s", "u"), ("u", "t")):
        whole = make("mvtcae", THREE, encoder="rough", **settings)
        specs = [spec for spec in THREE.modalities if spec.name in observed]
        coders = {name: THREE.coder(name, encoder="rough") for name in observed}
        part = MVTCAE(specs, whole.settings, THREE.arch, coders).double()
        some = {name: values[name] for name in observed}
        losses = [model.objective(some, noise=noise()).loss for model in (whole, part)]
        for loss in losses:
            loss.backward()
        assert torch.allclose(losses[0], losses[1], atol=1e-12)
        inner = gradients(part)
        for name, gradient in gradients(whole).items():
            assert torch.allclose(gradient, inner.get(name, torch.zeros_like(gradient)), atol=1e-12), name


@pytest.mark.statistical
@pytest.mark.parametrize("observed", [("s",), ("s", "u"), ("t", "u")])
def test_rows_with_missing_modalities_have_the_closed_form_of_their_own(observed, make):
    """M becomes the number of observed modalities in every weight."""
    model = make("mvtcae", THREE, encoder="rough", alpha=0.6)
    values = repeated({n: x for n, x in THREE.sample(1).items() if n in observed}, 3000)
    assert within(-drawn_losses(model, values), exact_value(THREE, model, values, 0.6))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_one_modality_is_a_vae_weighted_by_one_less_alpha(alpha, make):
    """The product of one expert is that expert: its KL to itself is zero."""
    model, values = make("mvtcae", ONE, encoder="rough", alpha=alpha), ONE.sample(7)
    found = model.objective(values, noise=noise())
    mean, scale = model.encoders["s"](values["s"])
    z = mean + scale * noise().normal("z", (1, 7, 2))
    kl = 0.5 * (scale**2 + mean**2 - 1 - 2 * scale.log()).sum(-1)
    elbo = model.log_likelihood("s", values["s"], z)[0] - kl
    assert found.terms["kl/s"].abs() < 1e-12
    assert torch.allclose(found.loss, -(1 - alpha) * elbo.mean(), atol=1e-12)


def test_at_alpha_one_rows_of_a_single_modality_are_refused_since_nothing_is_learned_from_them(make):
    model, values = make("mvtcae", THREE, encoder="rough", alpha=1.0), THREE.sample(6)
    loss = model.objective({"t": values["t"]}, noise=noise()).loss
    loss.backward()
    assert loss.abs() < 1e-12
    assert all(gradient.abs().max() < 1e-12 for gradient in gradients(model).values())
    assert "model.alpha=1 (lower it) cannot learn from rows that hold only t" in model.cannot_bear(("t",))
    assert model.cannot_bear(("s", "t")) is None
    assert make("mvtcae", ONE, alpha=1.0).cannot_bear(("s",)) is None, "complete rows are always taken"
    assert make("mvtcae", THREE, alpha=0.99).cannot_bear(("t",)) is None


def test_each_network_is_called_once(make):
    model, values = make("mvtcae", THREE, encoder="rough"), THREE.sample(6)
    for networks in (model.encoders, model.decoders):
        for name in THREE.names:
            networks[name] = Counter(networks[name])
    model.objective({n: values[n] for n in ("s", "u")}, noise=noise())
    for networks in (model.encoders, model.decoders):
        assert {name: network.calls for name, network in networks.items()} == {"s": 1, "t": 0, "u": 1}


def test_the_kls_pull_the_single_encoders_towards_the_product(make):
    """Descent on an objective that is nearly the KLs alone lowers every one of them."""
    model, values = make("mvtcae", THREE, encoder="rough", alpha=1.0, beta=1000.0), THREE.sample(50)
    optimiser = torch.optim.Adam(model.encoders.parameters(), 1e-2)
    apart = []
    for _ in range(30):
        optimiser.zero_grad()
        found = model.objective(values, noise=noise())
        found.loss.backward()
        optimiser.step()
        apart.append({name: found.terms[f"kl/{name}"] for name in THREE.names})
    assert all(apart[-1][name] < 0.8 * apart[0][name] for name in THREE.names)


# Its relatives and its posterior --------------------------------------------------------------------------------------
def test_order_of_modalities_does_not_matter(make):
    values = THREE.sample(6)
    model = make("mvtcae", THREE, encoder="rough")
    other = MVTCAE(THREE.modalities[::-1], model.settings, THREE.arch, THREE.coders(encoder="rough")).double()
    turned = dict(reversed(values.items()))
    losses = model.objective(values, noise=noise()).loss, other.objective(turned, noise=noise()).loss
    assert torch.allclose(*losses, atol=1e-12)
    assert torch.allclose(model.posterior(values).mean, other.posterior(turned).mean, atol=1e-12)


def test_posterior_of_a_subset_is_its_product_without_the_prior(make):
    model, values = make("mvtcae", THREE, encoder="rough"), THREE.sample(5)
    for subset in (("s",), ("t", "u"), ("s", "t", "u")):
        some = {name: values[name] for name in subset}
        expected, found = product_of(experts_of(model, some).values()), model.posterior(some)
        assert torch.allclose(found.mean, expected.location, atol=1e-12)
        assert torch.allclose(found.stddev, expected.scale, atol=1e-12)
