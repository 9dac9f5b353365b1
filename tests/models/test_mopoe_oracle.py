"""MoPoE on the linear-Gaussian oracle: its value is the evidence less the mean KL of the products to the posterior."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from mmbench.models import mopoe
from mmbench.models.mopoe import MOPOE
from mmbench.models.posteriors import Gaussian, component_samples, kl_gaussian
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})


class Recorder(nn.Module):
    """A decoder that keeps the z it is given."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder, self.seen = decoder, []

    def forward(self, z: Tensor) -> Tensor:
        self.seen.append(z.detach().clone())
        return self.decoder(z)


def subsets(names):
    """All non-empty subsets, written another way than the model's."""
    return [tuple(n for i, n in enumerate(names) if bits >> i & 1) for bits in range(1, 2 ** len(names))]


def product_of(experts, with_prior: bool) -> Gaussian:
    """Precisions add up, and means weighted by them."""
    precision = float(with_prior) + sum(q.scale**-2 for q in experts)
    mean = sum(q.location * q.scale**-2 for q in experts) / precision
    return Gaussian(mean, precision**-0.5)


def products(model, values, rule):
    """q~_S of all subsets of the observed modalities, full relative to them."""
    experts = {name: model.encode(name, x) for name, x in values.items()}
    with_prior = {"all": lambda s: True, "none": lambda s: False, "full-only": lambda s: len(s) == len(values)}[rule]
    return {s: product_of([experts[n] for n in s], with_prior(s)) for s in subsets(list(values))}


def exact_value(oracle, model, values, rule) -> Tensor:
    """Master identity, averaged over the components: log p(x_O) - (1/|P|) sum_S KL(q~_S || p(z|x_O)), row 0."""
    posterior = oracle.posterior(values)
    kl = torch.stack([kl_gaussian(q, posterior)[0] for q in products(model, values, rule).values()])
    return (oracle.log_marginal(values)[0] - kl.mean()).detach()


def drawn_losses(model, values, n: int) -> Tensor:
    return torch.stack([model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("rule", ["full-only", "all", "none"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_value_is_the_evidence_less_the_mean_kl_of_the_products(oracle, rule, make):
    model = make("mopoe", oracle, encoder="rough", prior_expert=rule, sampling="enumerate")
    values = repeated(oracle.sample(1), 3000)
    exact = exact_value(oracle, model, values, rule)
    found = -drawn_losses(model, values, 20)
    assert within(found, exact)
    assert not within(found, exact + 0.1), "the check must be able to fail"
    for other in {"full-only", "all", "none"} - {rule}:
        assert not within(found, exact_value(oracle, model, values, other)), "the rules must be told apart"


@pytest.mark.statistical
@pytest.mark.parametrize("observed", [("s",), ("u",), ("s", "u"), ("t", "u")])
def test_rows_with_missing_modalities_are_worth_their_own_evidence_less_the_mean_kl(observed, make):
    """`full` of `full-only` is the observed set."""
    model = make("mopoe", THREE, encoder="rough", sampling="enumerate")
    values = repeated({n: x for n, x in THREE.sample(1).items() if n in observed}, 3000)
    assert within(-drawn_losses(model, values, 20), exact_value(THREE, model, values, "full-only"))


@pytest.mark.parametrize("settings", [{}, {"prior_expert": "all"}, {"sampling": "enumerate", "beta": 2.5}])
def test_loss_on_some_modalities_is_that_of_a_model_of_those_alone(settings, make):
    whole, values = make("mopoe", THREE, encoder="rough", **settings), THREE.sample(6)
    for observed in (("s",), ("s", "u")):
        specs = [spec for spec in THREE.modalities if spec.name in observed]
        coders = {name: THREE.coder(name, encoder="rough") for name in observed}
        part = MOPOE(specs, whole.settings, THREE.arch, coders).double()
        some = {name: values[name] for name in observed}
        losses = [model.objective(some, noise=noise()).loss for model in (whole, part)]
        assert torch.allclose(losses[0], losses[1], atol=1e-12)
    whole.objective({"s": values["s"]}, noise=noise()).loss.backward()
    assert all(g.abs().max() == 0 for name, g in gradients(whole).items() if ".s." not in name)


@pytest.mark.statistical
@pytest.mark.parametrize("encoder", ["expert", "posterior", "rough"])
def test_it_is_a_bound_on_the_evidence(encoder, make):
    """At most log p(X) in expectation; with exact products it is lower by the mean KL of the smaller subsets alone."""
    values = THREE.sample(2000)
    model = make("mopoe", THREE, encoder=encoder, prior_expert="all")
    gaps = -drawn_losses(model, values, 20) - THREE.log_marginal(values).mean()
    assert gaps.mean() < 5 * gaps.std() / 20**0.5
    if encoder == "expert":
        full, posterior = products(model, values, "all"), THREE.posterior(values)
        assert kl_gaussian(full["s", "t", "u"], posterior).abs().max() < 1e-12
        assert kl_gaussian(full["s", "t"], posterior).min() > 1e-3


def test_beta_and_the_modalities_weights_scale_their_terms(make):
    values = TWO.sample(6)
    plain = make("mopoe", TWO, encoder="rough").objective(values, noise=noise())
    kl = torch.stack([v for n, v in plain.terms.items() if n.startswith("kl/")]).mean()
    model = make("mopoe", TWO, encoder="rough", beta=2.5)
    assert torch.allclose(model.objective(values, noise=noise()).loss, plain.loss + 1.5 * kl, atol=1e-12)
    model.weights["t"] = 3.0
    changed = model.objective(values, noise=noise())
    expected = plain.loss + 1.5 * kl - 2 * plain.terms["log_likelihood/t"]
    assert torch.allclose(changed.loss, expected, atol=1e-12)


# Drawing a component --------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_drawing_a_component_for_each_row_has_the_mean_of_the_enumeration(oracle, make):
    """Values and gradients."""
    values, found = repeated(oracle.sample(1), 1000), {}
    for sampling in ("row", "enumerate"):
        model, collected = make("mopoe", oracle, encoder="rough", sampling=sampling), []
        for key in range(40):
            model.zero_grad()
            loss = model.objective(values, noise=noise(key + (1000 if sampling == "row" else 0))).loss
            loss.backward()
            collected.append(torch.cat([loss.detach()[None], *(g.flatten() for g in gradients(model).values())]))
        found[sampling] = torch.stack(collected)
    error = (sum(f.var(0) for f in found.values()) / 40).sqrt()
    difference = (found["row"].mean(0) - found["enumerate"].mean(0)).abs()
    assert (difference <= 5 * error + 1e-12).all()
    assert found["row"].var(0)[0] > found["enumerate"].var(0)[0]
    assert within(-found["row"][:, 0], exact_value(oracle, model, values, "full-only"))


def apart(make):
    """Two modalities whose components lie far apart: around 0 (s), 100 (t), and between (s+t)."""
    model = make("mopoe", TWO, encoder="rough")
    with torch.no_grad():
        model.encoders["t"].bias += 100
    model.decoders["s"] = Recorder(model.decoders["s"])
    return model


def component_of(z: Tensor) -> Tensor:
    """0 for s, 1 for s+t, 2 for t."""
    return (z[:, 0] > 15).long() + (z[:, 0] > 85).long()


@pytest.mark.statistical
@pytest.mark.parametrize(("rows", "draws"), [(3000, 1), (1, 300), (2, 150)])
def test_all_components_occur_equally_often_in_batches_of_any_size(rows, draws, make):
    """Contiguous parts of a batch of one row would always be the last component's."""
    model, values = apart(make), TWO.sample(rows)
    for key in range(draws):
        model.objective(values, noise=noise(key))
    which = component_of(torch.cat(model.decoders["s"].seen))
    assert len(which) == rows * draws, "one sample a row is decoded"
    shares = torch.nn.functional.one_hot(which, 3).double()
    assert within(shares, 1 / 3)
    assert not within(shares, torch.tensor([0.0, 0.0, 1.0])), "the last component alone"


@pytest.mark.statistical
def test_a_component_is_drawn_for_each_row_and_not_by_its_place(make):
    """Over many draws every row meets every component: the rows are not cut into contiguous parts."""
    model, values = apart(make), TWO.sample(6)
    for key in range(200):
        model.objective(values, noise=noise(key))
    which = component_of(torch.cat(model.decoders["s"].seen)).reshape(200, 6)
    assert within(torch.nn.functional.one_hot(which, 3).double(), 1 / 3)
    same = (which[:, :-1] == which[:, 1:]).double()
    assert within(same, 1 / 3), "neighbours are drawn independently"


@pytest.mark.statistical
def test_a_batch_of_one_has_the_mixtures_value_and_not_the_last_components(make):
    """The last component alone is worth log p(X) - KL(q~_{s,t} || p(z|X)), another number."""
    model, values = make("mopoe", TWO, encoder="rough"), TWO.sample(1)
    found = -drawn_losses(model, values, 500)
    assert within(found, exact_value(TWO, model, values, "full-only"))
    full = products(model, values, "full-only")["s", "t"]
    reconstructions = sum(TWO.expected_log_likelihood(n, x, full)[0] for n, x in values.items())
    kl = torch.stack([kl_gaussian(q, TWO.standard(1))[0] for q in products(model, values, "full-only").values()])
    assert not within(found, (reconstructions - kl.mean()).detach()), "decoding the last component alone"


def test_a_decoder_is_called_once(make):
    values = THREE.sample(4)
    for sampling, samples in (("row", 1), ("enumerate", 7)):
        model = make("mopoe", THREE, sampling=sampling)
        model.decoders["s"] = Recorder(model.decoders["s"])
        model.objective(values, noise=noise())
        assert [len(z) for z in model.decoders["s"].seen] == [4 * samples]


def test_samples_of_components_do_not_depend_on_their_order():
    values = THREE.sample(50)
    components = {name: THREE.expert(name, x) for name, x in values.items()}
    for stratified, count in ((False, 1), (True, 3)):
        z = component_samples(components, noise(), stratified=stratified)
        turned = component_samples(dict(reversed(components.items())), noise(), stratified=stratified)
        assert z.shape == (count, 50, 2)
        assert torch.equal(z, turned)


# Its relatives --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sampling", ["row", "enumerate"])
@pytest.mark.parametrize("rule", ["none", "full-only"])
def test_with_one_modality_it_is_a_vae_with_the_analytic_kl(rule, sampling, make):
    """The prior expert makes the one set, which is the full one, N(mu t / (1 + t), 1 / (1 + t)) with t = sigma^-2."""
    model, values = make("mopoe", ONE, encoder="rough", prior_expert=rule, sampling=sampling), ONE.sample(7)
    x = values["s"]
    mean, scale = model.encoders["s"](x)
    if rule == "full-only":
        mean, scale = mean / (1 + scale**2), scale / (1 + scale**2).sqrt()
    source = noise().child("s") if sampling == "enumerate" else noise()
    z = mean + scale * source.normal("z", (1, 7, 2))
    error = (x - z[0] @ ONE.weight("s").T - ONE.bias("s")).square().sum(-1) / ONE.noise**2
    log_likelihood = -0.5 * error - 1.5 * torch.tensor(2 * torch.pi * ONE.noise**2).double().log()
    kl = 0.5 * (scale**2 + mean**2 - 1 - 2 * scale.log()).sum(-1)
    assert torch.allclose(model.objective(values, noise=noise()).loss, (kl - log_likelihood).mean(), atol=1e-12)


@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_with_singletons_alone_it_is_the_naive_bound_of_mmvae(oracle, make, monkeypatch):
    monkeypatch.setattr(mopoe, "subsets_of", lambda names: [(name,) for name in names])
    values = oracle.sample(6)
    ours = make("mopoe", oracle, encoder="rough", prior_expert="none", sampling="enumerate")
    theirs = make("mmvae", oracle, encoder="rough", objective="naive", k=1)
    for model in (ours, theirs):
        model.found = model.objective(values, noise=noise()).loss
        model.found.backward()
    assert torch.allclose(ours.found, theirs.found, atol=1e-12)
    for name, gradient in gradients(ours).items():
        assert torch.allclose(gradient, gradients(theirs)[name], atol=1e-12), name


@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_with_the_full_set_alone_it_is_the_joint_elbo_of_mvae(oracle, make, monkeypatch):
    monkeypatch.setattr(mopoe, "subsets_of", lambda names: [tuple(names)])
    values = oracle.sample(6)
    ours = make("mopoe", oracle, encoder="rough", sampling="enumerate").objective(values, noise=noise())
    theirs = make("mvae", oracle, encoder="rough").objective(values, noise=noise())
    assert torch.allclose(-ours.loss, theirs.terms["elbo/" + "+".join(oracle.names)], atol=1e-12)


def test_order_of_modalities_does_not_matter(make):
    """For one component drawn a row too: the draw goes by the names."""
    values = THREE.sample(6)
    for settings in ({}, {"sampling": "enumerate"}):
        model = make("mopoe", THREE, encoder="rough", **settings)
        other = MOPOE(THREE.modalities[::-1], model.settings, THREE.arch, THREE.coders(encoder="rough")).double()
        turned = dict(reversed(values.items()))
        losses = model.objective(values, noise=noise()).loss, other.objective(turned, noise=noise()).loss
        assert torch.allclose(*losses, atol=1e-12)


# Its posterior --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", ["full-only", "all", "none"])
def test_posterior_of_a_subset_is_its_product_with_the_prior_where_the_rule_says_so(rule, make):
    """For `full-only` only all modalities are the full set, as the released code has it at test time."""
    model, values = make("mopoe", THREE, encoder="rough", prior_expert=rule), THREE.sample(5)
    for size in (1, 2, 3):
        for subset in combinations(THREE.names, size):
            some = {name: values[name] for name in subset}
            with_prior = {"full-only": size == 3, "all": True, "none": False}[rule]
            expected = product_of([model.encode(n, x) for n, x in some.items()], with_prior)
            found = model.posterior(some)
            assert torch.allclose(found.mean, expected.location, atol=1e-12)
            assert torch.allclose(found.stddev, expected.scale, atol=1e-12)


def test_mixture_posterior_has_the_products_of_all_subsets(make):
    model, values = make("mopoe", THREE, encoder="rough", inference="mixture"), THREE.sample(5)
    for observed in (("t",), ("s", "u"), ("s", "t", "u")):
        some = {name: values[name] for name in observed}
        rule = "full-only" if len(observed) == 3 else "none"
        expected = products(model, some, rule)
        found = model.posterior(some)
        z = found.rsample(3, noise())
        log_density = torch.stack([q.log_prob(z) for q in expected.values()]).exp().mean(0).log()
        assert torch.allclose(found.log_prob(z), log_density, atol=1e-10)
        assert len(expected) == 2 ** len(observed) - 1
