"""What is called a bound never exceeds the exact log likelihood of the oracle, and tightens where it is said to.

Only valid bounds stand here. The objectives of mmJSD, of MVTCAE but for alpha = 0 (its own tests say of what it is a
bound), and the sums of ELBOs of MVAE, tELBO and Nexus are none on log p(X).
Every check runs with `rough` encoders, whose gap is known to be positive, and must be able to fail: an objective that
forgets the KL lies above the truth. (VSAE's and MEME's bounds, and MHVAE's of several levels, have closed forms of their
own in their tests.)
"""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from mmbench.testing.checks import noise, repeated
from mmbench.testing.linear_gaussian import LinearGaussian, LinearJointEncoder

TWO = LinearGaussian()
THREE = LinearGaussian(sizes={"s": 3, "t": 4, "u": 5})
BATCHES, ROWS = 15, 1500

JOINT_BOUNDS = [
    ("jmvae", {"alpha": 0.0}),
    ("jmvae", {"alpha": 0.7}),
    ("mmvae", {"objective": "naive"}),
    ("mmvae", {"objective": "elbo"}),
    ("mmvae", {"objective": "iwae", "k": 5}),
    ("mmvae", {"objective": "iwae", "k": 5, "looser": False}),
    ("mopoe", {"prior_expert": "none"}),
    ("mopoe", {"prior_expert": "all"}),
    ("mopoe", {"prior_expert": "full-only", "sampling": "enumerate"}),
    ("mvtcae", {"alpha": 0.0}),
    ("mhvae", {"levels": 1}),
    ("mhvae", {"levels": 1, "subsets": "sampled"}),
]


def made(make, oracle: LinearGaussian, name: str, **settings):
    model = make(name, oracle, encoder="rough", **settings)
    if name == "jmvae":
        model.joint = LinearJointEncoder(oracle, rough=True)
    return model


def bounds(model, row: dict[str, Tensor]) -> Tensor:
    """Independent estimates of the bound on one row's likelihood, each a mean over replicates."""
    values = repeated(row, ROWS)
    with torch.no_grad():
        return torch.stack([-model.objective(values, noise=noise(k)).loss for k in range(BATCHES)])


def excess(found: Tensor, truth: Tensor) -> float:
    """How far the mean lies above the truth, in standard errors."""
    return float((found.mean() - truth) / (found.std() / len(found) ** 0.5))


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize(("name", "settings"), JOINT_BOUNDS, ids=lambda value: str(value))
def test_a_bound_on_the_joint_likelihood_stays_below_it(make, oracle, name, settings):
    row = oracle.sample(1, seed=2)
    truth = oracle.log_marginal(row)[0]
    found = bounds(made(make, oracle, name, **settings), row)
    assert excess(found, truth) < 4
    assert truth - found.mean() > 1e-3, "rough encoders leave a gap"


@pytest.mark.statistical
def test_without_its_kl_an_objective_is_found_above_the_truth(make):
    """The same check on a reconstruction alone, E_q[log p(x|z)] = log p(x) + KL(q || p) for the exact q: it fails."""
    oracle = LinearGaussian(sizes={"s": 3})
    row = oracle.sample(1, seed=2)
    assert excess(bounds(make("vae", oracle, beta=0.0), row), oracle.log_marginal(row)[0]) > 4


@pytest.mark.statistical
def test_the_joint_term_of_mvae_and_each_term_of_telbo_are_bounds_on_their_own_likelihoods(make):
    row = THREE.sample(1, seed=2)
    values = repeated(row, ROWS)
    mvae = made(make, THREE, "mvae", subsets=0)
    telbo = made(make, THREE, "telbo")
    telbo.joint = LinearJointEncoder(THREE, rough=True)
    terms = {"s+t+u": [], "joint encoder": [], "s": [], "t": [], "u": []}
    with torch.no_grad():
        for k in range(BATCHES):
            terms["s+t+u"].append(mvae.objective(values, noise=noise(k)).terms["elbo/s+t+u"])
            found = telbo.objective(values, noise=noise(k)).terms
            for name in ("joint encoder", "s", "t", "u"):
                terms[name].append(found[f"elbo/{name}"])
    for name, estimates in terms.items():
        observed = row if name in ("s+t+u", "joint encoder") else {name: row[name]}
        assert excess(torch.stack(estimates), THREE.log_marginal(observed)[0]) < 4, name


@pytest.mark.statistical
def test_importance_weighting_tightens_with_every_sample_and_reaches_the_truth(make):
    oracle = LinearGaussian(sizes={"s": 3})
    row = oracle.sample(1, seed=2)
    truth = oracle.log_marginal(row)[0]
    means = [bounds(made(make, oracle, "vae"), row).mean()]
    means += [bounds(made(make, oracle, "vae", objective="iwae", k=k), row).mean() for k in (2, 8, 64)]
    assert all(later > earlier for earlier, later in pairwise(means))
    assert truth - means[0] > 10 * (truth - means[-1])
    assert truth - means[-1] > -1e-3


@pytest.mark.statistical
@pytest.mark.parametrize("oracle", [TWO, THREE], ids=["two", "three"])
def test_mmvaes_bounds_are_ordered(make, oracle):
    """naive <= elbo <= looser <= tight <= log p(X), in expectation."""
    row = oracle.sample(1, seed=2)
    forms = [
        {"objective": "naive"},
        {"objective": "elbo"},
        {"objective": "iwae", "k": 8},
        {"objective": "iwae", "k": 8, "looser": False},
    ]
    means = [bounds(made(make, oracle, "mmvae", **form), row).mean() for form in forms]
    assert all(earlier < later for earlier, later in pairwise(means))
    assert means[-1] < oracle.log_marginal(row)[0] + 1e-3
