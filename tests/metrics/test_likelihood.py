"""The one estimator of log p(x_A | x_B) against the closed forms of the linear-Gaussian model."""

import dataclasses

import pytest
import torch

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics import Skipped, importance
from mmbench.metrics.importance import Estimate, estimate, log_weights_of
from mmbench.metrics.likelihood import LogLikelihoods, log_likelihood
from mmbench.models import MODELS
from mmbench.models.meme import MEME
from mmbench.models.mvae import MVAE
from mmbench.models.posteriors import Gaussian, Point, Posterior
from mmbench.seeding import RowNoise
from mmbench.testing.checks import repeated
from mmbench.testing.linear_gaussian import LinearGaussian

ROWS = 60
TWO = LinearGaussian()
THREE = LinearGaussian({"s": 3, "t": 4, "u": 5})
S_GIVEN_T = (("s",), ("t",))


def noise(key=0, rows=ROWS):
    return RowNoise(key, range(rows), dtype=torch.float64)


def model_of(kind, oracle=TWO, encoder="rough", rescale="largest", **settings):
    """Likelihoods are weighted in the objective, so that weights that enter the estimate show."""
    kind = MODELS[kind] if isinstance(kind, str) else kind
    arch = dataclasses.replace(oracle.arch, rescale=rescale)
    return kind(oracle.modalities, kind.Settings(**settings), arch, oracle.coders(encoder=encoder)).double().eval()


def exact_of(model, oracle, values, target, given):
    """log p(x_target | x_given): for MEME the evidence under its conditional prior, else a difference of marginals."""
    if isinstance(model, MEME):
        with torch.no_grad():
            prior = model.generative_prior({name: values[name] for name in given})
        return oracle.evidence(prior, {name: values[name] for name in target})
    both = oracle.log_marginal({name: values[name] for name in (*target, *given)})
    return both - oracle.log_marginal({name: values[name] for name in given}) if given else both


def agrees(found: Estimate, exact: torch.Tensor) -> bool:
    """Whether the mean over rows lies within five of its stated Monte-Carlo errors, plus the stated bias."""
    error = found.stderr.square().sum().sqrt() / len(exact)
    return bool((found.value - exact).mean().abs() <= 5 * error + found.bias.mean().abs())


QUESTIONS = [(("s",), ()), (("s", "t"), ()), (("s",), ("t",)), (("t",), ("s",))]
QUESTIONS_OF_THREE = [
    (("s", "t", "u"), ()),
    (("s", "u"), ()),
    (("s",), ("u",)),
    (("t",), ("s", "u")),
    (("s", "u"), ("t",)),
]


@pytest.mark.statistical
@pytest.mark.parametrize("encoder", ["posterior", "rough"])
@pytest.mark.parametrize("name", ["mvae", "mmvae", "meme", "mopoe", "mmjsd", "mvtcae"])
@pytest.mark.parametrize(("oracle", "questions"), [(TWO, QUESTIONS), (THREE, QUESTIONS_OF_THREE)], ids=["two", "three"])
def test_values_agree_with_the_closed_form_within_their_stated_error(name, encoder, oracle, questions):
    values, model = oracle.sample(ROWS, seed=5), model_of(name, oracle, encoder)
    answers = LogLikelihoods(model, values, k=400, noise=noise())
    for target, given in questions:
        if name == "meme" and not given:
            with pytest.raises(CannotBear, match="no joint prior"):
                answers.of(target, given)
            continue
        found = answers.of(target, given)
        assert agrees(found, exact_of(model, oracle, values, target, given)), (target, given)
        assert found.stderr.mean() < 0.3
        wanted = "iwae" if not given else "conditional-iwae" if name == "meme" else "iwae-difference"
        assert found.estimator == wanted


@pytest.mark.statistical
def test_the_check_refuses_what_is_off_by_a_tenth_of_a_nat():
    values, model = TWO.sample(ROWS, seed=5), model_of("mvae")
    found = log_likelihood(model, values, ("s", "t"), k=400, noise=noise())
    assert not agrees(found, exact_of(model, TWO, values, ("s", "t"), ()) + 0.1)


@pytest.mark.statistical
@pytest.mark.parametrize("encoder", ["posterior", "rough"])
@pytest.mark.parametrize(
    ("name", "target", "given"),
    [("mvae", ("s", "t"), ()), ("mmvae", ("s", "t"), ()), ("mmvae", *S_GIVEN_T), ("meme", *S_GIVEN_T)],
)
def test_the_stated_error_is_the_spread_over_repeated_noise(name, target, given, encoder):
    """A thousand estimates for one row: their standard deviation lies within 20 % of the standard error they state.

    Its own sampling error is about 3 %.
    """
    copies = 1000
    values = repeated(TWO.sample(1, seed=3), copies)
    found = log_likelihood(model_of(name, encoder=encoder), values, target, given, k=100, noise=noise(rows=copies))
    stated, spread = found.stderr.square().mean().sqrt(), found.value.std()
    assert 0.8 < stated / spread < 1.2
    if given and (name, encoder) == ("mmvae", "rough"):  # the error of one part alone would be too small
        part = log_likelihood(model_of(name, encoder=encoder), values, given, k=100, noise=noise(rows=copies))
        assert (stated.square() - part.stderr.square().mean()).sqrt() / spread < 0.95


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("name", "target", "given"), [("mvae", ("s", "t"), ()), ("mvae", ("s",), ()), ("meme", *S_GIVEN_T)]
)
def test_the_stated_bias_is_the_one_there_is(name, target, given):
    """With 20 samples the log-mean-exp lies visibly below the truth; the jackknife says by how much."""
    copies = 4000
    model, values = model_of(name), repeated(TWO.sample(1, seed=3), copies)
    found = log_likelihood(model, values, target, given, k=20, noise=noise(rows=copies))
    off = found.value - exact_of(model, TWO, values, target, given)
    error = (off - found.bias).std() / copies**0.5
    assert (off.mean() - found.bias.mean()).abs() < 4 * error + 0.1 * off.mean().abs()
    assert off.mean().abs() > 4 * off.std() / copies**0.5


def test_neither_the_weights_of_modalities_nor_beta_enter():
    values = TWO.sample(ROWS, seed=5)
    plain, other = model_of("mvae", rescale="none"), model_of("mvae", beta=4.0)
    assert other.weights != plain.weights
    for target, given in QUESTIONS:
        found = [log_likelihood(m, values, target, given, k=5, noise=noise()).value for m in (plain, other)]
        assert torch.equal(*found)


@pytest.mark.parametrize("name", ["mvae", "mmvae", "meme"])
def test_the_numbers_depend_on_neither_chunks_nor_batches_nor_the_order_of_names(name, monkeypatch):
    values, model = THREE.sample(ROWS, seed=5), model_of(name, THREE)
    target, given = ("s", "u"), ("t",)
    whole = log_likelihood(model, values, target, given, k=7, noise=noise())
    turned = log_likelihood(model, dict(reversed(values.items())), ("u", "s"), given, k=7, noise=noise())
    assert torch.equal(whole.value, turned.value)
    monkeypatch.setattr(importance, "BUDGET", 1)
    small = log_likelihood(model, values, target, given, k=7, noise=noise())
    last = log_likelihood(
        model,
        {n: x[-9:] for n, x in values.items()},
        target,
        given,
        k=7,
        noise=RowNoise(0, range(ROWS - 9, ROWS), dtype=torch.float64),
    )
    for field in ("value", "stderr", "bias", "effective"):
        assert torch.allclose(getattr(whole, field), getattr(small, field), rtol=1e-9)
        assert torch.allclose(getattr(whole, field)[-9:], getattr(last, field), rtol=1e-9)


@pytest.mark.statistical
def test_an_encoder_that_is_too_narrow_does_no_harm_to_a_conditional():
    """With e_s alone as proposal, half as wide as it should be, the estimate is far off and does not know it."""
    values, model = TWO.sample(ROWS, seed=5), model_of("meme", encoder="posterior")
    with torch.no_grad():
        model.encoders["s"].log_scale -= 1.0
        prior = model.generative_prior({"t": values["t"]})
        alone = log_weights_of(
            model, {"s": values["s"]}, prior=prior, proposal=model.posterior({"s": values["s"]}), k=1200, noise=noise()
        )
    exact = exact_of(model, TWO, values, *S_GIVEN_T)
    found = log_likelihood(model, values, *S_GIVEN_T, k=400, noise=noise())
    assert agrees(found, exact)
    assert (found.value - exact).abs().max() < 0.3 < (estimate(alone).value - exact).abs().max()


class Opaque(Posterior):
    """A posterior that can be sampled and nothing else."""

    def __init__(self, inner):
        self.inner = inner

    def rsample(self, k, noise):
        return self.inner.rsample(k, noise)


class SampledJoint(MVAE):
    """The posterior of several modalities has no density; those of single ones have."""

    def posterior(self, values):
        found = super().posterior(values)
        return Opaque(found) if len(values) > 1 else found


class Codes(MVAE):
    """Has codes for posteriors."""

    def posterior(self, values):
        return Point(super().posterior(values).mean)


@pytest.mark.statistical
def test_where_the_joint_posterior_has_no_density_those_of_single_modalities_propose():
    values, model = TWO.sample(ROWS, seed=5), model_of(SampledJoint, encoder="expert")
    assert agrees(
        log_likelihood(model, values, ("s", "t"), k=1000, noise=noise()), exact_of(model, TWO, values, ("s", "t"), ())
    )


def test_a_posterior_without_density_is_refused_by_its_name():
    values = TWO.sample(ROWS, seed=5)
    for target, given in QUESTIONS:
        with pytest.raises(Skipped, match=r"a proposal with a density; q\(z \| .*\) of model 'mvae' is Point"):
            log_likelihood(model_of(Codes), values, target, given, k=2, noise=noise())


@pytest.mark.parametrize(
    ("target", "given", "words"),
    [
        ((), ("s",), r"needs modalities to be scored, some of \['s', 't'\]; got none"),
        (("s",), ("s",), r"must be disjoint; \['s'\] are both"),
        (("s", "t"), ("t",), r"must be disjoint; \['t'\] are both"),
        (("x",), (), r"with values, \['s', 't'\]; got \['x'\]"),
        (("s",), ("x",), r"with values, \['s', 't'\]; got \['x'\]"),
    ],
)
def test_sets_that_make_no_sense_are_refused(target, given, words):
    with pytest.raises(InvalidSetting, match=words):
        log_likelihood(model_of("mvae"), TWO.sample(4), target, given, k=2, noise=noise(rows=4))


def test_a_modality_without_values_and_no_samples_are_refused():
    only = {"s": TWO.sample(4)["s"]}
    with pytest.raises(InvalidSetting, match=r"with values, \['s'\]; got \['t'\]"):
        log_likelihood(model_of("mvae"), only, ("s", "t"), k=2, noise=noise(rows=4))
    with pytest.raises(InvalidSetting, match="K >= 1"):
        log_likelihood(model_of("mvae"), only, ("s",), k=0, noise=noise(rows=4))


def test_exact_proposals_have_no_error_and_all_samples_count():
    values = TWO.sample(ROWS, seed=5)
    model = model_of("mvae", encoder="expert")
    found = log_likelihood(model, values, ("s", "t"), k=5, noise=noise())
    assert torch.allclose(found.value, TWO.log_marginal(values), atol=1e-9)
    assert found.stderr.max() < 1e-9
    assert found.bias.abs().max() < 1e-9
    assert torch.allclose(found.effective, torch.full_like(found.value, 5.0))
    assert isinstance(model.posterior(values), Gaussian)
    assert not found.value.requires_grad


def test_error_and_bias_of_one_sample_are_unknown():
    found = log_likelihood(model_of("mvae"), TWO.sample(4), ("s",), k=1, noise=noise(rows=4))
    assert found.value.isfinite().all()
    assert found.stderr.isnan().all()
    assert found.bias.isnan().all()
