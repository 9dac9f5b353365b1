"""Nexus on linear-Gaussian models: both levels have closed forms.

The bottom with exact encoders is sum_m log p(x_m). The top is another linear-Gaussian model, of the codes z_m: with a
q(z_s | c) that is its exact posterior, E[log p(z_1 .. z_M | z_s)] - KL is log p_top(z_1 .. z_M), a Gaussian density
whose expectation over codes z_m ~ q_m is Gaussian algebra. The whole two-level model of x_m is Gaussian too, which
gives the exact log likelihoods that importance sampling must reproduce.
"""

import pytest
import torch
from torch import Tensor, nn

from mmbench.errors import InvalidSetting
from mmbench.metrics.likelihood import log_likelihood
from mmbench.models.architecture import Architecture
from mmbench.models.nexus import NEXUS, NexusSettings
from mmbench.models.patterns import proper_subsets_by_size
from mmbench.models.posteriors import Gaussian, Normalised
from mmbench.models.top_level import FilledByMeans
from mmbench.testing.checks import ZeroNoise, gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearGaussian
from mmbench.testing.small_models import make_model, rows

SIZES = {"s": 4, "t": 5, "u": 6}
CODE, SHARED = 3, 2


class Top(nn.Module):
    """q(z_s | c) of a linear top: c is the mean of the messages, so |S| c is their sum."""

    def __init__(self, top: LinearGaussian, count: int, *, shift: float = 0.0) -> None:
        super().__init__()
        self.count, self.shift = count, shift
        lengths = torch.stack([top.weight(n).square().sum(0) for n in top.names[:count]])
        self.precision = 1 + lengths.sum(0) / top.noise**2

    def forward(self, mean: Tensor) -> Tensor:
        return self.count * mean / self.precision + self.shift


class Constant(nn.Module):
    """A scale that does not depend on its input."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        return self.scale.expand_as(features)


def affine(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0]).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


class World:
    """Bottom and top as oracles, and a Nexus that holds their numbers.

    Args:
        count: how many of the modalities there are.
        widened: q(z_s | c) has the exact scale times this, and is `shift` off its exact mean.
    """

    def __init__(
        self,
        count: int = 2,
        *,
        scale: float = 1.0,
        widened: float = 1.0,
        shift: float = 0.0,
        encoder: str = "posterior",
        **settings,
    ) -> None:
        sizes = dict(list(SIZES.items())[:count])
        self.bottom = LinearGaussian(sizes=sizes, dim=CODE)
        self.top = LinearGaussian(sizes=dict.fromkeys(sizes, CODE), dim=SHARED, noise=scale, seed=3)
        arch = Architecture(latent_dim=SHARED + count * CODE, likelihood="normal", scale=self.bottom.noise)
        own = NexusSettings(**{"rho": 0.0, "private": CODE, "top_scale": scale, **settings})
        self.model = NEXUS(self.bottom.modalities, own, arch, self.bottom.coders(encoder=encoder)).double()
        top, exact = self.model.top, Top(self.top, count, shift=shift)
        for name in sizes:
            weight, bias = self.top.weight(name), self.top.bias(name)
            read = weight.T / scale**2
            top.messages[name], top.codes[name] = affine(read, -read @ bias), affine(weight, bias)
        top.trunk, top.location = nn.Identity(), exact
        top.scale = Constant(widened * exact.precision.rsqrt())

    def top_value(self, codes: dict[str, Gaussian]) -> Tensor:
        """E over the codes of log p_top(z_1 .. z_M), of the first row: the log density of the means, less a trace."""
        means = {name: q.location[:1] for name, q in codes.items()}
        weight = torch.cat([self.top.weight(name) for name in codes])
        covariance = weight @ weight.T + self.top.noise**2 * torch.eye(len(weight)).double()
        variances = torch.cat([q.scale[0].square() for q in codes.values()])
        return (self.top.log_marginal(means)[0] - 0.5 * (covariance.inverse().diagonal() * variances).sum()).detach()

    def evidence(self, values: dict[str, Tensor]) -> Tensor:
        """log p(x_S) of the two-level model, `[B]`: x_m = W_m (G_m z_s + c_m + noise) + b_m + noise."""
        names = list(values)
        through = torch.cat([self.bottom.weight(n) @ self.top.weight(n) for n in names])
        mean = torch.cat([self.bottom.weight(n) @ self.top.bias(n) + self.bottom.bias(n) for n in names])
        own = [self.bottom.weight(n) @ self.bottom.weight(n).T * self.top.noise**2 for n in names]
        covariance = through @ through.T + torch.block_diag(*own) + self.bottom.noise**2 * torch.eye(len(mean)).double()
        return torch.distributions.MultivariateNormal(mean, covariance).log_prob(torch.cat(list(values.values()), -1))


def drawn(model, values, n: int = 20, term: str = "") -> Tensor:
    with torch.no_grad():
        found = [model.objective(values, noise=noise(k)) for k in range(n)]
    return torch.stack([f.terms[term] if term else -f.loss for f in found])


# Its value ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("scale", [1.0, 0.6])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_exact_levels_give_the_likelihoods_of_x_and_of_the_codes(count, scale):
    world = World(count, scale=scale)
    row = world.bottom.sample(1)
    bottom = sum(world.bottom.log_marginal({n: x})[0] for n, x in row.items())
    top = world.top_value({n: world.bottom.posterior({n: x}) for n, x in row.items()})
    values = repeated(row, 3000)
    assert within(drawn(world.model, values, term="bottom"), bottom)
    assert within(drawn(world.model, values, term="top"), top)
    assert within(drawn(world.model, values), bottom + top)
    assert not within(drawn(world.model, values), bottom + top + 0.3), "the check must be able to fail"


@pytest.mark.statistical
def test_an_inexact_top_lies_below_by_its_kl_to_the_exact_one():
    """KL(N(m + d, (w s)^2) || N(m, s^2)) in each dimension, whatever the codes."""
    world = World(3, widened=1.3, shift=0.2)
    row = world.bottom.sample(1)
    exact = world.top_value({n: world.bottom.posterior({n: x}) for n, x in row.items()})
    gap = 0.5 * (1.3**2 - 1 - 2 * torch.tensor(1.3).log() + 0.2**2 * world.model.top.location.precision).sum()
    found = drawn(world.model, repeated(row, 3000), term="top")
    assert gap > 0.1
    assert within(found, exact - gap)


@pytest.mark.statistical
def test_rows_with_missing_modalities_have_the_bottom_of_their_own_and_a_top_without_the_others():
    """The top's q is made for two messages: with one, it is read as two of the same."""
    world = World(2)
    row = {"t": world.bottom.sample(1)["t"]}
    values = repeated(row, 3000)
    assert within(drawn(world.model, values, term="bottom"), world.bottom.log_marginal(row)[0])
    code = world.bottom.posterior(row)
    # log p(z_t) - KL(q || p(z_s|z_t)), q's mean is linear in z_t: by draws of the code, not of z_s
    z = code.rsample(200_000, noise(9))[:, 0]
    exact = world.top.posterior({"t": z})
    message = 2 * (z - world.top.bias("t")) @ world.top.weight("t") / world.top.noise**2
    precision = world.model.top.location.precision
    ratio = exact.scale[0].square() * precision
    shift = (message / precision - exact.location).square() / exact.scale.square()
    kl = 0.5 * (1 / ratio + shift - 1 + ratio.log()).sum(-1)
    expected = world.top.log_marginal({"t": z}) - kl
    assert abs(drawn(world.model, values, term="top").mean() - expected.mean()) < 0.02
    assert kl.mean() > 0.05


def test_terms_add_up_with_their_weights():
    settings = {"rho": 0.5, "beta": 2.0, "beta_top": 3.0, "gamma": 5.0, "anneal": 0.5}
    model, plain = make_model(NEXUS, **settings), make_model(NEXUS, rho=0.5)
    model.weights["b"] = plain.weights["b"] = 3.0
    values = rows(model)
    expected = plain.objective(values, noise=noise()).terms
    for progress, warm in ((0.0, 0.0), (0.2, 0.4), (0.5, 1.0), (1.0, 1.0)):
        found = model.objective(values, noise=noise(), progress=progress)
        for name in values:
            for term in ("log_likelihood", "kl", "log_code"):
                assert torch.allclose(found.terms[f"{term}/{name}"], expected[f"{term}/{name}"])
        bottom = sum(expected[f"log_likelihood/{n}"] - 2 * warm * expected[f"kl/{n}"] for n in values)
        top = sum(5 * expected[f"log_code/{n}"] for n in values) - 3 * warm * expected["kl"]
        assert torch.allclose(found.terms["bottom"], bottom)
        assert torch.allclose(found.terms["top"], top)
        assert torch.allclose(-found.loss, bottom + top)


def test_the_bottom_is_the_vae_of_each_modality(make):
    """Reconstruction by the modality's weight, with the noise of its own code; the same networks in the model `vae`."""
    world = World(2, encoder="rough", gamma=0.0, beta_top=0.0)
    world.model.weights["t"] = 3.0
    values = world.bottom.sample(6)
    found = world.model.objective(values, noise=noise())
    vae = make("vae", world.bottom, encoder="rough")
    vae.weights["t"] = 3.0
    expected = vae.objective(values, noise=noise())
    assert torch.allclose(found.loss, expected.loss, atol=1e-12)


# Its gradients --------------------------------------------------------------------------------------------------------
def test_the_top_never_moves_the_bottom_and_the_bottom_never_moves_the_top():
    """Gradients of encoders and decoders are exactly those without a top; those of the top do not depend on lambda."""
    values = rows(make_model(NEXUS))
    found = {}
    for gamma, beta_top in ((1.0, 1.0), (7.0, 3.0), (0.0, 0.0)):
        model = make_model(NEXUS, gamma=gamma, beta_top=beta_top)
        model.objective(values, noise=noise()).loss.backward()
        found[gamma] = gradients(model)
    below = [name for name in found[0.0] if not name.startswith("top.")]
    assert all(torch.equal(found[0.0][name], found[7.0][name]) for name in below)
    above = [name for name in found[0.0] if name.startswith("top.")]
    assert all(found[0.0][name].abs().max() == 0 < found[7.0][name].abs().max() for name in above)
    heavier = make_model(NEXUS, beta=9.0)
    heavier.weights = dict.fromkeys(heavier.weights, 5.0)
    heavier.objective(values, noise=noise()).loss.backward()
    assert all(torch.equal(gradients(heavier)[name], found[1.0][name]) for name in above)


# Perceptual dropout ---------------------------------------------------------------------------------------------------
class Seen(nn.Module):
    """Keeps what it was given."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = x.detach()
        return x


def means_seen(rho: float, rows: int = 4000) -> Tensor:
    """The means of messages that z_s was inferred from `[rows, 3]`, where the messages are the three unit vectors."""
    world = World(3, rho=rho)
    seen = world.model.top.trunk = Seen()
    for i, name in enumerate(world.bottom.names):
        message = torch.zeros(SHARED + 1, dtype=torch.float64)
        message[i] = 1.0
        world.model.top.messages[name] = affine(torch.zeros(SHARED + 1, CODE).double(), message)
    world.model.top.location = affine(torch.eye(SHARED, SHARED + 1).double(), torch.zeros(SHARED).double())
    world.model.top.scale = affine(torch.zeros(SHARED, SHARED + 1).double(), torch.ones(SHARED).double())
    world.model.objective(repeated(world.bottom.sample(1), rows), noise=noise())
    return seen.last[0]


@pytest.mark.statistical
def test_dropout_takes_the_mean_of_a_random_proper_subset_of_the_messages_for_a_share_of_the_rows():
    """Of three: each size with rho/2, each set of a size as often, all three with 1 - rho."""
    means = means_seen(0.6)
    patterns, counts = means.unique(dim=0, return_counts=True)
    shares = {tuple(round(float(x), 3) for x in p): int(c) / len(means) for p, c in zip(patterns, counts, strict=True)}
    third = 0.333
    assert len(shares) == 7
    for pattern, share in shares.items():
        expected = 0.4 if pattern == (third,) * 3 else 0.1
        assert sorted(pattern) in ([third] * 3, [0.0, 0.5, 0.5], [0.0, 0.0, 1.0])
        assert abs(share - expected) < 5 * (expected * (1 - expected) / len(means)) ** 0.5


@pytest.mark.parametrize(("rho", "largest"), [(0.0, 1 / 3), (1.0, 1.0)])
def test_no_row_or_every_row_drops_at_the_ends(rho, largest):
    means = means_seen(rho, 50)
    complete = (means - 1 / 3).abs().max(-1).values < 1e-12
    assert bool(complete.all()) is (rho == 0)
    assert bool(complete.any()) is (rho == 0)


def test_dropped_modalities_stay_targets():
    """Messages are hidden from z_s, codes are not spared."""
    model = make_model(NEXUS, rho=1.0)
    model.objective(rows(model), noise=noise()).loss.backward()
    assert all(gradients(model)[f"top.codes.{name}.0.weight"].abs().max() > 0 for name in model.modalities)
    world = World(2, rho=1.0)
    values = world.bottom.sample(6)
    full, dropped = (
        World(2).model.objective(values, noise=noise()).terms,
        world.model.objective(values, noise=noise()).terms,
    )
    assert {name for name in full if "log_code" in name} == {name for name in dropped if "log_code" in name}
    assert not torch.allclose(full["log_code/s"], dropped["log_code/s"])


def test_subsets_by_size_are_proper_and_non_empty():
    uniform = torch.rand(4, 3000, generator=torch.Generator().manual_seed(0))
    size = (torch.arange(3000) + 0.5) / 3000
    held = proper_subsets_by_size(4, size, uniform)
    assert torch.bincount(held.sum(0)).tolist() == [0, 1000, 1000, 1000]
    assert (held[:, :1000].sum(1) - 250).abs().max() < 70
    assert proper_subsets_by_size(2, torch.tensor([0.0, 1.0]), uniform[:2, :2]).sum(0).tolist() == [1, 1]


# Its posterior and its density ----------------------------------------------------------------------------------------
@pytest.mark.statistical
@pytest.mark.parametrize("missing", ["mean", "sample"])
@pytest.mark.parametrize("names", [("s",), ("s", "t")])
def test_importance_sampling_gives_the_exact_likelihood_of_the_two_level_model(names, missing):
    """From codes that know nothing of any prior and a z_s that is wider than exact, so that no weight stands out."""
    world = World(2, encoder="expert", widened=1.3, missing=missing)
    row = {n: world.bottom.sample(1)[n] for n in names}
    found = log_likelihood(world.model, row, names, k=20_000, noise=noise())
    assert found.stderr < 0.05
    assert abs(found.value - world.evidence(row)) < 5 * found.stderr


@pytest.mark.statistical
def test_the_prior_density_is_that_of_the_two_level_model_and_its_samples_follow_it():
    world = World(2, scale=0.7, missing="sample")
    prior, z = world.model.prior(), torch.randn(4, 3, SHARED + 2 * CODE).double()
    weight = torch.cat([world.top.weight(n) for n in world.top.names])
    shared, codes = z[..., :SHARED], z[..., SHARED:]
    mean = shared @ weight.T + torch.cat([world.top.bias(n) for n in world.top.names])
    normal = torch.distributions.Normal
    expected = normal(0.0, 1.0).log_prob(shared).sum(-1) + normal(mean, 0.7).log_prob(codes).sum(-1)
    assert torch.allclose(prior.log_prob(z), expected, atol=1e-10)
    sample = prior.sample(20_000, 1, noise())[:, 0].detach()
    covariance = weight @ weight.T + 0.49 * torch.eye(2 * CODE).double()
    centred = sample[:, SHARED:] - torch.cat([world.top.bias(n) for n in world.top.names])
    assert within(centred, 0.0)
    assert within(centred.unsqueeze(-1) * centred.unsqueeze(-2), covariance)


def test_missing_codes_are_the_predicted_means_or_drawn_around_them():
    for missing, kind in (("mean", FilledByMeans), ("sample", Normalised)):
        world = World(3, missing=missing)
        model, values = world.model, world.bottom.sample(5)
        q = model.posterior({"t": values["t"]})
        assert isinstance(q, kind)
        z = q.rsample(200, noise()).detach()
        shared = z[..., model.layout.shared]
        for name in ("s", "u"):
            off = z[..., model.layout.private[name]] - shared @ world.top.weight(name).T - world.top.bias(name)
            if missing == "mean":
                assert off.abs().max() < 1e-12
            else:
                assert abs(off.std() - 1) < 0.05
        own = z[..., model.layout.private["t"]]
        exact = world.bottom.posterior({"t": values["t"]})
        assert within(own, exact.location)
        assert isinstance(model.posterior(values), Normalised), "nothing is missing"
        assert isinstance(model.proposal({"t": values["t"]}), Normalised)


def test_the_prior_draws_codes_as_its_name_says():
    for missing in ("mean", "sample"):
        model = World(2, missing=missing).model
        z = model.prior().sample(3, 4, noise()).detach()
        means = model.top.joined(z[..., model.layout.shared], {}, None)
        assert torch.allclose(z, means) is (missing == "mean")
        assert ("means" in model.prior().name) is (missing == "mean")


def test_the_posterior_of_z_s_is_inferred_from_the_codes_drawn():
    world = World(2, missing="sample")
    values = world.bottom.sample(5)
    q = world.model.posterior(values)
    z = q.rsample(3, noise())
    codes = {n: z[..., part] for n, part in world.model.layout.private.items()}
    flat = {n: code.reshape(15, CODE) for n, code in codes.items()}
    exact = world.top.posterior(flat).log_prob(z[..., world.model.layout.shared].reshape(1, 15, SHARED)).reshape(3, 5)
    expected = exact + sum(world.bottom.posterior({n: x}).log_prob(codes[n]) for n, x in values.items())
    assert torch.allclose(q.log_prob(z), expected, atol=1e-10)
    some = torch.tensor([3, 1])
    assert torch.allclose(q.rows(some).log_prob(z[:, some]), q.log_prob(z)[:, some], atol=1e-12)


# What it learns from --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rho", [0.0, 1.0])
@pytest.mark.parametrize("observed", [("s",), ("t", "u")])
def test_loss_on_some_modalities_is_that_of_a_model_of_those_alone(observed, rho):
    whole = World(3, rho=rho).model
    some = {n: x for n, x in LinearGaussian(sizes=SIZES, dim=CODE).sample(6).items() if n in observed}
    specs = [spec for name, spec in whole.modalities.items() if name in observed]
    coders = {name: LinearGaussian(sizes=SIZES, dim=CODE).coder(name) for name in observed}
    arch = Architecture(latent_dim=SHARED + len(observed) * CODE, likelihood="normal", scale=whole.arch.scale)
    part = NEXUS(specs, whole.settings, arch, coders).double()
    for name in observed:
        part.top.messages[name], part.top.codes[name] = whole.top.messages[name], whole.top.codes[name]
    part.top.trunk, part.top.location, part.top.scale = whole.top.trunk, whole.top.location, whole.top.scale
    losses = [model.objective(some, noise=noise()).loss for model in (whole, part)]
    assert torch.allclose(losses[0], losses[1], atol=1e-12)


def test_sizes_are_one_share_a_code_and_the_rest_for_z_s():
    model = make_model(NEXUS)  # 6 dimensions, three modalities
    assert {part.stop - part.start for part in model.layout.private.values()} == {1}
    assert model.layout.shared == slice(0, 3)
    with pytest.raises(InvalidSetting, match=r"arch\.latent_dim=6 is too small for model 'nexus'"):
        make_model(NEXUS, private=2)


def test_cross_generation_without_noise_goes_through_every_part_in_turn():
    """x_s to its code's mean, its message, the mean of z_s, g_t and the decoder of t, all of them linear."""
    world = World(2)
    values = {"s": world.bottom.sample(4)["s"]}
    z = world.model.posterior(values).rsample(1, ZeroNoise())[0]
    code = world.bottom.posterior(values).location
    message = 2 * (code - world.top.bias("s")) @ world.top.weight("s")
    shared = message / world.model.top.location.precision
    decoded = (shared @ world.top.weight("t").T + world.top.bias("t")) @ world.bottom.weight("t").T + world.bottom.bias(
        "t"
    )
    assert torch.allclose(world.model.likelihood("t", z.unsqueeze(0)).mean[0], decoded, atol=1e-12)
