"""MEME on the linear-Gaussian oracle: exact values of the paired and unpaired bounds, and the estimators' identities.

Formulas: for e_s = N(m_s, C_s), e_t = N(m_t, C_t) and q_st proportional to e_s(z) d_t(t|z) (all Gaussian),
    L(s->t) - log p(t) = E_{q_st}[log d_s - log d_t] - KL(q_st||e_t) + KL(q_st||e_s) + log q(t|s),
because E_{q_st}[log e_t - log e_s] = KL(q_st||e_s) - KL(q_st||e_t), and log q(t|s) = log int e_s d_t dz.

One long file, because paired and unpaired rows are held against the same oracle by the same functions.
"""

import pytest
import torch
from torch import Tensor

from mmbench.errors import CannotBear
from mmbench.models.bounds import log_mean_exp
from mmbench.models.execution import PLAIN
from mmbench.models.meme import MEME
from mmbench.models.posteriors import Gaussian, kl_gaussian
from mmbench.models.pseudo_inputs import mixture_log_prob
from mmbench.testing.checks import ZeroNoise, gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

DIRECTIONS = [("s", "t"), ("t", "s")]


def exact_bound(oracle: LinearGaussian, model: MEME, values: dict[str, Tensor], s: str, t: str) -> Tensor:
    """L(s->t) - log p(t) in closed form for the model's encoders, `[B]`."""
    e_s, e_t = model.encode(s, values[s]), model.encode(t, values[t])
    q_st = oracle.update(e_s, {t: values[t]})
    likelihoods = oracle.expected_log_likelihood(s, values[s], q_st) - oracle.expected_log_likelihood(
        t, values[t], q_st
    )
    return likelihoods - kl_gaussian(q_st, e_t) + kl_gaussian(q_st, e_s) + oracle.evidence(e_s, {t: values[t]})


def directed(model: MEME, values: dict[str, Tensor], s: str, key: int = 0) -> Tensor:
    encodings = {name: model.encode(name, x) for name, x in values.items()}
    return model.directed(s, values, encodings, noise(key))[0]


@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_with_exact_encoders_the_first_term_is_the_constant_log_p_s_minus_log_p_t(oracle, make, s, t):
    """A(z) = log p(z|t) p(s|z) / (p(z|s) p(t|z)) = log p(s) - log p(t) for every z."""
    model, values = make("meme", oracle, own="all", k=4), oracle.sample(6)
    constant = oracle.log_marginal({s: values[s]}) - oracle.log_marginal({t: values[t]})
    bound = directed(model, values, s)
    e_s = model.encode(s, values[s])
    l_t = model.log_likelihood(t, values[t], e_s.transport(noise().normal("z", (5, 6, oracle.dim))))
    # weights sum to K + 1, so that the mean of w_k A_k is the constant whatever the samples are
    assert torch.allclose(bound, constant + 10.0 * log_mean_exp(l_t), atol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("own", ["one", "all", "drawn"])
@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_paired_bound_with_exact_encoders_is_the_joint_evidence(oracle, make, s, t, own):
    model, values = make("meme", oracle, k=300, c=1.0, own=own), repeated(oracle.sample(1), 2000)
    joint = oracle.log_marginal(values)[0]
    bounds = directed(model, values, s).detach() + oracle.log_marginal({t: values[t]})
    assert within(bounds, joint)
    assert not within(bounds, joint + 0.5), "the check must be able to fail"


@pytest.mark.statistical
@pytest.mark.parametrize("own", ["one", "all", "drawn"])
@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_paired_bound_with_any_encoders_equals_its_closed_form(oracle, make, s, t, own):
    model = make("meme", oracle, encoder="rough", k=1000, c=1.0, own=own)
    values = repeated(oracle.sample(1, seed=3), 1500)
    exact = exact_bound(oracle, model, values, s, t)[0].detach()
    bounds = directed(model, values, s).detach()
    assert within(bounds, exact)
    assert not within(bounds, exact + 20 * bounds.std() / len(bounds) ** 0.5), "the check must be able to fail"
    evidence = oracle.evidence(model.encode(t, values[t]), {s: values[s]})[0]
    assert bounds.mean() + 5 * bounds.std() / len(bounds) ** 0.5 < evidence


@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_closed_form_is_a_bound_on_the_evidence_of_its_own_direction(oracle, make, s, t):
    """L(s->t) = log p(s, t) - KL(q_st || p_st) with p(s, t) = p(t) int d_s e_t dz."""
    model, values = make("meme", oracle, encoder="rough"), oracle.sample(20)
    e_s, e_t = model.encode(s, values[s]), model.encode(t, values[t])
    q_st, p_st = oracle.update(e_s, {t: values[t]}), oracle.update(e_t, {s: values[s]})
    evidence = oracle.evidence(e_t, {s: values[s]})
    exact = exact_bound(oracle, model, values, s, t)
    assert torch.allclose(exact, evidence - kl_gaussian(q_st, p_st), atol=1e-9)
    assert (exact < evidence).all()


@pytest.mark.statistical
@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_analytic_kl_has_the_bias_of_its_closed_form(oracle, make, s, t):
    """Weighted term with -KL(e_s||e_t): bias -KL(e_s||e_t) + KL(q_st||e_t) - KL(q_st||e_s)."""
    model = make("meme", oracle, encoder="rough", k=1000, c=1.0, own="all", kl="analytic")
    values = repeated(oracle.sample(1, seed=3), 1500)
    e_s, e_t = model.encode(s, values[s]), model.encode(t, values[t])
    q_st = oracle.update(e_s, {t: values[t]})
    bias = (-kl_gaussian(e_s, e_t) + kl_gaussian(q_st, e_t) - kl_gaussian(q_st, e_s))[0].detach()
    exact = exact_bound(oracle, model, values, s, t)[0].detach()
    bounds = directed(model, values, s).detach()
    assert within(bounds, exact + bias)
    assert not within(bounds, exact)


@pytest.mark.statistical
@pytest.mark.parametrize("logq", ["mean", "sum"])
def test_exchangeable_estimators_have_the_papers_mean_and_less_variance(oracle, make, logq):
    values = repeated(oracle.sample(1, seed=5), 40_000)
    found = {}
    for own in ("one", "all", "drawn"):
        model = make("meme", oracle, encoder="rough", k=10, c=1.0, own=own, logq=logq)
        found[own] = directed(model, values, "s", key=1).detach()
    for own in ("all", "drawn"):
        error = (found[own].var() + found["one"].var()).sqrt() / len(found["one"]) ** 0.5
        assert (found[own].mean() - found["one"].mean()).abs() < 5 * error
    if logq == "mean":
        assert found["all"].std() < found["drawn"].std() < found["one"].std()
    else:
        assert found["all"].std() < found["one"].std()


@pytest.mark.statistical
@pytest.mark.parametrize(
    "settings", [{"c": 1.0}, {"c": 10.0}, {"c": 10.0, "kl": "analytic"}, {"c": 3.0, "logq": "sum"}]
)
def test_exchangeable_estimators_have_the_papers_mean_gradient_and_less_variance(oracle, make, settings):
    """A signal-to-noise comparison over 150 independent batches of 200 replicates."""
    values, found = repeated(oracle.sample(1, seed=5), 200), {}
    for i, own in enumerate(("one", "all", "drawn")):
        model = make("meme", oracle, encoder="rough", k=5, own=own, **settings)
        batches = []
        for key in range(150):
            model.zero_grad()
            model.objective(values, noise=noise(1000 * i + key)).loss.backward()
            batches.append(torch.cat([g.flatten() for g in gradients(model).values()]))
        found[own] = torch.stack(batches)
    one = found["one"]
    for own in ("all", "drawn"):
        error = (found[own].var(0) + one.var(0)).sqrt() / len(one) ** 0.5
        assert ((found[own].mean(0) - one.mean(0)).abs() <= 5 * error + 1e-12).all()
    if settings == {"c": 1.0}:
        assert found["all"].var(0).sum() < found["drawn"].var(0).sum() < one.var(0).sum()


@pytest.mark.statistical
def test_on_many_dimensions_drawing_one_sample_has_less_gradient_variance_at_c_ten_too(make):
    """The weights are nearly one-hot there, as on images; where they are spread, the drawn c - 1 costs variance."""
    oracle = LinearGaussian(sizes={"s": 48, "t": 64}, dim=8, noise=0.1)
    values, spread = repeated(oracle.sample(1), 100), {}
    for own in ("one", "all", "drawn"):
        model = make("meme", oracle, encoder="rough", k=10, c=10.0, own=own)
        batches = []
        for key in range(60):
            model.zero_grad()
            model.objective(values, noise=noise(key)).loss.backward()
            batches.append(torch.cat([g.flatten() for g in gradients(model).values()]))
        spread[own] = torch.stack(batches).var(0).sum()
    assert spread["all"] < spread["one"]
    assert spread["drawn"] < spread["one"]


def test_finite_k_bound_holds_sample_by_sample(oracle, make):
    """(1/(K+1)) sum_k w_k A_k + log q^ <= LME_k(log d_s + log e_t - log e_s), by Jensen."""
    values = oracle.sample(200)
    for k in (0, 1, 7):
        model = make("meme", oracle, encoder="rough", k=k, c=1.0, own="all")
        e_s, e_t = model.encode("s", values["s"]), model.encode("t", values["t"])
        z = e_s.transport(noise().normal("z", (k + 1, 200, oracle.dim)))
        ceiling = log_mean_exp(model.log_likelihood("s", values["s"], z) + e_t.log_prob(z) - e_s.log_prob(z))
        bound = directed(model, values, "s")
        assert (bound <= ceiling + 1e-10).all()
        assert torch.allclose(bound, ceiling, atol=1e-10) == (k == 0)


@pytest.mark.statistical
@pytest.mark.parametrize(("s", "t"), DIRECTIONS)
def test_the_bounds_of_few_samples_lie_below_their_limit_and_tend_to_it(oracle, make, s, t):
    """E[log q^] <= log q(t|s), increasing in K (Jensen); the bias of the whole estimator is O(1/K)."""
    values = repeated(oracle.sample(1, seed=3), 6000)
    log_q, gap = [], []
    for k in (1, 10, 100):
        model = make("meme", oracle, encoder="rough", k=k, c=1.0, own="all")
        with torch.no_grad():
            encodings = {name: model.encode(name, x) for name, x in values.items()}
            bounds, terms = model.directed(s, values, encodings, noise())
            limit = oracle.evidence(encodings[s], {t: values[t]})[0]
            gap.append(exact_bound(oracle, model, values, s, t)[0] - bounds.mean())
        log_q.append(terms["log_q"])
    assert log_q[0] + 0.1 < log_q[1] < log_q[2] - 0.05
    assert log_q[2] < limit < log_q[2] + 0.05
    assert gap[0] > 3 * gap[1] > 9 * gap[2]
    assert gap[2].abs() < 0.1


def test_without_extra_samples_it_is_a_vae_with_a_conditional_prior_and_leaves_the_target_decoder_alone(oracle, make):
    """K = 0 with the own sample: w = 1 and, at c = 1, log d_t cancels."""
    values = oracle.sample(8)
    for own in ("one", "all", "drawn"):
        model = make("meme", oracle, encoder="rough", k=0, c=1.0, own=own, direction="s->t")
        found = model.objective(values, noise=noise())
        e_s, e_t = model.encode("s", values["s"]), model.encode("t", values["t"])
        z = e_s.transport(noise().child("s").normal("z", (1, 8, oracle.dim)))
        vae = model.log_likelihood("s", values["s"], z) + e_t.log_prob(z) - e_s.log_prob(z)
        assert torch.allclose(found.loss, -vae.mean(), atol=1e-12)
        found.loss.backward()
        grads = gradients(model)
        assert grads["decoders.t.weight"].abs().max() < 1e-12
        assert grads["decoders.s.weight"].abs().max() > 1e-3


def test_at_c_one_all_samples_cancel_the_target_decoders_gradient_and_c_ten_leaves_nine_times_log_q(oracle, make):
    values = oracle.sample(8)
    for own in ("all", "drawn"):
        model = make("meme", oracle, encoder="rough", k=5, c=1.0, own=own, direction="s->t")
        model.objective(values, noise=noise()).loss.backward()
        assert gradients(model)["decoders.t.weight"].abs().max() < 1e-12
    model = make("meme", oracle, encoder="rough", k=5, c=10.0, own="all", direction="s->t")
    model.execution = PLAIN  # every sample under autograd, so that the comparison may be exact
    model.objective(values, noise=noise()).loss.backward()
    found = gradients(model)["decoders.t.weight"]
    model.zero_grad()
    e_s = model.encode("s", values["s"])
    z = e_s.transport(noise().child("s").normal("z", (6, 8, oracle.dim)))
    (-9 * log_mean_exp(model.log_likelihood("t", values["t"], z)).mean()).backward()
    assert torch.allclose(found, gradients(model)["decoders.t.weight"], atol=1e-12)


def test_at_c_one_the_supervision_does_not_reach_the_encoder_either(oracle, make):
    """All that the gradient of e_s has is that of the weighted log d_s + log e_t - log e_s, the weights constant."""
    values = oracle.sample(8)
    model = make("meme", oracle, encoder="rough", k=5, c=1.0, own="all", direction="s->t")
    model.execution = PLAIN  # every sample under autograd, so that the comparison may be exact
    model.objective(values, noise=noise()).loss.backward()
    found = gradients(model)
    model.zero_grad()
    e_s, e_t = model.encode("s", values["s"]), model.encode("t", values["t"])
    z = e_s.transport(noise().child("s").normal("z", (6, 8, oracle.dim)))
    weights = 6 * model.log_likelihood("t", values["t"], z).softmax(0).detach()
    rest = model.log_likelihood("s", values["s"], z) + e_t.log_prob(z) - e_s.log_prob(z)
    (-(weights * rest).mean()).backward()
    assert found["encoders.s.weight"].abs().max() > 1e-3
    for name, gradient in gradients(model).items():
        assert torch.allclose(found[name], gradient, atol=1e-10), name


@pytest.mark.statistical
def test_at_c_one_the_papers_estimator_leaves_the_target_decoder_alone_in_expectation(oracle, make):
    model = make("meme", oracle, encoder="rough", k=5, c=1.0, own="one", direction="s->t")
    values, batches = repeated(oracle.sample(1), 200), []
    for key in range(200):
        model.zero_grad()
        model.objective(values, noise=noise(key)).loss.backward()
        batches.append(gradients(model)["decoders.t.weight"].flatten())
    assert within(torch.stack(batches), 0.0)
    assert torch.stack(batches).std(0).min() > 1e-3


def test_identical_samples_have_weight_one_under_the_mean_and_one_over_k_plus_one_under_the_sum(oracle, make):
    values = oracle.sample(5)
    expected = {"mean": 1.0, "sum": 1 / 11}
    for logq, weight in expected.items():
        model = make("meme", oracle, encoder="rough", k=10, c=0.0, own="one", logq=logq)
        e_s, e_t = model.encode("s", values["s"]), model.encode("t", values["t"])
        encodings = {"s": e_s, "t": e_t}
        bound, _ = model.directed("s", values, encodings, ZeroNoise())
        z = e_s.location.unsqueeze(0)
        first = (
            model.log_likelihood("s", values["s"], z)
            + e_t.log_prob(z)
            - e_s.log_prob(z)
            - model.log_likelihood("t", values["t"], z)
        )
        assert torch.allclose(bound, weight * first[0], atol=1e-10)


def test_log_sum_exp_exceeds_log_mean_exp_by_log_of_k_plus_one(oracle, make):
    """With c = 1, K = 10 and identical samples: c * log 11 more, and a first term 11 times as light."""
    values = oracle.sample(5)
    bounds = {}
    for logq in ("mean", "sum"):
        model = make("meme", oracle, k=10, c=1.0, own="one", logq=logq)
        encodings = {n: model.encode(n, x) for n, x in values.items()}
        bounds[logq], _ = model.directed("s", values, encodings, ZeroNoise())
    constant = oracle.log_marginal({"s": values["s"]}) - oracle.log_marginal({"t": values["t"]})
    difference = torch.log(torch.tensor(11.0, dtype=torch.float64)) - constant * 10 / 11
    assert torch.allclose(bounds["sum"] - bounds["mean"], difference, atol=1e-10)


@pytest.mark.statistical
def test_own_weight_lies_between_zero_and_k_plus_one_and_is_one_in_expectation(oracle, make):
    """E[w] = 1 for every K by exchangeability; c = 0 and a first term of exactly one leave the weight alone."""
    model = make("meme", oracle, k=4, c=0.0, own="one")
    values = repeated(oracle.sample(1, seed=4), 20_000)
    constant = (oracle.log_marginal({"s": values["s"]}) - oracle.log_marginal({"t": values["t"]}))[0]
    weight = directed(model, values, "s").detach() / constant  # with exact encoders A(z) is this constant
    assert weight.min() > 0
    assert weight.max() <= 5 + 1e-9
    assert weight.std() > 0.1
    assert within(weight, 1.0)


@pytest.mark.statistical
@pytest.mark.parametrize("settings", [{"logq": "sum"}, {"include_own": False}])
def test_the_own_weight_of_the_other_forms_has_another_expectation(oracle, make, settings):
    """Under log-sum-exp w <= 1 and E[w] = 1/(K + 1); without the own sample E[w] > 1, and w is unbounded."""
    model = make("meme", oracle, k=4, c=0.0, own="one", **settings)
    values = repeated(oracle.sample(1, seed=4), 20_000)
    constant = (oracle.log_marginal({"s": values["s"]}) - oracle.log_marginal({"t": values["t"]}))[0]
    weight = directed(model, values, "s").detach() / constant
    if "logq" in settings:
        assert within(weight, 1 / 5)
        assert weight.max() <= 1 + 1e-9
    else:
        assert weight.mean() - 5 * weight.std() / len(weight) ** 0.5 > 1
        assert weight.max() > 5


@pytest.mark.parametrize("own", ["one", "all", "drawn"])
def test_the_sum_is_the_mean_plus_log_of_k_plus_one_for_all_samples(oracle, make, own):
    values, found = oracle.sample(7), {}
    for logq in ("mean", "sum"):
        model = make("meme", oracle, encoder="rough", k=6, own=own, logq=logq)
        found[logq] = model.objective(values, noise=noise()).terms
    for direction in ("s|t", "t|s"):
        difference = found["sum"][f"log_q/{direction}"] - found["mean"][f"log_q/{direction}"]
        assert torch.allclose(difference, torch.tensor(7.0, dtype=torch.float64).log(), atol=1e-12)


def test_stop_gradient_changes_gradients_but_not_values(oracle, make):
    values = oracle.sample(50)
    for own in ("one", "all"):
        losses, grads = [], []
        for detach in (True, False):
            model = make("meme", oracle, encoder="rough", own=own, detach_weight=detach)
            loss = model.objective(values, noise=noise()).loss
            loss.backward()
            losses.append(loss.detach())
            grads.append(gradients(model)["encoders.s.weight"])
        assert torch.equal(*losses)
        assert (grads[0] - grads[1]).abs().max() > 1e-3


def test_sum_of_directions_is_twice_their_mean_and_each_direction_is_its_own(oracle, make):
    values = oracle.sample(9)
    losses = {}
    for key, settings in {
        "mean": {"reduction": "mean"},
        "sum": {"reduction": "sum"},
        "s->t": {"direction": "s->t"},
        "t->s": {"direction": "t->s"},
    }.items():
        losses[key] = make("meme", oracle, encoder="rough", **settings).objective(values, noise=noise()).loss.detach()
    assert torch.allclose(losses["sum"], 2 * losses["mean"], atol=1e-12)
    assert torch.allclose(losses["sum"], losses["s->t"] + losses["t->s"], atol=1e-12)
    assert (losses["s->t"] - losses["t->s"]).abs() > 1e-3


@pytest.mark.parametrize("own", ["one", "all", "drawn"])
def test_relabelling_the_modalities_changes_nothing(oracle, make, own):
    values = oracle.sample(7)
    model = make("meme", oracle, encoder="rough", own=own)
    other = MEME(
        tuple(reversed(oracle.modalities)), model.settings, oracle.arch, oracle.coders(encoder="rough")
    ).double()
    loss, turned = model.objective(values, noise=noise()).loss, other.objective(values, noise=noise()).loss
    assert torch.allclose(loss, turned, atol=1e-12)


@pytest.mark.statistical
def test_the_posterior_of_both_modalities_is_the_encoding_resampled_by_the_others_likelihood(oracle, make):
    """q(z|s,t) proportional to e_s(z|s) d_t(t|z), up to a bias that K + 1 = 400 candidates make small."""
    model, values = make("meme", oracle, encoder="rough", k=399), repeated(oracle.sample(1, seed=3), 1500)
    with torch.no_grad():
        e_s, z = model.encode("s", values["s"]), model.posterior(values).rsample(2, noise())
        exact = oracle.update(e_s, {"t": values["t"]})
    for samples in z:
        assert within(samples, exact.mean[0])
        assert within((samples - exact.mean[0]).square(), exact.scale[0].square())
        assert not within(samples, e_s.mean[0])
    assert not torch.equal(z[0], z[1])


@pytest.mark.parametrize("names", [("s",), ("t",), ("s", "t")])
def test_what_is_given_is_the_prior_and_what_is_not_has_none(oracle, make, names):
    model, values = make("meme", oracle, encoder="rough"), oracle.sample(5)
    experts = [model.encode(n, values[n]) for n in names]
    precision = sum(q.scale**-2 for q in experts)
    found = model.generative_prior({n: values[n] for n in names})
    assert torch.allclose(found.scale, precision.rsqrt(), atol=1e-12)
    assert torch.allclose(found.mean, sum(q.mean * q.scale**-2 for q in experts) / precision, atol=1e-12)
    with pytest.raises(CannotBear, match="no joint prior"):
        model.generative_prior({})


# Rows with one modality ----------------------------------------------------------------------------------------------
def test_unpaired_bound_lies_below_its_evidence_and_meets_it_for_one_pseudo_input_and_the_exact_encoder(oracle, make):
    """With N = 1 and e_s the posterior under e_t(z|u), log d_s + log e_t(z|u) - log e_s is constant: the evidence."""
    values = oracle.sample(30)
    model = make("meme", oracle, encoder="rough", pseudo_inputs=1)
    prior = model.pseudo_encodings("t")
    wide = Gaussian(prior.location.expand(30, -1), prior.scale.expand(30, -1))
    evidence = oracle.evidence(wide, {"s": values["s"]}).detach()
    exact = oracle.update(wide, {"s": values["s"]})
    loss = model._unpaired("s", values["s"], exact, noise()).loss.detach()
    assert torch.allclose(-loss, evidence.mean(), atol=1e-10)
    rough = torch.stack([-model.objective({"s": values["s"]}, noise=noise(k)).loss.detach() for k in range(300)])
    assert rough.mean() + 5 * rough.std() / 300**0.5 < evidence.mean()


@pytest.mark.statistical
def test_unpaired_bound_is_the_evidence_of_the_mixture_less_a_kl(oracle, make):
    """L(s) <= log (1/N) sum_i int d_s e_t(z|u_i) dz, which the importance-weighted bound reaches."""
    model, values = make("meme", oracle, encoder="rough", pseudo_inputs=3), repeated(oracle.sample(1), 1)
    prior = model.pseudo_encodings("t")
    only_s = {"s": values["s"]}
    parts = [
        oracle.evidence(Gaussian(m[None], c[None]), only_s) for m, c in zip(prior.location, prior.scale, strict=True)
    ]
    evidence = log_mean_exp(torch.stack(parts)).detach()[0]
    many = repeated(only_s, 200_000)
    e_s = model.encode("s", many["s"])
    z = e_s.rsample(1, noise())
    weights = (model.log_likelihood("s", many["s"], z) + mixture_log_prob(prior, z) - e_s.log_prob(z)).detach()[0]
    assert weights.mean() < evidence
    assert (log_mean_exp(weights) - evidence).abs() < 0.02
    single = torch.stack([-model.objective(only_s, noise=noise(k)).loss.detach() for k in range(3000)])
    assert within(single, weights.mean())


def test_unpaired_rows_train_neither_the_missing_decoder_nor_their_own_pseudo_inputs(oracle, make):
    model, values = make("meme", oracle), oracle.sample(6)
    model.objective({"s": values["s"]}, noise=noise()).loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert all(grads[f"decoders.t.{part}"] is None for part in ("weight", "bias"))
    assert grads["pseudo.s"] is None
    for name in ("encoders.s.weight", "encoders.t.weight", "decoders.s.weight", "pseudo.t"):
        assert grads[name].abs().max() > 1e-6


def test_identical_pseudo_inputs_are_one_and_their_order_does_not_matter(oracle, make):
    values = {"s": oracle.sample(6)["s"]}
    many, one = make("meme", oracle, pseudo_inputs=5), make("meme", oracle, pseudo_inputs=1)
    with torch.no_grad():
        many.pseudo["t"].copy_(one.pseudo["t"].expand(5, -1))
    assert torch.allclose(many.objective(values, noise=noise()).loss, one.objective(values, noise=noise()).loss)
    shuffled = make("meme", oracle, pseudo_inputs=5)
    before = shuffled.objective(values, noise=noise()).loss.detach()
    with torch.no_grad():
        shuffled.pseudo["t"].copy_(shuffled.pseudo["t"].flip(0).clone())
    assert torch.allclose(before, shuffled.objective(values, noise=noise()).loss, atol=1e-12)
