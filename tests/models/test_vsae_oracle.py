"""VSAE on the linear-Gaussian oracle: closed forms of its bound, and what the collective proposal may see.

`Whole` is the oracle whose decoders read all of z. Own encoder m is injected as the exact p(z_m|x_m), the collective
proposal as the exact p(z|x_O), of which the model takes the slices of what is missing. All posteriors are diagonal, so
that for a row with the modalities O and q from `posterior(x_O)`, by the master identity,

    ELBO = log p(x_O) - KL(q || p(z|x_O)) + log p(b),

where the pattern decoder is constant. With one observed modality q *is* p(z|x_m), and the KL is 0.

`Own` is the oracle whose decoder m reads slice m alone. Then the slices are independent given any data, q_m is exact,
and r = N(0, I) is exact for what is missing, so that the bound is sum_{m in O} log p(x_m) + log p(b) without a gap.
"""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from mmbench.config import parse_settings
from mmbench.errors import InvalidSetting
from mmbench.models.architecture import Architecture
from mmbench.models.networks import Coder
from mmbench.models.posteriors import kl_gaussian, kl_standard
from mmbench.models.slices import divided
from mmbench.models.vsae import VSAE, VsaeSettings, bernoulli_log_prob
from mmbench.seeding import StepNoise
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.linear_gaussian import LinearDecoder, LinearEncoder, LinearGaussian

SIZES = {2: {"s": 4, "t": 5}, 3: {"s": 4, "t": 5, "u": 6}}
WHOLE = {m: LinearGaussian(sizes=sizes, dim=4) for m, sizes in SIZES.items()}
BOTH = pytest.mark.parametrize("m", [2, 3])


@dataclass(frozen=True)
class Own(LinearGaussian):
    """Decoder m reads slice m alone."""

    def weight(self, name: str) -> Tensor:
        part = divided(self.names, self.dim)[name]
        mask = torch.zeros(self.dim, dtype=torch.float64)
        mask[part] = 1
        return super().weight(name) * mask


OWN = {m: Own(sizes=sizes, dim=4) for m, sizes in SIZES.items()}


class Standard(nn.Module):
    """N(0, I) whatever is observed, with a parameter each that a gradient could reach."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(dim, dtype=torch.float64))

    def forward(self, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        location = self.shift.expand(len(next(iter(values.values()))), -1)
        return location, torch.ones_like(location)


class Exact(nn.Module):
    """p(z|x_O) of the oracle, moved by `shift`."""

    def __init__(self, oracle: LinearGaussian, shift: float = 0.0) -> None:
        super().__init__()
        self.oracle, self.shift = oracle, shift

    def forward(self, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        q = self.oracle.posterior(values)
        return q.location + self.shift, q.scale


def exact_model(oracle: LinearGaussian, *, encoder: str = "posterior", shift: float = 0.0, **settings: float) -> VSAE:
    """VSAE on the oracle's networks, own encoders cut to their slices, with a constant pattern decoder of logits 0."""
    parts, coders = divided(oracle.names, oracle.dim), {}
    for name, part in parts.items():
        linear = oracle.coder(name, encoder=encoder).encoder
        own = LinearEncoder(linear.weight[part], linear.bias[part], linear.log_scale[part].exp())
        coders[name] = Coder(own, LinearDecoder(oracle.weight(name), oracle.bias(name)))
    model = VSAE(oracle.modalities, VsaeSettings(**settings), oracle.arch, coders).double()
    model.collective = Standard(oracle.dim) if isinstance(oracle, Own) else Exact(oracle, shift)
    for parameter in model.pattern_decoder.parameters():
        nn.init.zeros_(parameter)
    return model


def draws(model: VSAE, values: dict[str, Tensor], n: int) -> Tensor:
    return torch.stack([-model.objective(values, noise=noise(k)).loss.detach() for k in range(n)])


def subsets(names: tuple[str, ...], *, proper: bool = False) -> list[tuple[str, ...]]:
    return [s for k in range(1, len(names) + (not proper)) for s in itertools.combinations(names, k)]


def one_row(values: dict[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: values[name][:1] for name in names}


# The bound ------------------------------------------------------------------------------------------------------------
@pytest.mark.statistical
@BOTH
def test_with_decoders_of_their_own_slices_the_bound_is_the_sum_of_evidences_and_the_pattern(m):
    """Every observed set O, drop = 0: sum_{m in O} log p(x_m) + log p(b), and log p(b) = -M log 2."""
    oracle = OWN[m]
    model, values = exact_model(oracle, drop=0.0), repeated(oracle.sample(1), 3000)
    for names in subsets(oracle.names):
        some = {name: values[name] for name in names}
        exact = sum(oracle.log_marginal({name: x[:1]})[0] for name, x in some.items()) - m * math.log(2)
        assert torch.allclose(oracle.log_marginal(one_row(values, names))[0], exact + m * math.log(2), atol=1e-10)
        found = draws(model, some, 8)
        assert within(found, exact)
        assert not within(found, exact + 0.1), "the check must be able to fail"


@BOTH
def test_all_observed_it_is_the_sum_of_the_elbos_of_every_modality_alone(m):
    """Constant pattern decoder, decoders of their own slices, any encoders: M separate VAEs, with the same noise."""
    oracle = OWN[m]
    model, values = exact_model(oracle, encoder="rough", drop=0.0), oracle.sample(7)
    z = model.posterior(values).rsample(1, noise().child("latent"))
    total = torch.zeros(7, dtype=torch.float64)
    for name, x in values.items():
        own = model.encode(name, x)
        alone = torch.zeros_like(z)
        alone[..., model.slices[name]] = z[..., model.slices[name]]
        total = total + model.likelihood(name, alone).log_prob(x)[0] - kl_standard(own)
    loss = model.objective(values, noise=noise()).loss
    assert torch.allclose(-loss, total.mean() - m * math.log(2), atol=1e-10)


@pytest.mark.statistical
@BOTH
def test_the_bound_loses_the_kl_to_the_exact_posterior_and_nothing_for_one_modality(m):
    """The collective proposal's part: log p(x_O) - KL(q || p(z|x_O)) + log p(b) for every O (module text)."""
    oracle = WHOLE[m]
    model, values = exact_model(oracle, drop=0.0), repeated(oracle.sample(1), 3000)
    for names in subsets(oracle.names):
        some = one_row(values, names)
        gap = kl_gaussian(model.posterior(some), oracle.posterior(some))[0].detach()
        assert (gap < 1e-12) == (len(names) == 1)
        exact = oracle.log_marginal(some)[0] - gap - m * math.log(2)
        found = draws(model, {name: values[name] for name in names}, 8)
        assert within(found, exact)
        assert not within(found, exact + 0.5), "the check must be able to fail"


@pytest.mark.statistical
@BOTH
def test_it_is_never_above_the_truth_with_rough_networks(m):
    """drop = 0 bounds log p(x_O) + log p(b), whatever the proposals; r is moved here, the encoders are rough."""
    oracle = WHOLE[m]
    model, values = exact_model(oracle, encoder="rough", shift=0.4, drop=0.0), repeated(oracle.sample(1), 3000)
    for names in subsets(oracle.names):
        found = draws(model, {name: values[name] for name in names}, 6)
        truth = oracle.log_marginal(one_row(values, names))[0] - m * math.log(2)
        assert found.mean() + 5 * found.std() / 6**0.5 < truth


@pytest.mark.statistical
@BOTH
def test_dropping_hides_from_the_proposal_and_keeps_as_a_target(m):
    """The mean over the drawn inputs O' of the closed form, with every proper subset as likely as any other:

        sum_{m in O} E_{q(z|x_O')}[log p_m(x_m|z)] - KL(q(z|x_O') || N(0, I)) - M log 2.

    Dropping the target with the input would give log p(x_O') - KL(q || p(z|x_O')) for each, which is another number.
    """
    oracle = WHOLE[m]
    model, values = exact_model(oracle, drop=0.6), repeated(oracle.sample(1), 3000)
    row, kept_target, dropped_target = one_row(values, oracle.names), {}, {}
    for names in subsets(oracle.names):
        q = model.posterior(one_row(values, names))
        scored = {n: oracle.expected_log_likelihood(n, row[n], q)[0].detach() for n in oracle.names}
        kl = kl_standard(q)[0].detach() + m * math.log(2)
        kept_target[names] = sum(scored.values()) - kl
        dropped_target[names] = sum(scored[n] for n in names) - kl
    proper = subsets(oracle.names, proper=True)

    def mean(by_input: dict[tuple[str, ...], Tensor]) -> Tensor:
        return 0.4 * by_input[oracle.names] + 0.6 * torch.stack([by_input[s] for s in proper]).mean()

    found = draws(model, values, 20)
    assert within(found, mean(kept_target))
    assert not within(found, mean(dropped_target)), "the check must be able to fail"
    truth = oracle.log_marginal(row)[0] - m * math.log(2)
    assert mean(kept_target) < truth, "for a constant pattern, log p(x_O, b') is the same for all b', and bounds it"


@BOTH
def test_importance_weights_give_the_evidence_of_every_subset_without_the_pattern(m):
    """log p(z) + sum_{m in O} log p_m(x_m|z) - log q(z|x_O) is log p(x_O) at every z where q is exact."""
    oracle = OWN[m]
    model, values = exact_model(oracle), oracle.sample(5)
    for names in subsets(oracle.names):
        some = {name: values[name] for name in names}
        q = model.posterior(some)
        z = q.rsample(3, noise())
        weights = model.prior().log_prob(z) - q.log_prob(z)
        weights = weights + sum(model.likelihood(name, z).log_prob(x) for name, x in some.items())
        assert torch.allclose(weights, oracle.log_marginal(some).expand(3, -1), atol=1e-9)


def test_kl_is_the_sum_of_the_slices_kls():
    oracle = WHOLE[3]
    model, values = exact_model(oracle, encoder="rough", drop=0.0), oracle.sample(6)
    for names in subsets(oracle.names):
        some = {name: values[name] for name in names}
        filled = model.collective(some)
        total = torch.zeros(6, dtype=torch.float64)
        for name, part in model.slices.items():
            location, scale = model.encoders[name](values[name]) if name in names else (x[:, part] for x in filled)
            total = total + 0.5 * (scale**2 + location**2 - 1 - 2 * scale.log()).sum(-1)
        found = model.objective(some, noise=noise()).terms["kl"]
        assert torch.allclose(found, total.mean(), atol=1e-12)


# The pattern ----------------------------------------------------------------------------------------------------------
def test_the_pattern_is_scored_by_its_bernoulli_with_its_weight():
    oracle = OWN[2]
    values = {"t": oracle.sample(5)["t"]}
    losses = []
    for weight in (0.0, 1.0, 3.0):
        model = exact_model(oracle, pattern_weight=weight)
        with torch.no_grad():
            model.pattern_decoder[-1].bias.copy_(torch.tensor([0.4, 1.2]))  # logits of s and t
        losses.append(model.objective(values, noise=noise()).loss)
    s, t = 1 / (1 + math.exp(-0.4)), 1 / (1 + math.exp(-1.2))
    log_p = math.log(1 - s) + math.log(t)
    assert torch.allclose(losses[1] - losses[0], torch.tensor(-log_p).double(), atol=1e-10)
    assert torch.allclose(losses[2] - losses[0], torch.tensor(-3 * log_p).double(), atol=1e-10)


def test_the_patterns_of_all_outcomes_have_probability_one():
    logits = torch.randn(1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outcomes = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)
    assert torch.allclose(bernoulli_log_prob(logits, outcomes).exp().sum(), torch.tensor(1.0).double())


@pytest.mark.statistical
def test_the_pattern_to_be_explained_is_that_of_the_input():
    """drop = 1 on complete pairs: b' is (1, 0) or (0, 1) with equal odds, never (1, 1)."""
    oracle = OWN[2]
    model, values = exact_model(oracle, drop=1.0), oracle.sample(4000)
    with torch.no_grad():
        model.pattern_decoder[-1].bias.copy_(torch.tensor([2.0, -1.0]))
    logits, patterns = torch.tensor([[2.0, -1.0]]).double(), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).double()
    each = bernoulli_log_prob(logits, patterns)
    found = torch.stack([model.objective(values, noise=noise(k)).terms["log_pattern"] for k in range(10)])
    assert within(found, each[:2].mean())
    assert not within(found, each[2])


# What is hidden stays hidden ------------------------------------------------------------------------------------------
@BOTH
def test_the_collective_proposal_gets_a_gradient_for_missing_slices_alone(m):
    """None where everything is observed, b = (1 .. 1)."""
    oracle = WHOLE[m]
    model, values = exact_model(oracle, drop=0.0), oracle.sample(6)
    model.collective = Standard(oracle.dim)
    model.objective(values, noise=noise()).loss.backward()
    assert gradients(model)["collective.shift"].abs().max() == 0
    model.objective({"t": values["t"]}, noise=noise()).loss.backward()
    moved = gradients(model)["collective.shift"] != 0
    expected = torch.ones_like(moved)
    expected[model.slices["t"]] = False
    assert torch.equal(moved, expected)


@BOTH
def test_dropping_trains_the_collective_proposal_on_complete_rows(m):
    oracle = WHOLE[m]
    model, values = exact_model(oracle, drop=0.5), oracle.sample(30)
    model.collective = Standard(oracle.dim)
    model.objective(values, noise=noise()).loss.backward()
    assert gradients(model)["collective.shift"].abs().min() > 1e-6


@BOTH
def test_values_of_a_dropped_modality_reach_its_target_and_nothing_else(m):
    """With the target of t switched off, rows whose t was dropped do not change when t is poisoned; the others do."""
    oracle = WHOLE[m]
    model, values = exact_model(oracle, drop=0.7), oracle.sample(40)
    kept = model.kept(oracle.names, 40, noise().child("input"))[oracle.names.index("t")]
    assert 5 < kept.sum() < 35
    model.weights["t"] = 0.0
    clean = model.objective(values, noise=noise()).loss
    poisoned = torch.where(kept.unsqueeze(-1), values["t"], 1e9)
    assert torch.equal(model.objective(values | {"t": poisoned}, noise=noise()).loss, clean)
    x = values["t"].clone().requires_grad_()
    model.objective(values | {"t": x}, noise=noise()).loss.backward()
    assert torch.equal(x.grad.abs().sum(-1) > 0, kept)
    model.weights["t"] = 1.0
    x = values["t"].clone().requires_grad_()
    model.objective(values | {"t": x}, noise=noise()).loss.backward()
    assert (x.grad.abs().sum(-1) > 0).all(), "a dropped modality stays a target"


def test_each_row_has_the_proposal_of_its_own_pattern():
    oracle = WHOLE[3]
    model, values = exact_model(oracle, encoder="rough", drop=0.7), oracle.sample(40)
    kept = model.kept(oracle.names, 40, noise().child("input"))
    expected = []
    for row in range(40):
        names = [name for name, held in zip(oracle.names, kept[:, row].tolist(), strict=True) if held]
        expected.append(kl_standard(model.posterior({name: values[name][row : row + 1] for name in names}))[0])
    found = model.objective(values, noise=noise()).terms["kl"]
    assert len({tuple(column) for column in kept.T.tolist()}) == 7
    assert torch.allclose(found, torch.stack(expected).mean(), atol=1e-12)


def test_a_single_observed_modality_is_never_dropped_and_the_share_of_dropped_rows_is_the_setting():
    oracle = WHOLE[3]
    model = exact_model(oracle, drop=0.3)
    alone = model.kept(["t"], 50, StepNoise(0))
    assert alone.sum(1).tolist() == [0, 50, 0]
    pair = model.kept(["s", "u"], 20_000, StepNoise(0))
    assert not pair[1].any()
    assert abs((pair.sum(0) < 2).double().mean() - 0.3) < 0.02
    assert exact_model(oracle, drop=0.0).kept(oracle.names, 50, StepNoise(0)).all()
    assert not exact_model(oracle, drop=1.0).kept(oracle.names, 50, StepNoise(0)).all(0).any()


# Construction ---------------------------------------------------------------------------------------------------------
def test_slices_share_the_latent_dimension_and_too_few_are_refused():
    oracle = LinearGaussian(sizes={"u": 4, "s": 5, "t": 6})
    arch = Architecture(latent_dim=7, likelihood="normal")
    settings = parse_settings(VsaeSettings, {}, "model")
    model = VSAE(oracle.modalities, settings, arch, VSAE.coders(oracle.modalities, settings, arch)).double()
    assert model.slices == {"s": slice(0, 3), "t": slice(3, 5), "u": slice(5, 7)}
    assert model.posterior(oracle.sample(3)).mean.shape == (3, 7)
    small = Architecture(latent_dim=2)
    with pytest.raises(InvalidSetting, match="slices of 3 modalities"):
        VSAE.coders(oracle.modalities, settings, small)


def test_one_modality_is_a_vae_with_a_pattern():
    """With the exact encoder the ELBO is log p(x); the pattern of a lone modality is always (1)."""
    oracle = LinearGaussian(sizes={"s": 4})
    model = VSAE(oracle.modalities, VsaeSettings(), oracle.arch, oracle.coders()).double()
    assert model.collective is None
    values = repeated(oracle.sample(1), 5000)
    found = [model.objective(values, noise=noise(k)) for k in range(10)]
    elbos = torch.stack([-f.loss.detach() - f.terms["log_pattern"] for f in found])
    assert within(elbos, oracle.log_marginal(values)[0])
