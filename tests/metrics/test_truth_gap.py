"""The gap to the truth on the linear-Gaussian model: zero for exact networks, a known KL for wrong ones."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from mmbench.metrics import evaluate, importance
from mmbench.metrics.truth_gap import evidence_lower_bound, sets_scored
from mmbench.models import MODELS
from mmbench.models.posteriors import Mixture, kl_gaussian
from mmbench.seeding import RowNoise
from mmbench.testing.linear_gaussian import LinearGaussian

TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
SETS = ("s", "t", "u", "s+t", "s+u", "t+u", "s+t+u")


def model_of(name, oracle=TWO, encoder="rough", **settings):
    kind = MODELS[name]
    return kind(oracle.modalities, kind.Settings(**settings), oracle.arch, oracle.coders(encoder=encoder)).double()


def log_density(oracle):
    return lambda values: oracle.log_marginal({name: torch.from_numpy(x) for name, x in values.items()}).numpy()


def gaps(model, oracle=TWO, *, rows=60, batch=25, density=None, seed=5, **settings):
    """(given, target, estimator without K) -> score."""
    drawn = oracle.sample(rows, seed=seed)

    def test():
        for at in range(0, rows, batch):
            part = {n: x[at : at + batch] for n, x in drawn.items()}
            yield SimpleNamespace(values=part, targets=None, rows=np.arange(at, min(at + batch, rows)))

    found = evaluate(
        model,
        train=list,
        test=test,
        modalities=oracle.modalities,
        classes=None,
        metrics={"truth_gap": {"rows": rows, **settings}},
        classifiers=None,
        seed=0,
        log_density=log_density(oracle) if density is None else density,
    )
    return {(s.given, s.target, s.estimator.rpartition("-")[0] or s.estimator): s for s in found.scores}


def shifted(model, name, by):
    """The model with the decoder's offset of one modality wrong by `by` [D], and an encoder that believes it."""
    with torch.no_grad():
        model.decoders[name].bias += by
        model.encoders[name].bias -= model.encoders[name].weight @ by
    return model


def off(score, exact):
    """How many standard errors the score is away from the exact value."""
    return abs(score.value - float(exact)) / score.stderr


def test_exact_networks_have_no_gap_row_by_row_with_one_sample():
    found = gaps(model_of("mvae", THREE, "expert"), THREE, k=1)
    assert set(found) == {("", target, kind) for target in SETS for kind in ("elbo", "iwae")}
    drawn = THREE.sample(60, seed=5)
    for (_, target, kind), score in found.items():
        assert score.value == pytest.approx(0, abs=1e-9)
        assert score.stderr == pytest.approx(0, abs=1e-9)
        exact = float(THREE.log_marginal({n: drawn[n] for n in target.split("+")}).mean())
        assert (score.details["truth"], score.details["estimate"]) == (pytest.approx(exact), pytest.approx(exact))
        assert (score.n, score.estimator) == (60, "elbo" if kind == "elbo" else "iwae-1")


@pytest.mark.statistical
def test_a_wrong_decoder_offset_costs_the_kl_of_two_gaussians():
    """KL(N(b, C) || N(b + d, C)) = d^T C^-1 d / 2 for every set that holds the modality, and nothing for the others."""
    by = torch.tensor([0.4, -0.3, 0.2], dtype=torch.float64)
    model = shifted(model_of("mvae", TWO, "expert"), "s", by)
    found = gaps(model, rows=4000, batch=1000, k=2)
    for names in (("s",), ("s", "t")):
        weight = torch.cat([TWO.weight(m) for m in names])
        covariance = weight @ weight.T + TWO.noise**2 * torch.eye(len(weight))
        d = torch.cat([by, torch.zeros(len(weight) - 3)])
        kl = float(d @ torch.linalg.solve(covariance, d)) / 2
        assert kl > 0.05
        for kind in ("elbo", "iwae"):
            score = found["", "+".join(names), kind]
            assert off(score, kl) < 4
            assert off(score, 0.0) > 4
            assert off(score, 2 * kl) > 4, "the check must be able to fail"
    assert found["", "t", "elbo"].value == pytest.approx(0, abs=1e-9)


@pytest.mark.statistical
def test_rough_posteriors_cost_their_kl_in_the_elbo_and_nearly_nothing_with_many_samples():
    """The decoders are exact, so that truth - ELBO = KL(q(z | x_S) || p(z | x_S)) for every row."""
    model, drawn = model_of("mvae", THREE, "rough"), THREE.sample(60, seed=5)
    found = gaps(model, THREE, k=1000)
    for target in SETS:
        values = {n: drawn[n] for n in target.split("+")}
        kl = kl_gaussian(model.posterior(values), THREE.posterior(values)).detach()
        assert found["", target, "elbo"].value == pytest.approx(float(kl.mean()), abs=0.02)
        assert float(kl.mean()) > 0.05
        assert off(found["", target, "iwae"], 0.0) < 4
        assert abs(found["", target, "iwae"].value) < 0.04
        assert found["", target, "iwae"].details["ess"] > 100


@pytest.mark.statistical
def test_the_elbo_of_a_mixture_is_stratified_in_proportion_to_its_weights():
    """Against plain Monte Carlo: a component drawn for every sample. One component alone is another number."""
    model, rows = model_of("mmvae"), 20
    values = TWO.sample(rows, seed=5)
    noise = RowNoise(1, range(rows), dtype=torch.float64)
    with torch.no_grad():
        q = model.posterior(values)
        assert isinstance(q, Mixture)

        def log_weight(z: Tensor) -> Tensor:
            scored = sum(model.likelihood(n, z).log_prob(x) for n, x in values.items())
            return model.prior().log_prob(z) + scored - q.log_prob(z)

        plain = log_weight(q.rsample(4000, noise))
        error = float((plain.var(0) / 4000).mean() / rows) ** 0.5
        found = evidence_lower_bound(model, values, k=4000, noise=noise.child("other"))
        alone = log_weight(q.components[0].rsample(4000, noise)).mean()
    assert abs(float((plain.mean(0) - found).mean())) < 5 * error
    assert abs(float(alone - found.mean())) > 5 * error


@pytest.mark.statistical
def test_bounds_do_not_exceed_the_truth_and_more_samples_are_tighter():
    model = shifted(model_of("mmvae", THREE), "t", torch.full((4,), 0.2, dtype=torch.float64))
    few, many = (gaps(model, THREE, rows=500, batch=250, k=k) for k in (2, 60))
    for target in SETS:
        elbo, loose, tight = many["", target, "elbo"], few["", target, "iwae"], many["", target, "iwae"]
        assert tight.value > -4 * tight.stderr
        assert elbo.value > tight.value
        assert loose.value > tight.value - 0.01


@pytest.mark.statistical
def test_a_model_without_a_prior_is_held_against_the_exact_conditionals():
    """MEME with e_m = p(z | x_m): the integral of d_b(x_b|z) e_a(z|x_a) is p(x_b | x_a)."""
    found = gaps(model_of("meme", encoder="posterior"), k=2000)
    assert set(found) == {("s", "t", "conditional-iwae"), ("t", "s", "conditional-iwae")}
    drawn = TWO.sample(60, seed=5)
    for (given, target, _), score in found.items():
        exact = TWO.log_marginal(drawn) - TWO.log_marginal({given: drawn[given]})
        assert score.details["truth"] == pytest.approx(float(exact.mean()))
        assert score.value == pytest.approx(0, abs=0.02)
        wrong = shifted(model_of("meme", encoder="posterior"), target, torch.full((TWO.sizes[target],), 0.5).double())
        assert gaps(wrong, k=200)[given, target, "conditional-iwae"].value > 0.05, "the check must be able to fail"


def test_values_depend_neither_on_batches_nor_on_chunks(monkeypatch):
    whole = gaps(model_of("mmvae"), batch=60, k=7)
    monkeypatch.setattr(importance, "BUDGET", 100)
    parts = gaps(model_of("mmvae"), batch=13, k=7)
    for key, score in whole.items():
        assert parts[key].value == pytest.approx(score.value, abs=1e-9)
        assert parts[key].stderr == pytest.approx(score.stderr, abs=1e-9)


def test_rescaled_objectives_do_not_rescale_the_gap():
    kind = MODELS["mvae"]
    arch = TWO.arch.__class__(**{**TWO.arch.__dict__, "rescale": "largest"})
    model = kind(TWO.modalities, kind.Settings(beta=3.0), arch, TWO.coders(encoder="expert")).double()
    assert all(score.value == pytest.approx(0, abs=1e-9) for score in gaps(model, k=1).values())


def test_the_first_rows_are_scored():
    drawn = TWO.sample(60, seed=5)
    found = gaps(model_of("mvae", encoder="expert"), rows=60, k=1, batch=25)["", "s", "elbo"]
    assert found.details["truth"] == pytest.approx(float(TWO.log_marginal({"s": drawn["s"]}).mean()))

    def density(values):
        return np.arange(len(values["s"]), dtype=float) if "s" in values else np.zeros(len(values["t"]))

    evaluated = gaps(model_of("mvae", encoder="expert"), rows=10, k=1, density=density, batch=60)
    assert evaluated["", "s", "elbo"].details["truth"] == pytest.approx(4.5)


def test_all_sets_of_four_and_the_outer_ones_of_five():
    assert len(sets_scored(tuple("abcd"))) == 15
    five = sets_scored(tuple("abcde"))
    assert sorted(map(len, five)) == [1] * 5 + [4] * 5 + [5]
    assert len(set(five)) == 11


def test_without_a_known_density_it_is_skipped_with_the_reason(toy, score):
    (only,) = score(toy(), {"truth_gap": {}}).scores
    assert (only.status, only.note) == ("skipped", "the density of this dataset is not known.")


def test_a_posterior_without_density_is_skipped_with_the_reason(toy, score):
    def flat(values):
        return np.zeros(len(next(iter(values.values()))))

    found = score(toy(opaque=True), {"truth_gap": {"k": 2}}, log_density=flat).scores
    assert {s.status for s in found} == {"skipped"}
    assert all("with a density" in s.note for s in found)
    assert any("an ELBO needs a posterior with a density; q(z | a, b) is Opaque." in s.note for s in found)


def test_a_model_without_any_density_is_skipped_with_its_own_words(monkeypatch):
    model = model_of("mvae")
    facts = model.facts.__class__(**{**model.facts.__dict__, "density": "none", "density_rule": "codes are points"})
    monkeypatch.setattr(type(model), "facts", facts)
    (only,) = gaps(model).values()
    assert only.note == "model 'mvae' has no density: codes are points."


def test_one_row_has_no_standard_error():
    found = gaps(model_of("mvae", encoder="expert"), rows=1, batch=1, k=1)
    assert all(score.stderr is None and not math.isnan(score.value) for score in found.values())
