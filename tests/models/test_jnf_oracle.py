"""JNF on the linear-Gaussian oracle: two stages with known values and optima, and posteriors that are known exactly.

With `flow=none` every part of the model is Gaussian. The second stage's loss at given weights is, in expectation,
sum_m KL(q(z|X) || q_m(z|x_m)) plus M entropies of q(z|X). On given rows and noise it is a linear regression of the
sampled z on each x_m with its own variance in each dimension, which has a closed form; with the exact joint posterior
the samples z are those of p(z, X), so that with many rows the regression tends to p(z|x_m).
"""

import copy
import math

import pytest
import torch

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.likelihood import log_likelihood
from mmbench.models.flows import Flow, FlowPosterior
from mmbench.models.jnf import SampledProduct
from mmbench.models.posteriors import Gaussian, Mixture, Normalised, kl_gaussian, kl_standard, standard_normal
from mmbench.seeding import RowNoise
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian, LinearJointEncoder
from mmbench.training.stages import enter_stage, trainable

TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
FOUR = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5, "v": 3}, noise=1.5)

two_and_three = pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])


@pytest.fixture
def build(make):
    """`build(oracle, rough=True, flow="maf")`: networks that are linear, exact or rough; without flows by default."""

    def builder(oracle, *, rough=False, flow="none", **settings):
        shape = {"transforms": 2, "hidden": 8, "layers": 1}
        model = make("jnf", oracle, encoder="rough" if rough else "posterior", flow=flow, **(shape | settings))
        model.joint = LinearJointEncoder(oracle, rough=rough)
        return model

    return builder


def draws(model, values, n, stage):
    """Losses and terms over n independent draws of the noise."""
    with torch.no_grad():
        found = [model.objective(values, noise=noise(k), stage=stage) for k in range(n)]
    terms = {name: torch.stack([one.terms[name] for one in found]) for name in found[0].terms}
    return torch.stack([one.loss for one in found]), terms


def entropy(q):
    return (q.scale.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def some(values, *names):
    return {name: values[name] for name in names}


# The stages' objectives -----------------------------------------------------------------------------------------------
@pytest.mark.statistical
@two_and_three
def test_the_first_stage_is_an_elbo_of_all_modalities(build, oracle):
    """log p(X) with the exact joint posterior; less by its KL to that with another."""
    row = oracle.sample(1, seed=3)
    values, exact = repeated(row, 3000), oracle.log_marginal(row)[0]
    losses, _ = draws(build(oracle), values, 20, "joint")
    assert within(-losses, exact)
    assert not within(-losses, exact + 0.1)
    rough = build(oracle, rough=True)
    gap = kl_gaussian(rough.posterior(row), oracle.posterior(row))[0].detach()
    losses, terms = draws(rough, values, 20, "joint")
    assert within(-losses, exact - gap)
    assert within(terms["elbo"], exact - gap)
    assert gap > 0.05


@pytest.mark.statistical
@two_and_three
def test_the_second_stage_is_the_kl_of_the_joint_posterior_to_each_modalitys(build, oracle):
    """... plus M times its entropy; the KLs are logged one by one, in that direction."""
    row = oracle.sample(1, seed=3)
    model, values = build(oracle, rough=True), repeated(row, 3000)
    joint = model.posterior(row)
    kls = {name: kl_gaussian(joint, model.gaussian(name, x))[0].detach() for name, x in row.items()}
    losses, terms = draws(model, values, 20, "unimodal")
    assert set(terms) == {f"kl/{name}" for name in row}
    for name, kl in kls.items():
        assert within(terms[f"kl/{name}"], kl)
        reverse = kl_gaussian(model.gaussian(name, row[name]), joint)[0].detach()
        assert not within(terms[f"kl/{name}"], reverse)
    exact = sum(kls.values()) + len(row) * entropy(joint)[0].detach()
    assert within(losses, exact)
    assert not within(losses, exact + 0.1)


def test_without_a_stage_it_is_both(build):
    model, values = build(THREE, rough=True, flow="maf"), THREE.sample(6)
    both = model.objective(values, noise=noise())
    parts = [model.objective(values, noise=noise(), stage=stage) for stage in ("joint", "unimodal")]
    assert torch.allclose(both.loss, sum(part.loss for part in parts), atol=1e-12)
    assert both.terms == parts[0].terms | parts[1].terms


def test_beta_weighs_the_kl_and_lambda_the_likelihoods_of_the_first_stage_alone(build):
    values = TWO.sample(6)
    plain = build(TWO, rough=True).objective(values, noise=noise(), stage="joint")
    heavier = build(TWO, rough=True, beta=2.5).objective(values, noise=noise(), stage="joint").loss
    assert torch.allclose(heavier - plain.loss, 1.5 * plain.terms["kl"], atol=1e-10)
    q = build(TWO, rough=True).posterior(values)
    assert torch.allclose(plain.terms["kl"], kl_standard(q).mean(), atol=1e-10)
    model = build(TWO, rough=True, beta=2.5)
    model.weights = {"s": 4.0, "t": 1.0}
    weighted = model.objective(values, noise=noise(), stage="joint").loss
    assert torch.allclose(weighted - heavier, -3 * plain.terms["log_likelihood/s"], atol=1e-10)
    second = [one.objective(values, noise=noise(), stage="unimodal").loss for one in (model, build(TWO, rough=True))]
    assert torch.equal(second[0], second[1])


def test_an_unknown_stage_and_incomplete_rows_are_refused(build):
    model, values = build(THREE), THREE.sample(2)
    with pytest.raises(InvalidSetting, match="model 'jnf' has no stage 'second'; it has joint, unimodal"):
        model.objective(values, noise=noise(), stage="second")
    with pytest.raises(CannotBear, match="rows that hold only s, t: the joint encoder needs complete rows"):
        model.objective(some(values, "s", "t"), noise=noise())


# What a stage learns --------------------------------------------------------------------------------------------------
def minimised(model, values, iterations):
    """The second stage minimised on these rows and this noise."""
    weights = enter_stage(model, model.stages[1], trainable(model))
    exactly = {"tolerance_grad": 1e-10, "tolerance_change": 1e-15, "line_search_fn": "strong_wolfe"}
    optimiser = torch.optim.LBFGS(weights, max_iter=iterations, **exactly)

    def closure():
        optimiser.zero_grad()
        loss = model.objective(values, noise=noise(), stage="unimodal").loss
        loss.backward()
        return loss

    optimiser.step(closure)
    return model


def regression(x, z):
    """Weights `[D_m, d]`, offsets `[d]` and residual variances `[d]` of least squares."""
    design = torch.cat([x, torch.ones_like(x[:, :1])], -1)
    solution = torch.linalg.lstsq(design, z).solution
    return solution[:-1], solution[-1], (z - design @ solution).square().mean(0)


@pytest.mark.statistical
def test_the_optimum_of_the_second_stage_is_the_moment_match(build):
    """A regression on these rows, to the digit; and near p(z|x_m), the exact posterior, with 5,000 of them."""
    values = THREE.sample(5_000)
    model = build(THREE, rough=True)
    model.joint = LinearJointEncoder(THREE)
    model = minimised(model, values, 60)
    z = model.posterior(values).rsample(1, noise().child("joint encoder"))[0].detach()
    for name, x in values.items():
        encoder, exact = model.encoders[name], THREE.coder(name).encoder
        weights, offset, variance = regression(x, z)
        assert torch.allclose(encoder.weight.T, weights, atol=1e-5)
        assert torch.allclose(encoder.bias, offset, atol=1e-5)
        assert torch.allclose(encoder.log_scale.exp().square(), variance, atol=1e-5)
        assert torch.allclose(encoder.weight, exact.weight, atol=0.05)
        assert torch.allclose(encoder.bias, exact.bias, atol=0.05)
        assert torch.allclose(encoder.log_scale, exact.log_scale, atol=0.05)
        rough = THREE.coder(name, encoder="rough").encoder
        assert not torch.allclose(encoder.log_scale, rough.log_scale, atol=0.1)


def test_flows_learn_what_no_gaussian_can(build):
    """The joint posterior of each row is exact, but z comes out bent: z_2 + z_1^2. A flow straightens it."""

    class Bent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = LinearJointEncoder(TWO)

        def forward(self, values):
            location, scale = self.linear(values)
            return torch.stack([location[:, 0], location[:, 1] + location[:, 0] ** 2], -1), 0.1 * scale

    values = TWO.sample(500)
    losses = {}
    for flow in ("none", "maf"):
        model = build(TWO, rough=True, flow=flow)
        model.joint = Bent()
        minimised(model, values, 60)
        losses[flow] = model.objective(values, noise=noise(), stage="unimodal").loss.detach()
    assert losses["maf"] < losses["none"] - 0.5


@two_and_three
def test_a_stage_leaves_the_parameters_of_the_other_bit_identical(build, oracle):
    model, values = build(oracle, rough=True, flow="maf"), oracle.sample(6)
    among = trainable(model)
    for stage, moved in zip(model.stages, (("joint", "decoders"), ("encoders", "flows")), strict=True):
        before = copy.deepcopy(model.state_dict())
        optimiser = torch.optim.AdamW(enter_stage(model, stage, among), 1e-2, weight_decay=0.1)
        for step in range(3):
            optimiser.zero_grad()
            model.objective(values, noise=noise(step), stage=stage.name).loss.backward()
            optimiser.step()
        learned = {n for n, _ in model.named_parameters() if n.startswith(moved)}
        assert {n for n, p in model.named_parameters() if p.requires_grad} == learned
        for name, now in model.state_dict().items():
            assert torch.equal(now, before[name]) != (name in learned), (stage.name, name)


def test_the_joint_posterior_is_held_fixed_in_the_second_stage_even_where_nothing_is_frozen(build):
    """JMVAE's second term would pull it."""
    model, values = build(TWO, rough=True, flow="maf"), TWO.sample(6)
    model.objective(values, noise=noise(), stage="unimodal").loss.backward()
    found = gradients(model)
    assert all((found[n] == 0).all() for n in found if n.startswith(("joint", "decoders")))
    assert all((found[n] != 0).any() for n in found if n.startswith(("encoders", "flows")))


def test_the_share_of_the_stages(build):
    shares = [stage.share for stage in build(TWO, share=0.8).stages]
    assert shares == pytest.approx([0.8, 0.2])


# Inference ------------------------------------------------------------------------------------------------------------
def test_one_modality_is_inferred_by_its_flow_all_by_the_joint_encoder(build):
    values = THREE.sample(5)
    model = build(THREE, flow="maf")
    assert isinstance(model.posterior(values), Gaussian)
    assert torch.allclose(model.posterior(values).mean, THREE.posterior(values).mean, atol=1e-12)
    q = model.posterior(some(values, "t"))
    assert isinstance(q, FlowPosterior)
    assert q.flow is model.flows["t"]
    assert torch.equal(q.base.location, model.gaussian("t", values["t"]).location)
    plain, exact = build(THREE).posterior(some(values, "t")), THREE.posterior(some(values, "t"))
    z = plain.rsample(3, noise())
    assert torch.allclose(plain.log_prob(z), exact.log_prob(z), atol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("names", [("s", "t"), ("s", "t", "u")], ids="+".join)
def test_several_are_inferred_by_the_product_that_counts_the_prior_once(build, names):
    """Of exact posteriors: the exact posterior, for two and for three of four modalities.

    MultiVae divides by the prior once whatever the number of modalities is; for three its precision is too large by 1.
    """
    row = some(FOUR.sample(1, seed=4), *names)
    q, exact = build(FOUR).posterior(row), FOUR.posterior(row)
    chains = q.chains(6000, noise())
    assert within(chains.z[:, 0], exact.mean)
    squares = (chains.z[:, 0] - exact.mean).square()
    assert within(squares, exact.stddev.square())
    assert not within(squares, 1 / (exact.stddev**-2 + 1))
    assert chains.acceptance.mean() > 0.7
    z = torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    constant = q.log_density(z) - exact.log_prob(z)
    assert torch.allclose(constant, constant[:1], atol=1e-9)


@pytest.mark.statistical
def test_a_product_of_flows_is_sampled_as_quadrature_says():
    """Means of bounded functions under two bent densities over a standard normal one."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        experts = {}
        for name, shift in (("s", 0.4), ("t", -0.3)):
            flow = Flow("maf", 2, transforms=2, hidden=8, layers=1).double()
            with torch.no_grad():
                for parameter in flow.parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
            experts[name] = FlowPosterior(
                Gaussian(torch.full((1, 2), shift).double(), torch.full((1, 2), 0.7).double()), flow
            )
    q = SampledProduct(experts, standard_normal(torch.zeros(1).double(), 2), 20, 5)
    axis = torch.linspace(-6, 6, 301, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis).unsqueeze(1)
    with torch.no_grad():
        probabilities = q.log_density(z).softmax(0).unsqueeze(-1)
        samples = q.rsample(4000, noise())
    for of in (torch.tanh, lambda x: torch.tanh(x).square(), lambda x: torch.tanh(x[..., :1] * x[..., 1:])):
        exact = (probabilities * of(z)).sum(0)
        assert within(of(samples), exact)
        assert not within(of(samples), exact + 0.05)


@pytest.mark.statistical
def test_the_chains_start_from_the_experts_samples_by_their_weights_in_the_product(build):
    """Self-normalised importance sampling from the mixture: with many samples the starts have the product's moments."""
    row = some(FOUR.sample(1, seed=4), "s", "t", "u")
    q, exact = build(FOUR).posterior(row), FOUR.posterior(row)
    drawn = torch.cat([expert.rsample(4000, noise(i)) for i, expert in enumerate(q.experts.values())])
    starts = q._resampled(drawn, torch.linspace(0.0005, 0.9995, 1000, dtype=torch.float64).unsqueeze(1))
    assert starts.shape == (1000, 1, 2)
    assert torch.isin(starts, drawn).all(), "each is one of the samples"
    squares = (starts[:, 0] - exact.mean).square()
    assert torch.allclose(starts.mean(0), exact.mean, atol=0.05)
    assert torch.allclose(squares.mean(0), exact.stddev[0].square(), rtol=0.1)


def test_the_product_has_no_density_and_no_order(build):
    values = THREE.sample(4)
    model = build(THREE, flow="maf")
    q = model.posterior(some(values, "s", "u"))
    assert not isinstance(q, Normalised)
    z = q.rsample(2, noise())
    assert not z.requires_grad
    assert torch.equal(z, model.posterior(some(values, "u", "s")).rsample(2, noise()))
    last = model.posterior({name: x[-1:] for name, x in some(values, "s", "u").items()})
    alone = last.rsample(2, RowNoise(1, [3], dtype=torch.float64))
    assert torch.allclose(q.rsample(2, RowNoise(1, range(4), dtype=torch.float64))[:, -1:], alone, atol=1e-9)


def test_the_mixture_instead(build):
    values = some(THREE.sample(4), "s", "u")
    q = build(THREE, several="mixture").posterior(values)
    assert isinstance(q, Mixture)
    z = q.rsample(3, noise())
    parts = [THREE.posterior(some(values, name)).log_prob(z).exp() for name in values]
    assert torch.allclose(q.log_prob(z).exp(), sum(parts) / 2, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("names", [("t",), ("s", "u"), ("s", "t", "u")], ids="+".join)
def test_log_likelihoods_of_every_set_are_those_of_the_oracle(build, names):
    """By importance sampling with flows that are not the exact posterior; for two modalities from their mixture."""
    values = THREE.sample(8)
    model = build(THREE, rough=True, flow="maf").eval()
    model.joint = LinearJointEncoder(THREE)
    with torch.no_grad():
        for parameter in model.flows.parameters():
            parameter.mul_(1.5)
    found = log_likelihood(model, values, names, k=2000, noise=noise())
    exact = THREE.log_marginal(some(values, *names))
    assert torch.allclose(found.value, exact, atol=0.1)
    assert ((found.value - exact).abs() < 5 * found.stderr + 1e-3).all()


def test_the_settings_of_the_chains_reach_them(build):
    values = some(THREE.sample(3), "s", "t")
    q = build(THREE, hmc_steps=3, hmc_leapfrogs=7).posterior(values)
    assert (q.steps, q.leapfrogs) == (3, 7)
