"""MEME with three modalities on the linear-Gaussian oracle: closed forms, the rule for missing ones, and refusals.

In the direction s -> rest, with d_rest = prod_n d_n and the combination e_rest of e_n over n != s, all but a mixture is
Gaussian, and for q proportional to e_s(z) d_rest(z)
    L(s->rest) - log p(rest) = E_q[log d_s - log d_rest] + E_q[log e_rest - log e_s] + log int e_s d_rest dz.
The expectation of the logarithm of a mixture is computed by quadrature in a latent of one dimension.

One long file, because every section computes with the closed forms at its top.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.importance import estimate, log_weights_of
from mmbench.modality import Batch
from mmbench.models.bounds import log_mean_exp
from mmbench.models.execution import Execution
from mmbench.models.meme import MEME, MemeSettings
from mmbench.models.posteriors import Gaussian, Mixture, kl_gaussian, mixture
from mmbench.models.pseudo_inputs import mixture_log_prob
from mmbench.seeding import StepNoise
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.for_models import cases_of, evaluated, step_noise
from mmbench.testing.linear_gaussian import LinearGaussian

SIZES = {"s": 3, "t": 4, "u": 2}
THREE = LinearGaussian(sizes=SIZES)
THIN = LinearGaussian(sizes=SIZES, dim=1)
SOURCES = ("s", "t", "u")
COMBINATIONS = ("product", "mixture")


def meme(
    oracle: LinearGaussian = THREE, names: Sequence[str] = SOURCES, *, encoder: str = "rough", **settings: Any
) -> MEME:
    """A model of some of the oracle's modalities, in the order given."""
    specs = {spec.name: spec for spec in oracle.modalities}
    torch.manual_seed(0)
    model = MEME(
        [specs[n] for n in names],
        MemeSettings(**{"pseudo_inputs": 5, **settings}),
        oracle.arch,
        {n: oracle.coder(n, encoder=encoder) for n in names},
    )
    return model.double()


def others(values: dict[str, Tensor], s: str) -> dict[str, Tensor]:
    return {n: x for n, x in values.items() if n != s}


def encoded(model: MEME, values: dict[str, Tensor]) -> dict[str, Gaussian]:
    return {n: model.encode(n, x) for n, x in values.items()}


def directed(model: MEME, values: dict[str, Tensor], s: str, key: int = 0) -> Tensor:
    return model.directed(s, values, encoded(model, values), noise(key))[0]


def multiplied(experts: Sequence[Gaussian]) -> Gaussian:
    """The normalised product by its precisions and means."""
    precision = sum(q.scale**-2 for q in experts)
    return Gaussian(sum(q.location * q.scale**-2 for q in experts) / precision, precision.rsqrt())


def expectation(q: Gaussian, log_density: Callable[[Tensor], Tensor]) -> Tensor:
    """E_q of a function of z `[K, B, 1]` to `[K, B]`, by Gauss-Hermite quadrature, `[B]`."""
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(80))
    z = q.location + q.scale * nodes[:, None, None]
    return (weights[:, None] / math.sqrt(2 * math.pi) * log_density(z)).sum(0)


def exact_bound(oracle: LinearGaussian, model: MEME, values: dict[str, Tensor], s: str, log_ratio: Any) -> Tensor:
    """L(s->rest) - log p(rest), `[B]`; `log_ratio(q)` is E_q[log e_rest - log e_s]."""
    rest, e_s = others(values, s), model.encode(s, values[s])
    q = oracle.update(e_s, rest)
    likelihoods = oracle.expected_log_likelihood(s, values[s], q)
    for n, x in rest.items():
        likelihoods = likelihoods - oracle.expected_log_likelihood(n, x, q)
    return (likelihoods + log_ratio(q) + oracle.evidence(e_s, rest)).detach()


def product_bound(oracle: LinearGaussian, model: MEME, values: dict[str, Tensor], s: str) -> Tensor:
    """For the product, E_q[log e_rest - log e_s] = KL(q||e_s) - KL(q||e_rest)."""
    e = encoded(model, values)
    e_rest = multiplied([e[n] for n in others(values, s)])
    return exact_bound(oracle, model, values, s, lambda q: kl_gaussian(q, e[s]) - kl_gaussian(q, e_rest))


def mixture_bound(oracle: LinearGaussian, model: MEME, values: dict[str, Tensor], s: str) -> Tensor:
    """For the mixture, by quadrature."""
    e = encoded(model, values)

    def log_ratio(z: Tensor) -> Tensor:
        return log_mean_exp(torch.stack([e[n].log_prob(z) for n in others(values, s)])) - e[s].log_prob(z)

    return exact_bound(oracle, model, values, s, lambda q: expectation(q, log_ratio))


def evidence_given_rest(oracle: LinearGaussian, model: MEME, values: dict[str, Tensor], s: str) -> Tensor:
    """log int d_s e_rest dz, exact, `[B]`."""
    e = encoded(model, values)
    experts = [e[n] for n in others(values, s)]
    if model.settings.combination == "product":
        return oracle.evidence(multiplied(experts), {s: values[s]}).detach()
    return log_mean_exp(torch.stack([oracle.evidence(q, {s: values[s]}) for q in experts])).detach()


# The bound of several observed modalities -----------------------------------------------------------------------------
@pytest.mark.parametrize("s", SOURCES)
def test_closed_forms_lose_a_kl_to_the_evidence_given_the_rest(s):
    """L(s->rest) - log p(rest) = log int d_s e_rest dz - KL(q || p), p proportional to d_s e_rest."""
    model, values = meme(), THREE.sample(9)
    e_s = model.encode(s, values[s])
    e_rest = multiplied([model.encode(n, x) for n, x in others(values, s).items()])
    lost = kl_gaussian(THREE.update(e_s, others(values, s)), THREE.update(e_rest, {s: values[s]}))
    evidence = evidence_given_rest(THREE, model, values, s)
    assert torch.allclose(product_bound(THREE, model, values, s), evidence - lost, atol=1e-9)
    model, values = meme(THIN, combination="mixture"), THIN.sample(9)
    exact, evidence = mixture_bound(THIN, model, values, s), evidence_given_rest(THIN, model, values, s)
    e = encoded(model, values)
    q, likelihood = THIN.update(e[s], others(values, s)), model.likelihood

    def log_p(z: Tensor) -> Tensor:
        e_rest = log_mean_exp(torch.stack([e[n].log_prob(z) for n in others(values, s)]))
        return likelihood(s, z).log_prob(values[s]) + e_rest - evidence

    lost = expectation(q, lambda z: q.log_prob(z) - log_p(z)).detach()
    assert (lost > 0).all()
    assert torch.allclose(exact, evidence - lost, atol=1e-9)


@pytest.mark.statistical
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize(("s", "own"), [("s", "all"), ("t", "one"), ("t", "all"), ("t", "drawn"), ("u", "all")])
def test_the_bound_equals_its_closed_form(s, own, combination):
    oracle, closed = {"product": (THREE, product_bound), "mixture": (THIN, mixture_bound)}[combination]
    values = repeated(oracle.sample(1, seed=3), 300)
    model = meme(oracle, k=1000, c=1.0, own=own, combination=combination)
    with torch.no_grad():
        bounds, exact = directed(model, values, s), closed(oracle, model, values, s)[0]
    assert within(bounds, exact)
    assert not within(bounds, exact + 20 * bounds.std() / len(bounds) ** 0.5), "the check must be able to fail"
    model.settings = dataclasses.replace(model.settings, combination=other_of(combination))
    with torch.no_grad():
        assert (directed(model, values, s).mean() - bounds.mean()).abs() > 0.02, "the combinations must differ"


def other_of(combination: str) -> str:
    return {"product": "mixture", "mixture": "product"}[combination]


@pytest.mark.statistical
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("k", [0, 5, 50])
def test_the_objective_never_exceeds_the_evidences_given_the_rest(combination, k):
    """With c = 1: the mean over s of log int d_s e_rest dz, for every K."""
    values = repeated(THREE.sample(1, seed=2), 200)
    exact = torch.stack([evidence_given_rest(THREE, meme(combination=combination), values, s) for s in SOURCES]).mean()
    for own in ("one", "all", "drawn"):
        model = meme(k=k, c=1.0, own=own, combination=combination)
        with torch.no_grad():
            found = -torch.stack([model.objective(values, noise=noise(key)).loss for key in range(10)])
        assert found.mean() < exact + 5 * found.std() / 10**0.5
        assert found.mean() > exact - 20, "it must be able to fail"


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("k", [0, 1, 7])
def test_the_bound_of_finitely_many_samples_holds_sample_by_sample(combination, k):
    """(1/(K+1)) sum_k w_k A_k + log q^ <= LME_k(log d_s + log e_rest - log e_s), by Jensen; equal for K = 0."""
    values, model = THREE.sample(200), meme(k=k, c=1.0, own="all", combination=combination)
    e = encoded(model, values)
    z = e["t"].transport(noise().normal("z", (k + 1, 200, THREE.dim)))
    e_rest = Mixture((e["s"], e["u"])) if combination == "mixture" else multiplied([e["s"], e["u"]])
    ceiling = log_mean_exp(model.log_likelihood("t", values["t"], z) + e_rest.log_prob(z) - e["t"].log_prob(z))
    bound = directed(model, values, "t")
    assert (bound <= ceiling + 1e-10).all()
    assert torch.allclose(bound, ceiling, atol=1e-10) == (k == 0)


@pytest.mark.parametrize("s", SOURCES)
def test_with_likelihood_experts_and_their_product_the_first_term_is_a_constant(s):
    """e_n = d_n / C_n, so that A(z) = log C_s - sum_{n != s} log C_n for every z; the weights sum to K + 1."""
    values, model = THREE.sample(6), meme(encoder="expert", k=4, own="all", c=10.0)
    e = encoded(model, values)
    rest = sorted(others(values, s))
    z = e[s].transport(noise().normal("z", (5, 6, THREE.dim)))
    l_rest = sum(model.log_likelihood(n, values[n], z) for n in rest)
    first = model.log_likelihood(s, values[s], z) - e[s].log_prob(z)
    constant = first - l_rest + multiplied([e[n] for n in rest]).log_prob(z)
    assert torch.allclose(constant, constant[:1].expand_as(constant), atol=1e-9)
    assert torch.allclose(directed(model, values, s), constant[0] + 10 * log_mean_exp(l_rest), atol=1e-9)


@pytest.mark.statistical
def test_the_own_weight_is_one_in_expectation_and_at_most_k_plus_one():
    model, values = meme(encoder="expert", k=4, own="one", c=0.0), repeated(THREE.sample(1, seed=4), 20_000)
    e = encoded(model, values)
    z = torch.zeros(1, 1, THREE.dim).double()
    l_rest = model.log_likelihood("t", values["t"], z) + model.log_likelihood("u", values["u"], z)
    first = model.log_likelihood("s", values["s"], z) - e["s"].log_prob(z)
    constant = (first - l_rest + multiplied([e["t"], e["u"]]).log_prob(z))[0]
    weight = (directed(model, values, "s") / constant).detach()
    assert weight.min() > 0
    assert weight.max() <= 5 + 1e-9
    assert weight.std() > 0.1
    assert within(weight, 1.0)


@pytest.mark.statistical
def test_the_analytic_kl_of_the_product_has_the_bias_of_its_closed_form():
    """Weighted term with -KL(e_s||e_rest): bias -KL(e_s||e_rest) + KL(q||e_rest) - KL(q||e_s)."""
    model = meme(k=1000, c=1.0, own="all", kl="analytic")
    values = repeated(THREE.sample(1, seed=3), 400)
    e = encoded(model, values)
    e_rest, q = multiplied([e["t"], e["u"]]), THREE.update(e["s"], others(values, "s"))
    bias = (-kl_gaussian(e["s"], e_rest) + kl_gaussian(q, e_rest) - kl_gaussian(q, e["s"]))[0].detach()
    exact = product_bound(THREE, model, values, "s")[0]
    bounds = directed(model, values, "s").detach()
    assert within(bounds, exact + bias)
    assert not within(bounds, exact)


# The estimator, against plain formulas -------------------------------------------------------------------------------
def plain(model: MEME, values: dict[str, Tensor], s: str, source: Any) -> Tensor:
    """The estimate of one direction by torch.distributions, modality by modality and row by row."""
    options, rest = model.settings, sorted(others(values, s))
    e = {n: Independent(Normal(*model.encoders[n](x)), 1) for n, x in values.items()}
    e_rest = e[rest[0]]
    if len(rest) > 1 and options.combination == "mixture":
        parts = Normal(*(torch.stack([f(e[n].base_dist) for n in rest], 1) for f in (mean_of, scale_of)))
        e_rest = MixtureSameFamily(Categorical(torch.ones(len(parts.loc), len(rest))), Independent(parts, 1))
    elif len(rest) > 1:
        precision = sum(e[n].base_dist.scale ** -2 for n in rest)
        mean = sum(e[n].base_dist.loc * e[n].base_dist.scale ** -2 for n in rest) / precision
        e_rest = Independent(Normal(mean, precision**-0.5), 1)
    z = e[s].base_dist.loc + e[s].base_dist.scale * source.normal("z", (options.k + 1, *e[s].base_dist.loc.shape))

    def log_d(n: str) -> Tensor:
        return model.weights[n] * Normal(model.decoders[n](z), model.arch.scale).log_prob(values[n]).sum(-1)

    l_rest = sum(log_d(n) for n in rest)
    used = l_rest if options.include_own else l_rest[1:]
    log_q = used.exp().sum(0).log() - (math.log(len(used)) if options.logq == "mean" else 0.0)
    ratio = e_rest.log_prob(z) - e[s].log_prob(z) if options.kl == "mc" else -kl_divergence(e[s], e_rest)
    terms = (l_rest - log_q).exp() * (log_d(s) + ratio - l_rest)
    if options.own == "one":
        return terms[0] + options.c * log_q
    if options.own == "all":
        return terms.mean(0) + options.c * log_q
    uniform, found = source.uniform("drawn", (1, len(values[s])))[0], []
    for b in range(len(values[s])):
        shares = l_rest[:, b].softmax(0)
        k = next(k for k in range(len(shares)) if shares[: k + 1].sum() >= uniform[b])
        found.append(terms[k, b] / shares[k] / len(shares) + options.c * log_q[b])
    return torch.stack(found)


def mean_of(normal: Any) -> Tensor:
    return normal.loc


def scale_of(normal: Any) -> Tensor:
    return normal.scale


@pytest.mark.parametrize("names", [SOURCES, ("s", "u")], ids=["three", "two"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"combination": "mixture"},
        {"combination": "mixture", "own": "all", "c": 1.0},
        {"own": "one", "c": 1.0, "reduction": "sum"},
        {"own": "one", "logq": "sum", "combination": "mixture"},
        {"own": "drawn", "logq": "sum", "k": 4},
        {"own": "one", "kl": "analytic", "reduction": "sum"},
        {"own": "one", "include_own": False},
        {"own": "all", "detach_weight": False, "k": 2},
    ],
    ids=str,
)
def test_loss_and_terms_equal_plain_formulas_with_weighted_likelihoods(settings, names):
    """Weights lambda stand before every log likelihood, in w and log q too."""
    values = {n: THREE.sample(7)[n] for n in names}
    model = meme(**settings)
    model.weights = {"s": 0.3, "t": 0.5, "u": 1.5}
    found = model.objective(values, noise=noise())
    exact = torch.stack([plain(model, values, s, noise().child(s)) for s in names]).sum(0).mean()
    divided = len(names) if model.settings.reduction == "mean" else 1
    assert torch.allclose(found.loss, -exact / divided, atol=1e-10)
    assert len(found.terms) == 4 * len(names)


def test_all_terms_of_a_direction_are_named_after_it():
    found = meme().objective(THREE.sample(4), noise=noise()).terms
    assert {name.split("/")[1] for name in found} == {"s|t+u", "t|s+u", "u|s+t"}


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("own", ["one", "all", "drawn"])
def test_without_extra_samples_and_at_c_one_the_other_decoders_are_left_alone(own, combination):
    """K = 0: a VAE on s whose prior is the combination of the other encodings."""
    values, model = THREE.sample(8), meme(k=0, c=1.0, own=own, combination=combination)
    bound = directed(model, values, "s")
    e = encoded(model, values)
    z = e["s"].transport(noise().normal("z", (1, 8, THREE.dim)))
    e_rest = Mixture((e["t"], e["u"])) if combination == "mixture" else multiplied([e["t"], e["u"]])
    vae = model.log_likelihood("s", values["s"], z) + e_rest.log_prob(z) - e["s"].log_prob(z)
    assert torch.allclose(bound, vae[0], atol=1e-12)
    bound.mean().backward()
    found = gradients(model)
    assert found["decoders.s.weight"].abs().max() > 1e-3
    assert max(found[f"decoders.{n}.weight"].abs().max() for n in ("t", "u")) < 1e-12


@pytest.mark.parametrize("own", ["all", "drawn"])
def test_at_c_one_the_other_decoders_gradients_cancel_and_with_c_ten_they_do_not(own):
    values = THREE.sample(8)
    for c, moved in ((1.0, False), (10.0, True)):
        model = meme(k=5, c=c, own=own)
        directed(model, values, "s").mean().backward()
        for n in ("t", "u"):
            assert (gradients(model)[f"decoders.{n}.weight"].abs().max() > 1e-6) == moved


def test_stop_gradient_changes_gradients_but_not_values():
    values = THREE.sample(50)
    for own in ("one", "all"):
        losses, grads = [], []
        for detach in (True, False):
            model = meme(own=own, detach_weight=detach)
            loss = model.objective(values, noise=noise()).loss
            loss.backward()
            losses.append(loss.detach())
            grads.append(gradients(model)["encoders.s.weight"])
        assert torch.equal(*losses)
        assert (grads[0] - grads[1]).abs().max() > 1e-3


class EvenlyDrawn(StepNoise):
    """The same samples of z in every row, and uniform numbers evenly spaced over the rows."""

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        return super().normal(name, (shape[0], 1, *shape[2:])).expand(*shape)

    def uniform(self, name: str, shape: Sequence[int]) -> Tensor:
        return (torch.arange(shape[1], dtype=torch.float64) + 0.5).expand(1, -1) / shape[1]


@pytest.mark.parametrize("settings", [{}, {"combination": "mixture"}, {"logq": "sum"}], ids=str)
def test_over_all_draws_the_drawn_samples_gradient_is_that_of_all_samples(settings):
    """Value and gradient for the same K + 1 samples; 4,000 evenly spaced draws leave an error of about K / 4,000."""
    values, found = repeated(THREE.sample(1, seed=5), 4000), {}
    for own in ("all", "drawn"):
        model = meme(k=5, c=3.0, own=own, **settings)
        e = encoded(model, values)
        bound = model.directed("s", values, e, EvenlyDrawn(1, dtype=torch.float64))[0].mean()
        bound.backward()
        found[own] = bound.detach(), torch.cat([g.flatten() for g in gradients(model).values()])
    assert found["drawn"][0] == pytest.approx(float(found["all"][0]), rel=5e-3)
    assert (found["drawn"][1] - found["all"][1]).norm() < 5e-3 * found["all"][1].norm()


@pytest.mark.parametrize("settings", [{"own": "one"}, {"own": "all"}, {"own": "one", "combination": "mixture"}])
def test_leaving_out_samples_without_weight_changes_gradients_by_no_more_than_the_threshold(settings):
    values, found = {n: THREE.sample(20)[n] for n in SOURCES}, {}
    for threshold in (-1.0, 0.0, 1e-5, 0.3):
        model = meme(k=8, **settings)
        object.__setattr__(model.arch, "scale", 0.1)
        model.execution = Execution(tolerance=threshold)
        model.objective(values, noise=noise()).loss.backward()
        found[threshold] = torch.cat([g.flatten() for g in gradients(model).values()])
    whole = found[-1.0]
    assert (found[0.0] - whole).norm() <= 1e-10 * whole.norm()
    assert (found[1e-5] - whole).norm() <= 1e-4 * whole.norm()
    assert (found[0.3] - whole).norm() > 1e-4 * whole.norm(), "the threshold must act"


def test_each_input_is_encoded_once_and_each_decoder_runs_once_a_direction():
    """With c = 1 a drawn sample needs no second pass of the other decoders: one call for each of the three roles."""
    model, calls = meme(own="drawn", c=1.0), []
    for kind, networks in (("encoders", model.encoders), ("decoders", model.decoders)):
        for n, network in networks.items():
            network.register_forward_hook(lambda *_, key=(kind, n): calls.append(key))
    model.objective(THREE.sample(4), noise=noise())
    assert all(calls.count(("encoders", n)) == 1 for n in SOURCES)
    assert all(calls.count(("decoders", n)) == 3 for n in SOURCES)


# Missing modalities --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("pair", list(combinations(SOURCES, 2)))
def test_rows_with_two_of_three_have_the_loss_and_gradients_of_a_model_of_these_two(pair, combination):
    values = {n: THREE.sample(6)[n] for n in pair}
    three, two = meme(combination=combination), meme(names=pair)
    losses = [model.objective(values, noise=noise()).loss for model in (three, two)]
    assert torch.allclose(*losses, atol=1e-12)
    for loss in losses:
        loss.backward()
    found, expected = gradients(three), gradients(two)
    assert all(torch.allclose(found[name], gradient, atol=1e-12) for name, gradient in expected.items())
    (missing,) = set(SOURCES) - set(pair)
    untouched = [n for n, p in three.named_parameters() if p.grad is None]
    assert {f"encoders.{missing}.weight", f"decoders.{missing}.weight", *(f"pseudo.{n}" for n in SOURCES)} <= set(
        untouched
    )


@pytest.mark.parametrize("settings", [{}, {"combination": "mixture", "own": "one"}, {"own": "all", "reduction": "sum"}])
def test_relabelling_the_modalities_changes_nothing(settings):
    model, whole = meme(**settings), THREE.sample(7)
    for size in (1, 2, 3):
        for observed in combinations(SOURCES, size):
            values = {n: whole[n] for n in observed}
            loss = model.objective(values, noise=noise()).loss
            for order in permutations(SOURCES):
                other = meme(names=order, **settings)
                other.load_state_dict(model.state_dict())
                turned = other.objective(dict(reversed(values.items())), noise=noise()).loss
                assert torch.allclose(loss, turned, atol=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("s", SOURCES)
def test_a_row_with_one_modality_has_the_evidence_under_the_pooled_pseudo_inputs_less_a_kl(s):
    """L(s) <= log (1/2N) sum_{n != s, i} int d_s e_n(z|u_i) dz, which the importance-weighted bound reaches."""
    model, values = meme(pseudo_inputs=3), repeated({s: THREE.sample(1)[s]}, 100_000)
    parts = []
    with torch.no_grad():
        for n in sorted(set(SOURCES) - {s}):
            q = model.pseudo_encodings(n)
            parts += [Gaussian(q.location[i : i + 1], q.scale[i : i + 1]) for i in range(3)]
        evidence = log_mean_exp(torch.stack([THREE.evidence(part, {s: values[s][:1]})[0] for part in parts]))
        e_s = model.encode(s, values[s])
        z = e_s.rsample(1, noise())
        log_prior = log_mean_exp(torch.stack([part.log_prob(z) for part in parts]))
        weights = (model.log_likelihood(s, values[s], z) + log_prior - e_s.log_prob(z))[0]
        assert weights.mean() < evidence
        assert (log_mean_exp(weights) - evidence).abs() < 0.02
        small = {s: values[s][:100]}
        losses = torch.stack([-model.objective(small, noise=noise(key)).loss for key in range(200)])
    assert within(losses, weights.mean())
    assert not within(losses, evidence), "the check must be able to fail"


def test_a_row_with_one_modality_meets_its_evidence_for_one_encoding_of_all_pseudo_inputs_and_the_exact_encoder():
    values, model = THREE.sample(30), meme(pseudo_inputs=1)
    with torch.no_grad():
        prior = model.pseudo_encodings("t")
        model.encoders["u"].weight.zero_()
        model.encoders["u"].bias.copy_(prior.location[0])
        model.encoders["u"].log_scale.copy_(prior.scale[0].log())
        wide = Gaussian(prior.location.expand(30, -1), prior.scale.expand(30, -1))
        exact = THREE.update(wide, {"s": values["s"]})
        loss = model._unpaired("s", values["s"], exact, noise()).loss
        assert torch.allclose(-loss, THREE.evidence(wide, {"s": values["s"]}).mean(), atol=1e-10)


@pytest.mark.parametrize("s", SOURCES)
def test_a_row_with_one_modality_trains_neither_the_other_decoders_nor_its_own_pseudo_inputs(s):
    model = meme()
    model.objective({s: THREE.sample(6)[s]}, noise=noise()).loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert grads[f"pseudo.{s}"] is None
    for n in set(SOURCES) - {s}:
        assert grads[f"decoders.{n}.weight"] is None
        assert grads[f"decoders.{n}.bias"] is None
        assert grads[f"pseudo.{n}"].abs().max() > 1e-6
    for name in (f"decoders.{s}.weight", *(f"encoders.{n}.weight" for n in SOURCES)):
        assert grads[name].abs().max() > 1e-6


def test_identical_pseudo_inputs_are_one_and_their_order_does_not_matter():
    values = {"s": THREE.sample(6)["s"]}
    many, one = meme(), meme(pseudo_inputs=1)
    with torch.no_grad():
        for n in SOURCES:
            many.pseudo[n].copy_(one.pseudo[n].expand(5, -1))
    losses = [model.objective(values, noise=noise()).loss for model in (many, one)]
    assert torch.allclose(*losses, atol=1e-12)
    shuffled = meme()
    before = shuffled.objective(values, noise=noise()).loss.detach()
    with torch.no_grad():
        for n in ("t", "u"):
            shuffled.pseudo[n].copy_(shuffled.pseudo[n].flip(0).clone())
    assert torch.allclose(before, shuffled.objective(values, noise=noise()).loss, atol=1e-12)


def test_pseudo_inputs_start_at_observed_rows():
    model, values = meme(), THREE.sample(3)
    before = model.pseudo["t"].detach().clone()
    model.initialise(Batch({n: values[n] for n in ("s", "u")}))
    assert torch.equal(model.pseudo["s"], values["s"][[0, 1, 2, 0, 1]])
    assert torch.equal(model.pseudo["t"], before)


def test_gradients_reach_every_parameter_over_all_patterns_with_a_mixture_too():
    reached: set[str] = set()
    for model, values, stage in cases_of(MEME, {"combination": "mixture"}):
        evaluated(model, values, step_noise(), stage)
        reached |= {n for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert reached == {name for name, _ in model.named_parameters()}


# What is inferred ----------------------------------------------------------------------------------------------------
def test_posteriors_of_several_modalities_are_the_explicit_combination_and_the_conditional_prior():
    values = THREE.sample(5)
    for observed in [*combinations(SOURCES, 2), SOURCES]:
        some = {n: values[n] for n in observed}
        multiplying, mixing = meme(), meme(combination="mixture")
        experts = list(encoded(multiplying, some).values())
        z = torch.randn(4, 5, THREE.dim, generator=torch.Generator().manual_seed(0)).double()
        exact = multiplied(experts)
        for found in (multiplying.posterior(some), multiplying.generative_prior(some)):
            assert torch.allclose(found.mean, exact.mean, atol=1e-12)
            assert torch.allclose(found.stddev, exact.stddev, atol=1e-12)
        for found in (mixing.posterior(some), mixing.generative_prior(some)):
            density = log_mean_exp(torch.stack([q.log_prob(z) for q in experts]))
            assert torch.allclose(found.log_prob(z), density, atol=1e-12)


def test_the_posterior_of_one_modality_is_its_encoding_whatever_the_others():
    values, model = THREE.sample(5), meme()
    for n in SOURCES:
        for found in (model.posterior({n: values[n]}), model.generative_prior({n: values[n]})):
            assert torch.equal(found.mean, model.encode(n, values[n]).mean)


@pytest.mark.statistical
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize(("scored", "given"), [("s", "tu"), ("st", "u"), ("tu", "s"), ("u", "t")])
def test_conditional_likelihoods_of_disjoint_sets_equal_their_closed_form(scored, given, combination):
    """p(x_A|x_B) = int prod_{m in A} d_m e_B dz; samples of the exact posterior, widened, have little variance."""
    values, model = THREE.sample(50), meme(combination=combination)
    targets, known = {n: values[n] for n in scored}, {n: values[n] for n in given}
    with torch.no_grad():
        e = list(encoded(model, known).values())
        parts = [multiplied(e)] if combination == "product" else e
        exact = log_mean_exp(torch.stack([THREE.evidence(q, targets) for q in parts]))
        posteriors = [THREE.update(q, targets) for q in parts]
        proposal = mixture([Gaussian(q.location, 1.3 * q.scale) for q in posteriors])
        prior = model.generative_prior(known)
        log_weights = log_weights_of(model, targets, prior=prior, proposal=proposal, k=2000, noise=noise())
    assert (estimate(log_weights).value - exact).abs().max() < 0.1
    assert estimate(log_weights).value.mean() == pytest.approx(float(exact.mean()), abs=0.01)


def test_the_prior_is_a_stand_in_over_the_pseudo_inputs_of_all_modalities():
    model = meme(pseudo_inputs=2)
    z = torch.randn(3, 4, THREE.dim, generator=torch.Generator().manual_seed(0)).double()
    mean = log_mean_exp(torch.stack([mixture_log_prob(model.pseudo_encodings(n), z) for n in SOURCES]))
    assert torch.allclose(model.prior().log_prob(z), mean, atol=1e-12)
    with pytest.raises(CannotBear, match="no joint prior"):
        model.generative_prior({})


# Refusals ------------------------------------------------------------------------------------------------------------
def test_one_modality_is_refused():
    with pytest.raises(CannotBear, match="two modalities or more"):
        meme(names=("s",))


@pytest.mark.parametrize("direction", ["s->t", "t->s"])
def test_one_direction_is_refused_beyond_two_modalities(direction):
    meme(names=("s", "t"), direction=direction)
    with pytest.raises(InvalidSetting, match="there are 3 modalities here: use both"):
        meme(direction=direction)


def test_an_analytic_kl_of_a_mixture_is_refused_beyond_two_modalities():
    meme(kl="analytic")
    meme(names=("s", "t"), kl="analytic", combination="mixture")
    with pytest.raises(InvalidSetting, match="no closed form"):
        meme(kl="analytic", combination="mixture")
