"""MMVAE+ against its formula, on the linear-Gaussian oracle with private latents, and where it is another model."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch import distributions as td

from mmbench.errors import InvalidSetting
from mmbench.metrics.likelihood import LogLikelihoods
from mmbench.models import MODELS
from mmbench.models.bounds import log_mean_exp
from mmbench.models.execution import PLAIN, Execution
from mmbench.models.mmvaeplus import MMVAEPlus
from mmbench.models.posteriors import laplace_from_normal
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.for_models import make_model, rows
from mmbench.testing.linear_gaussian import LinearGaussian
from mmbench.testing.private_linear_gaussian import PrivateLinearGaussian

ONE = PrivateLinearGaussian(sizes={"s": 4})
TWO = PrivateLinearGaussian()
THREE = PrivateLinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
THIN = PrivateLinearGaussian(shared=1)
"""With a one-dimensional z, what is left once the w are integrated out in closed form is an integral on a grid."""


def losses(model: MMVAEPlus, values: dict[str, Tensor], n: int) -> Tensor:
    """Objective values over n independent draws."""
    with torch.no_grad():
        return torch.stack([-model.objective(values, noise=noise(k)).loss for k in range(n)])


def stretch(model: MMVAEPlus) -> None:
    """Auxiliary and, where they are learned, prior scales other than 1."""
    with torch.no_grad():
        for raw in (model.auxiliary_raw_scale, model.prior_raw_scale):
            if raw.requires_grad:
                raw.copy_(torch.linspace(-0.6, 0.7, len(raw)))


# Against the formula as it is written ---------------------------------------------------------------------------------
def plainly(model: MMVAEPlus, values: dict[str, Tensor], key: int = 0) -> Tensor:
    """The loss, term by term, by `torch.distributions`, from the same noise."""
    flags, layout = model.settings, model.layout
    family = td.Laplace if flags.family == "laplace" else td.Normal
    raw, d = model.prior_raw_scale.exp(), layout.shared.stop
    q = {n: family(*model.encoders[n](x)) for n, x in values.items()}

    def moved(p: td.Distribution, eps: Tensor) -> Tensor:
        return p.loc + p.scale * (laplace_from_normal(eps) if flags.family == "laplace" else eps)

    def log_prob(p: td.Distribution, z: Tensor) -> Tensor:
        return p.log_prob(z).sum(-1)

    k, count = (1 if flags.objective == "elbo" else flags.k), len(next(iter(values.values())))
    own = {n: moved(p, noise(key).child(n).normal("z", (k, *p.loc.shape))) for n, p in q.items()}
    lw = []
    for r in values:
        z, w = own[r][..., :d], own[r][..., d:]
        ratio = log_prob(family(torch.zeros(d), raw[:d]), z)
        ratio = ratio + log_prob(family(torch.zeros_like(raw[layout.private[r]]), raw[layout.private[r]]), w)
        mixed = [log_prob(family(p.loc[:, :d], p.scale[:, :d]), z) for p in q.values()]
        ratio = ratio - (torch.stack(mixed).logsumexp(0) - math.log(len(mixed)))
        ratio = ratio - log_prob(family(q[r].loc[:, d:], q[r].scale[:, d:]), w)
        total = flags.beta * ratio
        for n, x in values.items():
            part = layout.private[n]
            w_n = own[n][..., d:]
            if n != r and flags.cross != "own":
                scales = (
                    raw[part]
                    if flags.cross == "prior"
                    else model.auxiliary_raw_scale.exp()[part.start - d : part.stop - d]
                )
                w_n = moved(
                    family(torch.zeros_like(scales), scales),
                    noise(key).child(r).child(n).normal("w", (k, count, len(scales))),
                )
            output = model.decoders[n](torch.cat([z, w_n], -1).flatten(0, 1)).view(k, *x.shape)
            mean = output.sigmoid() if x.dim() > 2 else output
            total = total + model.weights[n] * td.Normal(mean, model.arch.scale).log_prob(x).flatten(2).sum(-1)
        lw.append(total)
    log_weights = torch.stack(lw)
    if flags.looser:
        return -log_mean_exp(log_weights, 1).mean()
    return -log_mean_exp(log_weights.flatten(0, 1)).mean()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"objective": "elbo", "beta": 2.5, "family": "laplace"},
        {"looser": False, "learn_prior": True},
        {"cross": "prior", "learn_prior": True, "beta": 0.3},
        {"cross": "own", "looser": False},
    ],
    ids=str,
)
def test_the_loss_and_its_gradient_are_those_of_the_formula(settings):
    model = make_model(MODELS["mmvaeplus"], private=2, **settings)
    model.weights = {"a": 1.5, "b": 1.0, "c": 0.4}
    stretch(model)
    for names in ("abc", "ca"):
        values = {n: rows(model)[n] for n in names}
        expected = plainly(model, values)
        expected.backward()
        wanted = gradients(model)
        for execution in (PLAIN, Execution(tolerance=0.0), Execution(static=True)):
            model.execution = execution
            model.zero_grad()
            found = model.objective(values, noise=noise()).loss
            found.backward()
            assert torch.allclose(found, expected, rtol=0, atol=1e-10)
            for name, gradient in gradients(model).items():
                assert torch.allclose(gradient, wanted[name], rtol=1e-8, atol=1e-9), name
        model.zero_grad()


# Where it is another model --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("looser", [True, False])
@pytest.mark.parametrize("objective", ["elbo", "iwae", "dreg"])
@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_without_private_parts_it_is_mmvae(oracle, make, objective, looser, family):
    values, found = oracle.sample(6), {}
    for name, more in (("mmvae", {}), ("mmvaeplus", {"private": 0})):
        model = make(name, oracle, encoder="rough", objective=objective, looser=looser, family=family, k=4, **more)
        loss = model.objective(values, noise=noise()).loss
        loss.backward()
        found[name] = [loss.detach(), *(g for n, g in sorted(gradients(model).items()) if "coders." in n)]
    for theirs, ours in zip(*found.values(), strict=True):
        assert torch.allclose(theirs, ours, rtol=0, atol=1e-12)


@pytest.mark.parametrize("objective", ["iwae", "dreg"])
def test_of_one_modality_it_is_an_importance_weighted_autoencoder_over_both_parts(make, objective):
    """MMVAE of one modality is one (its own test); the whole of [z | w] is its latent."""
    values, found = ONE.sample(6), {}
    for name, oracle in (("mmvae", ONE.each), ("mmvaeplus", ONE)):
        more = {} if name == "mmvae" else {"private": 1}
        model = make(name, oracle, encoder="rough", objective=objective, k=4, **more)
        loss = model.objective(values, noise=noise()).loss
        loss.backward()
        found[name] = [loss.detach(), *(g for n, g in sorted(gradients(model).items()) if "coders." in n)]
    for theirs, ours in zip(*found.values(), strict=True):
        assert torch.allclose(theirs, ours, rtol=0, atol=1e-12)


def test_rows_that_lack_a_modality_have_the_loss_of_a_model_without_it(make):
    kind, coders = MODELS["mmvaeplus"], THREE.coders(encoder="rough")
    settings = kind.Settings(private=1, k=3)
    specs = {spec.name: spec for spec in THREE.modalities}
    whole = kind(THREE.modalities, settings, THREE.arch, coders).double()
    arch = replace(THREE.arch, latent_dim=THREE.shared + 2)
    part = kind([specs["u"], specs["s"]], settings, arch, coders).double()
    values = {n: x for n, x in THREE.sample(5).items() if n != "t"}
    losses = [model.objective(values, noise=noise()).loss for model in (whole, part)]
    assert torch.allclose(*losses, rtol=0, atol=1e-12)


# On the oracle --------------------------------------------------------------------------------------------------------
def test_with_one_modality_and_the_exact_posterior_every_bound_is_the_evidence_without_variance(make):
    values = ONE.sample(7)
    for settings in ({"objective": "elbo"}, {"k": 9}, {"k": 9, "looser": False}, {"objective": "dreg", "k": 4}):
        found = -make("mmvaeplus", ONE, private=1, **settings).objective(values, noise=noise()).loss
        assert torch.allclose(found, ONE.log_marginal(values).mean(), atol=1e-10)


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [replace(TWO, noise=1.2), replace(THREE, noise=1.2)], ids=["two", "three"])
def test_tight_bound_with_the_prior_in_cross_terms_reaches_the_evidence_with_many_samples(oracle, make):
    settings = {"encoder": "rough", "private": 1, "cross": "prior", "looser": False}
    values = repeated(oracle.sample(1), 50)
    exact = oracle.log_marginal(values)[0]
    assert (losses(make("mmvaeplus", oracle, k=1500, **settings), values, 8).mean() - exact).abs() < 0.02
    assert losses(make("mmvaeplus", oracle, k=2, **settings), values, 10).mean() < exact - 0.02


@pytest.mark.statistical
def test_with_the_prior_in_cross_terms_the_bounds_come_in_their_order_and_below_the_evidence(make):
    """elbo <= looser_K <= tight_K <= log p(X), in expectation."""
    row = TWO.sample(1, seed=2)
    values, exact = repeated(row, 4000), TWO.log_marginal(row)[0]
    forms = ({"objective": "elbo"}, {"k": 4}, {"k": 4, "looser": False})
    made = [make("mmvaeplus", TWO, encoder="rough", private=1, cross="prior", **form) for form in forms]
    means = [losses(model, values, 5).mean() for model in made]
    assert means == sorted(means)
    assert means[-1] < exact
    assert min(b - a for a, b in itertools.pairwise(means)) > 0.005, "the bounds must be told apart"


@pytest.mark.statistical
def test_without_its_ratios_it_is_found_above_the_evidence(make):
    """The check must be able to fail: E_q[log p(x|z, w)] alone is log p(x) + KL(q || p) less the gap."""
    row = ONE.sample(1, seed=2)
    free = make("mmvaeplus", ONE, encoder="rough", private=1, beta=0.0, objective="elbo")
    assert losses(free, repeated(row, 4000), 5).mean() > ONE.log_marginal(row)[0] + 0.1


def expert_evidences(model: MMVAEPlus, row: dict[str, Tensor], scale: dict[str, float]) -> Tensor:
    """log p_r `[E]`: z on a grid, the w in closed form, with w_n ~ N(0, scale_n^2) in the terms of other experts."""
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    experts = {n: model.encode(n, x) for n, x in row.items()}
    q = torch.stack([td.Normal(e.location[0, :1], e.scale[0, :1]).log_prob(z)[:, 0] for e in experts.values()])
    mixed = q.logsumexp(0) - math.log(len(q))
    found = []
    for r, log_q in zip(row, q, strict=True):
        joint = td.Normal(0.0, 1.0).log_prob(z[:, 0])
        for n, x in row.items():
            u, v = THIN.each.weight(n).split([1, 1], 1)
            own = 1.0 if n == r else scale[n]
            covariance = own**2 * v @ v.T + THIN.noise**2 * torch.eye(len(v), dtype=torch.float64)
            joint = joint + td.MultivariateNormal(z @ u.T + THIN.each.bias(n), covariance).log_prob(x[0])
        found.append(torch.trapezoid((joint + log_q - mixed).exp(), z[:, 0]).log())
    return torch.stack(found).detach()


@pytest.mark.statistical
@pytest.mark.parametrize("cross", ["prior", "auxiliary"])
def test_both_bounds_tend_to_their_limits_by_quadrature(make, cross):
    """Tight: log of the mean over r of p_r, which is log p(X) for r_n = p(w_n); looser: the mean of log p_r."""
    row = THIN.sample(1, seed=8)
    values = repeated(row, 100)
    settings = {"encoder": "rough", "private": 1, "cross": cross, "k": 1000}
    models = [make("mmvaeplus", THIN, looser=looser, **settings) for looser in (False, True)]
    scale = {"s": 1.0, "t": 1.0}
    if cross == "auxiliary":
        scale = {"s": 1.6, "t": 0.5}
        for model in models:
            with torch.no_grad():
                model.auxiliary_raw_scale.copy_(torch.tensor([scale["s"], scale["t"]]).log())
    own = expert_evidences(models[0], row, scale)
    exact = THIN.log_marginal(row)[0]
    assert (torch.allclose(log_mean_exp(own), exact, atol=1e-6)) == (cross == "prior")
    tight, looser = (losses(model, values, 15).mean() for model in models)
    assert log_mean_exp(own) - own.mean() > 0.1, "the two limits must be told apart"
    assert (tight - log_mean_exp(own)).abs() < 0.012
    assert (looser - own.mean()).abs() < 0.012


# Auxiliary priors -----------------------------------------------------------------------------------------------------
def test_the_auxiliary_priors_learn_from_cross_terms_alone(make):
    values = TWO.sample(6)
    model = make("mmvaeplus", TWO, encoder="rough", private=1)
    for name in TWO.names:
        model.objective({name: values[name]}, noise=noise()).loss.backward()
        assert gradients(model)["auxiliary_raw_scale"].abs().max() == 0
    model.objective(values, noise=noise()).loss.backward()
    assert gradients(model)["auxiliary_raw_scale"].abs().min() > 1e-6
    for cross in ("prior", "own"):
        assert not make("mmvaeplus", TWO, private=1, cross=cross).auxiliary_raw_scale.requires_grad


def test_auxiliary_priors_at_the_prior_are_the_prior(make):
    values = TWO.sample(6)
    found = [
        make("mmvaeplus", TWO, encoder="rough", private=1, cross=cross).objective(values, noise=noise()).loss
        for cross in ("auxiliary", "prior", "own")
    ]
    assert torch.equal(found[0], found[1])
    assert (found[0] - found[2]).abs() > 1e-3


def test_softmax_scales_keep_their_sum(make):
    """As in the released code; a single private dimension stays at 1."""
    oracle = PrivateLinearGaussian(sizes={"s": 4, "t": 4}, shared=1, private=3)
    kind = MODELS["mmvaeplus"]
    arch = replace(oracle.arch, posterior_scale="softmax")
    model = kind(oracle.modalities, kind.Settings(private=3, learn_prior=True), arch, oracle.coders()).double()
    stretch(model)
    priors = model._priors()
    for q in (*priors.auxiliary.values(), *priors.private.values()):
        assert torch.allclose(q.scale.sum(), torch.tensor(3.0).double())
        assert q.scale.std() > 0.05
    assert priors.shared.scale == 1


@pytest.mark.parametrize("missing", ["prior", "auxiliary"])
def test_private_parts_of_what_is_missing_follow_the_setting_and_the_others_their_encoder(make, missing):
    model = make("mmvaeplus", THREE, encoder="rough", private=1, missing=missing, learn_prior=True)
    stretch(model)
    values = {n: THREE.sample(3)[n] for n in "su"}
    raw = model.prior_raw_scale[THREE.shared :] if missing == "prior" else model.auxiliary_raw_scale
    place = model.layout.private
    for component in model.posterior(values).components:
        assert (component.location[:, place["t"]] == 0).all()
        assert torch.allclose(component.scale[:, place["t"]], raw.exp()[1].expand(3, 1))
        for name, x in values.items():
            q = model.encode(name, x)
            assert torch.equal(component.location[:, place[name]], q.location[:, THREE.shared :])
            assert torch.equal(component.scale[:, place[name]], q.scale[:, THREE.shared :])
    found = [component.location[:, : THREE.shared] for component in model.posterior(values).components]
    for z, (name, x) in zip(found, values.items(), strict=True):
        assert torch.equal(z, model.encode(name, x).location[:, : THREE.shared])


def test_importance_sampling_from_the_exact_posterior_has_no_variance(make):
    """log p(x_s) under prior(), likelihood() and posterior(), the private parts of the others cancelling."""
    model, values = make("mmvaeplus", THREE, private=1).eval(), THREE.sample(4)
    for name in THREE.names:
        found = LogLikelihoods(model, values, k=3, noise=noise()).of((name,))
        assert torch.allclose(found.value, THREE.log_marginal({name: values[name]}), atol=1e-9)
    both = LogLikelihoods(model, repeated(values, 200), k=300, noise=noise()).of(("s", "u"))
    assert within(both.value, THREE.log_marginal({n: values[n][:1] for n in "su"}) + both.bias.mean())


# DReG -----------------------------------------------------------------------------------------------------------------
def test_dreg_leaves_the_value_and_all_gradients_but_the_encoders(make):
    """That of the auxiliary priors too: their samples have no density in the weight, which counts once."""
    values, found = THREE.sample(6), {}
    for objective in ("iwae", "dreg"):
        model = make("mmvaeplus", THREE, encoder="rough", private=1, objective=objective, k=4)
        loss = model.objective(values, noise=noise()).loss
        loss.backward()
        found[objective] = loss.detach(), gradients(model)
    (iwae, theirs), (dreg, ours) = found.values()
    assert torch.allclose(iwae, dreg, rtol=0, atol=1e-12)
    for name, gradient in theirs.items():
        same = torch.allclose(gradient, ours[name], rtol=0, atol=1e-12)
        assert same == (not name.startswith("encoders")), name


# What is refused ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"missing": "auxiliary", "cross": "prior"}, r"model\.cross=prior never trains; use model\.missing=prior"),
        ({"objective": "dreg", "cross": "own"}, r"part of every expert's; use model\.objective=iwae"),
        ({"private": 3}, "use at least 7"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(make, settings, sentence):
    with pytest.raises(InvalidSetting, match=sentence):
        make("mmvaeplus", LinearGaussian(sizes={"s": 4, "t": 4}, dim=4), **settings)
