"""tELBO on the linear-Gaussian oracle: log p(X) + sum_m log p(x_m), and who trains what.

The oracle's posterior given all modalities has the precision P = 1 + sum_m |W_m|^2 / s^2 in each dimension (the columns
of each W_m are orthogonal) and the mean P^-1 sum_m W_m^T (x_m - b_m) / s^2: a linear map of the concatenated inputs and
a constant scale. `LinearJointEncoder` is that network, in place of the model's joint encoder.
"""

import copy

import pytest
import torch

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.models.posteriors import kl_gaussian, kl_standard
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian, LinearJointEncoder
from mmbench.training.stages import enter_stage, trainable

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})

two_and_three = pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
JOINT = "joint encoder"


@pytest.fixture
def build(make):
    """`build(oracle, rough=True, training="joint")`: a tELBO whose networks are all linear, exact or rough."""

    def builder(oracle, *, rough=False, **settings):
        model = make("telbo", oracle, encoder="rough" if rough else "posterior", **settings)
        model.joint = LinearJointEncoder(oracle, rough=rough)
        return model

    return builder


def losses(model, values, n, stage="main"):
    """Losses over n independent draws of the noise."""
    return torch.stack([model.objective(values, noise=noise(k), stage=stage).loss.detach() for k in range(n)])


def evidences(oracle, row):
    """log p(X) and log p(x_m) of a single row, in the order of the model's terms."""
    single = {name: oracle.log_marginal({name: x})[0] for name, x in row.items()}
    return {JOINT: oracle.log_marginal(row)[0], **single}


def trained(model, values, stage="main"):
    """Loss and gradients."""
    model.zero_grad()
    loss = model.objective(values, noise=noise(), stage=stage).loss
    loss.backward()
    return loss.detach(), gradients(model)


def of(found, prefix):
    return torch.cat([gradient.flatten() for name, gradient in found.items() if name.startswith(prefix)])


# Values ---------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@two_and_three
@pytest.mark.parametrize("training", ["stop-gradient", "joint"])
def test_bound_with_exact_posteriors(build, oracle, training):
    """log p(X) + sum_m log p(x_m), whoever trains the decoders."""
    row = oracle.sample(1)
    found = -losses(build(oracle, training=training), repeated(row, 5000), 20)
    exact = sum(evidences(oracle, row).values())
    assert within(found, exact)
    assert not within(found, exact + 0.1), "the check must be able to fail"


@pytest.mark.statistical
@two_and_three
def test_the_two_stages_have_the_two_parts_of_the_bound(build, oracle):
    row = oracle.sample(1)
    values = repeated(row, 5000)
    model = build(oracle, training="stages")
    exact = evidences(oracle, row)
    assert within(-losses(model, values, 20, "joint"), exact[JOINT])
    assert within(-losses(model, values, 20, "single"), sum(exact.values()) - exact[JOINT])
    small = oracle.sample(6)
    parts = [model.objective(small, noise=noise(), stage=stage).loss for stage in ("joint", "single")]
    assert torch.allclose(build(oracle).objective(small, noise=noise()).loss, sum(parts), atol=1e-12)


@pytest.mark.statistical
@two_and_three
def test_each_elbo_with_any_encoder_loses_its_kl_to_the_posterior(build, oracle):
    """Master identity, term by term: each is a bound on the evidence of its own modalities."""
    row = oracle.sample(1, seed=3)
    model, values = build(oracle, rough=True), repeated(row, 3000)
    draws = [model.objective(values, noise=noise(k)).terms for k in range(20)]
    for role, evidence in evidences(oracle, row).items():
        some = row if role == JOINT else {role: row[role]}
        gap = kl_gaussian(model.posterior(some), oracle.posterior(some))[0].detach()
        found = torch.stack([terms[f"elbo/{role}"] for terms in draws])
        assert within(found, evidence - gap), role
        assert gap > 0.02
        assert found.mean() < evidence, role


def test_one_modality_counts_for_the_joint_encoder_and_for_its_own(build):
    values = ONE.sample(6)
    found = build(ONE).objective(values, noise=noise())
    assert torch.allclose(found.loss, -found.terms[f"elbo/{JOINT}"] - found.terms["elbo/s"], atol=1e-12)


# The gradient that is stopped -----------------------------------------------------------------------------------------
@two_and_three
def test_only_the_joint_elbo_trains_the_decoders(build, oracle):
    """Decoders get the gradient of the joint ELBO alone, q_m that of its own ELBO in full, through z and decoder."""
    values = oracle.sample(6)
    _, stopped = trained(build(oracle, rough=True), values)
    _, flowing = trained(build(oracle, rough=True, training="joint"), values)
    _, joint = trained(build(oracle, rough=True, training="stages"), values, "joint")
    assert torch.allclose(of(stopped, "decoders"), of(joint, "decoders"), atol=1e-12)
    assert torch.allclose(of(stopped, "joint"), of(joint, "joint"), atol=1e-12)
    assert torch.allclose(of(stopped, "encoders"), of(flowing, "encoders"), atol=1e-12)
    assert not torch.allclose(of(flowing, "decoders"), of(joint, "decoders"), rtol=0.05)
    assert of(joint, "encoders").abs().max() == 0


def test_the_reconstruction_of_one_modality_trains_its_encoder(build):
    """Not only the KL: stopping z as well would leave the gradient of the KL alone."""
    values = TWO.sample(6)
    _, found = trained(build(TWO, rough=True), values)
    model = build(TWO, rough=True)
    sum(kl_standard(model.posterior({name: x})).mean() for name, x in values.items()).backward()
    assert not torch.allclose(of(found, "encoders"), of(gradients(model), "encoders"), rtol=0.1)


def test_the_stop_changes_gradients_and_no_value(build, make):
    """With the linear decoders, and with the networks that the model builds for itself."""
    values = THREE.sample(6)
    for builder in (lambda **s: build(THREE, rough=True, **s), lambda **s: make("telbo", THREE, **s)):
        stopped, flowing = builder(), builder(training="joint")
        flowing.load_state_dict(stopped.state_dict())
        found = [model.objective(values, noise=noise()) for model in (stopped, flowing)]
        assert torch.allclose(found[0].loss, found[1].loss, atol=1e-12)


# Stages ---------------------------------------------------------------------------------------------------------------
@two_and_three
def test_a_stage_leaves_the_parameters_of_the_other_bit_identical(build, oracle):
    model, values = build(oracle, rough=True, training="stages"), oracle.sample(6)
    among = trainable(model)
    for stage, moved in zip(model.stages, (("joint", "decoders"), ("encoders",)), strict=True):
        before = copy.deepcopy(model.state_dict())
        optimiser = torch.optim.AdamW(enter_stage(model, stage, among), 1e-2, weight_decay=0.1)
        for step in range(3):
            optimiser.zero_grad()
            model.objective(values, noise=noise(step), stage=stage.name).loss.backward()
            optimiser.step()
        assert {n for n, p in model.named_parameters() if p.requires_grad} == {n for n in before if n.startswith(moved)}
        for name, now in model.state_dict().items():
            assert torch.equal(now, before[name]) != name.startswith(moved), (stage.name, name)


@two_and_three
def test_the_second_stage_is_a_vae_of_each_modality_with_a_frozen_decoder(build, make, oracle):
    """Loss and gradients of the encoders are those of independent VAEs with the same networks and noise."""
    values = oracle.sample(6)
    model, vae = build(oracle, rough=True, training="stages"), make("vae", oracle, encoder="rough")
    enter_stage(model, model.stages[1], trainable(model))
    loss, found = trained(model, values, "single")
    reference, plain = trained(vae, values)
    assert torch.allclose(loss, reference, atol=1e-12)
    assert torch.allclose(of(found, "encoders"), of(plain, "encoders"), atol=1e-12)
    assert of(found, "decoders").abs().max() == 0
    assert of(plain, "decoders").abs().max() > 0.1


def test_the_variance_of_one_modality_has_an_entropy_reward(build):
    """MultiVae puts the frozen joint log variance into the entropy part of the second stage's KL.

    Its term 0.5 sum (sigma_m^2 + mu_m^2 - 1) - sum log sigma_joint is another number, and has no reward for a wide
    q_m: the loss falls for sigma_m -> 0 without end. The gradient for log sigma_m of the two forms differs by the
    entropy's, 1 in each dimension. Ours pushes a narrow q_m outwards, theirs goes on narrowing it.
    """
    values = TWO.sample(400)
    model = build(TWO, training="stages")
    joint = model.posterior(values)
    q = model.posterior({"s": values["s"]})
    found = model.objective(values, noise=noise(), stage="single").terms["kl/s"]
    wrong = 0.5 * (q.scale.square() + q.location.square() - 1).sum(-1) - joint.scale.log().sum(-1)
    assert torch.allclose(found, kl_gaussian(q, TWO.standard(400)).mean(), atol=1e-12)
    assert (wrong.mean() - found).abs() > 0.3
    for narrower in (0.1, 1e-2, 1e-3):
        model = build(TWO, training="stages")
        with torch.no_grad():
            model.encoders["s"].log_scale += torch.tensor(narrower).log()
        ours = trained(model, values, "single")[1]["encoders.s.log_scale"]
        assert (ours < 0).all(), "a step along the negative gradient widens q_m"
        without_entropy = ours + 1
        assert (without_entropy > -0.05).all(), "nothing widens it"
    wide = trained(build(TWO, training="stages"), values, "single")[1]["encoders.s.log_scale"]
    assert (wide.abs() < 0.2).all(), "the exact posterior is at rest"
    assert (wide + 1 > 0.5).all(), "and would be narrowed"


def test_an_unknown_stage_is_named(build):
    with pytest.raises(InvalidSetting, match="model 'telbo' has no stage 'second'; it has main, joint, single"):
        build(TWO).objective(TWO.sample(2), noise=noise(), stage="second")


# Missing modalities ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("observed", [("s",), ("t",), ("s", "u")])
@pytest.mark.parametrize("training", ["stop-gradient", "joint"])
def test_a_partial_row_has_the_elbos_of_what_it_holds(build, make, observed, training):
    """The loss is that of independent VAEs on the observed modalities; no parameter of another one is touched."""
    values = {name: x for name, x in THREE.sample(6).items() if name in observed}
    loss, found = trained(build(THREE, rough=True, training=training), values)
    reference, plain = trained(make("vae", THREE, encoder="rough"), values)
    assert torch.allclose(loss, reference, atol=1e-12)
    assert torch.allclose(of(found, "encoders"), of(plain, "encoders"), atol=1e-12)
    assert of(found, "joint").abs().max() == 0
    expected = of(plain, "decoders") if training == "joint" else torch.zeros_like(of(plain, "decoders"))
    assert torch.allclose(of(found, "decoders"), expected, atol=1e-12)


def test_a_partial_row_adds_nothing_to_the_first_stage_and_its_elbos_to_the_second(build, make):
    model, values = build(THREE, rough=True, training="stages"), {"s": THREE.sample(6)["s"]}
    first = model.objective(values, noise=noise(), stage="joint")
    assert first.loss.shape == ()
    assert first.loss == 0
    assert not first.loss.requires_grad
    assert first.loss.dtype == torch.float64
    second = model.objective(values, noise=noise(), stage="single").loss
    vae = make("vae", THREE, encoder="rough").objective(values, noise=noise()).loss
    assert torch.allclose(second, vae, atol=1e-12)


# Inference ------------------------------------------------------------------------------------------------------------
def test_one_modality_is_inferred_by_its_own_encoder_all_by_the_joint_one(build):
    values = THREE.sample(5)
    for model in (build(THREE), build(THREE, subsets="refuse")):
        for names in (("t",), ("s", "t", "u")):
            some = {name: values[name] for name in names}
            assert torch.allclose(model.posterior(some).mean, THREE.posterior(some).mean, atol=1e-12)
            assert torch.allclose(model.posterior(some).stddev, THREE.posterior(some).stddev, atol=1e-12)


def test_between_the_product_counts_the_prior_twice_or_is_refused(build):
    """Precisions add without correction: 2 + |W_s|^2/s^2 + |W_t|^2/s^2 in place of 1 + ..., so that the ELBO of the
    product stays below log p(x_s, x_t)."""
    values = {name: x for name, x in THREE.sample(5).items() if name != "u"}
    q, exact = build(THREE).posterior(values), THREE.posterior(values)
    assert torch.allclose(q.stddev**-2, exact.stddev**-2 + 1, atol=1e-10)
    assert torch.allclose(q.mean * q.stddev**-2, exact.mean * exact.stddev**-2, atol=1e-10)
    elbo = sum(THREE.expected_log_likelihood(name, x, q) for name, x in values.items()) - kl_standard(q)
    assert (elbo < THREE.log_marginal(values) - 1e-3).all()
    with pytest.raises(CannotBear, match="no posterior given only s, t: its source defines"):
        build(THREE, subsets="refuse").posterior(values)


# Weights --------------------------------------------------------------------------------------------------------------
def test_beta_weighs_every_kl_gamma_the_single_likelihoods_and_lambda_all(build):
    values = TWO.sample(6)
    plain = build(TWO, rough=True).objective(values, noise=noise())
    elbos = {role: plain.terms[f"elbo/{role}"] for role in (JOINT, "s", "t")}
    kls = {role: plain.terms[f"kl/{role}"] for role in (JOINT, "s", "t")}
    heavier = build(TWO, rough=True, beta=2.5).objective(values, noise=noise()).loss
    assert torch.allclose(heavier - plain.loss, 1.5 * sum(kls.values()), atol=1e-10)
    single = sum(elbos[name] + kls[name] for name in ("s", "t"))
    louder = build(TWO, rough=True, gamma=3.0).objective(values, noise=noise()).loss
    assert torch.allclose(louder - plain.loss, -2 * single, atol=1e-10)
    for training in ("stop-gradient", "joint"):
        model = build(TWO, rough=True, training=training)
        model.weights = {"s": 4.0, "t": 4.0}
        rescaled = model.objective(values, noise=noise()).loss
        likelihoods = sum(elbos.values()) + sum(kls.values())
        assert torch.allclose(rescaled - plain.loss, -3 * likelihoods, atol=1e-10)
