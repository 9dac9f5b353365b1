"""CMVAE: its log-sum identity, MMVAE+ where there is one cluster, the oracle with clusters, and which clusters stay."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import distributions as td

from mmbench.errors import InvalidSetting
from mmbench.models.clusters import Clusters, pruned
from mmbench.models.cmvae import CMVAE
from mmbench.testing.checks import gradients, noise, repeated, within
from mmbench.testing.private_linear_gaussian import PrivateLinearGaussian

TWO = PrivateLinearGaussian(noise=1.2)
WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
CENTRES = torch.tensor([[0.0, 0.0], [2.0, -1.0], [-1.5, 0.5]], dtype=torch.float64)


def clustered(make, **settings) -> CMVAE:
    """A model with three clusters of given weights and centres on rough encoders."""
    model = make("cmvae", TWO, encoder="rough", private=1, clusters=3, **settings)
    with torch.no_grad():
        model.cluster_logits.copy_(WEIGHTS.log() + 0.7)
        model.centres.copy_(CENTRES)
    return model


def mixture_of_torch(family: str) -> td.Distribution:
    base = td.Normal if family == "normal" else td.Laplace
    return td.MixtureSameFamily(td.Categorical(WEIGHTS), td.Independent(base(CENTRES, torch.ones_like(CENTRES)), 1))


@pytest.mark.parametrize("family", ["normal", "laplace"])
def test_the_terms_in_c_add_up_to_the_density_of_the_mixture(make, family):
    """sum_c q(c|z) [log p(c) + log p(z|c) - log q(c|z)] = log p(z), as torch has it."""
    clusters = clustered(make, family=family).clusters()
    z = 2 * torch.randn(4, 5, 2, dtype=torch.float64)
    expected = mixture_of_torch(family)
    q, joint = clusters.assigned(z), clusters.joint(z)
    total = (q * (joint - q.log())).sum(0)
    assert torch.allclose(total, expected.log_prob(z), rtol=0, atol=1e-12)
    assert torch.allclose(clusters.log_prob(z), expected.log_prob(z), rtol=0, atol=1e-12)
    assert torch.allclose(q.sum(0), torch.ones(4, 5).double())
    first = WEIGHTS[0] * expected.component_distribution.log_prob(z.unsqueeze(-2))[..., 0].exp()
    assert torch.allclose(q[0], first / expected.log_prob(z).exp(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"looser": False, "beta": 2.5}, {"objective": "dreg", "family": "laplace"}])
def test_with_one_cluster_at_zero_it_is_mmvaeplus(make, settings):
    values, found = TWO.sample(6), []
    for name, more in (("mmvaeplus", {}), ("cmvae", {"clusters": 1})):
        model = make(name, TWO, encoder="rough", private=1, k=4, **settings, **more)
        if isinstance(model, CMVAE):
            torch.nn.init.zeros_(model.centres)
        loss = model.objective(values, noise=noise()).loss
        loss.backward()
        shared = {n: g for n, g in gradients(model).items() if n.startswith(("encoders", "decoders", "auxiliary"))}
        assert len(shared) == 11
        z = model.posterior(values).rsample(2, noise(5))
        found.append([loss.detach(), model.prior().log_prob(z).detach(), *shared.values()])
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(theirs, ours, rtol=0, atol=1e-12)


def test_clusters_change_the_objective_by_beta_times_their_log_density(make):
    """L(C clusters) - L(one at zero) = beta E_q[log p_C(z) - log N(z)] with one sample, and nothing else."""
    values, beta = TWO.sample(6), 1.7
    model = clustered(make, objective="elbo", beta=beta)
    plus = make("mmvaeplus", TWO, encoder="rough", private=1, objective="elbo", beta=beta)
    differences = []
    for name, x in values.items():
        z = model.encode(name, x).rsample(1, noise().child(name))[..., :2]
        standard = td.Normal(0.0, 1.0).log_prob(z).sum(-1)
        differences.append(mixture_of_torch("normal").log_prob(z) - standard)
    expected = -beta * torch.stack(differences).mean()
    found = model.objective(values, noise=noise()).loss - plus.objective(values, noise=noise()).loss
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    found.backward()
    assert model.centres.grad.abs().min() > 1e-4
    assert model.cluster_logits.grad.abs().min() > 1e-4


@pytest.mark.statistical
def test_tight_bound_with_the_prior_in_cross_terms_reaches_the_evidence(make):
    """x is a mixture of the oracle's Gaussians, shifted by U c: log p(X) = log sum_c p(c) p(X - U c)."""
    row = TWO.sample(1, seed=3)
    shifted = [TWO.log_marginal({n: x - c @ TWO.each.weight(n)[:, :2].T for n, x in row.items()})[0] for c in CENTRES]
    exact = (torch.stack(shifted) + WEIGHTS.log()).logsumexp(0)
    assert (exact - TWO.log_marginal(row)[0]).abs() > 0.2, "the clusters must matter"
    model = clustered(make, cross="prior", looser=False, k=1500)
    with torch.no_grad():
        found = [-model.objective(repeated(row, 50), noise=noise(key)).loss for key in range(8)]
    assert (torch.stack(found).mean() - exact).abs() < 0.025


@pytest.mark.statistical
def test_samples_of_the_prior_come_from_the_clusters_and_private_parts_are_standard(make):
    z = clustered(make).prior().sample(5, 8000, noise()).flatten(0, 1).detach()
    assert within(z[:, :2], WEIGHTS @ CENTRES)
    assert within(z[:, 2:], 0.0)
    second = WEIGHTS @ (CENTRES.square() + 1)
    assert within(z[:, :2].square(), second)
    assert within(z[:, 2:].square(), 1.0)
    assert not within(z[:, :2].square(), second + 0.2)


# Which clusters stay --------------------------------------------------------------------------------------------------
def clusters_at(centres: list[list[float]], weights: list[float]) -> Clusters:
    return Clusters("test", "normal", torch.tensor(weights, dtype=torch.float64).log(), torch.tensor(centres).double())


def test_the_criterion_is_the_normalised_entropy_less_the_log_density_a_dimension():
    """By hand for three clusters, for the two that have more votes, and for no other pair."""
    centres, weights = np.array([[0.0, 0.0], [1.0, 1.0], [-2.0, 0.5]]), np.array([0.5, 0.3, 0.2])
    z = torch.randn(3, 40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = pruned(clusters_at(centres.tolist(), weights.tolist()), z, beta=1.7)
    assert set(found.criterion) == {3, 2}

    def joint(kept: list[int]) -> np.ndarray:
        distance = np.square(z.numpy()[..., None, :] - centres[kept]).sum(-1)
        return weights[kept] / weights[kept].sum() * np.exp(-distance / 2) / (2 * math.pi)

    def by_hand(kept: list[int]) -> float:
        h = entropy(joint(kept), axis=-1) / math.log(len(kept))
        return float(1.7 * h.mean() - np.log(joint(kept).sum(-1)).mean() / 2)

    q = joint([0, 1, 2]) / joint([0, 1, 2]).sum(-1, keepdims=True)
    mass = np.zeros(3)
    for row in range(40):
        votes = np.bincount(q[:, row].argmax(-1), minlength=3)
        mass[votes.argmax()] += q[:, row].mean(0).max()
    heavier = sorted(np.argsort(mass)[1:].tolist())
    assert found.criterion[3] == pytest.approx(by_hand([0, 1, 2]), abs=1e-10)
    assert found.criterion[2] == pytest.approx(by_hand(heavier), abs=1e-10)
    assert len({round(by_hand(pair), 6) for pair in ([0, 1], [0, 2], [1, 2])}) == 3


def test_clusters_that_no_row_needs_are_left_out():
    """Rows in three of six clusters: those three stay, and with two the criterion rises again."""
    centres = [[6.0, 0.0], [-6.0, 0.0], [0.0, 6.0], [20.0, 20.0], [0.0, -30.0], [25.0, -25.0]]
    clusters = clusters_at(centres, [1 / 6] * 6)
    source = torch.Generator().manual_seed(0)
    true = torch.randint(3, (1, 300), generator=source)
    z = clusters.centres[true] + torch.randn(2, 300, 2, generator=source, dtype=torch.float64)
    found = pruned(clusters, z)
    assert found.kept.tolist() == [True, True, True, False, False, False]
    assert min(found.criterion, key=found.criterion.get) == 3
    assert found.criterion[2] > found.criterion[3] < found.criterion[4] < found.criterion[6]


def test_the_cluster_with_the_fewest_votes_goes_first():
    """Two of three modalities decide; the one cluster that only single modalities vote for is the lightest."""
    centres = [[5.0], [-5.0], [0.0]]
    z = torch.tensor([[5.0, -5.0, 5.0, -5.0], [5.0, -5.0, 5.0, -5.0], [0.0, 0.0, 0.0, 0.0]]).double().unsqueeze(-1)
    found = pruned(clusters_at(centres, [0.4, 0.3, 0.3]), z, beta=50.0)
    assert set(found.criterion) == {3, 2}
    alone = pruned(clusters_at(centres[:2], [4 / 7, 3 / 7]), z, beta=50.0)
    assert found.criterion[2] == pytest.approx(alone.criterion[2], abs=1e-12)


def test_a_model_keeps_what_its_rows_need_and_gives_the_others_probability_zero(make):
    clear = PrivateLinearGaussian(noise=0.3)
    model = make("cmvae", clear, private=1, clusters=4)
    with torch.no_grad():
        model.centres.copy_(torch.tensor([[-6.0, 0.0], [0.0, 40.0], [6.0, 0.0], [0.0, -40.0]]))
    side = torch.tensor([-6.0, 6.0]).double().repeat(25)[:, None]
    values = {n: x + side * clear.each.weight(n)[:, 0] for n, x in clear.sample(50).items()}
    found = model.pruning(values, noise=noise())
    assert torch.equal(model.cluster_logits, torch.zeros(4).double()), "nothing is changed by looking"
    assert found.kept.tolist() == [True, False, True, False]
    model.keep(found.kept)
    q = model.assign(model.posterior(values).rsample(3, noise()))
    assert q.shape == (3, 50, 4)
    assert (q[..., 1] == 0).all()
    assert (q[..., 3] == 0).all()
    assert torch.allclose(q.sum(-1), torch.ones(3, 50).double())
    assert model.prior().sample(1, 2000, noise())[..., :2].abs().max() < 12
    loss = model.objective(values, noise=noise()).loss
    loss.backward()
    assert loss.isfinite()
    assert all(g.isfinite().all() for g in gradients(model).values())


def test_one_cluster_cannot_be_pruned_and_none_cannot_be_kept(make):
    model = make("cmvae", TWO, private=1, clusters=1)
    with pytest.raises(InvalidSetting, match=r"the prior has 1: raise model\.clusters"):
        model.pruning(TWO.sample(3), noise=noise())
    with pytest.raises(InvalidSetting, match="must be kept, got none"):
        model.keep(torch.zeros(1, dtype=torch.bool))


def test_weights_start_uniform_and_centres_between_minus_one_and_one(make):
    model = make("cmvae", TWO, private=1, clusters=50)
    assert torch.allclose(model.clusters().log_weights, torch.full((50,), -math.log(50)).double())
    assert model.centres.abs().max() <= 1
    assert model.centres.min() < -0.8
    assert model.centres.max() > 0.8
