"""A classifier's last layer as a sparse variational Gaussian process on its features (needs gpytorch).

One latent function a class, f_c ~ GP(m_c, k), with one RBF kernel k for all of them, and p(y | x, f) = softmax(f(x)).
The functions are known through their values at Z inducing points, whose distribution q is Gaussian and is fitted by
maximising (Hensman, Matthews & Ghahramani, Scalable Variational Gaussian Process Classification, AISTATS 2015)

    sum_i E_q[ log p(y_i | f(x_i)) ] - KL(q || p),

on mini-batches, the expectation by Monte Carlo over the marginals of f(x_i). Features are standardised by those of the
training rows; the inducing points start at random training rows and are learned. Computed in float64, in which the
kernel's Cholesky factor needs no jitter beyond gpytorch's own.
"""

import warnings
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmbench.seeding import generator

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)  # its own use of it
    import gpytorch

__all__ = ["VERSION", "LastLayer", "fit_last_layer"]

VERSION = f"1, gpytorch {gpytorch.__version__}"
"""What a fit depends on beside its arguments."""
DRAWS = 8
"""Samples of each f(x_i) in a step."""
SMALLEST = 1e-6


class _Functions(gpytorch.models.ApproximateGP):  # type: ignore[misc]  # gpytorch has no types
    """The latent functions of C classes over features `[B, F]`: a multivariate normal with batch shape `[C]`."""

    def __init__(self, points: Tensor, classes: int) -> None:
        size, dim = points.shape
        batch = torch.Size([classes])
        q = gpytorch.variational.CholeskyVariationalDistribution(size, batch_shape=batch)
        strategy = gpytorch.variational.VariationalStrategy(self, points, q, learn_inducing_locations=True)
        super().__init__(strategy)
        self.mean = gpytorch.means.ConstantMean(batch_shape=batch)
        kernel = gpytorch.kernels.RBFKernel()
        kernel.lengthscale = dim**0.5  # squared distances of standardised features are about 2 F
        self.kernel = gpytorch.kernels.ScaleKernel(kernel)

    def forward(self, x: Tensor) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean(x), self.kernel(x))


@final
class LastLayer(nn.Module):
    """A last layer; its state dict is all of it.

    Args:
        points: inducing points `[Z, F]`, in float64.
        classes: C.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, points: Tensor, classes: int) -> None:
        super().__init__()
        self.functions = _Functions(points, classes)
        self.register_buffer("centre", points.new_zeros(points.shape[1]))
        self.register_buffer("spread", points.new_ones(points.shape[1]))
        self.to(points)

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> "LastLayer":
        """The layer with this state dict, in eval mode."""
        strategy = "functions.variational_strategy"
        classes = len(state[f"{strategy}._variational_distribution.variational_mean"])
        layer = cls(torch.zeros_like(state[f"{strategy}.inducing_points"]), classes)
        layer.load_state_dict(state)
        return layer.eval()

    def marginals(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations of the latent functions at features `[B, F]`: `[B, C]` each, in float64."""
        x = (features.double() - self.centre) / self.spread
        with torch.no_grad():
            found = [_marginals(self.functions, part) for part in torch.split(x, 512)]
        mean, stddev = (torch.cat(parts) for parts in zip(*found, strict=True))
        return mean, stddev


def fit_last_layer(
    features: Tensor, targets: Tensor, *, classes: int, inducing: int, steps: int, batch_size: int, seed: int
) -> LastLayer:
    """Fit by Adam; the same arguments give the same layer (on the CPU), and torch's generators stay as they were.

    Args:
        features: of the training rows `[N, F]`.
        targets: their classes `[N]`.
        inducing: Z, at most N.
    """
    x = features.double()
    centre, spread = x.mean(0), x.std(0, correction=0).clamp_min(SMALLEST)
    x = (x - centre) / spread
    random = generator(seed, "last layer")
    points = x[torch.from_numpy(random.permutation(len(x))[:inducing]).to(x.device)]
    devices = [x.device] if x.device.type == "cuda" else []
    with torch.enable_grad(), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        layer = LastLayer(points, classes).train()
        layer.centre.copy_(centre)
        layer.spread.copy_(spread)
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.02)
        for _ in range(steps):
            chosen = torch.from_numpy(random.integers(len(x), size=min(batch_size, len(x)))).to(x.device)
            optimiser.zero_grad()
            _loss(layer.functions, x[chosen], targets[chosen], len(x)).backward()  # type: ignore[no-untyped-call]  # torch: no types
            optimiser.step()
    return layer.eval()


def _loss(functions: _Functions, x: Tensor, targets: Tensor, rows: int) -> Tensor:
    """Minus the bound, divided by the number of training rows."""
    mean, stddev = _marginals(functions, x)
    f = mean + stddev * torch.randn(DRAWS, *mean.shape, dtype=mean.dtype, device=mean.device)
    misfit = F.cross_entropy(f.flatten(0, 1), targets.repeat(DRAWS))
    divergence: Tensor = functions.variational_strategy.kl_divergence().sum()
    return misfit + divergence / rows


def _marginals(functions: _Functions, x: Tensor) -> tuple[Tensor, Tensor]:
    q = functions(x)
    return q.mean.T, q.variance.clamp_min(SMALLEST**2).sqrt().T
