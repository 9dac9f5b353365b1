"""Flow posteriors: the change of variables against autograd, zuko and quadrature."""

import sys

import pytest
import torch
import zuko
from torch.distributions import Distribution

from mmbench.models.flows import FLOWS, Flow, FlowPosterior
from mmbench.models.posteriors import Gaussian, mixture
from mmbench.testing.checks import noise, within

trained = pytest.mark.parametrize("kind", ["maf", "coupling"])


def bent(kind, dim=3, *, seed=0, by=0.5, **shape):
    """A flow far from the identity, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = Flow(kind, dim, **{"transforms": 3, "hidden": 8, "layers": 2} | shape).double()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(by * torch.randn_like(parameter))
    return flow


def base(rows=4, dim=3):
    source = torch.Generator().manual_seed(2)
    location, scale = torch.randn(2, rows, dim, generator=source, dtype=torch.float64)
    return Gaussian(0.5 * location, (0.3 * scale).exp())


def grid(half, points):
    """Points of a square in the plane `[points^2, 1, 2]`, and the area that each stands for."""
    axis = torch.linspace(-half, half, points, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis).unsqueeze(1), float(axis[1] - axis[0]) ** 2


# The map --------------------------------------------------------------------------------------------------------------
@trained
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_log_determinant_is_that_of_autograds_jacobian(kind, dim):
    flow = bent(kind, dim)
    for z in torch.randn(4, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        jacobian = torch.autograd.functional.jacobian(lambda z: flow(z)[0], z)
        assert torch.allclose(flow(z)[1], torch.linalg.slogdet(jacobian).logabsdet, atol=1e-10)
        assert flow(z)[1].abs() > 1e-3


@trained
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_the_inverse_undoes_it(kind, dim):
    flow = bent(kind, dim)
    z = torch.randn(6, 2, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u, log_det = flow(z)
    assert log_det.shape == (6, 2)
    assert torch.allclose(flow.inverse(u), z, atol=1e-9)
    assert not torch.allclose(u, z, atol=0.1)


@pytest.mark.parametrize(("kind", "given"), [("maf", [0, 1, 2, 3, 4, 5]), ("coupling", [0, 0, 0, 3, 3, 3])])
def test_what_a_dimension_is_given(kind, given):
    """maf: all dimensions before it; coupling: the second half the first. The next transform goes the other way."""
    points = torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flow = bent(kind, 6, transforms=2, hidden=32)
    for transform, turned in zip(flow.transforms, (False, True), strict=True):
        jacobians = torch.stack([torch.autograd.functional.jacobian(transform(), z) for z in points])
        found = (jacobians != 0).any(0)
        found = found.flip(0, 1) if turned else found
        assert found.diagonal().all()
        assert (found.sum(-1) - 1).tolist() == given
        assert not found.triu(1).any()


def test_without_a_flow_it_is_the_identity_and_otherwise_near_it_at_the_start():
    z = torch.randn(50, 2, 4, generator=torch.Generator().manual_seed(0))
    for kind in FLOWS:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            flow = Flow(kind, 4, transforms=2, hidden=128, layers=3)
        u, log_det = flow(z)
        assert torch.allclose(u, z, atol=0.0 if kind == "none" else 0.03), kind
        assert log_det.abs().max() < (1e-12 if kind == "none" else 0.03), kind
        assert bool(list(flow.parameters())) is (kind != "none")


# The posterior --------------------------------------------------------------------------------------------------------
@trained
def test_the_density_is_that_of_zukos_normalising_flow(kind):
    q = FlowPosterior(base(), bent(kind))
    z = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    transform = zuko.transforms.ComposedTransform(*(t() for t in q.flow.transforms))
    reference = zuko.distributions.NormalizingFlow(
        transform, zuko.distributions.DiagNormal(q.base.location, q.base.scale)
    )
    assert torch.allclose(q.log_prob(z), reference.log_prob(z), atol=1e-10)


@pytest.fixture(scope="module")
def plane():
    """A posterior in the plane, where both kinds of flow are the same; points of a grid, and their probabilities."""
    q = FlowPosterior(base(2, 2), bent("maf", 2, seed=3, by=0.3))
    z, area = grid(12.0, 401)
    with torch.no_grad():
        return q, z, q.log_prob(z.expand(-1, 2, 2)).exp() * area


def test_the_density_integrates_to_one(plane):
    _, _, probabilities = plane
    assert torch.allclose(probabilities.sum(0), torch.ones(2).double(), atol=1e-3)


@pytest.mark.statistical
def test_samples_follow_the_density(plane):
    """Means of bounded functions over samples and by quadrature."""
    q, z, probabilities = plane
    with torch.no_grad():
        samples = q.rsample(20_000, noise())
    for of in (torch.tanh, torch.sin, lambda x: torch.tanh(x[..., :1] * x[..., 1:])):
        exact = (probabilities.unsqueeze(-1) * of(z)).sum(0)
        assert within(of(samples), exact)
        assert not within(of(samples), exact + 0.05)
    gaussian = q.base.rsample(20_000, noise())
    assert not within(torch.tanh(gaussian), (probabilities.unsqueeze(-1) * torch.tanh(z)).sum(0)), "without the flow"


def test_a_sample_is_the_inverse_of_the_bases():
    q = FlowPosterior(base(), bent("maf"))
    assert torch.allclose(q.flow(q.rsample(5, noise()))[0], q.base.rsample(5, noise()), atol=1e-9)


def test_without_a_flow_it_is_the_gaussian():
    q = FlowPosterior(base(), Flow("none", 3, transforms=2, hidden=4, layers=1))
    z = q.rsample(5, noise())
    assert torch.equal(z, q.base.rsample(5, noise()))
    assert torch.equal(q.log_prob(z), q.base.log_prob(z))


@trained
def test_rows_and_mixtures(kind):
    """Some of the rows, and the uniform mixture of two: mean density, and samples of either component."""
    one, other = FlowPosterior(base(), bent(kind)), FlowPosterior(base(), bent(kind, seed=1))
    z, index = one.rsample(3, noise()).detach(), torch.tensor([2, 0])
    assert torch.allclose(one.rows(index).log_prob(z[:, index]), one.log_prob(z)[:, index])
    both = mixture([one, other])
    assert torch.allclose(both.log_prob(z).exp(), (one.log_prob(z).exp() + other.log_prob(z).exp()) / 2)
    drawn = both.rsample(100, noise())
    from_one, from_other = (torch.isclose(drawn, q.rsample(100, noise())).all(-1) for q in (one, other))
    assert (from_one ^ from_other).all()
    assert 0.3 < from_one.double().mean() < 0.7


# The import -----------------------------------------------------------------------------------------------------------
def test_building_a_flow_leaves_torchs_argument_checks_on(monkeypatch):
    """zuko switches them off for the whole process when it is imported."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "zuko"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(Distribution, "_validate_args", True)
    Flow("maf", 2, transforms=1, hidden=4, layers=1)
    assert "zuko.distributions" in sys.modules
    assert Distribution._validate_args
    with pytest.raises(ValueError, match="constraint"):
        torch.distributions.Normal(0.0, -1.0)
