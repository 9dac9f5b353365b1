"""Models that must agree: with one modality most of them are a VAE, for the same weights and the same noise."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mmbench.models.nexus import NEXUS, NexusSettings
from mmbench.models.vae import VAE, VaeSettings
from mmbench.seeding import Noise
from mmbench.testing.linear_gaussian import LinearGaussian

ONE = LinearGaussian(sizes={"s": 5}, dim=3)


class SameNoise(Noise):
    """The same numbers for every role: models that name their roles differently draw alike."""

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def child(self, name: str) -> Noise:
        return self


def loss(make, name: str, **settings) -> Tensor:
    model = make(name, ONE, encoder="rough", **settings)
    return model.objective(ONE.sample(7), noise=SameNoise()).loss.detach()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("mopoe", {"prior_expert": "none"}),
        ("mopoe", {"prior_expert": "none", "sampling": "enumerate"}),
        ("mmvae", {"objective": "naive", "k": 1}),
        ("mvtcae", {"alpha": 0.0}),
    ],
)
def test_one_modality_is_a_vae_with_analytic_kl(make, name, settings):
    assert torch.allclose(loss(make, name, **settings), loss(make, "vae"), rtol=0, atol=1e-12)


@pytest.mark.parametrize("looser", [True, False])
@pytest.mark.parametrize("k", [1, 5])
def test_mmvae_of_one_modality_is_an_importance_weighted_autoencoder(make, looser, k):
    found = loss(make, "mmvae", objective="iwae", k=k, looser=looser)
    assert torch.allclose(found, loss(make, "vae", objective="iwae", k=k), rtol=0, atol=1e-12)
    assert not torch.allclose(found, loss(make, "vae", objective="iwae", k=k + 1), rtol=0, atol=1e-3)


def test_mvae_of_one_modality_counts_it_once_with_the_prior_as_an_expert(make):
    found = loss(make, "mvae")
    assert torch.allclose(found, loss(make, "mopoe", prior_expert="all"), rtol=0, atol=1e-12)
    assert torch.allclose(found, loss(make, "mopoe", prior_expert="full-only"), rtol=0, atol=1e-12)
    assert not torch.allclose(found, loss(make, "vae"), rtol=0, atol=1e-3), "the prior expert moves the posterior"


def test_mhvae_of_one_modality_and_one_level_is_mvae(make):
    """One subset, one product with the prior."""
    assert torch.allclose(loss(make, "mhvae", levels=1), loss(make, "mvae"), rtol=0, atol=1e-12)


def test_nexus_of_one_modality_without_a_top_is_a_vae():
    """Its z_m is the VAE's z; the top adds nothing that moves it."""
    arch = replace(ONE.arch, latent_dim=ONE.dim + 2)
    settings = NexusSettings(private=ONE.dim, gamma=0.0, beta_top=0.0)
    nexus = NEXUS(ONE.modalities, settings, arch, ONE.coders(encoder="rough")).double()
    vae = VAE(ONE.modalities, VaeSettings(), ONE.arch, ONE.coders(encoder="rough")).double()
    losses = [model.objective(ONE.sample(7), noise=SameNoise()).loss for model in (nexus, vae)]
    assert torch.allclose(*losses, rtol=0, atol=1e-12)


def test_mvaes_joint_term_is_mopoe_over_the_full_set_alone(make, monkeypatch):
    """P = {[M]}: the product of all modalities and the prior, the first of MVAE's terms."""
    oracle = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
    values = oracle.sample(7)
    monkeypatch.setattr("mmbench.models.mopoe.subsets_of", lambda names: [tuple(names)])
    mopoe = make("mopoe", oracle, encoder="rough").objective(values, noise=SameNoise())
    mvae = make("mvae", oracle, encoder="rough", subsets=0).objective(values, noise=SameNoise())
    assert "elbo/s+t+u" in mvae.terms
    # MVAE draws the noise of its four terms in turn, so that only their closed parts and the mean may be compared
    assert torch.allclose(mopoe.terms["kl/s+t+u"], mvae.terms["kl/s+t+u"], rtol=0, atol=1e-12)
    assert torch.allclose(-mopoe.loss, mvae.terms["elbo/s+t+u"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_mvtcae_of_one_modality_is_a_vae_less_the_share_alpha(make, alpha):
    """No conditional term is left, and the weights (M - alpha)/M and 1 - alpha coincide."""
    assert torch.allclose(loss(make, "mvtcae", alpha=alpha), (1 - alpha) * loss(make, "vae"), rtol=0, atol=1e-12)


def test_mvtcae_without_alpha_is_mopoe_over_the_full_set_alone(make, monkeypatch):
    """P = {[M]} and no prior expert: the ELBO of the product of the experts."""
    oracle = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
    values = oracle.sample(7)
    monkeypatch.setattr("mmbench.models.mopoe.subsets_of", lambda names: [tuple(names)])
    for beta in (1.0, 2.5):
        mopoe = make("mopoe", oracle, encoder="rough", prior_expert="none", beta=beta)
        mvtcae = make("mvtcae", oracle, encoder="rough", alpha=0.0, beta=beta)
        losses = [model.objective(values, noise=SameNoise()).loss for model in (mopoe, mvtcae)]
        assert torch.allclose(*losses, rtol=0, atol=1e-12)


def test_mvtcae_without_alpha_is_mvaes_joint_term_once_an_expert_holds_the_prior(make):
    """MVAE's product has the prior; multiplied into the expert of one modality instead, it is MVTCAE's product."""
    oracle = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
    values = oracle.sample(7)
    mvae = make("mvae", oracle, encoder="rough", subsets=0)
    mvtcae = make("mvtcae", oracle, encoder="rough", alpha=0.0)
    joint = mvae.objective(values, noise=SameNoise()).terms["elbo/s+t+u"]
    assert not torch.allclose(-mvtcae.objective(values, noise=SameNoise()).loss, joint, rtol=0, atol=1e-3)
    encoder = mvtcae.encoders["t"]
    with torch.no_grad():
        precision = (-2 * encoder.log_scale).exp()
        encoder.weight *= (precision / (1 + precision)).unsqueeze(-1)
        encoder.bias *= precision / (1 + precision)
        encoder.log_scale.copy_(-0.5 * (1 + precision).log())
    assert torch.allclose(-mvtcae.objective(values, noise=SameNoise()).loss, joint, rtol=0, atol=1e-12)
