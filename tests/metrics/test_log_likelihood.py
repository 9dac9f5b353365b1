"""Importance-sampled log likelihoods against the exact ones of the linear-Gaussian model, through production models."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbench.metrics import View, evaluate, importance
from mmbench.metrics.importance import Estimate, estimate, jackknife, log_weights_of, stratified_log_weights
from mmbench.metrics.likelihood import log_likelihood
from mmbench.metrics.log_likelihood import questions
from mmbench.models import MODELS
from mmbench.models.posteriors import Gaussian, Mixture
from mmbench.seeding import RowNoise
from mmbench.testing.linear_gaussian import LinearGaussian

ORACLE = LinearGaussian()
ROWS = 60
VALUES = ORACLE.sample(ROWS, seed=5)


def noise(key=0):
    return RowNoise(key, range(ROWS), dtype=torch.float64)


def agrees(found: Estimate, exact: torch.Tensor, k: int, sigmas: float = 4.0) -> bool:
    """Whether the mean over rows lies within `sigmas` of the truth.

    The variance of a log-mean-exp is (1 / ess - 1 / K) to first order, and its bias minus half of that (delta method).
    """
    variance = (1 / found.effective - 1 / k).clamp(min=0)
    error = math.sqrt(float(variance.sum())) / len(exact)
    allowed = sigmas * error + float(variance.mean()) / 2 + 1e-9
    return abs(float((found.value - exact).mean())) < allowed


def model_of(name, encoder="rough", **settings):
    kind = MODELS[name]
    arch = dataclasses.replace(ORACLE.arch, rescale="largest")
    return kind(ORACLE.modalities, kind.Settings(**settings), arch, ORACLE.coders(encoder=encoder)).double()


def scores(model, rows=ROWS, batch=25, **settings):
    def test():
        for at in range(0, ROWS, batch):
            part = {n: x[at : at + batch] for n, x in VALUES.items()}
            yield SimpleNamespace(values=part, targets=None, rows=np.arange(at, min(at + batch, ROWS)))

    found = evaluate(
        model,
        train=list,
        test=test,
        modalities=ORACLE.modalities,
        classes=None,
        metrics={"log_likelihood": {"rows": rows, **settings}},
        classifiers=None,
        seed=0,
    )
    return {(s.given, s.target): s for s in found.scores}


def pick(*names):
    return {n: VALUES[n] for n in names}


def test_exact_proposals_give_exact_values_with_one_sample():
    """The product of exact experts is p(z | x_S): every weight is p(x_S), whatever the likelihoods' rescaling."""
    found = scores(model_of("mvae", "expert"), k=1)
    for names in (("s",), ("t",), ("s", "t")):
        score = found["", "+".join(names)]
        exact = ORACLE.log_marginal(pick(*names))
        assert score.value == pytest.approx(float(exact.mean()), abs=1e-9)
        assert score.stderr == pytest.approx(float(exact.std()) / math.sqrt(ROWS))
        assert (score.estimator, score.n) == ("iwae-1", ROWS)
        assert score.details == {"ess": pytest.approx(1)}  # error and bias of one sample are unknown
    for a, b in (("s", "t"), ("t", "s")):
        exact = ORACLE.log_marginal(VALUES) - ORACLE.log_marginal(pick(a))
        assert found[a, b].value == pytest.approx(float(exact.mean()), abs=1e-9)
        assert found[a, b].estimator == "iwae-difference-1"


def near(score, exact: torch.Tensor) -> bool:
    """Whether a score lies within five of its own Monte-Carlo errors, which must be small, and its stated bias."""
    error, bias = score.details["mc_stderr"], abs(score.details["jackknife_bias"])
    return error < 0.02 and bias < 0.01 and abs(score.value - float(exact.mean())) <= 5 * error + bias


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["mvae", "mmvae"])
def test_rough_proposals_converge_to_the_exact_values(name):
    found = scores(model_of(name), k=3000)
    for names in (("s",), ("t",), ("s", "t")):
        assert near(found["", "+".join(names)], ORACLE.log_marginal(pick(*names)))
    for a, b in (("s", "t"), ("t", "s")):
        assert near(found[a, b], ORACLE.log_marginal(VALUES) - ORACLE.log_marginal(pick(a)))


@pytest.mark.statistical
def test_a_model_with_a_conditional_prior_gives_both_conditionals():
    """MEME's p(s|t) is the integral of d_s(s|z) e_t(z|t): a Gaussian, for any linear encoder."""
    model = model_of("meme")
    found = scores(model, k=3000)
    with torch.no_grad():
        for given, target in (("s", "t"), ("t", "s")):
            prior = model.generative_prior({given: VALUES[given]})
            assert near(found[given, target], ORACLE.evidence(prior, pick(target)))
            assert found[given, target].estimator == "conditional-iwae-3000"
    for target in ("s", "t", "s+t"):
        assert found["", target].status == "skipped"
        assert "no joint prior" in found["", target].note


@pytest.mark.statistical
@pytest.mark.parametrize("k", [50, 2000])
def test_the_check_accepts_the_estimator_and_refuses_wrong_ones(k):
    """Both ways: right weights agree with the truth; log-sum-exp, a forgotten proposal and rescaled ones do not."""
    model = model_of("mvae")
    exact = ORACLE.log_marginal(VALUES)
    with torch.no_grad():
        proposal, prior = model.posterior(VALUES), model.prior()
        right = log_weights_of(model, VALUES, prior=prior, proposal=proposal, k=k, noise=noise())

        def forgotten(z):
            return model.likelihood("s", z).log_prob(VALUES["s"]) + model.likelihood("t", z).log_prob(VALUES["t"])

        def rescaled(z):
            return prior.log_prob(z) + sum(model.log_likelihood(n, VALUES[n], z) for n in ("s", "t"))

        wrong = [
            right + math.log(k),
            *(stratified_log_weights(proposal, f, k, noise(), chunk=k) for f in (forgotten, rescaled)),
        ]
    assert agrees(estimate(right), exact, k)
    assert not [w for w in wrong if agrees(estimate(w), exact, k)]


@pytest.mark.statistical
def test_stratifying_a_mixture_is_right_where_one_random_component_is_not():
    """The mass lies under one component: samples of the other over the mixture's density miss most of it."""
    ones = torch.ones(ROWS, 1, dtype=torch.float64)
    left, right = Gaussian(-1.5 * ones, ones), Gaussian(1.5 * ones, ones)
    proposal, exact, k = Mixture((left, right)), torch.zeros(ROWS).double(), 500
    stratified = stratified_log_weights(proposal, right.log_prob, k, noise(), chunk=100)
    assert agrees(estimate(stratified), exact, k)
    for component in (left, right):
        z = component.rsample(k, noise())
        assert not agrees(estimate(right.log_prob(z) - proposal.log_prob(z)), exact, k)


def test_the_jackknife_equals_leaving_each_sample_out():
    weights = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double() * 3
    weights[2, 0] = 400.0  # one sample holds all the mass: the subtraction would leave nothing of the others

    def lme(x):
        return torch.logsumexp(x, 0) - math.log(len(x))

    without = torch.stack([lme(torch.cat([weights[:i], weights[i + 1 :]])) for i in range(7)])
    bias, stderr = jackknife(weights)
    assert torch.allclose(bias, 6 * (without.mean(0) - lme(weights)), rtol=1e-9)
    assert torch.allclose(stderr, (6 / 7 * 7 * without.var(0, correction=0)).sqrt(), rtol=1e-9)


def test_the_jackknife_of_one_sample_is_unknown_and_of_equal_ones_zero():
    assert all(found.isnan().all() for found in jackknife(torch.randn(1, 4)))
    for found in jackknife(torch.full((5, 2), -3.0).double()):
        assert found.tolist() == pytest.approx([0, 0])


def test_for_a_mean_instead_of_its_log_the_error_is_the_usual_one():
    """For nearly equal weights 1 + x the log-mean-exp is the mean of x: standard error std / sqrt(K)."""
    x = 1e-6 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(jackknife(x.log1p())[1], x.std(0) / 50**0.5, rtol=1e-4)


def test_effective_samples_lie_between_one_and_all():
    weights = torch.tensor([[0.0, 0.0], [0.0, -900.0], [0.0, -900.0]])
    assert estimate(weights).effective.tolist() == pytest.approx([3, 1])


def test_values_depend_neither_on_batches_nor_on_chunks(monkeypatch):
    model = model_of("mmvae")
    whole = scores(model, batch=ROWS, k=20)
    monkeypatch.setattr(importance, "BUDGET", 100)
    parts = scores(model, batch=7, k=20)
    for key, score in whole.items():
        assert parts[key].value == pytest.approx(score.value, abs=1e-9)


def test_the_cap_on_rows_takes_the_first_ones():
    found = scores(model_of("mvae", "expert"), rows=33, k=1)["", "s"]
    assert found.n == 33
    assert found.value == pytest.approx(float(ORACLE.log_marginal({"s": VALUES["s"][:33]}).mean()))


def test_a_proposal_without_density_is_skipped_with_its_reason(toy, score):
    for only in score(toy(opaque=True), {"log_likelihood": {"k": 2}}).scores:
        assert only.status == "skipped"
        assert "needs a proposal with a density" in only.note
        assert "Opaque" in only.note


def test_details_are_means_over_the_rows():
    score = scores(model_of("mvae"), k=50)["", "s+t"]
    with torch.no_grad():
        view = View(model_of("mvae"), VALUES, None, np.arange(ROWS), seed=0)
        found = log_likelihood(view.model, VALUES, ("s", "t"), k=50, noise=view.noise("log_likelihood"))
    assert score.value == pytest.approx(float(found.value.mean()))
    assert score.stderr == pytest.approx(float(found.value.std()) / ROWS**0.5)
    assert score.details == {
        "ess": pytest.approx(float(found.effective.mean())),
        "jackknife_bias": pytest.approx(float(found.bias.mean())),
        "mc_stderr": pytest.approx(float(found.stderr.square().sum()) ** 0.5 / ROWS),
    }


def test_of_three_modalities_each_is_scored_given_all_others_too():
    singles, both = [("a",), ("b",)], ("a", "b")
    assert questions(("a",)) == [(("a",), ())]
    assert questions(both) == [*[(s, ()) for s in singles], (both, ()), (("b",), ("a",)), (("a",), ("b",))]
    of_three = questions(("a", "b", "c"))
    assert len(of_three) == len(set(of_three)) == 3 + 1 + 6 + 3
    assert (("b",), ("a", "c")) in of_three
