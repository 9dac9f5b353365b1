"""JMVAE on the linear-Gaussian oracle: log p(X) less the distance of the joint posterior from each modality's own.

The oracle's posterior given all modalities has the precision P = 1 + sum_m |W_m|^2 / s^2 in each dimension (the columns
of each W_m are orthogonal) and the mean P^-1 sum_m W_m^T (x_m - b_m) / s^2: a linear map of the concatenated inputs and
a constant scale. `LinearJointEncoder` is that network, in place of the model's joint encoder.
"""

import pytest
import torch

from mmbench.errors import CannotBear
from mmbench.models.posteriors import Gaussian, kl_gaussian, kl_standard
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearEncoder, LinearGaussian, LinearJointEncoder

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})

two_and_three = pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])


@pytest.fixture
def build(make):
    """`build(oracle, rough=True, alpha=0.5)`: a JMVAE whose networks are all linear, exact or rough."""

    def builder(oracle, *, rough=False, **settings):
        model = make("jmvae", oracle, encoder="rough" if rough else "posterior", **settings)
        model.joint = LinearJointEncoder(oracle, rough=rough)
        return model

    return builder


def bounds(model, values, n):
    """Bounds over n independent draws of the noise."""
    return torch.stack([-model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


def apart(model, values, *, swapped=False):
    """sum_m KL(q(z|X) || q_m(z|x_m)) of each row `[B]`, or with the arguments swapped."""
    joint = model.posterior(values)
    pairs = [(joint, Gaussian(*model.encoders[name](x))) for name, x in values.items()]
    return sum(kl_gaussian(*(pair[::-1] if swapped else pair)) for pair in pairs).detach()


# Values ---------------------------------------------------------------------------------------------------------------
@two_and_three
def test_the_linear_joint_encoder_is_the_posterior(build, oracle):
    values = oracle.sample(5)
    found, exact = build(oracle).posterior(values), oracle.posterior(values)
    assert torch.allclose(found.mean, exact.mean, atol=1e-12)
    assert torch.allclose(found.stddev, exact.stddev, atol=1e-12)


@pytest.mark.statistical
@two_and_three
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_bound_with_exact_posteriors(build, oracle, alpha):
    """log p(X) - alpha sum_m KL(p(z|X) || p(z|x_m)): the joint ELBO is log p(X), and the KLs are closed forms."""
    row = oracle.sample(1)
    together = oracle.posterior(row)
    distances = [kl_gaussian(together, oracle.posterior({name: x}))[0] for name, x in row.items()]
    swapped = [kl_gaussian(oracle.posterior({name: x}), together)[0] for name, x in row.items()]
    found = bounds(build(oracle, alpha=alpha), repeated(row, 5000), 20)
    assert within(found, oracle.log_marginal(row)[0] - alpha * sum(distances))
    assert not within(found, oracle.log_marginal(row)[0] - alpha * sum(swapped)), "the joint posterior comes first"
    assert not within(found, oracle.log_marginal(row)[0]), "the check must be able to fail"


@pytest.mark.statistical
@two_and_three
def test_bound_with_any_encoders_stays_below_the_evidence(build, oracle):
    """Master identity: log p(X) - KL(q(z|X) || p(z|X)) - alpha sum_m KL(q(z|X) || q_m(z|x_m))."""
    row = oracle.sample(1, seed=3)
    for alpha in (0.0, 0.3, 2.0):
        model = build(oracle, rough=True, alpha=alpha)
        lost = kl_gaussian(model.posterior(row), oracle.posterior(row)).detach() + alpha * apart(model, row)
        found = bounds(model, repeated(row, 3000), 20)
        assert within(found, (oracle.log_marginal(row) - lost)[0])
        assert found.mean() < oracle.log_marginal(row)[0] - 0.05


@pytest.mark.statistical
@two_and_three
def test_variant_zero_is_the_elbo_of_the_joint_encoder(build, oracle):
    row = oracle.sample(1)
    found = bounds(build(oracle, variant="zero"), repeated(row, 5000), 20)
    assert within(found, oracle.log_marginal(row)[0])
    assert not within(found, oracle.log_marginal(row)[0] - 0.1), "the check must be able to fail"


def test_one_modality(build):
    """M = 1: the joint encoder is asked, and KL(q(z|x) || q_s(z|x)) vanishes where both are the posterior."""
    values = ONE.sample(6)
    found = build(ONE).objective(values, noise=noise())
    assert found.terms["kl/s"].abs() < 1e-12
    assert torch.allclose(found.loss, build(ONE, variant="zero").objective(values, noise=noise()).loss, atol=1e-12)
    assert build(ONE, rough=True).objective(values, noise=noise()).terms["kl/s"] > 0.01


# The KL to the encoders of single modalities --------------------------------------------------------------------------
@two_and_three
def test_alpha_weighs_the_kl_with_the_joint_posterior_first(build, oracle):
    """For the same noise the loss grows by alpha sum_m KL(q(z|X) || q_m), and not by the KL the other way round."""
    values = oracle.sample(6)
    without = build(oracle, rough=True, alpha=0.0).objective(values, noise=noise()).loss
    model = build(oracle, rough=True, alpha=0.7)
    added = model.objective(values, noise=noise()).loss - without
    assert torch.allclose(added, 0.7 * apart(model, values).mean(), atol=1e-12)
    assert not torch.allclose(added, 0.7 * apart(model, values, swapped=True).mean(), rtol=0.02)


@two_and_three
def test_alpha_zero_is_the_plain_joint_vae(build, oracle):
    values = oracle.sample(6)
    model, zero = build(oracle, rough=True, alpha=0.0), build(oracle, rough=True, variant="zero")
    losses = [m.objective(values, noise=noise()).loss for m in (model, zero)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    found, plain = gradients(model), gradients(zero)
    assert all(gradient.abs().max() == 0 for name, gradient in found.items() if name.startswith("encoders"))
    assert all(torch.equal(found[name], plain[name]) for name in plain)


def test_the_kl_trains_the_joint_encoder_too(build):
    """Its gradient is not stopped: the joint encoder gets that of the closed form, the decoders none."""
    values, found = TWO.sample(6), {}
    for alpha in (0.0, 1.0):
        model = build(TWO, rough=True, alpha=alpha)
        model.objective(values, noise=noise()).loss.backward()
        found[alpha] = gradients(model)
    model = build(TWO, rough=True)
    joint = model.posterior(values)
    sum(kl_gaussian(joint, Gaussian(*model.encoders[n](x))) for n, x in values.items()).mean().backward()
    for name, exact in gradients(model).items():
        assert torch.allclose(found[1.0][name] - found[0.0][name], exact, atol=1e-12), name
        assert name.startswith("decoders") == bool(exact.abs().max() == 0), name


def moment_match(oracle: LinearGaussian, joint: LinearJointEncoder, name: str) -> LinearEncoder:
    """The best Gaussian q_m for a fixed linear joint encoder N(sum_n A_n x_n + a, S), as a network.

    Given x_m, z ~ N(L x_m + l, C) is the exact posterior and the other modalities are x_o = W_o z + b_o + e. So
    E[mu | x_m] = A_m x_m + sum_o A_o (W_o (L x_m + l) + b_o) + a, and with G = sum_o A_o W_o
    Var[mu | x_m] = G C G^T + s^2 sum_o A_o A_o^T, to which the encoder's own variance is added.
    """
    others = [other for other in oracle.names if other != name]
    own = oracle.coder(name).encoder
    through = sum(joint.blocks[o] @ oracle.weight(o) for o in others)
    weight = joint.blocks[name] + through @ own.weight
    bias = joint.linear.bias + through @ own.bias + sum(joint.blocks[o] @ oracle.bias(o) for o in others)
    spread = through @ torch.diag((2 * own.log_scale).exp()) @ through.T
    spread = spread + oracle.noise**2 * sum(joint.blocks[o] @ joint.blocks[o].T for o in others)
    variance = (2 * joint.linear.log_scale).exp() + spread.diagonal()
    return LinearEncoder(weight.detach(), bias.detach(), variance.sqrt().detach())


def encoder_gradients(model, oracle, n):
    """Gradients of the encoders of single modalities on n fresh batches of the oracle, `[n, P]`."""
    found = []
    for seed in range(n):
        model.zero_grad()
        model.objective(oracle.sample(500, seed=100 + seed), noise=noise(seed)).loss.backward()
        found.append(torch.cat([g.flatten() for name, g in gradients(model).items() if name.startswith("encoders")]))
    return torch.stack(found)


@two_and_three
def test_the_moment_match_of_the_exact_joint_encoder_is_the_posterior_of_one_modality(oracle):
    for name in oracle.names:
        found, exact = moment_match(oracle, LinearJointEncoder(oracle), name), oracle.coder(name).encoder
        assert torch.allclose(found.weight, exact.weight, atol=1e-12)
        assert torch.allclose(found.bias, exact.bias, atol=1e-12)
        assert torch.allclose(found.log_scale, exact.log_scale, atol=1e-12)


@pytest.mark.statistical
@two_and_three
@pytest.mark.parametrize("rough", [False, True], ids=["exact", "rough"])
def test_encoders_of_single_modalities_rest_at_the_moment_match(build, oracle, rough):
    """The expected gradient is zero there, and only there: the expected KL is convex in q_m's natural parameters."""
    model = build(oracle, rough=rough)
    for name in oracle.names:
        model.encoders[name] = moment_match(oracle, model.joint, name)
    assert within(encoder_gradients(model, oracle, 60), 0.0)
    with torch.no_grad():
        model.encoders["s"].log_scale += 0.1
    assert not within(encoder_gradients(model, oracle, 60), 0.0), "the check must be able to fail"


# Inference ------------------------------------------------------------------------------------------------------------
def test_one_modality_is_inferred_by_its_own_encoder_all_by_the_joint_one(build):
    model, values = build(THREE), THREE.sample(5)
    for names in (("t",), ("s", "t", "u")):
        some = {name: values[name] for name in names}
        assert torch.allclose(model.posterior(some).mean, THREE.posterior(some).mean, atol=1e-12)
        assert torch.allclose(model.posterior(some).stddev, THREE.posterior(some).stddev, atol=1e-12)


def test_between_the_product_counts_the_prior_twice(build):
    """Precisions add without correction: 2 + |W_s|^2/s^2 + |W_t|^2/s^2 in place of 1 + ..., hence an ELBO below
    log p(x_s, x_t); divided by the prior once, the product is the posterior."""
    values = {name: x for name, x in THREE.sample(5).items() if name != "u"}
    q, exact = build(THREE).posterior(values), THREE.posterior(values)
    assert torch.allclose(q.stddev**-2, exact.stddev**-2 + 1, atol=1e-10)
    assert torch.allclose(q.mean * q.stddev**-2, exact.mean * exact.stddev**-2, atol=1e-10)
    elbo = sum(THREE.expected_log_likelihood(name, x, q) for name, x in values.items()) - kl_standard(q)
    assert (elbo < THREE.log_marginal(values) - 1e-3).all()
    precision = q.stddev**-2 - 1
    corrected = Gaussian(q.mean * q.stddev**-2 / precision, precision.rsqrt())
    elbo = sum(THREE.expected_log_likelihood(n, x, corrected) for n, x in values.items()) - kl_standard(corrected)
    assert torch.allclose(elbo, THREE.log_marginal(values), atol=1e-10)


@pytest.mark.parametrize("linear", [True, False], ids=["linear", "as built"])
def test_variant_zero_shows_zeros_to_the_joint_encoder_and_has_no_other(build, make, linear):
    model = build(THREE, variant="zero") if linear else make("jmvae", THREE, variant="zero")
    values = THREE.sample(5)
    filled = {"s": torch.zeros_like(values["s"]), "t": values["t"], "u": torch.zeros_like(values["u"])}
    found, shown = model.posterior({"t": values["t"]}), model.posterior(filled)
    assert torch.allclose(found.mean, shown.mean, atol=1e-12)
    assert torch.allclose(found.stddev, shown.stddev, atol=1e-12)
    assert not torch.allclose(found.mean, model.posterior(values).mean, atol=1e-3)
    assert not [name for name, _ in model.named_parameters() if name.startswith("encoders")]


def test_rows_with_a_missing_modality_are_refused(build):
    for model in (build(THREE), build(THREE, variant="zero")):
        assert model.cannot_bear(["s", "t", "u"]) is None
        assert "cannot learn from rows that hold only s, t" in model.cannot_bear(["s", "t"])
        some = {name: x for name, x in THREE.sample(4).items() if name != "u"}
        with pytest.raises(CannotBear, match="hold only s, t: the joint encoder needs complete rows"):
            model.objective(some, noise=noise())


# Weights --------------------------------------------------------------------------------------------------------------
def test_beta_weighs_the_kl_to_the_prior_annealing_both_and_lambda_the_likelihood(build):
    values = TWO.sample(6)
    full = build(TWO, rough=True).objective(values, noise=noise())
    kl, own = full.terms["kl"], full.terms["kl/s"] + full.terms["kl/t"]
    for settings, progress, added in [
        ({"beta": 3.0}, 1.0, 2 * kl),
        ({"beta": 0.0}, 1.0, -kl),
        ({"anneal": 0.5}, 0.125, -0.75 * (kl + own)),
        ({"anneal": 0.5}, 0.0, -(kl + own)),
        ({"anneal": 0.5}, 0.75, torch.zeros_like(kl)),
    ]:
        found = build(TWO, rough=True, **settings).objective(values, noise=noise(), progress=progress)
        assert torch.allclose(found.loss - full.loss, added, atol=1e-10), settings
    model = build(TWO, rough=True)
    model.weights["t"] = 4.0
    rescaled = model.objective(values, noise=noise()).loss
    assert torch.allclose(rescaled - full.loss, -3 * full.terms["log_likelihood/t"], atol=1e-10)
