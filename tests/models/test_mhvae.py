"""MHVAE on linear-Gaussian models: one level against the products of `LinearGaussian`, two against full Gaussians.

For any q(z|x_S) the ELBO that reconstructs all of X is log p(X) - KL(q(z|x_S) || p(z|X)), so that the objective is
log p(X) less the mean of these KLs. With two levels, z_2 ~ N(0, I), z_1 | z_2 ~ N(A z_2 + a, t^2 I), and experts
q_m(z_1 | x_m, z_2) whose mean is linear in both, q(z_1, z_2 | x_S) is a Gaussian with a full covariance. It is built
here as such, from precision matrices, and compared with the exact posterior by torch's own KL.
"""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from mmbench.errors import CannotBear, InvalidSetting
from mmbench.metrics.likelihood import log_likelihood
from mmbench.models.architecture import Architecture
from mmbench.models.hierarchy import LevelNetwork, levels_of
from mmbench.models.mhvae import MHVAE, MhvaeSettings
from mmbench.models.networks.base import Coder, Encoder
from mmbench.models.patterns import full_and_singles, some_subsets, subsets
from mmbench.models.posteriors import Gaussian, kl_gaussian
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian
from mmbench.testing.small_models import make_model, rows

ONE = LinearGaussian(sizes={"s": 3})
TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
D = 2  # of each level


def every_subset(names) -> list[tuple[str, ...]]:
    names = sorted(names)
    return [tuple(n for i, n in enumerate(names) if code >> i & 1) for code in range(1, 2 ** len(names))]


def drawn_losses(model, values, n: int = 20, **settings) -> Tensor:
    with torch.no_grad():
        return torch.stack([model.objective(values, noise=noise(k), **settings).loss for k in range(n)])


# One level ------------------------------------------------------------------------------------------------------------
def one_level_value(oracle, model, values, sets) -> Tensor:
    """log p(X) - mean_S KL(q_S || p(z|X)) of row 0, with q_S by precisions."""
    gaps = []
    for some in sets:
        experts = [model.encode(n, values[n]) for n in some]
        precision = 1 + sum(q.scale**-2 for q in experts)
        mean = sum(q.location * q.scale**-2 for q in experts) / precision
        gaps.append(kl_gaussian(Gaussian(mean, precision.rsqrt()), oracle.posterior(values)))
    return (oracle.log_marginal(values) - torch.stack(gaps).mean(0))[0].detach()


@pytest.mark.statistical
@pytest.mark.parametrize("rule", ["all", "full+singles", "sampled"])
@pytest.mark.parametrize("encoder", ["expert", "rough"])
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_one_level_is_the_mean_over_subsets_of_the_elbos_of_products_with_the_prior(oracle, encoder, rule, make):
    model = make("mhvae", oracle, encoder=encoder, levels=1, subsets=rule)
    values = repeated(oracle.sample(1), 3000)
    every = every_subset(oracle.names)
    trained = [s for s in every if len(s) in (1, len(oracle.names))] if rule == "full+singles" else every
    exact = one_level_value(oracle, model, values, trained)
    found = -drawn_losses(model, values)
    assert within(found, exact)
    assert not within(found, exact + 0.2), "the check must be able to fail"
    assert not within(found, one_level_value(oracle, model, values, [oracle.names])), "of the full set alone"


def test_with_exact_experts_the_full_posterior_is_exact_and_every_weight_is_the_evidence(make):
    model, values = make("mhvae", THREE, encoder="expert", levels=1), THREE.sample(5)
    for some in every_subset(THREE.names):
        part = {n: values[n] for n in some}
        q = model.posterior(part)
        z = q.rsample(3, noise())
        weight = model.prior().log_prob(z) - q.log_prob(z)
        weight = weight + sum(model.likelihood(n, z).log_prob(x) for n, x in part.items())
        assert torch.allclose(weight, THREE.log_marginal(part).expand(3, 5), atol=1e-10)


# Two levels -----------------------------------------------------------------------------------------------------------
class Linear(nn.Module):
    """A level whose mean is linear in the levels above and in what the hint gives, with a constant scale."""

    def __init__(self, above: Tensor, offset: Tensor, scale: float, features: Tensor | None = None) -> None:
        super().__init__()
        self.above, self.offset = nn.Parameter(above), nn.Parameter(offset)
        self.log_scale = nn.Parameter(torch.full_like(offset, math.log(scale)))
        self.hint = nn.Linear(features.shape[1], len(features), bias=False) if features is not None else None
        if features is not None:
            self.hint.weight = nn.Parameter(features)

    def forward(self, above: Tensor, hint: Tensor | None = None) -> tuple[Tensor, Tensor]:
        location = above @ self.above.T + self.offset
        location = location if hint is None else location + hint
        return location, self.log_scale.exp().expand_as(location)


class Chain:
    """A two-level linear-Gaussian model and its experts, as matrices, and an MHVAE that holds the same numbers.

    With `exact` experts of z_1 (the likelihoods) and, for a single modality, of z_2, posteriors of single modalities
    are exact.
    """

    def __init__(self, oracle: LinearGaussian, *, exact: bool = False, **settings) -> None:
        self.oracle, source = oracle, torch.Generator().manual_seed(4)

        def draw(*shape: int) -> Tensor:
            return 0.6 * torch.randn(*shape, generator=source, dtype=torch.float64)

        self.a, self.offset, self.t = torch.diag(torch.tensor([0.9, -0.5]).double()), draw(D), 0.8
        self.experts: dict[str, tuple[Tensor, ...]] = {}
        for name in oracle.names:
            size = oracle.sizes[name]
            if exact:
                self.experts[name] = self._exact(name)
            else:
                self.experts[name] = (
                    draw(D, size),
                    draw(D),
                    torch.tensor([0.7, 1.3]).double(),
                    draw(D, size),
                    draw(D, D),
                    draw(D),
                    torch.tensor([0.9, 0.9]).double(),
                )
        arch = Architecture(latent_dim=2 * D, likelihood="normal", scale=oracle.noise)
        coders = {name: Coder(self._encoder(name), oracle.coder(name).decoder) for name in oracle.names}
        self.model = MHVAE(oracle.modalities, MhvaeSettings(**settings), arch, coders).double()
        self.model.priors[0] = Linear(self.a, self.offset, self.t)
        for name in oracle.names:
            *_, features, above, offset, scale = self.experts[name]
            level = Linear(above, offset, 1.0, features)
            level.log_scale.data = scale.log()
            self.model.experts[name][0] = level

    def _exact(self, name: str) -> tuple[Tensor, ...]:
        """Of z_1 the likelihood; of z_2 that of x_m = W (A z_2 + a) + b with the noise of both, seen through W."""
        weight, bias, noise2 = self.oracle.weight(name), self.oracle.bias(name), self.oracle.noise**2
        lengths = weight.square().sum(0)
        read = weight.T / lengths.unsqueeze(-1)  # x -> z_1 with noise s^2 / lengths
        variance = (noise2 / lengths + self.t**2) / self.a.diagonal() ** 2
        back = torch.diag(1 / self.a.diagonal())
        top = back @ read, -back @ (read @ bias + self.offset), variance.sqrt()
        return (*top, read, torch.zeros(D, D).double(), -read @ bias, (noise2 / lengths).sqrt())

    def _encoder(self, name: str) -> Encoder:
        weight, offset, scale, *_ = self.experts[name]
        arch = Architecture(latent_dim=D)
        encoder = Encoder(nn.Flatten(), self.oracle.sizes[name], arch, floor=1e-6).double()
        with torch.no_grad():
            encoder.location.weight.copy_(weight)
            encoder.location.bias.copy_(offset)
            encoder.scale.linear.weight.zero_()
            encoder.scale.linear.bias.copy_(scale.expm1().log())
        return encoder

    def _prior(self) -> tuple[Tensor, Tensor]:
        """Precision and information vector of p(z_1, z_2)."""
        return _chain(self.a, self.offset, torch.eye(D).double() / self.t**2, torch.zeros(D).double(), _eye())

    def truth(self, values) -> tuple[MultivariateNormal, Tensor]:
        """p(z_1, z_2 | X) of the first row, and log p(X)."""
        precision, shift = self._prior()
        prior = MultivariateNormal(torch.linalg.solve(precision, shift), precision_matrix=precision)
        weight = torch.cat(
            [torch.cat([self.oracle.weight(n), torch.zeros_like(self.oracle.weight(n))], 1) for n in values]
        )
        bias, x = torch.cat([self.oracle.bias(n) for n in values]), torch.cat([v[0] for v in values.values()])
        noise2 = self.oracle.noise**2
        marginal = MultivariateNormal(
            weight @ prior.mean + bias,
            weight @ prior.covariance_matrix @ weight.T + noise2 * torch.eye(len(x)).double(),
        )
        precision = precision + weight.T @ weight / noise2
        mean = torch.linalg.solve(precision, shift + weight.T @ (x - bias) / noise2)
        return MultivariateNormal(mean, precision_matrix=precision), marginal.log_prob(x)

    def posterior(self, values) -> MultivariateNormal:
        """q(z_1, z_2 | x_S) of the first row: precisions and information of prior and experts added at each level."""
        top, shift = _eye(), torch.zeros(D).double()
        inner, from_above, constant = _eye() / self.t**2, self.a / self.t**2, self.offset / self.t**2
        for name, x in values.items():
            weight, offset, scale, features, above, level, width = self.experts[name]
            top, shift = top + torch.diag(scale**-2), shift + (weight @ x[0] + offset) / scale**2
            inner = inner + torch.diag(width**-2)
            from_above = from_above + above / width.unsqueeze(-1) ** 2
            constant = constant + (features @ x[0] + level) / width**2
        slope, intercept = torch.linalg.solve(inner, from_above), torch.linalg.solve(inner, constant)
        precision, information = _chain(slope, intercept, inner, torch.linalg.solve(top, shift), top)
        return MultivariateNormal(torch.linalg.solve(precision, information), precision_matrix=precision)

    def value(self, values) -> Tensor:
        """log p(X) - mean_S KL(q_S || p(z|X)) of the first row."""
        truth, evidence = self.truth(values)
        gaps = [kl_divergence(self.posterior({n: values[n] for n in s}), truth) for s in every_subset(values)]
        return evidence - torch.stack(gaps).mean()


def _eye() -> Tensor:
    return torch.eye(D, dtype=torch.float64)


def _chain(slope: Tensor, intercept: Tensor, inner: Tensor, mean: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    """z_2 ~ N(mean, top^-1), z_1 | z_2 ~ N(slope z_2 + intercept, inner^-1): the joint's precision and information."""
    cross = -inner @ slope
    precision = torch.cat([torch.cat([inner, cross], 1), torch.cat([cross.T, top + slope.T @ inner @ slope], 1)])
    return precision, torch.cat([inner @ intercept, top @ mean - slope.T @ inner @ intercept])


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [ONE, TWO, THREE], ids=["one", "two", "three"])
def test_two_levels_have_the_closed_form_of_full_gaussians(oracle):
    chain, row = Chain(oracle), oracle.sample(1)
    found = -drawn_losses(chain.model, repeated(row, 3000))
    assert within(found, chain.value(row))
    assert not within(found, chain.value(row) + 0.3), "the check must be able to fail"
    assert found.mean() < chain.truth(row)[1], "a bound on log p(X)"


@pytest.mark.statistical
@pytest.mark.parametrize("observed", [("s",), ("s", "u")])
def test_rows_with_missing_modalities_have_the_closed_form_of_their_own(observed):
    chain = Chain(THREE)
    row = {n: x for n, x in THREE.sample(1).items() if n in observed}
    assert within(-drawn_losses(chain.model, repeated(row, 3000)), chain.value(row))


@pytest.mark.statistical
def test_the_exact_posterior_of_one_modality_is_reached_and_gives_the_evidence():
    """Every importance weight is log p(x), and so is the expectation of the objective."""
    chain, values = Chain(ONE, exact=True), ONE.sample(1)
    q, (_, evidence) = chain.model.posterior(values), chain.truth(values)
    z = q.rsample(5, noise())
    weight = chain.model.prior().log_prob(z) + chain.model.likelihood("s", z).log_prob(values["s"]) - q.log_prob(z)
    assert torch.allclose(weight, evidence.expand(5, 1), atol=1e-10)
    assert within(-drawn_losses(chain.model, repeated(values, 3000)), evidence.detach())


def test_densities_of_prior_and_posterior_are_those_of_full_gaussians():
    chain, values = Chain(THREE), THREE.sample(1)
    z = torch.randn(4, 1, 2 * D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    precision, shift = chain._prior()
    prior = MultivariateNormal(torch.linalg.solve(precision, shift), precision_matrix=precision)
    assert torch.allclose(chain.model.prior().log_prob(z), prior.log_prob(z), atol=1e-10)
    for some in every_subset(THREE.names):
        part = {n: values[n] for n in some}
        assert torch.allclose(chain.model.posterior(part).log_prob(z), chain.posterior(part).log_prob(z), atol=1e-10)


@pytest.mark.statistical
def test_samples_of_prior_and_posterior_have_the_moments_of_their_densities():
    chain, values = Chain(TWO), TWO.sample(1)
    q = chain.posterior(values)
    precision, shift = chain._prior()
    p = MultivariateNormal(torch.linalg.solve(precision, shift), precision_matrix=precision)
    for exact, z in (
        (q, chain.model.posterior(values).rsample(20_000, noise())[:, 0].detach()),
        (p, chain.model.prior().sample(20_000, 1, noise())[:, 0].detach()),
    ):
        assert within(z, exact.mean)
        centred = z - exact.mean
        assert within(centred.unsqueeze(-1) * centred.unsqueeze(-2), exact.covariance_matrix)


@pytest.mark.statistical
def test_importance_sampling_gives_the_exact_likelihood():
    """From exact experts, whose product at z_2 counts t^2 twice for two modalities: near the posterior, but not it."""
    chain, values = Chain(TWO, exact=True), TWO.sample(1)
    found = log_likelihood(chain.model, values, ("s", "t"), k=4000, noise=noise())
    assert abs(found.value - chain.truth(values)[1]) < 5 * found.stderr + 1e-3
    assert found.stderr < 0.05


# Its terms ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_terms_add_up_with_their_weights(levels):
    model = make_model(MHVAE, levels=levels, beta=2.5, anneal=0.5)
    model.weights["b"] = 3.0
    values = rows(model)
    plain = make_model(MHVAE, levels=levels)
    for progress, warm in ((0.0, 0.0), (0.2, 0.4), (0.5, 1.0), (1.0, 1.0)):
        found = model.objective(values, noise=noise(), progress=progress)
        terms, reference = found.terms, plain.objective(values, noise=noise()).terms
        kl = sum(terms[f"kl/level {level}"] for level in range(1, levels + 1))
        likelihood = sum(terms[f"log_likelihood/{n}"] for n in values)
        assert torch.allclose(-found.loss, likelihood - 2.5 * warm * kl)
        for name, factor in {"a": 1.0, "b": 3.0, "c": 1.0}.items():
            assert torch.allclose(terms[f"log_likelihood/{name}"], factor * reference[f"log_likelihood/{name}"])


def test_each_level_has_its_own_kl():
    """A prior that says what the experts say costs nothing at its level, and leaves the other level's KL as it is."""
    chain, values = Chain(ONE), ONE.sample(6)
    before = chain.model.objective(values, noise=noise()).terms
    chain.model.experts["s"][0].log_scale.data += 20.0  # an expert of z_1 without any weight
    after = chain.model.objective(values, noise=noise()).terms
    assert after["kl/level 1"] < 1e-9 < before["kl/level 1"]
    assert torch.allclose(after["kl/level 2"], before["kl/level 2"])


def test_the_decoder_reads_the_lowest_level_alone():
    model = make_model(MHVAE, levels=2)
    z = model.prior().sample(2, 3, noise())
    lowest, top = model.levels
    for part, changes in ((lowest, True), (top, False)):
        other = z.clone()
        other[..., part] += 1.0
        same = torch.equal(model.likelihood("a", z).mean, model.likelihood("a", other).mean)
        assert same is not changes


def test_a_level_of_the_posterior_depends_on_the_levels_above_and_on_the_input_but_not_below():
    model = make_model(MHVAE, levels=3)
    z = model.prior().sample(1, 6, noise())
    low, _, top = model.levels
    q = model.posterior(rows(model))
    other = z.clone()
    other[..., low] += 1.0

    def at(level: int, flat: Tensor) -> Gaussian:
        return q._at(level, flat[..., model.levels[level].stop :])[0]

    assert torch.equal(at(1, z).location, at(1, other).location)
    other[..., top] += 1.0
    assert not torch.allclose(at(1, z).location, at(1, other).location)
    other = z.clone()
    other[..., top] += 1.0
    assert not torch.allclose(at(0, z).location, at(0, other).location), "all levels above, not the next alone"


# What it learns from --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rule", ["all", "full+singles", "sampled"])
def test_loss_on_some_modalities_is_that_of_a_model_of_those_alone(rule, make):
    values = THREE.sample(6)
    for observed in (("s",), ("u", "t")):
        whole = make("mhvae", THREE, encoder="rough", levels=1, subsets=rule)
        specs = [spec for spec in THREE.modalities if spec.name in observed]
        coders = {name: THREE.coder(name, encoder="rough") for name in observed}
        part = MHVAE(specs, whole.settings, THREE.arch, coders).double()
        some = {name: values[name] for name in observed}
        losses = [model.objective(some, noise=noise()).loss for model in (whole, part)]
        for loss in losses:
            loss.backward()
        assert torch.allclose(losses[0], losses[1], atol=1e-12)
        inner = gradients(part)
        for name, gradient in gradients(whole).items():
            assert torch.allclose(gradient, inner.get(name, torch.zeros_like(gradient)), atol=1e-12), name


# Subsets and levels ---------------------------------------------------------------------------------------------------
def test_subsets_are_the_ones_their_names_say():
    like = torch.zeros(1)
    assert sorted(map(tuple, subsets(3, like).T.tolist())) == sorted(
        tuple(bool(code >> i & 1) for i in range(3)) for code in range(1, 8)
    )
    assert full_and_singles(3, like).T.tolist() == [[True] * 3, *torch.eye(3).bool().tolist()]
    assert subsets(1, like).tolist() == full_and_singles(1, like).tolist() == [[True]]
    uniform = (torch.arange(7000) + 0.5) / 7000
    patterns, counts = some_subsets(3, uniform).unique(dim=1, return_counts=True)
    assert patterns.any(0).all()
    assert counts.tolist() == [1000] * 7
    assert some_subsets(2, torch.tensor([0.0, 1.0])).any(0).all()


def test_levels_cover_the_latent_and_too_many_are_refused():
    assert levels_of(8, 3, model="mhvae") == (slice(0, 3), slice(3, 6), slice(6, 8))
    with pytest.raises(InvalidSetting, match=r"arch\.latent_dim=2 is too small for the 3 levels"):
        levels_of(2, 3, model="mhvae")


def test_networks_without_a_trunk_are_refused_above_one_level(make):
    with pytest.raises(CannotBear, match=r"no trunk for modality 's'.*use model\.levels=1"):
        make("mhvae", TWO, levels=2)


def test_a_hint_given_once_is_the_network_on_features_and_levels_together():
    network = LevelNetwork(3, 2, features=4).double()
    above, features = torch.randn(5, 6, 3).double(), torch.randn(6, 4).double()
    joined = torch.cat([network.above.weight, network.hint.weight], 1)
    hidden = torch.relu(torch.cat([above, features.expand(5, 6, 4)], -1) @ joined.T + network.above.bias)
    location, scale = network(above, network.hint(features))
    assert torch.allclose(location, network.location(hidden))
    assert torch.allclose(scale, network.scale(hidden))
