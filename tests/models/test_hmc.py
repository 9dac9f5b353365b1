"""Hamiltonian Monte Carlo against targets whose moments are known exactly."""

import math

import pytest
import torch

from mmbench.models.hmc import Chains, hamiltonian
from mmbench.seeding import RowNoise
from mmbench.testing.checks import noise, within

MEANS = torch.tensor([[0.5, -1.0], [3.0, 2.0]], dtype=torch.float64)
ROOTS = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.3, 0.0], [-0.2, 0.5]]], dtype=torch.float64)
"""Cholesky factors of the two rows' covariances: correlated, and of different widths."""
COVARIANCES = ROOTS @ ROOTS.mT
PRECISIONS = torch.linalg.inv(COVARIANCES)
WIDTHS = COVARIANCES.diagonal(dim1=-2, dim2=-1).sqrt()


def gaussian(z):
    """log N of each row, up to a constant."""
    centred = z - MEANS
    return -0.5 * ((centred.unsqueeze(-1) * PRECISIONS).sum(-2) * centred).sum(-1)


def moments_agree(z, scale=1.0):
    """Means and covariances of chains `[K, 2, 2]`, entry by entry."""
    centred = z - MEANS
    products = centred.unsqueeze(-1) * centred.unsqueeze(-2)
    return within(z, MEANS) and within(products, scale * COVARIANCES)


def run(log_density, start, scale, *, steps=30, leapfrogs=5, key=0) -> Chains:
    return hamiltonian(log_density, start, scale, steps=steps, leapfrogs=leapfrogs, noise=noise(key))


@pytest.mark.statistical
def test_moments_of_a_product_of_gaussians_from_a_start_far_off():
    """Two experts over a standard normal prior, as in JNF: N(m_1, s_1^2) N(m_2, s_2^2) / N(0, 1)."""
    means, scales = torch.tensor([[1.0], [-0.5]]).double(), torch.tensor([[0.5], [0.8]]).double()

    def log_density(z):
        experts = -0.5 * ((z.unsqueeze(0) - means[:, None, None]) / scales[:, None, None]).square().sum((0, -1))
        return experts + 0.5 * z.square().sum(-1)

    precision = (scales**-2).sum() - 1
    mean = (means * scales**-2).sum() / precision
    found = run(log_density, torch.full((4000, 1, 1), 5.0).double(), torch.full((1, 1), 0.5).double(), steps=40)
    assert within(found.z, mean)
    assert within((found.z - mean).square(), 1 / precision)
    assert not within((found.z - mean).square(), 1 / (precision + 1)), "the prior undivided"


@pytest.mark.statistical
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_moments_of_correlated_gaussians_whatever_the_scale_it_is_given(factor):
    """Too small a scale leaves the steps short, too large a one makes the step fit itself."""
    found = run(gaussian, MEANS.expand(2000, 2, 2), factor * WIDTHS, steps=60)
    assert moments_agree(found.z)
    assert not moments_agree(found.z, scale=1.25)


@pytest.mark.statistical
@pytest.mark.parametrize("transitions", [1, 5])
def test_an_exact_start_stays_exact(transitions):
    """Invariance, with rejections: these coarse trajectories change the moments unless some are refused."""
    eps = torch.randn(20_000, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z = MEANS + (ROOTS @ eps.unsqueeze(-1)).squeeze(-1)
    for key in range(transitions):
        found = run(gaussian, z, 1.5 * WIDTHS, steps=1, leapfrogs=2, key=key)
        assert found.acceptance.mean() < 0.8
        z = found.z
    assert moments_agree(z)


@pytest.mark.statistical
def test_a_quartic_density():
    """E z^2 = Gamma(3/4) / Gamma(1/4) for the density exp(-z^4)."""
    found = run(lambda z: -(z**4).sum(-1), torch.zeros(1000, 1, 4).double(), torch.full((1, 4), 0.6).double())
    assert within(found.z.square(), math.gamma(0.75) / math.gamma(0.25))


@pytest.mark.statistical
def test_where_the_density_is_no_number_nothing_goes():
    """log of a density that is NaN for z < 0: a half normal, of mean sqrt(2 / pi)."""
    found = run(lambda z: (z.sqrt().square() * -z / 2).sum(-1), torch.ones(5000, 1, 1).double(), torch.ones(1, 1))
    assert (found.z > 0).all()
    assert within(found.z, math.sqrt(2 / math.pi))


def test_a_transition_of_a_quarter_period_turns_the_momentum_into_the_state():
    """On a Gaussian of the given scale, with many small steps: z = scale * momentum, but for the step's jitter."""
    scale = torch.tensor([[0.5, 2.0]]).double()
    start = torch.tensor([[[1.0, -3.0]]]).double().expand(500, 1, 2)
    found = run(lambda z: -0.5 * (z / scale).square().sum(-1), start, scale, steps=1, leapfrogs=200)
    drawn = noise(0)
    momentum = drawn.normal("momentum", (500, 1, 2))
    angle = (1 + 0.2 * (2 * drawn.uniform("jitter", (500, 1)) - 1)).unsqueeze(-1) * math.pi / 2
    exact = scale * (momentum * angle.sin() + start / scale * angle.cos())
    assert torch.allclose(found.z, exact, atol=1e-3)
    assert found.acceptance.min() > 0.999


def test_each_chain_fits_its_own_step():
    """The first row's density is as wide as it is told, the second's a twentieth."""
    narrow = torch.tensor([[1.0], [0.05]]).double()
    start = torch.zeros(200, 2, 1).double()
    found = run(lambda z: -0.5 * (z / narrow).square().sum(-1), start, torch.ones(2, 1).double(), steps=60)
    longest = math.pi / 10
    assert (found.step <= longest + 1e-12).all()
    assert (found.step[:, 0] > 0.9 * longest).all()
    assert (found.step[:, 1] < 0.3 * longest).all()
    assert (found.acceptance.mean(0) > 0.6).all()


def test_a_rows_chains_do_not_depend_on_its_batch():
    start = MEANS.expand(3, 2, 2)
    both = hamiltonian(gaussian, start, WIDTHS, steps=9, leapfrogs=4, noise=RowNoise(3, [7, 8], dtype=torch.float64))

    def second(z):
        return gaussian(torch.cat([z, z], 1))[:, 1:]

    noise_of_second = RowNoise(3, [8], dtype=torch.float64)
    alone = hamiltonian(second, start[:, 1:], WIDTHS[1:], steps=9, leapfrogs=4, noise=noise_of_second)
    assert torch.allclose(both.z[:, 1:], alone.z, atol=1e-12)
    assert torch.allclose(both.step[:, 1:], alone.step, atol=1e-12)


def test_it_runs_without_autograd_and_leaves_no_graph():
    centre = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        off = run(lambda z: -(z - centre).square().sum(-1), MEANS.expand(2, 2, 2), WIDTHS)
    on = run(lambda z: -(z - centre).square().sum(-1), MEANS.expand(2, 2, 2), WIDTHS)
    assert torch.equal(off.z, on.z)
    assert not on.z.requires_grad
    assert centre.grad is None
